package tlsio_test

import (
	"crypto/tls"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// crowd is the server's ends, as they were accepted.
type crowd []*end

func (c *crowd) BuildProtocol(kernel.Addr) reactor.Protocol {
	e := new(end)
	*c = append(*c, e)
	return e
}

// refused is how many were, for the reason that there are too many handshakes.
func (c crowd) refused() (n int) {
	for _, e := range c {
		if errors.Is(e.err, tlsio.ErrHandshakesBusy) && errors.Is(e.err, tlsio.ErrHandshake) {
			n++
		}
	}
	return n
}

// TLS-57, TLS-58: no more handshakes are pending than MaxPendingHandshakes says. The
// connections beyond that are reset at once. When there is room again, others get in.
func TestPendingIsBounded(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			sc, cc := configs(0)
			var srv crowd
			o := &tlsio.Options{MaxPendingHandshakes: 10, MaxPendingPerPeer: -1, HandshakeTimeout: time.Hour}
			p, err := s.srv.Listen(s.addr, tlsio.Server(sc, &srv, o), nil)
			if err != nil {
				t.Fatal(err)
			}
			var cli []*end
			ended, clean := 0, 0
			note := func(err error) {
				// A simulated reset may overtake the answer to the attempt.
				if ended++; !errors.Is(err, kernel.ErrReset) && !errors.Is(err, kernel.ErrRefused) {
					clean++
				}
			}
			for range 30 { // they say nothing
				e := new(end)
				e.onLost = func() { note(e.err) }
				cli = append(cli, e)
				s.cli.Dial(p.Addr(), one(e), nil, func(_ reactor.Protocol, err error) {
					if err != nil {
						note(err)
					}
				})
			}
			s.until(func() bool { return len(srv) == 30 && srv.refused() == 20 && ended == 20 })
			if clean > 0 {
				t.Errorf("TLS-57: %d of those refused saw no reset", clean)
			}
			if st := tlsio.StatsOf(s.srv); st != (tlsio.Stats{Pending: 10, Refused: 20}) {
				t.Errorf("TLS-58: %+v", st)
			}
			for _, e := range srv {
				if e.lost() {
					e.wants(t, "TLS-57: refused", "made", "lost")
				}
			}
			for _, e := range cli {
				if e.tr != nil { // else the reset came before it knew that it was connected
					e.tr.(*reactor.Stream).Abort()
				}
			}
			s.until(func() bool { return tlsio.StatsOf(s.srv).Pending == 0 })
			good := new(end)
			good.onShaken = func() { good.c.Close() }
			s.cli.Dial(p.Addr(), tlsio.Client(cc, one(good), nil), nil, nil)
			s.until(good.lost)
			good.is(t, "TLS-57: good", reactor.ErrClosed)
			s.until(func() bool { return tlsio.StatsOf(s.srv) == tlsio.Stats{Refused: 20} })
		})
	}
}

// TLS-57: no peer has more of them than MaxPendingPerPeer says. A peer is an IPv4 address or
// an IPv6 network of 64 bits, so that one cannot keep the others out.
func TestPendingPerPeer(t *testing.T) {
	for _, six := range []bool{false, true} {
		n := sim.New(1)
		defer n.Close()
		srvHost, hosts := n.Host("srv"), []*sim.Host{n.Host("a"), n.Host("b")}
		sc, _ := configs(0)
		var srv crowd
		at := srvHost.Addr(443)
		if six {
			at = srvHost.Addr6(443) // all simulated hosts are in one network of 64 bits
		}
		o := &tlsio.Options{MaxPendingPerPeer: 3, HandshakeTimeout: time.Hour}
		p, err := srvHost.Reactor.Listen(at, tlsio.Server(sc, &srv, o), nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			for _, h := range hosts {
				h.Reactor.Dial(p.Addr(), one(new(end)), nil, nil)
			}
		}
		want := 14
		if six {
			want = 17
		}
		if err := n.RunUntil(func() bool { return len(srv) == 20 && srv.refused() == want }, time.Minute); err != nil {
			t.Fatalf("TLS-57: IPv6 %v: %d of %d were refused, want %d: %v", six, srv.refused(), len(srv), want, err)
		}
	}
}

