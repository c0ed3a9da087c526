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

// TestMain lets the suite have 10,000 connections where that is allowed, and
// checks that nothing is left when all is over.
func TestMain(m *testing.M) {
	raiseLimit(21_000)
	// What the runtime keeps for good is not a leak: its poller, its goroutine for
	// signals.
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

// setLimit is n in the type of the field, which differs.
func setLimit[T int64 | uint64](n uint64, _ T) T { return T(n) }

// descriptors is how many this process has open.
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

// noLeaks fails the test if it ends with more descriptors than it has now. What
// is registered with Cleanup later runs before.
func noLeaks(t *testing.T) {
	t.Helper()
	before := descriptors()
	t.Cleanup(func() {
		if after := descriptors(); after > before {
			t.Errorf("%d descriptors open, %d before (X-5)", after, before)
		}
	})
}
