package whorl

import (
	"log/slog"
	"runtime"
	"slices"
	"sync"

	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// loops is how many loops a server at those places has, and why. Several loops may call a factory only if it says so, or if the caller does.
func (c *Config) loops(f reactor.Factory, at []place) (n int, why string) {
	any, ok := f.(reactor.AnyLoop)
	switch {
	case c.Loops > 0:
		return c.Loops, "Loops says so"
	case c.Handover != "":
		return 1, "a server that hands its sockets over has one"
	case !slices.ContainsFunc(at, func(p place) bool { return p.packets == nil }):
		return 1, "there are datagrams alone"
	case !ok || !any.AnyLoop():
		return 1, "the factory does not say that several loops may call it; see reactor.AnyLoop"
	}
	return runtime.GOMAXPROCS(0), "one a core"
}

// openGroup is open for several loops.
func (c *Config) openGroup(loops int, o reactor.Config) (*loop, error) {
	var l *loop
	g, err := reactor.NewGroup(reactor.GroupConfig{
		Loops: loops, Reactor: o, StopTimeout: o.ShutdownTimeout,
		Kernel: native.OpenGroup(c.Kernel, native.Options{}),
		Lost:   func(e *reactor.LoopError) { l.lost(e) },
	})
	if err != nil {
		return nil, err
	}
	l = c.programOn(g.Loop(0))
	l.g, l.drain.g = g, g
	return l, nil
}

// lost follows the loss of a loop. If it was the first, the server ends, and the first that lives hears signals and tells the service manager meanwhile.
func (l *loop) lost(e *reactor.LoopError) {
	if x := l.drain.group.Load(); x != nil {
		x.over(e.Loop) // its drain does not say so
	}
	l.g.PostLead(func(r *reactor.Reactor) {
		l.signals.Follow(r)
		if l.moved != nil {
			l.moved(r)
		}
	})
	if e.Loop == 0 && l.g.Stop() == nil {
		l.log.Error("stopping, because the first loop is lost", slog.Any("err", e.Err))
	}
}

// on is where to listen.
func (l *loop) on() reactor.Loops {
	if l.g != nil {
		return l.g
	}
	return l.r
}

// stop asks the reactor, or the group, to stop.
func (l *loop) stop() error {
	if l.g != nil {
		return l.g.Stop()
	}
	return l.r.Stop()
}

// stopWaiting has a stop wait for nothing else.
func (l *loop) stopWaiting() {
	if l.g != nil {
		l.g.StopWaiting()
	} else {
		l.r.StopWaiting()
	}
}

// afterPorts calls fn when ports that are being stopped have accepted what waited in their queues. It does not wait longer than comeBack for a loop that
// does not come back from a callback: the connections of the others are to be drained too.
func (l *loop) afterPorts(fn func()) {
	if l.g == nil {
		l.r.Post(fn)
		return
	}
	once := sync.OnceFunc(fn)
	// Each loop is told to stop its port by a first posted function, and accepts in a second one. This is behind both.
	nothing := func(*reactor.Reactor) error { return nil }
	l.g.EachLater(nothing, func(error) { l.g.EachLater(nothing, func(error) { once() }) })
	l.g.PostLead(func(r *reactor.Reactor) { r.CallLater(comeBack, once) })
}

// groupDrain drains the loops of a group, each by a Drain of its own.
type groupDrain struct {
	g *reactor.Group

	mu      sync.Mutex
	because string           // why all must be cut; "": they need not
	going   []*reactor.Drain // by loop, each for its own goroutine
	waits   []bool           // for that loop, by loop
	left    int              // how many those are, and one until all were asked
	done    func()
}

// beginGroup is begin for a group.
func (d *drain) beginGroup(done func()) {
	x := &groupDrain{g: d.g, because: d.because, going: make([]*reactor.Drain, d.g.Len()), waits: make([]bool, d.g.Len()), left: 1}
	x.done = func() {
		d.over = true
		done()
	}
	d.group.Store(x)
	ask := d.tell
	d.g.EachLater(func(r *reactor.Reactor) error {
		if r.Stats().Connections == 0 {
			return nil
		}
		x.mu.Lock()
		x.left++
		x.waits[r.Index()] = true
		because := x.because
		x.mu.Unlock()
		one := r.Drain(reactor.DrainConfig{Ask: ask, Limit: d.limit(), Done: func(int) { x.over(r.Index()) }})
		x.going[r.Index()] = one
		if because != "" {
			one.Cut(because)
		}
		return nil
	}, func(error) { x.drained() }) // an error is a loop that was lost, and has nothing to drain
}

// over follows the end of a loop's drain, or of the loop.
func (x *groupDrain) over(loop int) {
	x.mu.Lock()
	waits := x.waits[loop]
	x.waits[loop] = false
	x.mu.Unlock()
	if waits {
		x.drained()
	}
}

// drained counts one loop less. The last calls done, on the first loop that lives.
func (x *groupDrain) drained() {
	x.mu.Lock()
	x.left--
	last := x.left == 0
	x.mu.Unlock()
	if last { // a function that is posted to a loop is lost with it
		x.g.EachLater(func(*reactor.Reactor) error { return nil }, func(error) { x.done() })
	}
}

// cut aborts what is left on all loops.
func (x *groupDrain) cut(because string) {
	x.mu.Lock()
	x.because = because
	x.mu.Unlock()
	x.g.PostAll(func(r *reactor.Reactor) {
		if one := x.going[r.Index()]; one != nil {
			one.Cut(because)
		}
	})
}
