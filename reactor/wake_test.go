//go:build unix

package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// openDescriptors are the numbers in use, of the first few hundred.
func openDescriptors() []int {
	var fds []int
	for fd := range 256 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds
}

func TestWakerDescriptors(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		before := openDescriptors()
		k := w.Open(t)
		blocking, found, events := 0, 0, 0
		for _, fd := range openDescriptors() {
			if slices.Contains(before, fd) {
				continue
			}
			found++
			if name, err := os.Readlink(fmt.Sprint("/proc/self/fd/", fd)); err == nil && strings.Contains(name, "eventfd") {
				events++
			}
			if f, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); f&unix.FD_CLOEXEC == 0 {
				t.Errorf("WAKE-2: descriptor %d is left open across exec", fd)
			}
			if f, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); f&unix.O_NONBLOCK == 0 {
				blocking++
			}
		}
		if runtime.GOOS == "linux" && events != 1 {
			t.Errorf("WAKE-2: %d eventfds among %d new descriptors, want the waker", events, found)
		}
		// WAKE-2: all but the poller itself, which is not read.
		poller := 0
		if w.Name() != "poll" && w.Name() != "select" {
			poller = 1
		}
		if found == 0 || blocking > poller {
			t.Errorf("WAKE-2: %d of %d new descriptors block", blocking, found)
		}
		if err := k.Close(); err != nil {
			t.Errorf("WAKE-5: %v", err)
		}
		if err := k.Close(); err != nil {
			t.Errorf("WAKE-5: a second Close: %v", err)
		}
		same(t, openDescriptors(), before...) // WAKE-5
		k.Wake()                              // WAKE-3: without a waker it does nothing
		same(t, openDescriptors(), before...)
	})
}

// Closing twice, and waking what is closed, is harmless on every kernel.
func TestWakeAfterClose(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := w.Open(t)
		for range 2 {
			if err := k.Close(); err != nil {
				t.Errorf("WAKE-5: %v", err)
			}
		}
		k.Wake() // WAKE-3: it returns
	})
}

func TestWakerIsNobodysDescriptor(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		if !w.Simulated() { // where there are descriptors
			p := newPipeReader(t)
			if err := r.AddReader(p); err != nil {
				t.Fatal(err)
			}
			same(t, r.Readers(), reactor.ReadDescriptor(p)) // WAKE-1: it is not among them
			same(t, r.RemoveAll(), reactor.FileDescriptor(p))
		}
		same(t, r.RemoveAll()) // WAKE-1: nor is it removed with them
		r.CallWhenRunning(func() {
			go r.Stop() // WAKE-1: it has survived
		})
		runToEnd(t, r)
		r.Close()
		r.Post(func() { t.Error("called after the end") }) // WAKE-3: no waker, no harm
	})
}

func TestManyWakeUpsAreOne(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := spyOn(t, w)
		r := testworld.New(t, k, reactor.Config{})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { // WAKE-3: from any goroutine; a full pipe is no error
				for range 20_000 {
					k.Kernel.Wake()
				}
			})
		}
		all.Wait()
		early, calls := 0, 0
		r.CallLater(2*ms, func() { calls++; r.Post(func() {}) })
		for calls == 0 {
			if err := r.Turn(-1); err != nil {
				t.Fatal(err)
			}
			early++
		}
		// WAKE-4: one pass for all of them, one that waits for the call, one that
		// makes it; a signal may add one.
		if early > 6 {
			t.Errorf("WAKE-4: %d turns", early)
		}
	})
}

// raise sends this process a signal, or the simulated host.
func raise(t *testing.T, w testworld.World, s syscall.Signal) {
	t.Helper()
	if w.Simulated() {
		w.Net().Host("localhost").Signal(s)
	} else if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

// listenFor has a channel of the test's own hear a signal too.
func listenFor(t *testing.T, w testworld.World, s ...os.Signal) <-chan os.Signal {
	c := make(chan os.Signal, 8)
	if w.Simulated() { // another program on that host
		k := w.Open(t)
		must(kernel.As[kernel.Signals](k)).Notify(func(s os.Signal) { c <- s }, s...)
		t.Cleanup(func() { k.Close() })
		return c
	}
	signal.Notify(c, s...)
	t.Cleanup(func() { signal.Stop(c) })
	return c
}

func TestSignalStops(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1} {
			var log coreLog
			mine := listenFor(t, w, sig)
			r := w.New(t, reactor.Config{Signals: []os.Signal{sig}, Logger: slog.New(&log)})
			if r.ExitSignal() != nil {
				t.Error("WAKE-11: an exit signal before the run")
			}
			r.CallWhenRunning(func() { raise(t, w, sig) })
			down := false
			r.AddTrigger(reactor.After, reactor.Shutdown, func() { down = true })
			ended := make(chan error)
			go func() { ended <- r.Run(context.Background()) }() // WAKE-14: on any goroutine
			if err := <-ended; err != nil || !down {
				t.Errorf("WAKE-10: %v: Run: %v, shutdown complete: %v", sig, err, down)
			}
			if got := r.ExitSignal(); got != sig {
				t.Errorf("WAKE-11: the exit signal is %v, not %v", got, sig)
			}
			if log.count(slog.LevelInfo, "stopping on a signal") != 1 {
				t.Error("WAKE-11: not logged")
			}
			<-mine // WAKE-13: other handlers are not disturbed, now
			raise(t, w, sig)
			<-mine // and after the end
		}
	})
}

