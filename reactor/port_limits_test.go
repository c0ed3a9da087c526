package reactor_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// TCP-92: at MaxConnections clients wait, nothing is lost, and each end lets the next in.
func TestMaxConnections(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{MaxConnections: 3})
		clients := g.crowd(t, 8)
		for i, c := range clients {
			fmt.Fprintf(c, "client %d", i)
		}
		g.comes(t, 3)
		g.stays(t)
		for i := range 5 {
			if s := g.port.Stats(); s.Open != 3 || s.WaitedFull != uint64(i+1) {
				t.Errorf("%d ended: %+v", i, s)
			}
			g.end(t, i)
			g.comes(t, 4+i)
			g.stays(t) // TCP-99, and the counter above
		}
		for i, e := range g.ends {
			if want := fmt.Sprintf("client %d", i); i >= 5 {
				until(t, g.r, func() bool { return string(e.got) == want })
			}
		}
		if s := g.port.Stats(); s.Accepted != 8 || s.Refused != 0 || len(g.refusals) != 0 || s.Peers != 0 {
			t.Errorf("%+v, %d refusals", s, len(g.refusals))
		}
	})
}

// TCP-92: a connection counts until its ConnectionLost has returned, and not while it
// lingers. What the factory refused, or failed to build, does not count.
func TestMaxConnectionsCountsUntilLost(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{MaxConnections: 1})
		var builds int
		g.build = func(kernel.Addr) reactor.Protocol {
			switch builds++; builds {
			case 1:
				return nil
			case 2:
				panic("no protocol")
			}
			e := new(end)
			if builds == 3 {
				e.onMade = func() { panic("not made") }
			}
			e.onLost = func(error) {
				if n := g.port.Stats().Open; n != 1 {
					t.Errorf("%d open in ConnectionLost", n)
				}
			}
			g.ends = append(g.ends, e)
			return e
		}
		clients := g.crowd(t, 5)
		g.comes(t, 2)
		g.stays(t)
		if g.ends[0].err == nil || g.panics != 2 || g.port.Stats().Open != 1 {
			t.Errorf("lost with %v, %d panics, %+v", g.ends[0].err, g.panics, g.port.Stats())
		}
		g.ends[1].s.Write([]byte("bye"))
		g.ends[1].s.Close()
		g.comes(t, 3)
		if s := g.r.Stats(); s.Lingered != 1 || g.port.Stats().Open != 1 {
			t.Errorf("%d linger, %+v", s.Lingered, g.port.Stats())
		}
		clients[3].Expect("bye")
	})
}

// TCP-93: with RefuseExcess those beyond MaxConnections are reset at once, and the next one is let
// in when there is room.
func TestRefuseExcess(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{MaxConnections: 2, RefuseExcess: true})
		clients := g.crowd(t, 5)
		until(t, g.r, func() bool { return g.port.Stats().Accepted == 5 })
		for _, c := range clients[2:] {
			seesReset(t, c)
		}
		if s := g.port.Stats(); s.Open != 2 || s.Refused != 3 || s.TooMany != 3 || s.TooManyOfPeer != 0 || s.WaitedFull != 0 || g.r.Stats().Refused != 3 {
			t.Errorf("%+v", s)
		}
		sameEvents(t, g.events, "start", "build", "build") // the factory builds nothing for them
		// TCP-96: the factory hears of each, by its error.
		if len(g.refusals) != 3 {
			t.Fatalf("%d refusals", len(g.refusals))
		}
		op, ok := errors.AsType[*reactor.OpError](g.refusals[0])
		if !ok || op.Op != "accept" || op.Local != g.port.Addr() || op.Remote != clients[2].Local() ||
			!errors.Is(op, reactor.ErrTooManyConnections) || errors.Is(op, reactor.ErrTooManyOfPeer) || errors.Is(op, reactor.ErrLost) {
			t.Errorf("refused with %+v", g.refusals[0])
		}
		g.end(t, 0)
		g.crowd(t, 1)
		g.comes(t, 3)
	})
}

// TCP-94: a peer that floods has MaxPerPeer connections, and the others get in.
func TestMaxPerPeer(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{MaxPerPeer: 2, MaxConnections: 5})
		for range 20 {
			g.k.next = append(g.k.next, "192.0.2.1")
		}
		g.k.next = append(g.k.next, "192.0.2.2", "192.0.2.3")
		clients := g.crowd(t, 22)
		g.comes(t, 4)
		for _, c := range clients[2:20] {
			seesReset(t, c)
		}
		if s := g.port.Stats(); s.Open != 4 || s.Refused != 18 || s.TooManyOfPeer != 18 || s.TooMany != 0 || s.Peers != 3 {
			t.Errorf("%+v", s)
		}
		if n := len(g.refusals); n != 18 || !errors.Is(g.refusals[17], reactor.ErrTooManyOfPeer) || errors.Is(g.refusals[17], reactor.ErrTooManyConnections) {
			t.Errorf("%d refusals, %v", n, g.refusals)
		}
		// When one of them ends, its peer gets another in.
		g.end(t, 0)
		g.k.next = []string{"192.0.2.1", "192.0.2.1"}
		clients = g.crowd(t, 2)
		g.comes(t, 5)
		seesReset(t, clients[1])
		for i, e := range g.ends {
			if e.err == nil {
				g.end(t, i)
			}
		}
		if s := g.port.Stats(); s.Open != 0 || s.Peers != 0 {
			t.Errorf("at the end: %+v", s)
		}
	})
}

