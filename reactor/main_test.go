package reactor_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"testing"
	"time"
)

// TestMain fails the package if its tests left goroutines or descriptors behind
//
func TestMain(m *testing.M) {
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close() // the runtime's own poller has its descriptors from now on
	}
	fds := descriptors()
	debug.SetGCPercent(400) // thousands of reactors live for milliseconds each
	code := m.Run()
	if left := goroutinesLeft(); left > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines left:\n", left)
		pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		code = 1
	}
	runtime.GC()
	if now := descriptors(); now > fds {
		fmt.Fprintf(os.Stderr, "%d descriptors at the start, %d at the end\n", fds, now)
		code = 1
	}
	os.Exit(code)
}

// goroutinesLeft gives goroutines that are about to end a moment to do so.
func goroutinesLeft() int {
	for range 100 {
		if runtime.NumGoroutine() <= 2 {
			return 0
		}
		time.Sleep(10 * time.Millisecond)
	}
	return runtime.NumGoroutine() - 2
}

func descriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}
