package tlsio_test

import (
	"context"
	"crypto/tls"
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// TLS-54: callbacks of the tls.Config that block, more of them than processors, hold up no
// other handshake.
func TestBlockedCallbacks(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			sc, cc := configs(0)
			release := make(chan struct{})
			sc.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				if h.ServerName == "blocked.test" {
					<-release
				}
				return nil, nil
			}
			const blocked = 20
			made := 0
			f := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { made++; return new(end) })
			p, err := s.srv.Listen(s.addr, tlsio.Server(sc, f, nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			dial := func(name string) *end {
				e := new(end)
				c := cc.Clone()
				c.ServerName, c.InsecureSkipVerify = name, true
				s.cli.Dial(p.Addr(), tlsio.Client(c, one(e), nil), nil, nil)
				return e
			}
			var all []*end
			for range blocked {
				all = append(all, dial("blocked.test"))
			}
			s.until(func() bool { return made == blocked })
			good := dial("srv.test")
			s.until(func() bool { return good.saw("shaken") })
			s.until(func() bool { return tlsio.StatsOf(s.srv).Running == blocked })
			close(release)
			for _, e := range all {
				s.until(func() bool { return e.saw("shaken") })
			}
		})
	}
}

// TLS-54: in virtual time, steps that take long are made beside each other too.
func TestLongSteps(t *testing.T) {
	n := sim.New(1)
	defer n.Close()
	n.Options.Work = sim.Latency{Min: time.Second, Max: time.Second}
	srv, cli := n.Host("srv").Reactor, n.Host("cli").Reactor
	sc, cc := configs(tls.VersionTLS13)
	shaken := 0
	o := &tlsio.Options{HandshakeTimeout: time.Hour}
	f := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return &end{onShaken: func() { shaken++ }} })
	p, err := srv.Listen(n.Hosts()[0].Addr(443), tlsio.Server(sc, f, o), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		cli.Dial(p.Addr(), tlsio.Client(cc, one(new(end)), o), nil, nil)
	}
	if err := n.RunUntil(func() bool { return shaken == 50 }, time.Hour); err != nil {
		t.Fatal(err)
	}
	if took := n.Now(); took > 10*time.Second { // one after the other it is 100 s
		t.Errorf("50 handshakes of two steps of a second took %v", took)
	}
}

// TLS-54: a step is taken to be blocked when it has run for 10 ms, and then others run beside it, up to
// 1,024 in all.
func TestBlockedStepsAreBounded(t *testing.T) {
	const clients, most = 1100, 1024
	hello := clientHello(t, tls.VersionTLS13)
	record := append([]byte{handshakeRecord, 3, 1, byte(len(hello) >> 8), byte(len(hello))}, hello...)
	n := sim.New(1)
	defer n.Close()
	n.Options.Work = sim.Latency{Min: time.Hour, Max: time.Hour}
	srv, cli := n.Host("srv").Reactor, n.Host("cli").Reactor
	sc, _ := configs(tls.VersionTLS13)
	o := &tlsio.Options{HandshakeTimeout: -1, MaxPendingHandshakes: -1, MaxPendingPerPeer: -1}
	p, err := srv.Listen(n.Hosts()[0].Addr(443), tlsio.Server(sc, reactor.Each[quietEnd](), o), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range clients {
		e := new(end)
		e.onMade = func() { e.tr.Write(record) }
		cli.Dial(p.Addr(), one(e), nil, nil)
	}
	stats := func() tlsio.Stats { return tlsio.StatsOf(srv) }
	if err := n.RunUntil(func() bool { return stats().Queued > 0 }, time.Minute); err != nil {
		t.Fatal(err)
	}
	for first, i := stats().Running, 1; i < 4; i++ { // as many more every 10 ms
		before := stats().Running
		n.Run(9 * time.Millisecond)
		if got := stats().Running; got != i*first || got != before {
			t.Errorf("TLS-54: %d steps are running within %d times 10 ms, want %d", got, i, i*first)
		}
		n.Run(time.Millisecond)
	}
	n.Run(time.Minute)
	if st := stats(); st != (tlsio.Stats{Pending: clients, Running: most, Queued: clients - most}) {
		t.Errorf("TLS-54: %+v, want %d running", st, most)
	}
}

// As many handshakes compute at a time as there are processors, but for one that is left to the
// loop. With a single processor it is one.
func TestWorkersFollowProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for procs, want := range map[int]int{1: 1, 2: 1, 4: 3} {
		runtime.GOMAXPROCS(procs)
		s := newSlowSteps(t, 5*time.Millisecond, tlsio.Options{})
		for range 8 {
			s.dial("srv.test")
		}
		most := 0
		s.until(t, func() bool {
			most = max(most, tlsio.StatsOf(s.srv).Running)
			return len(s.ends) == 8 && !slices.ContainsFunc(s.ends, func(e *end) bool { return !e.saw("shaken") })
		})
		if now := runtime.GOMAXPROCS(0); now != procs {
			t.Errorf("there are %d processors now, and were %d", now, procs)
		}
		if most != want {
			t.Errorf("%d processors: %d handshakes computed at a time, want %d", procs, most, want)
		}
	}
}

