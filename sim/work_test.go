package sim_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// worker is a host that gives blocking work away, and writes down what comes back and when.
type worker struct {
	n   *sim.Net
	h   *sim.Host
	log []string
}

func newWorker(seed uint64, o sim.Options) *worker {
	w := &worker{n: sim.New(seed)}
	w.n.Options = o
	w.h = w.n.Host("a")
	return w
}

// give gives away work that takes nothing from the program's time.
func (w *worker) give(name string) {
	reactor.InThread(w.h.Reactor, func() (string, error) { return name, nil }, func(s string, err error) {
		w.log = append(w.log, fmt.Sprint(s, " at ", w.n.Now(), " ", err))
	})
}

// working is a run in which several pieces of work overlap, and start others.
func working(t *testing.T, seed uint64) *worker {
	t.Helper()
	w := newWorker(seed, sim.Options{Work: sim.Latency{Min: time.Millisecond, Max: time.Second}, Sites: 1})
	w.n.At(0, func() {
		for i := range 5 {
			w.give(fmt.Sprint("work ", i))
		}
		w.h.Reactor.CallLater(100*time.Millisecond, func() { w.give("later") })
	})
	must(t, w.n, func() bool { return len(w.log) == 6 })
	return w
}

// Blocking work is part of a run: its result comes in virtual time, within the bounds, and a
// seed decides in which order.
func TestWork(t *testing.T) {
	orders := map[string]bool{}
	for seed := range uint64(seeds) {
		a, b := working(t, seed), working(t, seed)
		if a.n.Hash() != b.n.Hash() || strings.Join(a.log, "\n") != strings.Join(b.log, "\n") {
			t.Fatalf("seed %d: two runs differ:\n%s\nand\n%s", seed, strings.Join(a.log, "\n"), strings.Join(b.log, "\n"))
		}
		if now := a.n.Now(); now < time.Millisecond || now > 1200*time.Millisecond {
			t.Errorf("seed %d: all was done at %v", seed, now)
		}
		order := ""
		for _, line := range a.log {
			name, _, _ := strings.Cut(line, " at ")
			order += name + ","
		}
		orders[order] = true
		if err := a.n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(orders) < seeds/4 {
		t.Errorf("%d seeds had %d orders", seeds, len(orders))
	}
}

// Work that is not done when the reactor stops is done then, and its result delivered
// (THR-16, THR-17); after that no more is taken.
func TestWorkAtTheEnd(t *testing.T) {
	w := newWorker(1, sim.Options{Work: sim.Latency{Min: time.Hour, Max: time.Hour}})
	r := w.h.Reactor
	w.n.At(0, func() { w.give("one"); w.give("two") })
	w.n.At(time.Second, func() { r.Stop() })
	if err := w.n.Run(2 * time.Second); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.log, ", "); !strings.HasPrefix(got, "one at 1s") || !strings.Contains(got, "two at 1s") {
		t.Errorf("THR-17: %s", got)
	}
	if err := r.CallInThread(func() {}); !errors.Is(err, pool.ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
}

// A crash takes the work with it.
func TestWorkCrash(t *testing.T) {
	w := newWorker(1, sim.Options{Work: sim.Latency{Min: time.Second, Max: time.Second}})
	w.n.At(0, func() { w.give("lost") })
	w.n.At(time.Millisecond, w.h.Crash)
	w.n.At(2*time.Millisecond, w.h.Restart)
	if err := w.n.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	if len(w.log) != 0 {
		t.Errorf("it was delivered: %v", w.log)
	}
}

// A panic in work is its error; Ask, which would wait for the loop that it holds up, is a
// panic that says so.
func TestWorkPanics(t *testing.T) {
	w := newWorker(1, sim.Options{})
	var errs []error
	done := func(_ int, err error) { errs = append(errs, err) }
	w.n.At(0, func() {
		reactor.InThread(w.h.Reactor, func() (int, error) { panic("broken") }, done)
		reactor.InThread(w.h.Reactor, func() (int, error) {
			return reactor.Ask(w.h.Reactor, func() (int, error) { return 1, nil })
		}, done)
	})
	must(t, w.n, func() bool { return len(errs) == 2 })
	text := fmt.Sprint(errs)
	for _, err := range errs {
		if _, ok := errors.AsType[*reactor.PanicError](err); !ok {
			t.Errorf("THR-19: %v", err)
		}
	}
	if !strings.Contains(text, "broken") || !strings.Contains(text, "use Post") {
		t.Errorf("THR-19, THR-21: %v", errs)
	}
}
