package kerneltest

import (
	"errors"
	"net/netip"

	"github.com/whorl-go/whorl/kernel"
)

func dialPromises() []promise {
	return []promise{
		{"Connected", connected},
		{"Refused", refused},
		{"SelfConnect", selfConnect},
		{"DialCloseEarly", dialCloseEarly},
		{"DialUnspecified", dialUnspecified},
		{"InvalidAddr", invalidAddr},
		{"Bind", bind},
		{"BindFails", bindFails},
		{"IPv6", ipv6},
	}
}

// outcome takes the results of Dial and waits until the dial has ended. It returns the
// error.
func (g *rig) outcome(c kernel.Conn, err error) error {
	g.Helper()
	if err != nil {
		return err
	}
	keep(g, c)
	if err := c.Connected(); err != kernel.ErrAgain {
		return err
	}
	g.becomes(c, kernel.Writable)
	return c.Connected()
}

func connected(g *rig) {
	l := g.listen(local4(), nil)
	for range 5 {
		c, s := g.connect(l, nil)
		for range 3 {
			if err := c.Connected(); err != nil {
				g.Fatalf("Connected: %v", err)
			}
		}
		if c.Remote() != l.Local() || s.Local() != l.Local() || s.Remote() != c.Local() {
			g.Errorf("dialled %v to %v, accepted %v from %v", c.Local(), c.Remote(), s.Local(), s.Remote())
		}
		// The addresses outlive the connection.
		local, remote := c.Local(), c.Remote()
		c.Close()
		if c.Local() != local || c.Remote() != remote {
			g.Errorf("after Close %v to %v", c.Local(), c.Remote())
		}
	}
}

func refused(g *rig) {
	l := g.listen(local4(), nil)
	a := l.Local()
	l.Close()
	c, err := g.k.Dial(a, nil)
	early := err != nil
	err = g.outcome(c, err)
	g.isOne("Dial where nobody listens", err, kernel.ErrRefused)
	if early {
		return
	}
	for range 3 { // it does not change
		g.isOne("Connected, again", c.Connected(), kernel.ErrRefused)
	}
	if err := c.Close(); err != nil {
		g.Error(err)
	}
}

// selfConnect: a conn that was dialled from the very port that it dials to is connected to
// itself or refused, as the system has it. The port is free afterwards. Without Bind no conn is
// connected to itself (TCP-35).
func selfConnect(g *rig) {
	tries := 20 // somebody else may have taken the port
	for !g.connectsToItself() {
		if tries--; tries == 0 {
			g.Fatal("the port is never free afterwards")
		}
	}
	l := g.listen(local4(), nil)
	a := l.Local()
	l.Close()
	for range 200 {
		c, err := g.k.Dial(a, nil)
		if err = g.outcome(c, err); err == nil && c.Local() == c.Remote() {
			g.Fatalf("%v is connected to itself", a)
		}
		if c != nil { // it may have been refused at once
			c.Close()
			g.gone(c)
		}
	}
}

// connectsToItself dials a free port from itself. It returns false if the port is not free
// before or afterwards.
func (g *rig) connectsToItself() bool {
	g.Helper()
	l := g.listen(local4(), nil)
	a := l.Local()
	l.Close()
	c, err := g.k.Dial(a, &kernel.DialOptions{Bind: a})
	if errors.Is(err, kernel.ErrAddrInUse) {
		return false
	}
	if err = g.outcome(c, err); err == nil {
		if c.Local() != a || c.Remote() != a {
			g.Errorf("dialled %v from itself: connected %v to %v", a, c.Local(), c.Remote())
		}
		g.send(c, []byte("hello"))
		g.receive(c, 5)
	} else {
		g.isOne("Dial from the same port", err, kernel.ErrRefused)
	}
	if c != nil {
		c.Abort()
		g.gone(c)
	}
	l, err = g.k.Listen(a, nil)
	if err == nil {
		keep(g, l)
	} else {
		g.isOne("Listen on a port that was connected to itself", err, kernel.ErrAddrInUse)
	}
	return err == nil
}