// TCP-94: a peer is an IPv4 address, however it is written, or an IPv6 network of 64 bits.
func TestMaxPerPeerCountsNetworks(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{MaxPerPeer: 1})
		g.k.next = []string{
			"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", // one network
			"2001:db8:0:2::1",
			"192.0.2.1", "::ffff:192.0.2.1", // one address
			"192.0.2.2",
			"fe80::1%eth0", "fe80::2%eth1", // one network, without its scope
		}
		clients := g.crowd(t, len(g.k.next))
		until(t, g.r, func() bool { return g.port.Stats().Accepted == 8 })
		if len(g.ends) != 5 || g.port.Stats().Peers != 5 {
			t.Errorf("%d built, %+v", len(g.ends), g.port.Stats())
		}
		for _, i := range []int{1, 4, 7} {
			seesReset(t, clients[i])
		}
	})
}

// TCP-96: refusals are logged once a second, and a panic in ConnectionRefused ends nothing.
func TestRefusalIsTold(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{MaxPerPeer: 1, MaxConnections: 2, RefuseExcess: true})
		g.onRefuse = func() { panic("not now") }
		g.k.next = []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.3"}
		clients := g.crowd(t, 6)
		until(t, g.r, func() bool { return g.port.Stats().Accepted == 6 })
		if s := g.port.Stats(); s.TooManyOfPeer != 2 || s.TooMany != 2 || len(g.refusals) != 4 || g.panics != 4 || s.Open != 2 {
			t.Errorf("%+v, %d refusals, %d panics", s, len(g.refusals), g.panics)
		}
		for _, i := range []int{1, 2, 4, 5} {
			seesReset(t, clients[i])
		}
		many := g.log.with("WARN refused a connection", "err=too many connections", "192.0.2.3:5000")
		ofPeer := g.log.with("WARN refused a connection", "err=too many connections of this peer", "192.0.2.1:5000")
		if len(many) != 1 || len(ofPeer) != 1 {
			t.Errorf("log %q", g.log.lines)
		}
		if n := len(g.log.with("ERROR panic", "limited", "not now")); n != 4 {
			t.Errorf("%d records name the factory: %q", n, g.log.lines)
		}
		// The port, which is stopped meanwhile, is closed all the same.
		g.k.next = []string{"192.0.2.1", "192.0.2.1"}
		g.crowd(t, 2)
		stopped(t, g.port)
		if len(g.refusals) != 6 {
			t.Errorf("%d refusals", len(g.refusals))
		}
		if !w.Simulated() {
			return // the rest is a matter of time
		}
		untilAlone(t, g.r, func() bool { return len(g.log.with("refused a connection")) == 4 })
	})
}

// TCP-98: the connections of a stopped port count when it listens again, and their ends do
// not touch a port that is stopped.
func TestLimitsOfStoppedPort(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{MaxConnections: 2})
		g.crowd(t, 3)
		g.comes(t, 2)
		g.stays(t) // one waits
		stopped(t, g.port)
		arms := g.faults.Calls["Arm"]
		g.end(t, 0)
		if n := g.faults.Calls["Arm"] - arms; n != 0 || g.port.Listening() {
			t.Errorf("%d arms of a stopped port", n)
		}
		if err := g.port.StartListening(); err != nil {
			t.Fatal(err)
		}
		g.crowd(t, 2)
		g.comes(t, 3)
		g.stays(t)
		g.end(t, 1)
		g.comes(t, 4)
	})
}

// TCP-98: a port that is stopped takes off its queue what its limits allow. The rest is
// reset.
func TestStopListeningKeepsLimits(t *testing.T) {
	limits := map[string]reactor.PortLimits{
		"connections": {MaxConnections: 2},
		"rate":        {AcceptRate: 1, AcceptBurst: 2},
		"refusing":    {MaxConnections: 2, RefuseExcess: true},
	}
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, o := range limits {
			g := newLimited(t, w, o)
			clients := g.crowd(t, 5)
			stopped(t, g.port)
			if len(g.ends) != 2 || len(g.r.DelayedCalls()) != 0 && !o.RefuseExcess { // the log's
				t.Errorf("%s: %d built, %v", name, len(g.ends), g.r.DelayedCalls())
			}
			for _, c := range clients[2:] {
				seesReset(t, c)
			}
			if n := g.port.Stats().TooMany; n != 3 == o.RefuseExcess {
				t.Errorf("%s: %d refused", name, n)
			}
			g.r.Close()
		}
	})
}

// Zero and negative are no limit.
func TestNoLimits(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, o := range []reactor.PortLimits{{}, {MaxConnections: -1, MaxPerPeer: -1, AcceptRate: -1, AcceptBurst: -1, RefuseExcess: true}} {
			g := newLimited(t, w, o)
			g.crowd(t, 120)
			g.comes(t, 120)
			if s := g.port.Stats(); s.Refused != 0 || s.WaitedFull+s.WaitedPaused+s.WaitedRate != 0 || s.Peers != 0 || len(g.r.DelayedCalls()) != 0 {
				t.Errorf("%+v", s)
			}
			g.r.Close()
		}
	})
}
