//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
)

// TestMain raises the limit on descriptors, so that the suite can have 10,000 connections
// if the system allows. It fails the package if the tests left goroutines or descriptors behind.
func TestMain(m *testing.M) {
	raiseLimit(21_000)
	leaktest.Overlap(16) // what is parallel here waits for seconds, and does nothing meanwhile
	os.Exit(leaktest.Main(m))
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
