// Package leaktest finds goroutines and descriptors that tests leave behind.
package leaktest

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strconv"
	"time"
)

// Main runs the tests of a package, which is m, a *testing.M. It returns the exit status:
// that of the tests, or 1 if more goroutines or descriptors are there than before. It names
// what is left on standard error.
func Main(m interface{ Run() int }) int {
	// The runtime keeps its poller and its goroutine for signals. They are no leak, so they
	// must exist before we count.
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	signal.Stop(c)
	goroutines, descriptors := runtime.NumGoroutine(), Descriptors()
	code := m.Run()
	if n := Goroutines(goroutines); n > goroutines {
		fmt.Fprintf(os.Stderr, "leak: %d goroutines at the end, %d at the start:\n", n, goroutines)
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		code = max(code, 1)
	}
	runtime.GC() // a file that nobody holds is closed by its finalizer, on another goroutine
	if n := settled(descriptors); n > descriptors {
		fmt.Fprintf(os.Stderr, "leak: %d descriptors at the end, %d at the start\n", n, descriptors)
		code = max(code, 1)
	}
	return code
}

// Overlap lets n parallel tests run at the same time, or as many as there are processors. It is for
// packages whose parallel tests mostly wait. Call it in TestMain before the flags are parsed, as Main
// does: -parallel on the command line says otherwise.
func Overlap(n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(max(n, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
}

// Goroutines returns the number of goroutines. While it is above limit Goroutines waits for
// up to 10 s, because goroutines that are about to end need a moment.
func Goroutines(limit int) int {
	for range 10_000 {
		if runtime.NumGoroutine() <= limit {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return runtime.NumGoroutine()
}

// Descriptors returns the number of descriptors that this process has open, or 0 on a
// system that does not tell.
func Descriptors() int {
	f, err := os.Open("/dev/fd")
	if err != nil {
		return 0
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	return len(names)
}

// T is the part of a *testing.T that KeepsDescriptors needs.
type T interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
}

// KeepsDescriptors fails the test if it ends with more descriptors open than now. Functions that are
// registered with Cleanup later run before that check. It waits for up to 5 s for those that a goroutine is about to close.
func KeepsDescriptors(t T) {
	t.Helper()
	before := Descriptors()
	t.Cleanup(func() {
		if after := settled(before); after > before {
			t.Errorf("%d descriptors open, %d before (X-5)", after, before)
		}
	})
}

// settled returns the number of descriptors. While it is above limit it waits for up to 5 s, because other goroutines may be about to close some.
func settled(limit int) (n int) {
	for range 5000 {
		if n = Descriptors(); n <= limit {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return n
}
