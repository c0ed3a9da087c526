//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package lockfile_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/whorl-go/whorl/internal/lockfile"
)

// dead is the number of a process that has ended.
func dead(t *testing.T) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// LOCK-1: a free name gives a clean lock, one of a dead process an unclean one, and one of a live
// process, this one too, none.
func TestLOCK1(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.lock")
	if clean, err := lockfile.Lock(name); !clean || err != nil {
		t.Fatalf("LOCK-1: free: clean %v, %v", clean, err)
	}
	if to, err := os.Readlink(name); to != strconv.Itoa(os.Getpid()) {
		t.Errorf("the link is to %q, %v", to, err)
	}
	var held *lockfile.HeldError
	if clean, err := lockfile.Lock(name); clean || !errors.As(err, &held) || held.PID != os.Getpid() || held.Name != name {
		t.Errorf("LOCK-1: ours: clean %v, %v", clean, err)
	}
	os.Remove(name)
	os.Symlink(strconv.Itoa(os.Getppid()), name)
	if clean, err := lockfile.Lock(name); clean || !errors.As(err, &held) || held.PID != os.Getppid() {
		t.Errorf("LOCK-1: another's: clean %v, %v", clean, err)
	}
	os.Remove(name)
	os.Symlink(strconv.Itoa(dead(t)), name)
	if clean, err := lockfile.Lock(name); clean || err != nil {
		t.Errorf("LOCK-1: a dead one's: clean %v, %v", clean, err)
	}
	if to, err := os.Readlink(name); to != strconv.Itoa(os.Getpid()) {
		t.Errorf("LOCK-1: taken over, the link is to %q, %v", to, err)
	}
	if left, _ := filepath.Glob(name + "*"); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
}

// LOCK-2: after an unlock the name is free and the next lock clean. Whoever does not hold the lock
// cannot unlock it.
func TestLOCK2(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.lock")
	os.Symlink(strconv.Itoa(dead(t)), name)
	lockfile.Lock(name)
	if pid, err := lockfile.Holder(name); pid != os.Getpid() || err != nil {
		t.Errorf("the holder is %d, %v", pid, err)
	}
	if err := lockfile.Unlock(name); err != nil {
		t.Error(err)
	}
	if _, err := lockfile.Holder(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LOCK-2: unlocked: %v", err)
	}
	if err := lockfile.Unlock(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a second unlock: %v", err)
	}
	if clean, err := lockfile.Lock(name); !clean || err != nil {
		t.Errorf("LOCK-2: locked again: clean %v, %v", clean, err)
	}
	os.Remove(name)
	os.Symlink(strconv.Itoa(os.Getppid()), name)
	if err := lockfile.Unlock(name); !errors.Is(err, lockfile.ErrNotHolder) {
		t.Errorf("LOCK-2: unlocking another's: %v", err)
	}
	if pid, err := lockfile.Holder(name); pid != os.Getppid() || err != nil {
		t.Errorf("LOCK-2: then its holder is %d, %v", pid, err)
	}
}

// LOCK-3: the errors of the links are returned, and a link that names no process is one.
func TestLOCK3(t *testing.T) {
	dir := t.TempDir()
	if _, err := lockfile.Lock(filepath.Join(dir, "none", "x.lock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LOCK-3: no such directory: %v", err)
	}
	name := filepath.Join(dir, "x.lock")
	os.WriteFile(name, nil, 0o600)
	if _, err := lockfile.Lock(name); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("LOCK-3: a plain file: %v", err)
	}
	os.Remove(name)
	for _, target := range []string{"nobody", "-1", "0", ""} {
		os.Symlink(target, name)
		if _, err := lockfile.Lock(name); target != "" && (err == nil || !strings.Contains(err.Error(), "is not the number of a process")) {
			t.Errorf("LOCK-3: a link to %q: %v", target, err)
		}
		os.Remove(name)
	}
	if pid, err := lockfile.Holder(linkTo(t, name, 1)); pid != 1 || err != nil {
		t.Errorf("LOCK-3: a process that may not be signalled lives: %d, %v", pid, err)
	}
}

func linkTo(t *testing.T, name string, pid int) string {
	t.Helper()
	if err := os.Symlink(strconv.Itoa(pid), name); err != nil {
		t.Fatal(err)
	}
	return name
}

// Of many that take a dead process's lock at once, one gets it, and links come and go meanwhile
// (LOCK-3).
func TestTakenOverOnce(t *testing.T) {
	pid := dead(t)
	for range 50 {
		name := filepath.Join(t.TempDir(), "x.lock")
		linkTo(t, name, pid)
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := 0
		for range 4 {
			wg.Go(func() {
				_, err := lockfile.Lock(name)
				mu.Lock()
				defer mu.Unlock()
				if _, held := errors.AsType[*lockfile.HeldError](err); err == nil {
					got++
				} else if !held {
					t.Error(err)
				}
			})
		}
		if wg.Wait(); got != 1 {
			t.Fatalf("%d have the lock", got)
		}
	}
}
