package reactor_test

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// noReuse is a kernel without ReusePort.
type noReuse struct{ kernel.Kernel }

func (k *noReuse) Unwrap() kernel.Kernel { return k.Kernel }

func (k *noReuse) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	if o.ReusePort {
		return nil, &kernel.OptionError{Op: kernel.OpListen, Option: "ReusePort", Value: true, Err: kernel.ErrUnsupported}
	}
	return k.Kernel.Listen(a, o)
}

// accepting are the ways in which a group accepts.
var accepting = map[string]func(t *testing.T, w testworld.World) (c reactor.GroupConfig, at kernel.Addr){
	"spread": func(*testing.T, testworld.World) (c reactor.GroupConfig, at kernel.Addr) { return c, loopback },
	"one acceptor": func(t *testing.T, w testworld.World) (c reactor.GroupConfig, at kernel.Addr) {
		c.Kernel = func(int, int) (kernel.Kernel, error) { return &noReuse{w.Open(t)}, nil }
		return c, loopback
	},
	"unix": func(t *testing.T, w testworld.World) (c reactor.GroupConfig, at kernel.Addr) {
		return c, kernel.UNIXAddr(filepath.Join(t.TempDir(), "s"))
	},
}

// everyWay runs body on every kernel, with groups of each size, for every way of accepting.
func everyWay(t *testing.T, body func(t *testing.T, w testworld.World, n int, c reactor.GroupConfig, at kernel.Addr)) {
	t.Helper()
	for name, way := range accepting {
		t.Run(name, func(t *testing.T) {
			groups(t, func(t *testing.T, w testworld.World, n int) {
				c, at := way(t, w)
				body(t, w, n, c, at)
			})
		})
	}
}

