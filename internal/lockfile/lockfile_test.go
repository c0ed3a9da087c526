//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package lockfile_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/lockfile"
	"golang.org/x/sys/unix"
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

func never() bool { return false }

// LOCK-1: a free name gives a clean lock, one of a dead process an unclean one, and one of a live
// process, this one too, none.
func TestLOCK1(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.lock")
	if l, err := lockfile.Take(name, never); err != nil || !l.Clean || l.Name != name {
		t.Fatalf("LOCK-1: free: %+v, %v", l, err)
	}
	if to, err := os.Readlink(name); to != strconv.Itoa(os.Getpid()) {
		t.Errorf("the link is to %q, %v", to, err)
	}
	var held *lockfile.HeldError
	if l, err := lockfile.Take(name, never); l != nil || !errors.As(err, &held) || held.PID != os.Getpid() || held.Name != name {
		t.Errorf("LOCK-1: ours: %+v, %v", l, err)
	}
	os.Remove(name)
	linkTo(t, name, os.Getppid())
	if l, err := lockfile.Take(name, never); l != nil || !errors.As(err, &held) || held.PID != os.Getppid() {
		t.Errorf("LOCK-1: another's: %+v, %v", l, err)
	}
	os.Remove(name)
	linkTo(t, name, dead(t))
	if l, err := lockfile.Take(name, func() bool { return true }); l != nil || !errors.As(err, &held) {
		t.Errorf("a dead one's, and the socket is in use: %+v, %v", l, err)
	}
	if l, err := lockfile.Take(name, never); err != nil || l.Clean {
		t.Errorf("LOCK-1: a dead one's: %+v, %v", l, err)
	}
	if to, err := os.Readlink(name); to != strconv.Itoa(os.Getpid()) {
		t.Errorf("LOCK-1: taken over, the link is to %q, %v", to, err)
	}
	if left, _ := filepath.Glob(name + "*"); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
}

// A lock with our own number that is older than a second was left by an earlier process with that
// number, unless what it is for is in use. So was one of a time to come: the clock has been set back since, as
// that of a machine which knows the time only once it has a network.
func TestOwnNumber(t *testing.T) {
	for _, at := range []time.Duration{-time.Minute, 24 * time.Hour} {
		name := filepath.Join(t.TempDir(), "x.lock")
		linkTo(t, name, os.Getpid())
		old := unix.NsecToTimespec(time.Now().Add(at).UnixNano())
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{old, old}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			t.Fatal(err)
		}
		if l, err := lockfile.Take(name, func() bool { return true }); l != nil || err == nil {
			t.Errorf("at %v, in use: %+v, %v", at, l, err)
		}
		if l, err := lockfile.Take(name, never); err != nil || l.Clean {
			t.Errorf("at %v, not in use: %+v, %v", at, l, err)
		}
		if l, err := lockfile.Take(name, never); l != nil || err == nil {
			t.Errorf("at %v, made just now: %+v, %v", at, l, err)
		}
	}
}

// LOCK-2: after a release the name is free and the next lock clean. What is another's by now stays.
func TestLOCK2(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.lock")
	linkTo(t, name, dead(t))
	l, err := lockfile.Take(name, never)
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := lockfile.Holder(name); pid != os.Getpid() || err != nil {
		t.Errorf("LOCK-2: the holder is %d, %v", pid, err)
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
	if _, err := lockfile.Holder(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LOCK-2: released: %v", err)
	}
	if err := l.Release(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a second release: %v", err)
	}
	first, err := lockfile.Take(name, never)
	if err != nil || !first.Clean {
		t.Fatalf("LOCK-2: locked again: %+v, %v", first, err)
	}
	os.Rename(name, name+".old") // so that its inode is not given out again
	for _, pid := range []int{os.Getpid(), os.Getppid()} {
		linkTo(t, name, pid)
		if err := first.Release(); !errors.Is(err, lockfile.ErrNotHolder) {
			t.Errorf("LOCK-2: releasing another's: %v", err)
		}
		if holder, err := lockfile.Holder(name); holder != pid || err != nil {
			t.Errorf("LOCK-2: then its holder is %d, %v", holder, err)
		}
		os.Remove(name)
	}
}

// LOCK-3: the errors of the links are returned, and a link that names no process is one.
func TestLOCK3(t *testing.T) {
	dir := t.TempDir()
	if _, err := lockfile.Take(filepath.Join(dir, "none", "x.lock"), never); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LOCK-3: no such directory: %v", err)
	}
	name := filepath.Join(dir, "x.lock")
	os.WriteFile(name, nil, 0o600)
	if _, err := lockfile.Take(name, never); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("LOCK-3: a plain file: %v", err)
	}
	os.Remove(name)
	for _, target := range []string{"nobody", "-1", "0", "4294967297", "2147483648"} {
		os.Symlink(target, name)
		if _, err := lockfile.Take(name, never); err == nil || !strings.Contains(err.Error(), "is not the number of a process") {
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

// Of many that take a dead process's lock at once, one gets it, and it knows that it is unclean; links
// come and go meanwhile (LOCK-3).
func TestTakenOverOnce(t *testing.T) {
	pid := dead(t)
	for range 50 {
		name := filepath.Join(t.TempDir(), "x.lock")
		linkTo(t, name, pid)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var got []*lockfile.Lock
		for range 4 {
			wg.Go(func() {
				l, err := lockfile.Take(name, never)
				mu.Lock()
				defer mu.Unlock()
				if _, held := errors.AsType[*lockfile.HeldError](err); err == nil {
					got = append(got, l)
				} else if !held {
					t.Error(err)
				}
			})
		}
		if wg.Wait(); len(got) != 1 || got[0].Clean {
			t.Fatalf("%d have the lock: %+v", len(got), got)
		}
	}
}

// A lock passes from one process to another that it has agreed with. The former one's Release leaves it alone. A lock of
// somebody else does not pass.
func TestTakeFrom(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.lock")
	parent := os.Getppid()
	linkTo(t, name, parent)
	var held *lockfile.HeldError
	if l, err := lockfile.TakeFrom(name, parent+1); l != nil || !errors.As(err, &held) || held.PID != parent {
		t.Errorf("another's: %+v, %v", l, err)
	}
	l, err := lockfile.TakeFrom(name, parent)
	if err != nil || !l.Clean {
		t.Fatalf("%+v, %v", l, err)
	}
	if pid, err := lockfile.Holder(name); pid != os.Getpid() || err != nil {
		t.Errorf("held by %d, %v", pid, err)
	}
	again, err := lockfile.TakeFrom(name, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); !errors.Is(err, lockfile.ErrNotHolder) {
		t.Errorf("the former holder: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
	if l, err := lockfile.TakeFrom(name, parent); err != nil || l.Release() != nil { // there is none
		t.Errorf("a free one: %+v, %v", l, err)
	}
	if left, _ := filepath.Glob(filepath.Dir(name) + "/*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A full disk, on which a link has room and a byte has not, does not keep the lock of an earlier process with our number.
func TestOwnNumberOnFullDisk(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.lock")
	linkTo(t, name, os.Getpid())
	old := unix.NsecToTimespec(time.Now().Add(-time.Minute).UnixNano())
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{old, old}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
	guard := name + ".take" // which that process has left too
	if err := os.WriteFile(guard, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(guard, time.Unix(old.Sec, 0), time.Unix(old.Sec, 0)); err != nil {
		t.Fatal(err)
	}
	// A limit of the length of files is the same for a write.
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 0, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	l, err := lockfile.Take(name, never)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err != nil || l.Clean {
		t.Errorf("%+v, %v", l, err)
	}
}