// WAKE-11: a signal that a crash has overtaken has not stopped the reactor, nor its next run.
func TestExitSignalAfterCrash(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{Signals: []os.Signal{syscall.SIGUSR1}})
		r.CallWhenRunning(func() { raise(t, w, syscall.SIGUSR1) })
		r.AddTrigger(reactor.Before, reactor.Shutdown, r.Crash)
		if err := r.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := r.ExitSignal(); got != nil {
			t.Errorf("WAKE-11: after the crash the exit signal is %v", got)
		}
		r.CallWhenRunning(func() { r.Stop() })
		if err := r.Run(context.Background()); err != nil || r.ExitSignal() != nil {
			t.Errorf("WAKE-11: %v; the program has stopped the reactor, and the exit signal is %v", err, r.ExitSignal())
		}
	})
}

func TestNoSignalsUnlessNamed(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := spyOn(t, w)
		k.notify = func() { t.Error("WAKE-10: signals taken without being named") }
		r := testworld.New(t, k, reactor.Config{})
		mine := listenFor(t, w, syscall.SIGUSR1)
		r.CallWhenRunning(func() {
			raise(t, w, syscall.SIGUSR1)
			<-mine
			r.CallLater(ms, func() { r.Stop() })
		})
		runToEnd(t, r)
		if got := r.ExitSignal(); got != nil {
			t.Errorf("WAKE-11: the exit signal is %v", got)
		}
		same(t, reactor.StopSignals(), os.Signal(syscall.SIGINT), os.Signal(syscall.SIGTERM)) // WAKE-10
	})
}

func TestSecondSignal(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var log coreLog
		k := spyOn(t, w)
		heard := make(chan os.Signal, 8)
		k.heard = func(s os.Signal) { heard <- s }
		r := testworld.New(t, k, reactor.Config{Signals: []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2}, Logger: slog.New(&log)})
		r.CallWhenRunning(func() { raise(t, w, syscall.SIGUSR1) })
		kept := listenFor(t, w, syscall.SIGUSR1, syscall.SIGUSR2) // their default action would end the process
		r.AddWaitTrigger(reactor.Shutdown, func(func()) {
			<-heard
			raise(t, w, syscall.SIGUSR2)
			<-heard
		})
		r.AddTrigger(reactor.During, reactor.Shutdown, func() {
			if k.stops != 1 {
				t.Errorf("WAKE-12: the signals were given back %d times before the third", k.stops)
			}
		})
		if err := runs(t, r); !errors.Is(err, reactor.ErrUnfinished) {
			t.Errorf("WAKE-12: it went on waiting, and returned %v", err)
		}
		<-kept
		// WAKE-12: the first stays the exit signal, and the second is told.
		if r.ExitSignal() != syscall.SIGUSR1 || log.count(slog.LevelError, "panic") != 0 || log.count(slog.LevelInfo, "stopping on a signal") != 1 ||
			log.count(slog.LevelWarn, "no longer waiting, because of another signal") != 1 {
			t.Errorf("WAKE-12: exit signal %v, log %v", r.ExitSignal(), log.records)
		}
	})
}

func TestSignalsAfterCrash(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := spyOn(t, w)
		taken := 0
		k.notify = func() { taken++ }
		k.heard = func(s os.Signal) { t.Errorf("WAKE-13: %v heard after the run", s) }
		mine := listenFor(t, w, syscall.SIGUSR1)
		r := testworld.New(t, k, reactor.Config{Signals: []os.Signal{syscall.SIGUSR1}})
		r.Post(r.Crash)
		runToEnd(t, r)
		if k.stops != 1 {
			t.Errorf("WAKE-13: given back %d times", k.stops)
		}
		raise(t, w, syscall.SIGUSR1)
		<-mine
		k.heard = nil
		r.CallWhenRunning(func() { raise(t, w, syscall.SIGUSR1) })
		runToEnd(t, r)
		if taken != 2 || k.stops != 2 || r.ExitSignal() != syscall.SIGUSR1 {
			t.Errorf("WAKE-10: taken %d times, exit signal %v", taken, r.ExitSignal())
		}
	})
}

// victim in the environment makes the test binary the process that
// TestDefaultActionIsBack runs; its value is the kernel's name.
const victim = "WHORL_TEST_VICTIM"

func TestDefaultActionIsBack(t *testing.T) {
	nativeWorlds(t, "what a real signal does to a process", func(t *testing.T, w testworld.World) {
		if os.Getenv(victim) != "" {
			if os.Getenv(victim) != w.Name() {
				return
			}
			r := w.New(t, reactor.Config{Signals: []os.Signal{syscall.SIGTERM}})
			r.CallWhenRunning(func() { raise(t, w, syscall.SIGTERM) })
			runToEnd(t, r)
			raise(t, w, r.ExitSignal().(syscall.Signal)) // WAKE-15: how a program passes it on
			<-time.After(testworld.Limit)                // the end comes first
			return
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestDefaultActionIsBack$")
		cmd.Env = append(os.Environ(), victim+"="+w.Name(), "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
		out, _ := cmd.CombinedOutput()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !status.Signaled() || status.Signal() != syscall.SIGTERM {
			t.Errorf("WAKE-13: the process ended with %v\n%s", cmd.ProcessState, out)
		}
	})
}
