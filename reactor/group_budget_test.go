package reactor_test

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// flooder writes when it is told to. Its peer does not read.
type flooder struct {
	reactor.Base
	made chan *flooder
	mu   sync.Mutex
	err  error
}

func (f *flooder) ConnectionMade(t reactor.Transport) {
	f.Base.ConnectionMade(t)
	f.made <- f
}

func (f *flooder) DataReceived([]byte) {}

func (f *flooder) ConnectionLost(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *flooder) lost() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// unheard is a client that does not read.
type unheard struct{ caller }

func (d *unheard) ConnectionMade(t reactor.Transport) {
	d.caller.ConnectionMade(t)
	d.T.PauseProducing()
}

// GROUP-15: one loop alone may buffer nearly all of MaxBufferedTotal, and all together no more than that. What one does not
// need any more, another one can have.
func TestGroupBudget(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const chunk, total = 16 << 10, 640
		g := newGroup(t, w, 4, reactor.GroupConfig{Reactor: reactor.Config{MaxBufferedTotal: total * chunk}})
		all := make(chan *flooder, 100)
		port, err := g.Listen(loopback, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			return &flooder{made: all}
		}), nil)
		if err != nil {
			t.Fatal(err)
		}
		g.run()
		x := newClients(t, w)
		of := map[int]*flooder{} // one of each of two loops
		for tries := 0; of[0] == nil || of[1] == nil; tries++ {
			if tries == 300 {
				t.Fatal("a loop gets nobody")
			}
			x.r.Post(func() { x.r.Dial(port.Addr(), reactor.One(new(unheard)), &reactor.DialConfig{Timeout: -1}, nil) })
			f := recv(t, all)
			of[f.T.Reactor().Index()] = f
		}
		write := func(f *flooder, chunks int) {
			done := make(chan struct{})
			g.PostTo(f.T.Reactor().Index(), func(*reactor.Reactor) {
				for range chunks {
					f.T.Write(make([]byte, chunk))
				}
				close(done)
			})
			recv(t, done)
		}
		buffered := func(f *flooder) int {
			n := make(chan int)
			g.PostTo(f.T.Reactor().Index(), func(*reactor.Reactor) { n <- f.T.Buffered() })
			return recv(t, n)
		}
		// The sockets take some megabytes at first, so it is counted what is buffered.
		fill := func(f *flooder, chunks int) {
			for f.lost() == nil && buffered(f) < chunks*chunk {
				write(f, 8)
			}
		}
		fill(of[0], total*3/4)
		if err := of[0].lost(); err != nil {
			t.Fatalf("GROUP-15: one loop alone cannot have three quarters: %v", err)
		}
		fill(of[1], total*3/4)
		eventually(t, "the one that needs more ends", func() bool { return of[1].lost() != nil })
		if err := of[1].lost(); !errors.Is(err, reactor.ErrBufferFull) || !strings.Contains(err.Error(), "10485760") {
			t.Errorf("GROUP-15: %v", err)
		}
		if of[0].lost() != nil {
			t.Errorf("GROUP-15: the other loop's connection ended: %v", of[0].lost())
		}
		// Now the first gives back what it had.
		g.PostTo(0, func(*reactor.Reactor) { of[0].T.Abort() })
		eventually(t, "it ends", func() bool { return of[0].lost() != nil })
		for of[1].lost() != nil {
			x.r.Post(func() { x.r.Dial(port.Addr(), reactor.One(new(unheard)), &reactor.DialConfig{Timeout: -1}, nil) })
			f := recv(t, all)
			if f.T.Reactor().Index() == 1 {
				of[1] = f
			}
		}
		fill(of[1], 16) // asks for what the first has
		_ = g.Each(func(*reactor.Reactor) error { return nil })
		fill(of[1], total*3/4)
		if err := of[1].lost(); err != nil {
			t.Errorf("GROUP-15: it cannot have what the other gave back: %v", err)
		}
	})
}

// GROUP-15: loops that were asked for what they do not need, and were lost before they answered, are asked again when they are started anew.
func TestGroupBudgetAsksAgain(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		g := newGroup(t, w, 1, reactor.GroupConfig{Restarts: 1, Reactor: reactor.Config{MaxBufferedTotal: 1 << 20}})
		g.run()
		r := g.Loop(0)
		asks := false
		r.Post(func() {
			reactor.TakeBudget(r)
			asks = reactor.BudgetAsks(g.Group)
			runtime.Goexit()
		})
		eventually(t, "the loop is started anew", func() bool { return g.Loop(0) != r && g.Loop(0).Running() })
		if !asks || reactor.BudgetAsks(g.Group) {
			t.Errorf("GROUP-15: asked: %v; asked still when nobody is left to answer: %v", asks, reactor.BudgetAsks(g.Group))
		}
	})
}