// dialCloseEarly: a dial may be given up at any time.
func dialCloseEarly(g *rig) {
	l := g.listen(local4(), nil)
	for range 10 {
		c := g.dial(l, nil)
		if err := c.Abort(); err != nil {
			g.Fatal(err)
		}
		c = g.dial(l, nil)
		g.arm(c, kernel.Writable)
		if err := c.Close(); err != nil {
			g.Fatal(err)
		}
		g.gone(c)
	}
	g.exactly(g.k.Now() + moment)
}

// invalidAddr: what is no address is refused, in the same way by Listen, by Dial and for Bind,
// before the system is asked.
func invalidAddr(g *rig) {
	udp := kernel.Addr{Net: kernel.UDP, IP: netip.AddrPortFrom(local4(), 80)}
	to := g.listen(local4(), nil).Local()
	bad := []kernel.Addr{{}, {Net: kernel.TCP}, kernel.TCPAddr(netip.Addr{}, 80), kernel.HostAddr("example.net", 80),
		kernel.HostAddr("", 80), udp}
	for _, a := range bad {
		kind := kernel.ErrInvalidAddr
		if a == udp {
			kind = kernel.ErrUnsupported
		}
		_, err := g.k.Listen(a, nil)
		g.isAddr("Listen", err, kernel.OpListen, a, kind)
		_, err = g.k.Dial(a, nil)
		g.isAddr("Dial", err, kernel.OpConnect, a, kind)
		if !a.IsZero() {
			_, err = g.k.Dial(to, &kernel.DialOptions{Bind: a})
			g.isAddr("Bind", err, kernel.OpBind, a, kind)
		}
	}
	for _, ip := range []netip.Addr{local4(), local6(), netip.IPv4Unspecified()} {
		a := kernel.TCPAddr(ip, 0)
		_, err := g.k.Dial(a, nil)
		g.isAddr("Dial", err, kernel.OpConnect, a, kernel.ErrInvalidAddr)
	}
}

// isAddr fails unless err is an AddrError with these fields.
func (g *rig) isAddr(what string, err error, op string, a kernel.Addr, kind error) {
	g.Helper()
	e, ok := errors.AsType[*kernel.AddrError](err)
	if !ok || e.Op != op || e.Addr != a || e.Kind != kind || e.Reason == "" || !errors.Is(err, kind) {
		g.Errorf("%s with %+v: %v (%T); want %s, %v", what, a, err, err, op, kind)
	}
}

func bind(g *rig) {
	l := g.listen(local4(), nil)
	c, s := g.connect(l, &kernel.DialOptions{Bind: kernel.TCPAddr(local4(), 0)})
	if c.Local().IP.Addr() != local4() || c.Local().Port() == 0 || s.Remote() != c.Local() {
		g.Errorf("bound to %v, the peer sees %v", c.Local(), s.Remote())
	}
	// Ask the listener for its address before it is closed.
	probe := g.listen(local4(), nil)
	want := probe.Local()
	probe.Close()
	c, s = g.connect(l, &kernel.DialOptions{Bind: want})
	if c.Local() != want || s.Remote() != want {
		g.Errorf("bound to %v instead of %v, the peer sees %v", c.Local(), want, s.Remote())
	}
}

// dialUnspecified: a dial to the unspecified address, as a port on all addresses says that it has it, comes to this host, and Remote says so.
func dialUnspecified(g *rig) {
	for ip, all := range map[netip.Addr]netip.Addr{local4(): netip.IPv4Unspecified(), local6(): netip.IPv6Unspecified()} {
		l := g.listen(all, nil)
		c, s := g.connect(l, nil)
		if want := kernel.TCPAddr(ip, l.Local().Port()); c.Remote() != want || s.Local() != want {
			g.Errorf("a dial to %v is connected to %v, and comes to %v", l.Local(), c.Remote(), s.Local())
		}
	}
}

