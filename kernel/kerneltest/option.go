package kerneltest

import (
	"errors"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

func optionPromises() []promise {
	return []promise{
		{"TCPOptions", tcpOptions},
		{"TCPOptionsAtBirth", tcpOptionsAtBirth},
		{"Probes", probes},
		{"UserTimeout", userTimeout},
		{"Buffers", buffers},
		{"OptionErrors", optionErrors},
		{"OptionsOfClosed", optionsOfClosed},
		{"Control", control},
		{"ReusePort", reusePort},
		{"ReuseAddr", reuseAddr},
	}
}

// optioned returns a connection and the options of its ends.
func (g *rig) optioned(listen *kernel.ListenOptions, dial *kernel.DialOptions) (c, s kernel.Conn, tc, ts kernel.TCPConn) {
	g.Helper()
	return g.options(g.connect(g.listen(local4(), listen), dial))
}

// options returns the options of two conns, dialled and accepted. If one has options, the
// other must have them too. If none has, the test is skipped.
func (g *rig) options(c, s kernel.Conn) (_, _ kernel.Conn, tc, ts kernel.TCPConn) {
	g.Helper()
	tc, dialled := kernel.ConnAs[kernel.TCPConn](c)
	ts, accepted := kernel.ConnAs[kernel.TCPConn](s)
	switch {
	case dialled != accepted:
		g.Fatalf("a kernel.TCPConn is the dialled conn: %v, the accepted one: %v", dialled, accepted)
	case !dialled:
		g.Skip("no kernel.TCPConn")
	}
	return c, s, tc, ts
}

// has checks the values of two options.
func (g *rig) has(what string, t kernel.TCPConn, noDelay, keepAlive bool) {
	g.Helper()
	if on, err := t.NoDelay(); err != nil || on != noDelay {
		g.Errorf("%s: NoDelay: %v, %v; want %v", what, on, err, noDelay)
	}
	if on, err := t.KeepAlive(); err != nil || on != keepAlive {
		g.Errorf("%s: KeepAlive: %v, %v; want %v", what, on, err, keepAlive)
	}
}

// tcpOptions: small segments are sent at once by default, and KeepAlive is off. A getter
// returns what was set (TCP-63).
func tcpOptions(g *rig) {
	_, _, tc, ts := g.optioned(nil, nil)
	for _, t := range []kernel.TCPConn{tc, ts} {
		g.has("by default", t, true, false)
		for _, on := range []bool{false, false, true, true, false} {
			if err := t.SetNoDelay(on); err != nil {
				g.Fatal(err)
			}
			g.has("NoDelay set", t, on, false)
		}
		for _, on := range []bool{true, false, true} {
			if err := t.SetKeepAlive(on); err != nil {
				g.Fatal(err)
			}
			g.has("KeepAlive set", t, false, on)
		}
	}
}

// tcpOptionsAtBirth: the options of Dial are those of the conn, and the options of Listen
// are those of each accepted conn (TCP-63).
func tcpOptionsAtBirth(g *rig) {
	for _, o := range []kernel.StreamOptions{{}, {Nagle: true}, {KeepAlive: true}, {Nagle: true, KeepAlive: true}} {
		_, _, tc, ts := g.optioned(&kernel.ListenOptions{StreamOptions: o}, nil)
		g.has("accepted", ts, !o.Nagle, o.KeepAlive)
		g.has("dialled with nil", tc, true, false)
		_, _, tc, ts = g.optioned(nil, &kernel.DialOptions{StreamOptions: o})
		g.has("dialled", tc, !o.Nagle, o.KeepAlive)
		g.has("accepted with nil", ts, true, false)
	}
}

// supported skips the test if err says that the system lacks the option, by its name.
func (g *rig) supported(option string, err error) {
	g.Helper()
	e, ok := errors.AsType[*kernel.OptionError](err)
	switch {
	case err == nil:
	case ok && e.Option == option && errors.Is(err, kernel.ErrUnsupported):
		g.Skipf("this system: %v", err)
	default:
		g.Fatalf("%s: %v", option, err)
	}
}

// probes: KeepAlive probes after 15 s, every 15 s, and 9 times, unless the Probes say
// otherwise. Accepted conns have those of the listener (TCP-85).
func probes(g *rig) {
	usual := kernel.Probes{KeepIdle: 15 * time.Second, KeepInterval: 15 * time.Second, KeepCount: 9}
	whole := kernel.Probes{KeepIdle: 3 * time.Second, KeepInterval: 2 * time.Second, KeepCount: 4}
	for _, x := range []struct{ given, want kernel.Probes }{
		{kernel.Probes{}, usual},
		{whole, whole},
		{kernel.Probes{KeepIdle: 2100 * time.Millisecond, KeepInterval: 1, KeepCount: 1}, kernel.Probes{KeepIdle: 3 * time.Second, KeepInterval: time.Second, KeepCount: 1}},
		{kernel.Probes{KeepCount: 127}, kernel.Probes{KeepIdle: 15 * time.Second, KeepInterval: 15 * time.Second, KeepCount: 127}},
	} {
		o := kernel.StreamOptions{KeepAlive: true, Probes: x.given}
		_, _, tc, ts := g.optioned(&kernel.ListenOptions{StreamOptions: o}, &kernel.DialOptions{StreamOptions: o})
		for what, t := range map[string]kernel.TCPConn{"dialled": tc, "accepted": ts} {
			check := func(when string, want kernel.Probes) {
				p, err := t.Probes()
				g.supported("KeepIdle", err)
				if p != want {
					g.Errorf("%s %s: %+v; want %+v", what, when, p, want)
				}
				g.has(what, t, true, true)
			}
			check("at birth", x.want)
			if err := errors.Join(t.SetKeepAlive(false), t.SetKeepAlive(true)); err != nil {
				g.Fatal(err)
			}
			check("turned on again", usual)
			if err := errors.Join(t.SetKeepAlive(false), t.SetProbes(x.given)); err != nil {
				g.Fatal(err)
			}
			check("set", x.want)
		}
	}
}

// userTimeout: it is none, unless it was given, and is rounded up to milliseconds (TCP-86).
func userTimeout(g *rig) {
	for _, x := range []struct{ given, want time.Duration }{{0, 0}, {1, time.Millisecond}, {1500 * time.Millisecond, 1500 * time.Millisecond}} {
		o := kernel.StreamOptions{UserTimeout: x.given}
		l, err := g.k.Listen(kernel.TCPAddr(local4(), 0), &kernel.ListenOptions{StreamOptions: o})
		g.supported("UserTimeout", err)
		keep(g, l)
		_, _, tc, ts := g.options(g.connect(l, &kernel.DialOptions{StreamOptions: o}))
		for what, t := range map[string]kernel.TCPConn{"dialled": tc, "accepted": ts} {
			for _, when := range []string{"at birth", "set"} {
				if d, err := t.UserTimeout(); err != nil || d != x.want {
					g.Errorf("%s %s: UserTimeout %v, %v; want %v", what, when, d, err, x.want)
				}
				if err := errors.Join(t.SetUserTimeout(time.Hour), t.SetUserTimeout(x.given)); err != nil {
					g.Error(err)
				}
			}
		}
	}
}

// buffers: the system gives at least what was asked for, if that is less than its limit. All
// bytes arrive through buffers of any size (TCP-87).
func buffers(g *rig) {
	o := kernel.StreamOptions{SendBuffer: 10_000, RecvBuffer: 20_000}
	c, s, tc, ts := g.optioned(&kernel.ListenOptions{StreamOptions: o}, &kernel.DialOptions{StreamOptions: o})
	for what, t := range map[string]kernel.TCPConn{"dialled": tc, "accepted": ts} {
		size := func(option string, got int, err error, want int) {
			if err != nil || got < want || got > 2*want {
				g.Errorf("%s: %s is %d, %v; want %d", what, option, got, err, want)
			}
		}
		n, err := t.SendBuffer()
		size("SendBuffer", n, err, 10_000)
		n, err = t.RecvBuffer()
		size("RecvBuffer", n, err, 20_000)
		if err := errors.Join(t.SetSendBuffer(30_000), t.SetRecvBuffer(40_000)); err != nil {
			g.Fatal(err)
		}
		n, err = t.SendBuffer()
		size("SendBuffer set", n, err, 30_000)
		n, err = t.RecvBuffer()
		size("RecvBuffer set", n, err, 40_000)
	}
	// Nobody reads: what is taken is bounded by both buffers.
	sent := 0
	for sent < 1<<20 {
		n, err := c.Write(make([]byte, 4096))
		if err == kernel.ErrAgain {
			if until := g.k.Now() + moment; len(g.wait(until)) == 0 && g.k.Now() >= until {
				if _, err = c.Write([]byte{0}); err == kernel.ErrAgain {
					break
				}
				n = 1
			}
		} else if err != nil {
			g.Fatal(err)
		}
		sent += n
	}
	if sent < 30_000 || sent > 300_000 {
		g.Errorf("%d bytes were taken by buffers of 30,000 and 40,000", sent)
	}
	if err := ts.SetRecvBuffer(100_000); err != nil {
		g.Fatal(err)
	}
	g.receive(s, sent)
	g.send(c, make([]byte, 1000))
	g.receive(s, 1000)
}
