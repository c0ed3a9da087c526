//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// TestWakeAfterClose: a Wake after Close writes to no descriptor, whoever has the number
// now (WAKE-3).
func TestWakeAfterClose(t *testing.T) {
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		w := wakerOf(k)
		// As if a wait were in progress, when Wake has something to write.
		w.sleep()
		fd := w.w
		var p [2]int
		if err := unix.Pipe(p[:]); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(p[0])
		defer unix.Close(p[1])
		k.Close()
		again, err := unix.FcntlInt(uintptr(p[1]), unix.F_DUPFD_CLOEXEC, fd)
		if err != nil || again != fd {
			t.Fatalf("number %d was not given out again: %d, %v", fd, again, err)
		}
		defer unix.Close(again)
		k.Wake()
		w.write() // nor if the state was read before
		if err := unix.SetNonblock(p[0], true); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(p[0], make([]byte, 8)); err != unix.EAGAIN {
			t.Errorf("%s: Wake after Close wrote %d bytes: %v", name, n, err)
		}
	}
}

func wakerOf(k kernel.Kernel) *waker {
	switch k := k.(type) {
	case *poll:
		return &k.waker
	case *selector:
		return &k.waker
	}
	return ownWaker(k)
}

// TestWakeWhenFull: if the waker can hold no more, Wake neither blocks nor fails, and the loop is
// woken all the same (WAKE-3).
func TestWakeWhenFull(t *testing.T) {
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		w := wakerOf(k)
		most := [8]byte{0: 0xfe, 1: 0xff, 2: 0xff, 3: 0xff, 4: 0xff, 5: 0xff, 6: 0xff, 7: 0xff} // of an eventfd
		for i := 0; ; i++ {
			if _, err := unix.Write(w.w, most[:]); err == unix.EAGAIN && i > 0 {
				break
			} else if err != nil || i > 1<<20 {
				t.Fatalf("%s: write %d: %v", name, i, err)
			}
		}
		// As if a wait were in progress, when Wake has something to write.
		if !w.sleep() {
			t.Fatalf("%s: it is awake", name)
		}
		returned := make(chan bool)
		go func() {
			k.Wake()
			close(returned)
		}()
		select {
		case <-returned:
		case <-time.After(10 * time.Second):
			t.Fatalf("WAKE-3: %s: Wake blocks", name)
		}
		var ev [8]kernel.Event
		start := time.Now()
		if n, err := k.Wait(ev[:], k.Now()+time.Minute); n != 0 || err != nil || time.Since(start) > 30*time.Second {
			t.Errorf("WAKE-3: %s: after Wake the wait returned %d, %v after %v", name, n, err, time.Since(start))
		}
		// It is emptied, and works on.
		if n, err := k.Wait(ev[:], k.Now()+10*time.Millisecond); n != 0 || err != nil {
			t.Errorf("WAKE-3: %s: the next wait returned %d, %v", name, n, err)
		}
		start = time.Now()
		go k.Wake()
		if n, err := k.Wait(ev[:], k.Now()+time.Minute); n != 0 || err != nil || time.Since(start) > 30*time.Second {
			t.Errorf("WAKE-3: %s: the wait after it returned %d, %v after %v", name, n, err, time.Since(start))
		}
	}
}