// GROUP-2: all loops serve one place. GROUP-3: all callbacks of a connection come on one loop. GROUP-12: the factory is started
// once and stopped once. GROUP-7: StopListening tells once that all have stopped.
func TestGroupListens(t *testing.T) {
	everyWay(t, func(t *testing.T, w testworld.World, n int, c reactor.GroupConfig, at kernel.Addr) {
		g := newGroup(t, w, n, c)
		f := new(greeters)
		port, err := g.Listen(at, f, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := at.Net == kernel.TCP && c.Kernel == nil && n > 1; port.Spread() != want || !port.Listening() {
			t.Errorf("GROUP-2: spread is %v", port.Spread())
		}
		g.run()
		x := newClients(t, w)
		seen, conns := map[string]int{}, []*caller{}
		for range 40 * n {
			c := x.dial(port.Addr())
			seen[c.received()]++
			conns = append(conns, c)
			if len(seen) == n && len(conns) >= 2*n {
				break
			}
		}
		if len(seen) != n {
			t.Errorf("GROUP-2: the loops of %d that serve: %v", n, seen)
		}
		if !port.Spread() && len(conns) != 2*n {
			t.Errorf("GROUP-2: one acceptor gives them %v", seen)
		}
		for _, c := range conns {
			x.say(c, "hello")
		}
		if s := port.Stats(); int(s.Accepted) != len(conns) || s.Open != len(conns) || s.Refused != 0 {
			t.Errorf("GROUP-6: of %d: %+v", len(conns), s)
		}
		s := g.Stats()
		if s.Sum.Connections != len(conns) || len(s.Loops) != n || int(s.Sum.Accepted) != len(conns) {
			t.Errorf("GROUP-6: of %d: %+v", len(conns), s.Sum)
		}
		stopped := make(chan error, 2)
		port.StopListening(func(err error) { stopped <- err })
		if err := recv(t, stopped); err != nil {
			t.Errorf("GROUP-7: %v", err)
		}
		started, ended, _, _ := f.counts()
		if started != 1 || ended != 1 || port.Listening() {
			t.Errorf("GROUP-12: started %d times, stopped %d", started, ended)
		}
		port.StopListening(func(err error) { stopped <- err })
		recv(t, stopped)
		if c := x.dial(port.Addr()); c.lost() == nil {
			t.Error("GROUP-7: a loop listens still")
		}
		x.say(conns[0], "still here")
		for _, c := range conns {
			x.close(c)
		}
		if err := g.stop(); err != nil || f.wrong != "" {
			t.Errorf("GROUP-3: on another loop: %q, %v", f.wrong, err)
		}
		if _, _, made, lost := f.counts(); made != lost || made != len(conns) {
			t.Errorf("GROUP-3: %d made, %d lost", made, lost)
		}
	})
}

// GROUP-12: the end of the group stops the factory, and a StartFactory that fails fails Listen, and leaves nothing open.
func TestGroupFactory(t *testing.T) {
	everyWay(t, func(t *testing.T, w testworld.World, n int, c reactor.GroupConfig, at kernel.Addr) {
		g := newGroup(t, w, n, c)
		bad := &greeters{startErr: errBroken}
		if _, err := g.Listen(at, bad, nil); !errors.Is(err, errBroken) || !errors.Is(err, reactor.ErrListen) {
			t.Errorf("GROUP-12: %v", err)
		}
		f := &greeters{enErr: errBroken}
		first, err := g.Listen(at, f, nil)
		if err != nil {
			t.Fatal(err)
		}
		g.run()
		stopped := make(chan error, 1)
		first.StopListening(func(err error) { stopped <- err })
		if err := recv(t, stopped); !errors.Is(err, errBroken) {
			t.Errorf("GROUP-12: %v", err)
		}
		// In a callback of the last loop.
		opened := make(chan error, 1)
		var on *reactor.GroupPort
		g.PostTo(n-1, func(*reactor.Reactor) {
			p, err := g.Listen(first.Addr(), f, nil)
			on = p
			opened <- err
		})
		if err := recv(t, opened); err != nil {
			t.Fatal(err)
		}
		if c := newClients(t, w).dial(on.Addr()); c.received() == "" {
			t.Errorf("GROUP-2: %v", c.lost())
		}
		if err := g.stop(); err != nil {
			t.Error(err)
		}
		if started, ended, _, _ := f.counts(); started != 2 || ended != 2 {
			t.Errorf("GROUP-12: started %d times, stopped %d", started, ended)
		}
	})
}

// GROUP-2: an address that another program has is refused, also if that one would share it.
func TestGroupAddressInUse(t *testing.T) {
	groups(t, func(t *testing.T, w testworld.World, n int) {
		r := w.New(t, reactor.Config{})
		for _, shares := range []bool{false, true} {
			o := &reactor.ListenConfig{}
			o.ReusePort = shares
			other := listen(t, r, reactor.Each[end](), o)
			g := newGroup(t, w, n, reactor.GroupConfig{})
			f := new(greeters)
			if _, err := g.Listen(other.Addr(), f, nil); !errors.Is(err, kernel.ErrAddrInUse) || !errors.Is(err, reactor.ErrListen) {
				t.Errorf("GROUP-2: %v", err)
			}
			if started, ended, _, _ := f.counts(); started != ended {
				t.Errorf("GROUP-12: started %d times, stopped %d", started, ended)
			}
			if shares {
				if _, err := g.Listen(other.Addr(), f, o); err != nil {
					t.Errorf("GROUP-2: with ReusePort: %v", err)
				}
			}
			g.Close()
		}
	})
}

// GROUP-7: a group that is paused before it runs accepts nobody until it is resumed.
func TestGroupPause(t *testing.T) {
	everyWay(t, func(t *testing.T, w testworld.World, n int, c reactor.GroupConfig, at kernel.Addr) {
		g := newGroup(t, w, n, c)
		port, err := g.Listen(at, new(greeters), nil)
		if err != nil {
			t.Fatal(err)
		}
		port.PauseAccepting()
		g.run()
		x := newClients(t, w)
		waits := x.start(port.Addr())
		eventually(t, "the client waits", func() bool { return port.Stats().WaitedPaused > 0 })
		if got := waits.received(); got != "" || port.Stats().Accepted != 0 {
			t.Errorf("GROUP-7: accepted: %q", got)
		}
		port.ResumeAccepting()
		eventually(t, "GROUP-7: it is served", func() bool { return waits.received() != "" })
	})
}

// GROUP-5: MaxConnections, MaxPerPeer and RefuseExcess hold for all loops together.
func TestGroupLimits(t *testing.T) {
	everyWay(t, func(t *testing.T, w testworld.World, n int, c reactor.GroupConfig, at kernel.Addr) {
		const most = 3
		g := newGroup(t, w, n, c)
		listen := func(l reactor.PortLimits, with reactor.Listening) *reactor.GroupPort {
			to := at
			if with != nil && at.Net == kernel.UNIX {
				to = kernel.UNIXAddr(at.Name + "2")
			}
			p, err := g.Listen(to, new(greeters), &reactor.ListenConfig{PortLimits: l, ShareLimits: with})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		waiting := listen(reactor.PortLimits{MaxConnections: most}, nil)
		with := listen(reactor.PortLimits{}, waiting)
		g.run()
		x := newClients(t, w)
		var open []*caller
		for i := range most {
			p := waiting
			if i == 0 {
				p = with
			}
			open = append(open, x.dial(p.Addr()))
		}
		late := []*caller{x.start(waiting.Addr()), x.start(with.Addr())}
		eventually(t, "two wait", func() bool { return waiting.Stats().WaitedFull > 0 && with.Stats().WaitedFull > 0 })
		served := func() (n int) {
			for _, c := range late {
				if c.received() != "" {
					n++
				}
			}
			return n
		}
		for i := range late {
			eventually(t, "GROUP-5: as many are open as may be", func() bool { return waiting.Stats().Open+with.Stats().Open == most })
			if got := served(); got != i {
				t.Errorf("GROUP-5: %d of those that waited are served, not %d", got, i)
			}
			x.close(open[i])
			eventually(t, "GROUP-5: one more is let in", func() bool { return served() == i+1 })
		}
		testRefusals(t, g, x, at)
	})
}

// testRefusals is the part of TestGroupLimits about connections that are reset.
func testRefusals(t *testing.T, g *running, x *clients, at kernel.Addr) {
	const most = 3
	for what, l := range map[string]reactor.PortLimits{
		"MaxConnections": {MaxConnections: most, RefuseExcess: true}, "MaxPerPeer": {MaxPerPeer: most},
	} {
		if at.Net == kernel.UNIX {
			if what == "MaxPerPeer" {
				continue // a UNIX socket has no peer that counts
			}
			at = kernel.UNIXAddr(at.Name + "3")
		}
		p, err := g.Listen(at, new(greeters), &reactor.ListenConfig{PortLimits: l})
		if err != nil {
			t.Fatal(err)
		}
		var open []*caller
		for range most {
			open = append(open, x.dial(p.Addr()))
		}
		for range 5 {
			if c := x.dial(p.Addr()); c.lost() == nil {
				t.Errorf("GROUP-5: %s lets one more in", what)
			}
		}
		eventually(t, "the counters", func() bool { return p.Stats().Refused == 5 })
		if s := p.Stats(); s.Open != most || s.TooMany+s.TooManyOfPeer != 5 || what == "MaxPerPeer" && s.Peers != 1 {
			t.Errorf("GROUP-5: %s: %+v", what, s)
		}
		x.close(open[0])
		eventually(t, "the loss", func() bool { return p.Stats().Open == most-1 })
		if c := x.dial(p.Addr()); c.received() == "" {
			t.Errorf("GROUP-5: %s: %v", what, c.lost())
		}
	}
}

// GROUP-5: AcceptRate is that of all loops together. The loops' clocks have origins of their own.
func TestGroupRate(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGroup(t, w, 3, reactor.GroupConfig{})
		p, err := g.Listen(loopback, new(greeters), &reactor.ListenConfig{PortLimits: reactor.PortLimits{AcceptRate: 50, AcceptBurst: 2}})
		if err != nil {
			t.Fatal(err)
		}
		g.run()
		x := newClients(t, w)
		from := make(chan time.Duration, 1)
		x.r.Post(func() { from <- x.r.Now() })
		began := recv(t, from)
		var all []*caller
		for range 12 {
			all = append(all, x.start(p.Addr()))
		}
		for _, c := range all {
			eventually(t, "GROUP-5: all are served", func() bool { return c.received() != "" })
		}
		x.r.Post(func() { from <- x.r.Now() })
		// Two come at once, and ten with 20 ms between them.
		if took := recv(t, from) - began; took < 190*time.Millisecond || took > 5*time.Second {
			t.Errorf("GROUP-5: twelve took %v", took)
		}
		if s := p.Stats(); s.WaitedRate == 0 || s.Accepted != 12 {
			t.Errorf("GROUP-5: %+v", s)
		}
	})
}

