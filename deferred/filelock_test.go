//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package deferred_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
)

// DEF-21: a lock on a file is tried every second. A limit on time is a timeout, a second use at a time an error, and giving up ends the
// trying.
func TestFileLock(t *testing.T) {
	r := simulated(t, reactor.Config{})
	name := filepath.Join(t.TempDir(), "x.lock")
	l := deferred.NewFileLock(r, name)
	d := l.Acquire()
	if second := l.Acquire(); !errors.Is(failure(second), deferred.ErrFileLockBusy) {
		t.Error("DEF-21: a second use:", failure(second))
	}
	until(t, r, func() bool { return failure(d) == nil })
	if to, err := os.Readlink(name); to != strconv.Itoa(os.Getpid()) || !l.Held() {
		t.Errorf("DEF-21: %q, %v", to, err)
	}
	if err := failure(l.Acquire()); !errors.Is(err, deferred.ErrFileLockBusy) {
		t.Error("DEF-21: a held one:", err)
	}

	other := deferred.NewFileLock(r, name)
	once := other.TryAcquire()
	until(t, r, func() bool { return failure(once) != errPending })
	if err := failure(once); !errors.Is(err, deferred.ErrFileLockHeld) || !strings.Contains(err.Error(), fmt.Sprintf("%q is held by process %d", name, os.Getpid())) {
		t.Errorf("tried once: %v", err)
	}
	start := r.Now()
	limited := other.Acquire().Timeout(3500 * time.Millisecond)
	var at time.Duration
	limited.Done(func(deferred.None, error) { at = r.Now() - start })
	until(t, r, func() bool { return failure(limited) != errPending })
	if err := failure(limited); !errors.Is(err, deferred.ErrTimeout) || at != 3500*time.Millisecond || r.Stats().Pending != 0 {
		t.Errorf("DEF-21: a limit: %v after %v, %d timers", err, at, r.Stats().Pending)
	}
	gone := other.Acquire()
	gone.Cancel()
	waits := other.Acquire()
	tryAt := r.Now()
	r.CallLater(2200*time.Millisecond, func() { l.Release() })
	waits.Done(func(deferred.None, error) { at = r.Now() - tryAt })
	until(t, r, func() bool { return failure(waits) == nil })
	if failure(gone) != reactor.ErrCancelled || at < 3*time.Second || at > 3*time.Second+500*time.Millisecond || l.Held() || !other.Held() {
		t.Errorf("DEF-21: it was free after 2.2 s, and taken after %v", at)
	}
	released := other.Release()
	until(t, r, func() bool { return failure(released) == nil })
	again := other.TryAcquire()
	until(t, r, func() bool { return failure(again) == nil })
	released = other.Release()
	until(t, r, func() bool { return failure(released) == nil })
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Error("DEF-21: released:", err)
	}
	if err := failure(other.Release()); !errors.Is(err, deferred.ErrFileLockFree) {
		t.Error(err)
	}

	// What is taken after it was given up is released again.
	gone = other.Acquire()
	gone.Cancel()
	there := func() bool { _, err := os.Lstat(name); return err == nil }
	until(t, r, there)
	until(t, r, func() bool { return !there() })
	if failure(gone) != reactor.ErrCancelled || other.Held() {
		t.Errorf("DEF-21: given up: %v, held: %v", failure(gone), other.Held())
	}

	nowhere := deferred.NewFileLock(r, filepath.Join(t.TempDir(), "none", "x.lock"))
	failed := nowhere.Acquire()
	until(t, r, func() bool { return failure(failed) != errPending })
	if err := failure(failed); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A lock that an earlier process with our number has left, because it was killed, is taken over. In a container each start of a program has the same number.
func TestFileLockOfEarlierRun(t *testing.T) {
	r := simulated(t, reactor.Config{})
	name := filepath.Join(t.TempDir(), "x.lock")
	first := deferred.NewFileLock(r, name)
	d := first.Acquire()
	until(t, r, func() bool { return failure(d) == nil })
	made, err := os.ReadDir(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(t.TempDir(), "y.lock") // what a process that is killed now leaves
	for _, f := range made {
		to := left + strings.TrimPrefix(f.Name(), "x.lock")
		if f.Type() == fs.ModeSymlink {
			err = os.Symlink(strconv.Itoa(os.Getpid()), to)
		} else {
			err = os.WriteFile(to, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	l := deferred.NewFileLock(r, left)
	start := time.Now()
	d = l.Acquire()
	for failure(d) != nil && time.Since(start) < 20*time.Second {
		if err := r.Turn(time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if !l.Held() {
		t.Error("it is not taken over:", failure(d))
	}
	for _, x := range []*deferred.FileLock{first, l} {
		released := x.Release()
		until(t, r, func() bool { return failure(released) != errPending })
	}
}