// TestWakeWritesOnce: waking a loop that does not sleep takes no system call. Waking one
// that sleeps takes one (WAKE-4).
func TestWakeWritesOnce(t *testing.T) {
	var w waker
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	defer w.close()
	buf := make([]byte, 100)
	written := func() int {
		n, err := unix.Read(w.r, buf)
		if err == unix.EAGAIN {
			return 0
		}
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	w.wake()
	w.wake()
	if n := written(); n != 0 {
		t.Errorf("%d bytes for a loop that runs", n)
	}
	if w.sleep() {
		t.Error("it sleeps although it was woken")
	}
	if !w.endWait() || w.endWait() {
		t.Error("woken is not once")
	}
	if !w.sleep() {
		t.Error("it does not sleep")
	}
	for range 1000 {
		w.wake()
	}
	if n := written(); n != len(w.one) {
		t.Errorf("%d bytes for a loop that sleeps", n)
	}
	if !w.endWait() {
		t.Error("not woken")
	}
	// drain reads at most 8192 bytes (WAKE-4). That is more than is ever written at
	// once, so it leaves nothing.
	w.sleep()
	w.wake()
	w.endWait()
	w.drain()
	if n := written(); n != 0 {
		t.Errorf("%d bytes were not drained", n)
	}
}

// TestWakeDrained: poll and select see the level of the waker. So it must be empty after
// the wait that it ended (WAKE-4).
func TestWakeDrained(t *testing.T) {
	for _, name := range []string{"poll", "select"} {
		k := testKernel(t, name, Options{})
		w := wakerOf(k)
		w.sleep()
		k.Wake()
		w.state.Store(running) // so that the wait sees the descriptor alone
		if n, err := k.Wait(make([]kernel.Event, 4), k.Now()+time.Millisecond); n != 0 || err != nil {
			t.Errorf("%s: Wait: %d, %v", name, n, err)
		}
		if n, err := unix.Read(w.r, make([]byte, 8)); err != unix.EAGAIN {
			t.Errorf("%s: %d bytes are left: %v", name, n, err)
		}
	}
}

// storm sends signals to the process until the function it returns is called.
func storm() (stop func()) {
	var quit atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !quit.Load() {
			_ = syscall.Kill(os.Getpid(), syscall.SIGURG) // the runtime's own, without effect
			runtime.Gosched()
		}
	})
	return func() {
		quit.Store(true)
		wg.Wait()
	}
}

// TestSignalsDoNotDisturb: EINTR is no error, and does not make Wait return early
// (FDS-25, FDS-28).
func TestSignalsDoNotDisturb(t *testing.T) {
	defer storm()()
	for _, name := range Names() {
		for m := WaitAuto; m <= WaitPark; m++ {
			k := testKernel(t, name, Options{Wait: m})
			ev := make([]kernel.Event, 4)
			for range 5 {
				until := k.Now() + 3*time.Millisecond
				if n, err := k.Wait(ev, until); n != 0 || err != nil { // FDS-25, FDS-28
					t.Errorf("%s, %v: Wait: %d, %v", name, m, n, err)
				}
				if now := k.Now(); now < until {
					t.Errorf("%s, %v: %v early", name, m, until-now)
				}
			}
			testPair(t, k)
		}
	}
}

// TestSignals: fn is called for each delivery until stop, and never after it.
func TestSignals(t *testing.T) {
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		var count atomic.Int64
		got := make(chan os.Signal)
		stop := k.(kernel.Signals).Notify(func(s os.Signal) {
			count.Add(1)
			got <- s
		}, syscall.SIGUSR1)
		for range 3 {
			if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			select {
			case s := <-got:
				if s != syscall.SIGUSR1 {
					t.Errorf("got %v", s)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the signal was not told")
			}
		}
		stop()
		stop()
		// Another Notify keeps the signal from ending the process, and shows when it comes.
		other := make(chan os.Signal)
		stop = k.(kernel.Signals).Notify(func(s os.Signal) { other <- s }, syscall.SIGUSR1)
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		<-other
		stop()
		if n := count.Load(); n != 3 {
			t.Errorf("%d deliveries, 3 before stop", n)
		}
		k.(kernel.Signals).Notify(func(os.Signal) { t.Error("told of no signal") })()
	}
}

// TestSignalsStopWaits: if fn is running, stop returns only after it.
func TestSignalsStopWaits(t *testing.T) {
	k := testKernel(t, "", Options{})
	entered, release := make(chan bool), make(chan bool)
	var finished atomic.Bool
	stop := k.(kernel.Signals).Notify(func(os.Signal) {
		entered <- true
		<-release
		finished.Store(true)
	}, syscall.SIGUSR1)
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	<-entered
	stopped := make(chan bool)
	go func() {
		stop()
		close(stopped)
	}()
	select {
	case <-stopped:
		t.Error("stop returned while fn was running")
	case <-time.After(30 * time.Millisecond):
	}
	release <- true
	<-stopped
	if !finished.Load() {
		t.Error("stop returned before fn did")
	}
}