// TLS-57: the defaults are 1,024 handshakes, and 256 of one peer.
func TestPendingDefaults(t *testing.T) {
	for _, c := range []struct {
		o    tlsio.Options
		want int
	}{
		{tlsio.Options{}, 256},
		{tlsio.Options{MaxPendingPerPeer: -1}, 1024},
		{tlsio.Options{MaxPendingHandshakes: 40}, 10},
		{tlsio.Options{MaxPendingHandshakes: 3}, 1},
		{tlsio.Options{MaxPendingHandshakes: -1}, 256},
		{tlsio.Options{MaxPendingHandshakes: -1, MaxPendingPerPeer: -1}, 1100},
	} {
		n := sim.New(1)
		defer n.Close()
		srvHost, cliHost := n.Host("srv"), n.Host("cli")
		sc, _ := configs(0)
		var srv crowd
		c.o.HandshakeTimeout = time.Hour
		p, err := srvHost.Reactor.Listen(srvHost.Addr(443), tlsio.Server(sc, &srv, &c.o), nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 1100 {
			cliHost.Reactor.Dial(p.Addr(), one(new(end)), nil, nil)
		}
		if err := n.RunUntil(func() bool { return len(srv) == 1100 }, time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := tlsio.StatsOf(srvHost.Reactor).Pending; got != c.want {
			t.Errorf("TLS-57: with %+v %d are pending, want %d", c.o, got, c.want)
		}
	}
}

// TLS-57: a handshake whose connection has ended is pending until the callback in which it waits
// returns: a peer that connects again and again does not get hold of all workers.
func TestBlockedIsPending(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			sc, cc := configs(0)
			release := make(chan struct{})
			sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { <-release; return nil, nil }
			var srv crowd
			p, err := s.srv.Listen(s.addr, tlsio.Server(sc, &srv, &tlsio.Options{MaxPendingPerPeer: 2}), nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				cli := new(end)
				s.cli.Dial(p.Addr(), tlsio.Client(cc, one(cli), nil), nil, nil)
				s.until(func() bool { return i == 2 && len(srv) == 3 || tlsio.StatsOf(s.srv).Running == i+1 })
				if i < 2 {
					srv[i].c.Abort()
				}
			}
			s.until(func() bool { return !slices.ContainsFunc(srv, func(e *end) bool { return !e.lost() }) })
			if st := tlsio.StatsOf(s.srv); st != (tlsio.Stats{Pending: 2, Running: 2, Refused: 1}) || srv.refused() != 1 {
				t.Errorf("TLS-57: %+v", st)
			}
			close(release)
			s.until(func() bool { return tlsio.StatsOf(s.srv) == tlsio.Stats{Refused: 1} })
		})
	}
}

// TLS-57: when one of a peer's handshakes ends, there is room for one more, not for as many as at first.
func TestPendingPerPeerIsCounted(t *testing.T) {
	n := sim.New(1)
	defer n.Close()
	srvHost, cli := n.Host("srv"), n.Host("cli").Reactor
	sc, _ := configs(0)
	var srv crowd
	p, err := srvHost.Reactor.Listen(srvHost.Addr(443), tlsio.Server(sc, &srv, &tlsio.Options{MaxPendingPerPeer: 3, HandshakeTimeout: time.Hour}), nil)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(many, refused int) {
		t.Helper()
		want := len(srv) + many
		for range many {
			cli.Dial(p.Addr(), one(new(end)), nil, nil)
		}
		if err := n.RunUntil(func() bool { return len(srv) == want }, time.Minute); err != nil {
			t.Fatal(err)
		}
		n.Run(time.Second)
		if got := srv.refused(); got != refused {
			t.Errorf("TLS-57: %d were refused, want %d", got, refused)
		}
	}
	dial(3, 0)
	srv[0].c.Abort()
	n.Run(time.Second)
	dial(3, 2)
	for _, e := range srv {
		e.c.Abort()
	}
	n.Run(time.Second)
	dial(4, 3)
}
