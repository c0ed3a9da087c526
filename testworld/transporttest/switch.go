package transporttest

import (
	"io"

	"github.com/whorl-go/whorl/reactor"
)

func switchPromises() []promise {
	return []promise{
		{"Switch", switchOver},
		{"SwitchTakesOff", switchTakesOff},
		{"SwitchRefused", switchRefused},
	}
}

// successor is an end that takes the place of e: it has e's transport, and goes on where e is
// in the data.
func (g *rig) successor(e *end) *end {
	n := g.end(e.name + "'s successor")
	n.t, n.local, n.remote, n.sent, n.got = e.t, e.local, e.remote, e.sent, e.got
	n.events = []string{"made"}
	return n
}

// switchTo makes n the protocol of e's transport.
func (g *rig) switchTo(e, n *end) (was reactor.Switched, err error) {
	g.Helper()
	s := ability[reactor.Switcher](e, "Switcher")
	e.do("SwitchProtocol", func() { was, err = s.SwitchProtocol(n.protocol()) })
	if err == nil {
		e.taken = true
	} else {
		n.taken = true
	}
	return was, err
}

// switchOver: the new protocol hears everything after the callback in progress, and is not made
// again (TLS-33); end.enter notices what goes to the old one.
func switchOver(g *rig) {
	g.connect()
	a := g.a
	n := g.successor(a)
	a.onData = func([]byte) {
		n.got = a.got
		was, err := g.switchTo(a, n)
		if err != nil {
			g.Errorf("SwitchProtocol: %v", err)
		}
		if p, ok := reactor.ProtocolAs[*end](was.Protocol); !ok || p != a || was.Paused || was.Producer != nil {
			g.Errorf("SwitchProtocol took off %+v", was)
		}
	}
	for range 3 {
		g.b.write(10)
		g.until("the data", func() bool { return n.got == g.b.sent })
	}
	g.b.close()
	g.until("the loss", func() bool { return n.lost() && g.b.lost() })
	g.lostFor(n, io.EOF)
}

// switchTakesOff: a producer is taken off and not stopped, and reading goes on if it was
// paused.
func switchTakesOff(g *rig) {
	g.connect()
	p := &producer{e: g.a}
	p.start()
	g.a.pause()
	g.b.write(10)
	g.moment()
	n := g.successor(g.a)
	was, err := g.switchTo(g.a, n)
	if err != nil || was.Producer != reactor.Producer(p) || was.ProducerPaused || !was.Paused {
		g.Fatalf("SwitchProtocol took off %+v, %v", was, err)
	}
	g.until("the data", func() bool { return n.got == 10 })
	n.close() // which does not wait for the producer
	g.until("the loss", func() bool { return n.lost() && g.b.lost() })
	if p.stops+p.pauses+p.resumes != 0 {
		g.Errorf("the producer that was taken off was asked: %+v", p)
	}
}

// switchRefused: what is ending is not switched, and nothing has changed (TLS-33).
func switchRefused(g *rig) {
	g.connectHalf()
	refused := func(e *end, when string, want error) {
		if _, err := g.switchTo(e, g.successor(e)); err != want {
			g.Errorf("SwitchProtocol %s: %v, want %v", when, err, want)
		}
	}
	g.a.closeWrite()
	refused(g.a, "after CloseWrite", reactor.ErrWriteClosed)
	g.until("the end of one direction", func() bool { return g.b.saw("read lost") })
	refused(g.b, "after the peer's end", io.EOF)
	g.b.close()
	refused(g.b, "after Close", reactor.ErrClosed)
	g.a.close()
	g.bothLost()
	refused(g.a, "after the loss", reactor.ErrClosed)
}