// TLS-55: the context of a callback ends when the handshake's time is over, when the
// connection ends, and when the reactor stops, with the reason as its cause.
func TestCallbackContext(t *testing.T) {
	for what, c := range map[string]struct {
		o    tlsio.Options
		act  func(s *stage, srv *end)
		want error
	}{
		"time is over":     {tlsio.Options{HandshakeTimeout: 50 * time.Millisecond}, func(*stage, *end) {}, tlsio.ErrHandshakeTimeout},
		"it is aborted":    {tlsio.Options{}, func(_ *stage, srv *end) { srv.c.Abort() }, reactor.ErrAborted},
		"the peer resets":  {tlsio.Options{}, func(*stage, *end) {}, reactor.ErrLost},
		"the reactor ends": {tlsio.Options{}, func(s *stage, _ *end) { s.srv.Close() }, reactor.ErrStopped},
	} {
		for name, w := range testworld.Native() {
			t.Run(what+"/"+name, func(t *testing.T) {
				s := realStage(t, w)
				sc, cc := configs(0)
				begun, cause := make(chan struct{}, 1), make(chan error, 1)
				sc.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
					begun <- struct{}{}
					s.srv.Post(func() {})
					<-h.Context().Done()
					cause <- context.Cause(h.Context())
					return nil, h.Context().Err()
				}
				srv, cli := new(end), new(end)
				s.connect(tlsio.Server(sc, one(srv), &c.o), tlsio.Client(cc, one(cli), nil))
				s.until(func() bool { return len(begun) == 1 })
				if what == "the peer resets" {
					cli.c.Abort()
				}
				c.act(s, srv)
				if what != "the reactor ends" {
					s.until(srv.lost)
				}
				if err := <-cause; !errors.Is(err, c.want) {
					t.Errorf("TLS-55: the context's cause is %v, want %v", err, c.want)
				}
				srv.is(t, "server", c.want)
			})
		}
	}
}

// slowSteps is a network on which each step of a server takes so long, and those of clients
// nothing to speak of.
type slowSteps struct {
	n        *sim.Net
	srv, cli *reactor.Reactor
	at       kernel.Addr
	order    []string // the names in the hellos, as they were served
	ends     []*end   // of the server, as they were accepted
	before   bool     // the first one's handshake was over before that of late.test began
	cc       *tls.Config
}

// A callback that still blocks when the shutdown has given it up leaves nothing behind when it
// returns, though the handshake then waits for its peer.
func TestBlockedBeyondTheEnd(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			hello := clientHello(t, tls.VersionTLS13)
			before := runtime.NumGoroutine()
			srv := w.New(t, reactor.Config{ShutdownTimeout: 10 * time.Millisecond})
			sc, _ := configs(0)
			blocked, release := make(chan struct{}), make(chan struct{})
			sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
				close(blocked)
				<-release
				return nil, nil
			}
			p, err := srv.Listen(loopback(), tlsio.Server(sc, one(new(end)), nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			peer := w.Peer(t, p.Addr(), srv)
			peer.Write(append([]byte{22, 3, 1, byte(len(hello) >> 8), byte(len(hello))}, hello...))
			for hold := true; hold; {
				select {
				case <-blocked:
					hold = false
				default:
					srv.Turn(time.Millisecond)
				}
			}
			srv.Close()
			close(release)
			if n := leaktest.Goroutines(before); n > before {
				t.Errorf("%d goroutines, %d before", n, before)
			}
		})
	}
}