func bindFails(g *rig) {
	l, other := g.listen(local4(), nil), g.listen(local4(), nil)
	c, err := g.k.Dial(l.Local(), &kernel.DialOptions{Bind: other.Local()})
	g.isOne("Dial from an address in use", g.outcome(c, err), kernel.ErrAddrInUse)

	// 192.0.2.0/24 is for documentation, so no host has it.
	nowhere := kernel.TCPAddr(netip.AddrFrom4([4]byte{192, 0, 2, 77}), 0)
	c, err = g.k.Dial(l.Local(), &kernel.DialOptions{Bind: nowhere})
	g.isOne("Dial from another's address", g.outcome(c, err), kernel.ErrAddrUnavailable)
	_, err = g.k.Listen(nowhere, nil)
	g.isOne("Listen on another's address", err, kernel.ErrAddrUnavailable)

	for _, a := range []kernel.Addr{{Net: kernel.TCP}, kernel.HostAddr("localhost", 1)} {
		if c, err := g.k.Dial(l.Local(), &kernel.DialOptions{Bind: a}); err == nil {
			g.Errorf("Dial from %+v works", a)
			c.Close()
		}
	}

	for _, ip := range []netip.Addr{netip.IPv6Unspecified(), local6()} {
		var e *kernel.SysError
		c, err := g.k.Dial(l.Local(), &kernel.DialOptions{Bind: kernel.TCPAddr(ip, 0)})
		if err := g.outcome(c, err); !errors.As(err, &e) || e.Op != kernel.OpBind {
			g.Errorf("Dial by IPv4 from %v: %v; want an error of %s", ip, err, kernel.OpBind)
		}
	}
}

// ipv6: an IPv6 listener is for IPv6 alone (TCP-6).
func ipv6(g *rig) {
	l, l4, alone := g.bothFamilies()
	g.isOne("Dial by IPv4 to an IPv6 listener (TCP-6)", alone, kernel.ErrRefused)
	port := l.Local().Port()
	for _, way := range []struct {
		ip netip.Addr
		l  kernel.Listener
	}{{local4(), l4}, {local6(), l}} {
		c, err := g.k.Dial(kernel.TCPAddr(way.ip, port), nil)
		if err := g.outcome(c, err); err != nil {
			g.Fatalf("Dial %v: %v", way.ip, err)
		}
		s := g.accept(way.l)
		if s.Remote() != c.Local() || s.Local() != c.Remote() || s.Remote().IP.Addr() != way.ip {
			g.Errorf("accepted %v from %v; dialled %v from %v", s.Local(), s.Remote(), c.Remote(), c.Local())
		}
		g.send(c, []byte("x"))
		g.receive(s, 1)
	}
}

// bothFamilies returns an IPv6 and an IPv4 listener on one port number, and what a dial by IPv4 came
// to before the second was there. Another process may hold that number in IPv4. Then another number
// is tried, because that dial may have reached the other process.
func (g *rig) bothFamilies() (six, four kernel.Listener, alone error) {
	g.Helper()
	for tries := 0; ; tries++ {
		l, err := g.k.Listen(kernel.TCPAddr(netip.IPv6Unspecified(), 0), nil)
		if errors.Is(err, kernel.ErrAddrUnavailable) || errors.Is(err, kernel.ErrUnsupported) {
			g.Skipf("no IPv6 here: %v", err)
		}
		if err != nil {
			g.Fatal(err)
		}
		keep(g, l)
		port := l.Local().Port()
		c, err := g.k.Dial(kernel.TCPAddr(local4(), port), nil)
		alone := g.outcome(c, err)
		l4, err := g.k.Listen(kernel.TCPAddr(netip.IPv4Unspecified(), port), nil)
		switch {
		case err == nil:
			return l, keep(g, l4), alone
		case !errors.Is(err, kernel.ErrAddrInUse) || tries == 20:
			g.Fatalf("Listen on the same port by IPv4 (TCP-6): %v", err)
		}
	}
}
