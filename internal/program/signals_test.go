package program_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

// ended is a program that notes what its signals do. It can be stopped once.
type ended struct {
	*program.Signals
	did    []string
	stops  int
	taken  bool
	later  []func() // of After
	waits  []time.Duration
	log    *testworld.Log
	others int // SIGHUP
}

func take(t *testing.T, r *reactor.Reactor, sigs []os.Signal) *ended {
	e := &ended{log: testworld.NewLog(t), taken: true}
	e.Signals = program.Take(r, e.log.Logger(), sigs, func() error {
		if e.stops++; e.stops > 1 {
			return errors.New("it ends already")
		}
		e.did = append(e.did, "stop")
		return nil
	}, func(because string) { e.did = append(e.did, because) })
	e.OnHangup(func(os.Signal) { e.others++ })
	release := e.Release
	e.Release = func() { release(); e.taken = false }
	e.After = func(d time.Duration, fn func()) { e.waits, e.later = append(e.waits, d), append(e.later, fn) }
	return e
}

// SVC-28: the first signal stops, one within 300 ms counts as the first, and the next one hurries. Then, and at the end, signals get their default action when no twin can come any more.
func TestSignals(t *testing.T) {
	const ms = time.Millisecond
	n := sim.New(1)
	defer n.Close()
	h := n.Host("srv")
	e := take(t, h.Reactor, reactor.StopSignals())
	at := func(d time.Duration, sig os.Signal, want ...string) {
		t.Helper()
		_ = n.Run(d)
		h.Signal(sig)
		_ = n.Run(0)
		if !slices.Equal(e.did, want) {
			t.Errorf("SVC-28: after %v: %q, want %q", n.Now(), e.did, want)
		}
	}
	at(100*ms, syscall.SIGTERM, "stop") // in the first 300 ms of the clock, too
	at(program.SignalTwins-ms, os.Interrupt, "stop")
	if len(e.log.Find("caught a signal again, which counts as the one before signal=interrupt")) != 1 || len(e.log.Find("caught a signal signal=terminated")) != 1 {
		t.Error("SVC-28: the log")
	}
	e.End() // a twin may come still
	if !e.taken || len(e.later) != 1 || e.waits[0] > 2*ms || e.waits[0] <= 0 {
		t.Errorf("SVC-28: given back after %v", e.waits)
	}
	e.later, e.waits = nil, nil
	at(ms, os.Interrupt, "stop", "a second signal")
	if !e.taken || len(e.later) != 1 || e.waits[0] != program.SignalTwins {
		t.Errorf("SVC-28: given back after %v", e.waits)
	}
	e.later[0]()
	h.Signal(syscall.SIGHUP)
	at(time.Second, syscall.SIGTERM, "stop", "a second signal") // no longer taken
	e.End()
	h.Signal(syscall.SIGHUP)
	_ = n.Run(time.Second)
	if e.taken || len(e.later) != 1 || e.others != 1 {
		t.Errorf("SVC-28: at the end: taken %v, SIGHUP heard %d times", e.taken, e.others)
	}
	// Something else has stopped the program before the first signal.
	e = take(t, h.Reactor, reactor.StopSignals())
	e.stops = 1
	at(0, os.Interrupt, "a signal")
	// A program that got none gives them back at once.
	e = take(t, h.Reactor, reactor.StopSignals())
	if e.End(); e.taken || len(e.later) != 0 {
		t.Error("SVC-28: signals are not given back")
	}
}