// GROUP-13: a dialled connection belongs to the loop that has asked for it.
func TestGroupDials(t *testing.T) {
	groups(t, func(t *testing.T, w testworld.World, n int) {
		g := newGroup(t, w, n, reactor.GroupConfig{})
		port, err := g.Listen(loopback, new(greeters), nil)
		if err != nil {
			t.Fatal(err)
		}
		g.run()
		on := make(chan string, n)
		f := new(greeters)
		g.PostAll(func(r *reactor.Reactor) {
			r.Dial(port.Addr(), f, nil, func(p reactor.Protocol, err error) {
				if err != nil || p.(*greeter).r != r || !reactor.OnLoop(r) {
					on <- "another loop"
				} else {
					on <- ""
				}
			})
		})
		for range n {
			if got := recv(t, on); got != "" {
				t.Errorf("GROUP-13: %s", got)
			}
		}
	})
}

// ShareLimits of a variable that has no port yet, as in a loop over addresses, is none: the port has limits of its own.
func TestShareLimitsOfNoPort(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		g := newGroup(t, w, 2, reactor.GroupConfig{})
		var port *reactor.Port
		var ofGroup *reactor.GroupPort
		for range 2 {
			if p, err := r.Listen(loopback, reactor.Each[end](), &reactor.ListenConfig{ShareLimits: port}); err != nil {
				t.Error(err)
			} else if port == nil {
				port = p
			}
			if p, err := g.Listen(loopback, reactor.Each[end](), &reactor.ListenConfig{ShareLimits: ofGroup}); err != nil {
				t.Error(err)
			} else if ofGroup == nil {
				ofGroup = p
			}
		}
	})
}

