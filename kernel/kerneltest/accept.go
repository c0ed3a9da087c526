package kerneltest

import (
	"github.com/whorl-go/whorl/kernel"
)

func acceptPromises() []promise {
	return []promise{
		{"Listen", listen},
		{"AddrInUse", addrInUse},
		{"ListenAgain", listenAgain},
		{"AcceptOrder", acceptOrder},
		{"CloseListener", closeListener},
	}
}

func listen(g *rig) {
	a, b := g.listen(local4(), nil), g.listen(local4(), &kernel.ListenOptions{Backlog: 1})
	for _, l := range []kernel.Listener{a, b} {
		if l.Local().Net != kernel.TCP || l.Local().IP.Addr() != local4() || l.Local().Port() == 0 {
			g.Errorf("listening on %v", l.Local())
		}
		g.quiet(l, kernel.Readable)
		g.connect(l, nil)
	}
	if a.Local() == b.Local() {
		g.Errorf("two listeners on %v", a.Local())
	}
}

func addrInUse(g *rig) {
	l := g.listen(local4(), nil)
	_, err := g.k.Listen(l.Local(), nil)
	g.isOne("Listen twice", err, kernel.ErrAddrInUse)
}

// listenAgain: the port is free at once. Connections of the closed listener may still be
// open, or may have been ended a moment ago from our side (TCP-3).
func listenAgain(g *rig) {
	l := g.listen(local4(), nil)
	a := l.Local()
	for range 3 {
		c, s := g.connect(l, nil)
		s.Close()
		g.ends(c)
		c.Close()
		c, s = g.connect(l, nil)
		if err := l.Close(); err != nil {
			g.Fatal(err)
		}
		var err error
		if l, err = g.k.Listen(a, nil); err != nil {
			g.Fatalf("Listen again (TCP-3): %v", err)
		}
		keep(g, l)
		g.send(c, []byte("x")) // the old connection lives
		g.receive(s, 1)
	}
}

func acceptOrder(g *rig) {
	l := g.listen(local4(), nil)
	var dialled []kernel.Conn
	for range 8 {
		c := g.dial(l, nil)
		g.becomes(c, kernel.Writable)
		dialled = append(dialled, c)
	}
	for i, c := range dialled {
		g.becomes(l, kernel.Readable)
		if s := g.accept(l); s.Remote() != c.Local() {
			g.Errorf("accept %d is %v, dialled from %v", i, s.Remote(), c.Local())
		}
	}
	g.quiet(l, kernel.Readable)
}

// closeListener: a connection that waits in the queue of a closed listener ends.
func closeListener(g *rig) {
	l := g.listen(local4(), nil)
	c := g.dial(l, nil)
	g.becomes(c, kernel.Writable)
	g.becomes(l, kernel.Readable)
	l.Close()
	buf := make([]byte, 1)
	if n, err := g.read(c, buf); n != 0 || err == nil {
		g.Errorf("Read from a closed listener's queue: %d, %v", n, err)
	}
	c, err := g.k.Dial(l.Local(), nil)
	g.isOne("Dial to a closed listener", g.outcome(c, err), kernel.ErrRefused)
}
