//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native_test

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// TestMain raises the limit on descriptors, so that the suite can have 10,000 connections
// if the system allows. At the end it checks that no descriptor or goroutine is left.
func TestMain(m *testing.M) {
	raiseLimit(21_000)
	// The runtime keeps its poller and its goroutine for signals. They are no leak, so
	// they must exist before we count.
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR2)
	signal.Stop(c)
	fds, goroutines := descriptors(), runtime.NumGoroutine()
	code := m.Run()
	if now := descriptors(); now > fds && code == 0 {
		fmt.Printf("leak: %d descriptors, %d before\n", now, fds)
		code = 1
	}
	for limit := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(limit); {
		runtime.Gosched() // some are ending
	}
	if now := runtime.NumGoroutine(); now > goroutines && code == 0 {
		fmt.Printf("leak: %d goroutines, %d before\n", now, goroutines)
		code = 1
	}
	os.Exit(code)
}

func raiseLimit(n uint64) {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil || uint64(l.Cur) >= n {
		return
	}
	hard := l
	l.Cur = setLimit(n, l.Cur)
	l.Max = max(l.Max, l.Cur)
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		hard.Cur = hard.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &hard)
	}
}

// setLimit converts n to the type of the field, which differs between systems.
func setLimit[T int64 | uint64](n uint64, _ T) T { return T(n) }

// descriptors returns how many descriptors this process has open.
func descriptors() int {
	dir := "/dev/fd"
	f, err := os.Open(dir)
	if err != nil {
		return 0
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	return len(names)
}

// noLeaks fails the test if it ends with more descriptors open than now. Functions that
// are registered with Cleanup later run before that check.
func noLeaks(t *testing.T) {
	t.Helper()
	before := descriptors()
	t.Cleanup(func() {
		if after := descriptors(); after > before {
			t.Errorf("%d descriptors open, %d before (X-5)", after, before)
		}
	})
}