// ShareLimits of a port of one reactor and of a group do not mix.
func TestGroupShareLimitsMixed(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		g := newGroup(t, w, 2, reactor.GroupConfig{})
		alone := listen(t, r, reactor.Each[end](), nil)
		of, err := g.Listen(loopback, reactor.Each[end](), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, try := range []func(){
			func() { _, _ = g.Listen(loopback, reactor.Each[end](), &reactor.ListenConfig{ShareLimits: alone}) },
			func() { _, _ = r.Listen(loopback, reactor.Each[end](), &reactor.ListenConfig{ShareLimits: of}) },
		} {
			func() {
				defer func() {
					if v := recover(); v == nil || !strings.Contains(v.(string), "ShareLimits") {
						t.Errorf("it panics with %v", v)
					}
				}()
				try()
			}()
		}
	})
}

// GROUP-5: of loops that accept at the same moment, no more get a place than there are.
func TestGroupPlaces(t *testing.T) {
	const most = 50
	worlds(t, func(t *testing.T, w testworld.World) {
		reserve, lost := reactor.SharedPlaces(w.New(t, reactor.Config{}), most)
		var got atomic.Int32
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range most {
					if reserve() {
						got.Add(1)
					}
				}
			})
		}
		all.Wait()
		if got.Load() != most {
			t.Errorf("GROUP-5: %d places of %d", got.Load(), most)
		}
		if lost(); !reserve() || reserve() {
			t.Error("GROUP-5: a place that is free again")
		}
	})
}