func newSlowSteps(t *testing.T, step time.Duration, o tlsio.Options) *slowSteps {
	t.Helper()
	n := sim.New(1)
	t.Cleanup(func() { n.Close() })
	n.Options.Work = sim.Latency{Min: step, Max: step}
	n.Options.Latency = sim.Latency{Min: time.Microsecond, Max: time.Microsecond}
	s := &slowSteps{n: n, srv: n.Host("srv").Reactor, cli: n.Host("cli").Reactor}
	sc, cc := configs(tls.VersionTLS13)
	s.cc = cc
	sc.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.ServerName == "late.test" {
			s.before = s.ends[0].saw("shaken")
		}
		s.order = append(s.order, h.ServerName)
		return nil, nil
	}
	f := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
		e := new(end)
		s.ends = append(s.ends, e)
		return e
	})
	p, err := s.srv.Listen(n.Hosts()[0].Addr(443), tlsio.Server(sc, f, &o), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.at = p.Addr()
	return s
}

func (s *slowSteps) dial(name string) *end {
	e := new(end)
	c := s.cc.Clone()
	c.ServerName, c.InsecureSkipVerify = name, true
	s.cli.Dial(s.at, tlsio.Client(c, one(e), &tlsio.Options{Stack: tlsio.StackLoop}), nil, nil)
	return e
}

func (s *slowSteps) until(t *testing.T, cond func() bool) {
	t.Helper()
	if err := s.n.RunUntil(cond, time.Hour); err != nil {
		t.Fatal(err)
	}
}

// TLS-56: the time in which a handshake waits for a worker is not counted in
// HandshakeTimeout, and is limited itself.
func TestQueuedIsNotCounted(t *testing.T) {
	s := newSlowSteps(t, 200*time.Millisecond, tlsio.Options{Workers: 1, HandshakeTimeout: time.Second})
	for _, name := range []string{"a.test", "b.test", "c.test", "d.test", "e.test", "f.test", "g.test"} {
		s.dial(name)
	}
	s.until(t, func() bool {
		return len(s.ends) == 7 && !slices.ContainsFunc(s.ends, func(e *end) bool { return !e.lost() && !e.saw("shaken") })
	})
	shaken := 0
	for _, e := range s.ends {
		switch {
		case e.saw("shaken"):
			shaken++
		case !errors.Is(e.err, tlsio.ErrHandshakeQueued) || !errors.Is(e.err, tlsio.ErrHandshakeTimeout):
			t.Errorf("TLS-56: lost for %v", e.err)
		}
	}
	// Each takes 0.4 s. The third has waited for 0.8 s and is done after 1.2 s.
	if shaken != 3 {
		t.Errorf("TLS-56: %d handshakes have succeeded, want 3", shaken)
	}
	if st := tlsio.StatsOf(s.srv); st != (tlsio.Stats{TimedOut: 4}) {
		t.Errorf("TLS-58: %+v", st)
	}
	if now := s.n.Now(); now < time.Second || now > 1300*time.Millisecond {
		t.Errorf("TLS-56: all was over at %v", now)
	}
}

// TLS-59: handshakes are served in the order in which they asked, but the newest first as long as
// the oldest has waited for 100 ms. Those that have begun come before both.
func TestNewestFirst(t *testing.T) {
	names := []string{"a.test", "b.test", "c.test", "d.test"}
	for what, c := range map[string]struct {
		step time.Duration
		want []string
	}{
		"idle":       {10 * time.Millisecond, []string{"a.test", "b.test", "c.test", "d.test", "late.test"}},
		"overloaded": {110 * time.Millisecond, []string{"a.test", "d.test", "late.test", "c.test", "b.test"}},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSlowSteps(t, c.step, tlsio.Options{Workers: 1})
			for i, name := range names {
				s.n.At(time.Duration(i)*time.Millisecond, func() { s.dial(name) })
			}
			// late.test comes while d.test is in its first step and a.test waits for its second.
			s.n.At(150*time.Millisecond, func() { s.dial("late.test") })
			s.until(t, func() bool { return len(s.order) == 5 })
			if !slices.Equal(s.order, c.want) {
				t.Errorf("TLS-59: served in the order %q, want %q", s.order, c.want)
			}
			if !s.before {
				t.Error("TLS-59: a new handshake came before the second step of an old one")
			}
		})
	}
}
