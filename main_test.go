package whorl

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// TestMain fails the package if its tests left goroutines or descriptors behind.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close() // the runtime's own poller has its descriptors from now on
	}
	before := descriptors()
	code := m.Run()
	for range 100 { // those that are about to end get a moment to do so
		if goroutines() == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := goroutines(); n > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines left:\n", n)
		pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		code = 1
	}
	runtime.GC()
	if now := descriptors(); now > before {
		fmt.Fprintf(os.Stderr, "%d descriptors at the start, %d at the end\n", before, now)
		code = 1
	}
	os.Exit(code)
}

// goroutines counts those besides the test's own and that of package os/signal.
func goroutines() int { return max(0, runtime.NumGoroutine()-2) }

func descriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}
