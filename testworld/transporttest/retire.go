package transporttest

import (
	"io"
	"slices"

	"github.com/whorl-go/whorl/reactor"
)

func retirePromises() []promise {
	return []promise{
		{"Retired", retired},
		{"RetiredBelowLayer", retiredBelowLayer},
	}
}

// retire replaces the transport of a by another one, which belongs to n. It returns an end that
// has kept the former one.
func (g *rig) retire(a, n *end) (kept *end) {
	g.Helper()
	kept = &end{g: g, name: a.name + " before", t: a.t}
	n.t = reactor.Retire(a.t)
	if n.t == kept.t {
		g.Skip("the transport is no reactor.Retirer")
	}
	return kept
}

// deaf checks what is refused by the transport that e has kept.
func (e *end) deaf() {
	g := e.g
	g.Helper()
	e.refuses("after Retire (TLS-63)", reactor.ErrSwitched)
	if h, ok := reactor.As[reactor.HalfCloser](e.t); ok && h.CloseWrite() != reactor.ErrSwitched {
		g.Error("TLS-63: CloseWrite after Retire is not refused")
	}
	if k, ok := reactor.As[reactor.Consumer](e.t); ok && k.RegisterProducer(&producer{e: e}) != reactor.ErrSwitched {
		g.Error("TLS-63: RegisterProducer after Retire is not refused")
	}
	if s, ok := reactor.As[reactor.Switcher](e.t); ok {
		if _, err := s.SwitchProtocol(e); err != reactor.ErrSwitched {
			g.Errorf("TLS-63: SwitchProtocol after Retire: %v", err)
		}
	}
	if reactor.Retire(e.t) != e.t {
		g.Error("TLS-63: the transport is retired twice")
	}
}

// retired: whoever keeps a retired transport can send nothing and changes nothing, but ends the
// connection, while its successor can do everything (TLS-63).
func retired(g *rig) {
	g.connectHalf()
	a := g.a
	var all []*end
	for range 2 { // the first successor is retired too
		n := g.successor(a)
		n.half = true
		if _, err := g.switchTo(a, n); err != nil {
			g.Fatal(err)
		}
		kept := g.retire(a, n)
		p := &producer{e: n}
		if err := n.register(p); err != nil {
			g.Errorf("RegisterProducer: %v", err)
		}
		all = append(all, kept)
		for _, e := range all {
			e.deaf()
			e.pause()
			e.resume()
			e.unregister()
		}
		if err := n.register(&producer{e: n}); err == nil {
			g.Error("TLS-63: a retired transport has unregistered the producer of its successor")
		}
		n.unregister()
		n.write(10)
		g.b.write(10)
		g.until("the data", func() bool { return n.got == g.b.sent && g.b.got == n.sent })
		n.pause()
		all[0].resume()
		g.b.write(10)
		g.moment()
		if n.got == g.b.sent {
			g.Error("TLS-63: a retired transport has resumed its successor")
		}
		n.resume()
		g.until("the data", func() bool { return n.got == g.b.sent })
		if p.stops > 0 {
			g.Error("the producer was stopped")
		}
		a = n
	}
	a.write(10)
	a.closeWrite()
	g.until("the end of one direction", func() bool { return g.b.saw("read lost") })
	if g.b.got != a.sent {
		g.Errorf("%d bytes came, want %d", g.b.got, a.sent)
	}
	all[0].close()
	g.b.close()
	g.until("the loss", func() bool { return a.lost() && g.b.lost() })
	g.lostFor(a, reactor.ErrClosed)
	a.taken = true // its transport is not the one of finish
}

// asked is a transport that notes what it is asked.
type asked struct {
	reactor.Transport
	calls []string
}

func (t *asked) Unwrap() reactor.Transport { return t.Transport }
func (t *asked) note(what string)          { t.calls = append(t.calls, what) }
func (t *asked) Close() error              { t.note("close"); return nil }
func (t *asked) Abort()                    { t.note("abort") }
func (t *asked) PauseProducing()           { t.note("pause") }
func (t *asked) ResumeProducing()          { t.note("resume") }
func (t *asked) StopProducing()            { t.note("stop") }
func (t *asked) UnregisterProducer()       { t.note("unregister") }
func (t *asked) RegisterProducer(reactor.Producer) error {
	t.note("register")
	return nil
}

// carrier is the protocol of a layer.
type carrier struct {
	*end
	above *asked
}

// Unwrap is the end.
func (c carrier) Unwrap() reactor.Protocol { return c.end }

// Above is reactor.Layer.
func (c carrier) Above() reactor.Transport { return c.above }

// retiredBelowLayer: what is asked of a retired transport is asked of the transport of the
// application, and not of the connection (TLS-63).
func retiredBelowLayer(g *rig) {
	g.connect()
	s := ability[reactor.Switcher](g.a, "Switcher")
	ability[reactor.Producer](g.a, "Producer")
	n := g.successor(g.a)
	c := carrier{n, &asked{}}
	was, err := s.SwitchProtocol(c)
	if p, ok := reactor.ProtocolAs[*end](was.Protocol); !ok || p != g.a || err != nil {
		g.Fatalf("SwitchProtocol: %+v, %v", was, err)
	}
	g.a.taken = true
	kept := g.retire(g.a, n)
	c.above.Transport = n.t
	kept.deaf()
	kept.pause()
	kept.resume()
	kept.unregister()
	kept.close()
	kept.do("StopProducing", ability[reactor.Producer](kept, "Producer").StopProducing)
	kept.abort()
	if want := []string{"pause", "resume", "unregister", "close", "stop", "abort"}; !slices.Equal(c.above.calls, want) {
		g.Errorf("TLS-63: the top was asked to %q, want %q", c.above.calls, want)
	}
	n.write(10)
	g.b.write(10)
	g.until("the data", func() bool { return n.got == g.b.sent && g.b.got == n.sent })
	g.b.close()
	g.until("the loss", func() bool { return n.lost() && g.b.lost() })
	g.lostFor(n, io.EOF)
}