// SVC-28: a signal that comes with the end of the context is the same order, whichever the loop hears of first; one that comes later is another one.
func TestSignalsWithContext(t *testing.T) {
	n := sim.New(1)
	defer n.Close()
	h := n.Host("srv")
	for late, want := range map[time.Duration][]string{
		-1:                      {"stop", "a second signal"},
		0:                       {"stop", "a second signal"},
		program.SignalTwins - 1: {"stop", "a second signal"},
		program.SignalTwins:     {"stop", "a signal", "a second signal"},
	} {
		e := take(t, h.Reactor, reactor.StopSignals())
		ctx, end := context.WithCancel(context.Background())
		e.Until(ctx)
		_ = e.Stop() // as the end of ctx does
		if end(); late >= 0 {
			for posted := h.Reactor.Stats().Posted; h.Reactor.Stats().Posted == posted; _ = n.Run(0) {
				runtime.Gosched()
			}
			_ = n.Run(late)
		}
		h.Signal(os.Interrupt)
		_ = n.Run(program.SignalTwins)
		h.Signal(os.Interrupt)
		_ = n.Run(0)
		if !slices.Equal(e.did, want) {
			t.Errorf("SVC-28: %v after the context: %q, want %q", late, e.did, want)
		}
		e.GiveBack()
	}
}

// SVC-28: signals that the program does not ask for are not taken, and SIGHUP can be one that ends it.
func TestSignalsAskedFor(t *testing.T) {
	n := sim.New(1)
	defer n.Close()
	h := n.Host("srv")
	all := []os.Signal{syscall.SIGHUP, syscall.SIGTERM}
	for _, x := range []struct {
		sigs   []os.Signal
		stops  int
		others int
	}{{nil, 0, 0}, {[]os.Signal{}, 0, 0}, {all[:1], 1, 0}, {all[1:], 1, 1}} {
		e := take(t, h.Reactor, x.sigs)
		for _, sig := range all {
			h.Signal(sig)
		}
		h.Signal(syscall.SIGPIPE)
		if _ = n.Run(time.Second); e.stops != x.stops || e.others != x.others {
			t.Errorf("SVC-28: %v: %d stops, SIGHUP heard %d times", x.sigs, e.stops, e.others)
		}
		e.GiveBack()
	}
}

// A program does not end when nobody reads its log any more, until it has given SIGPIPE back.
func TestSignalsPipe(t *testing.T) {
	for _, x := range []struct {
		sigs []os.Signal
		want int // how often SIGPIPE is taken
	}{{[]os.Signal{syscall.SIGTERM}, 1}, {[]os.Signal{syscall.SIGPIPE}, 1}, {nil, 0}} {
		k := &signalKernel{Kernel: sim.New(1).Kernel(), taken: map[os.Signal]int{}}
		r := testworld.New(t, k, reactor.Config{})
		s := program.Take(r, slog.New(slog.DiscardHandler), x.sigs, nil, nil)
		if n := k.taken[syscall.SIGPIPE]; n != x.want {
			t.Errorf("%v: SIGPIPE is taken %d times", x.sigs, n)
		}
		if s.GiveBack(); k.taken[syscall.SIGPIPE] != 0 {
			t.Errorf("%v: SIGPIPE is not given back", x.sigs)
		}
	}
}

// signalKernel counts how often each signal is taken.
type signalKernel struct {
	kernel.Kernel
	taken map[os.Signal]int
}

func (k *signalKernel) Unwrap() kernel.Kernel { return k.Kernel }

func (k *signalKernel) Notify(_ func(os.Signal), sigs ...os.Signal) (stop func()) {
	for _, s := range sigs {
		k.taken[s]++
	}
	return sync.OnceFunc(func() {
		for _, s := range sigs {
			k.taken[s]--
		}
	})
}

// The log is written behind a queue, and its last words at the end, also if it blocks.
func TestQueueLogs(t *testing.T) {
	var b bytes.Buffer
	log, none := slog.New(slog.NewTextHandler(&b, nil)), (*slog.Logger)(nil)
	h := log.Handler()
	finish := program.QueueLogs(&log, &none)
	if log.Handler() == h || none != nil {
		t.Error("no queue, or a log that nobody asked for")
	}
	log.Info("last words")
	if finish(); !strings.Contains(b.String(), "last words") {
		t.Errorf("the log is %q", b.String())
	}
	read, write := io.Pipe()
	log = slog.New(slog.NewTextHandler(write, nil))
	finish = program.QueueLogs(&log)
	log.Info("nobody reads")
	began := time.Now()
	if finish(); time.Since(began) < program.LastWords/2 {
		t.Error("it has not waited for the log")
	}
	read.Close()
	finish()
}
