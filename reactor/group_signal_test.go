package reactor_test

import (
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// ears are those that the kernels of a group have Notify tell.
type ears struct {
	mu  sync.Mutex
	all []*func(os.Signal)
}

// signalling is a kernel with signals that a test delivers.
type signalling struct {
	kernel.Kernel
	of *ears
}

func (k *signalling) Unwrap() kernel.Kernel { return k.Kernel }

func (k *signalling) Notify(fn func(os.Signal), _ ...os.Signal) (stop func()) {
	k.of.mu.Lock()
	defer k.of.mu.Unlock()
	k.of.all = append(k.of.all, &fn)
	return func() {
		k.of.mu.Lock()
		defer k.of.mu.Unlock()
		k.of.all = slices.DeleteFunc(k.of.all, func(x *func(os.Signal)) bool { return x == &fn })
	}
}

func (x *ears) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.all)
}

func (x *ears) deliver() {
	x.mu.Lock()
	all := slices.Clone(x.all)
	x.mu.Unlock()
	for _, fn := range all {
		(*fn)(os.Interrupt)
	}
}

// GROUP-8: a signal stops the group, also when the loop that had the signals is lost: for good, or started anew, or all loops at a time. A second
// signal has the stop wait no longer. Exactly one loop has them.
func TestGroupSignals(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		for _, c := range []struct{ restarts, lose int }{{0, 0}, {0, 1}, {1, 1}, {1, 2}} {
			var x ears
			g := newGroup(t, w, 2, reactor.GroupConfig{
				Restarts: c.restarts, StopTimeout: -1, Reactor: reactor.Config{Signals: reactor.StopSignals()},
				Kernel: func(int, int) (kernel.Kernel, error) { return &signalling{w.Open(t), &x}, nil },
			})
			g.AddStopTrigger(func(func()) {}) // it waits for ever
			g.run()
			for i := range c.lose {
				lose(t, g, i)
			}
			eventually(t, "GROUP-8: one loop has the signals", func() bool { return x.count() == 1 })
			x.deliver()
			eventually(t, "GROUP-8: it is stopping", func() bool { return !g.Running() })
			x.deliver()
			_ = g.result()
			if n := x.count(); n != 0 {
				t.Errorf("GROUP-8: %d loops have the signals afterwards", n)
			}
		}
	})
}
