package kerneltest

import "github.com/whorl-go/whorl/kernel"

func optionPromises() []promise {
	return []promise{
		{"TCPOptions", tcpOptions},
		{"TCPOptionsAtBirth", tcpOptionsAtBirth},
	}
}

// has checks the values of both options of s.
func (g *rig) has(what string, s kernel.Conn, noDelay, keepAlive bool) {
	g.Helper()
	t, ok := kernel.ConnAs[kernel.TCPConn](s)
	if !ok {
		g.Skipf("%s: no kernel.TCPConn", what)
	}
	if on, err := t.NoDelay(); err != nil || on != noDelay {
		g.Errorf("%s: NoDelay: %v, %v; want %v", what, on, err, noDelay)
	}
	if on, err := t.KeepAlive(); err != nil || on != keepAlive {
		g.Errorf("%s: KeepAlive: %v, %v; want %v", what, on, err, keepAlive)
	}
}

// tcpOptions: both options are off by default. A getter returns what was set (TCP-63).
func tcpOptions(g *rig) {
	c, s := g.pair()
	for _, s := range []kernel.Conn{c, s} {
		g.has("by default", s, false, false)
		t, _ := kernel.ConnAs[kernel.TCPConn](s)
		for _, on := range []bool{true, true, false, false, true} {
			if err := t.SetNoDelay(on); err != nil {
				g.Fatal(err)
			}
			g.has("NoDelay set", s, on, false)
		}
		t.SetNoDelay(false)
		for _, on := range []bool{true, false, true} {
			if err := t.SetKeepAlive(on); err != nil {
				g.Fatal(err)
			}
			g.has("KeepAlive set", s, false, on)
		}
	}
}

func tcpOptionsAtBirth(g *rig) {
	for _, o := range []kernel.StreamOptions{{}, {NoDelay: true}, {KeepAlive: true}, {NoDelay: true, KeepAlive: true}} {
		listen, dial := kernel.ListenOptions{StreamOptions: o}, kernel.DialOptions{StreamOptions: o}
		c, s := g.connect(g.listen(local4(), &listen), nil)
		g.has("accepted", s, o.NoDelay, o.KeepAlive)
		g.has("dialled with nil", c, false, false)
		c, s = g.connect(g.listen(local4(), nil), &dial)
		g.has("dialled", c, o.NoDelay, o.KeepAlive)
		g.has("accepted with nil", s, false, false)
		if listen != (kernel.ListenOptions{StreamOptions: o}) || dial != (kernel.DialOptions{StreamOptions: o}) {
			g.Errorf("the options were changed to %+v and %+v", listen, dial)
		}
	}
}
