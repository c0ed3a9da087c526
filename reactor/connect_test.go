package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// dialer is a client's factory that notes what happens to it, and to the ends it
// builds.
type dialer struct {
	t        *testing.T
	events   []string
	c        *reactor.Connector // what StartedConnecting brought
	failure  error              // of ConnectionFailed
	loss     error              // of ConnectionEnded
	build    func() reactor.Protocol
	startErr error
	onStart  func(c *reactor.Connector)
	onFailed func(c *reactor.Connector)
	onEnded  func(c *reactor.Connector)
}

func (f *dialer) note(what string) { f.events = append(f.events, what) }

func (f *dialer) StartFactory() error { f.note("start"); return f.startErr }
func (f *dialer) StopFactory() error  { f.note("stop"); return nil }

func (f *dialer) BuildProtocol(kernel.Addr) reactor.Protocol {
	f.note("build")
	if f.build != nil {
		return f.build()
	}
	return new(end)
}

// heard notes a call and checks that it is about the one connector (TCP-37).
func (f *dialer) heard(what string, c *reactor.Connector, fn func(*reactor.Connector)) {
	f.note(what)
	if c == nil || f.c != nil && f.c != c {
		f.t.Errorf("%s with connector %p, not %p", what, c, f.c)
	}
	f.c = c
	if fn != nil {
		fn(c)
	}
}

func (f *dialer) StartedConnecting(c *reactor.Connector) { f.heard("started", c, f.onStart) }

func (f *dialer) ConnectionFailed(c *reactor.Connector, err error) {
	f.failure = err
	f.heard("failed", c, f.onFailed)
}

func (f *dialer) ConnectionEnded(c *reactor.Connector, err error) {
	f.loss = err
	f.heard("ended", c, f.onEnded)
}

// has tells whether the last event was what.
func (f *dialer) has(what string) bool {
	return len(f.events) > 0 && f.events[len(f.events)-1] == what
}

// names is a Resolver with an answer for every name; nil: none ever comes.
type names struct {
	answer    func() ([]netip.Addr, error)
	asked     []string
	cancelled int
}

func (n *names) Resolve(r *reactor.Reactor, name string, done func([]netip.Addr, error)) func() {
	n.asked = append(n.asked, name)
	over := false
	if n.answer != nil {
		r.Post(func() {
			if !over {
				done(n.answer())
			}
		})
	}
	return func() { over = true; n.cancelled++ }
}

// nobody is an address of the loopback where nobody listens.
func nobody(t *testing.T, r *reactor.Reactor) kernel.Addr {
	t.Helper()
	p := listen(t, r, &service{}, nil)
	stopped(t, p)
	return p.Addr()
}

// isConnectError checks that err is of a dial and has these causes.
func isConnectError(t *testing.T, err error, causes ...error) {
	t.Helper()
	if _, ok := errors.AsType[*reactor.OpError](err); !ok || !errors.Is(err, reactor.ErrConnect) {
		t.Errorf("%v (%T) is not of a dial", err, err)
	}
	for _, c := range causes {
		if !errors.Is(err, c) {
			t.Errorf("%v is not %v", err, c)
		}
	}
}

// TCP-28: the destination stays as it was given, a name too.
func TestDialDestination(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		n := &names{answer: func() ([]netip.Addr, error) { return []netip.Addr{loopback.IP.Addr()}, nil }}
		r := w.New(t, reactor.Config{Resolver: n})
		p := listen(t, r, &service{}, nil)
		dest := kernel.HostAddr("Server.Example", p.Addr().Port())
		f := &dialer{t: t}
		c := r.Dial(dest, f, nil, nil)
		if c.Destination() != dest {
			t.Errorf("destination %v", c.Destination())
		}
		until(t, r, c.Connected)
		if c.Destination() != dest {
			t.Errorf("destination %v when connected", c.Destination())
		}
	})
}

// startsWith is a dialer that does something when it is started.
type startsWith struct {
	*dialer
	do func()
}

func (f *startsWith) StartFactory() error { f.do(); return f.dialer.StartFactory() }

// TCP-30: what is done before Dial returns; TCP-31: what is not.
func TestDialOrder(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		n := &names{answer: func() ([]netip.Addr, error) { return []netip.Addr{loopback.IP.Addr()}, nil }}
		faults := &testworld.Faults{}
		r := testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{Resolver: n})
		p := listen(t, r, &service{}, nil)
		f := &dialer{t: t}
		f.onStart = func(c *reactor.Connector) {
			if !c.Connecting() || c.Connected() || len(r.DelayedCalls()) != 1 {
				t.Errorf("connecting %v, %d delayed calls", c.Connecting(), len(r.DelayedCalls()))
			}
		}
		result := 0
		timers := -1
		counts := &startsWith{f, func() { timers = len(r.DelayedCalls()) }}
		c := r.Dial(kernel.HostAddr("server", p.Addr().Port()), counts, nil, func(p reactor.Protocol, err error) {
			result++
			f.note("done")
			if err != nil || p.(*end).s == nil {
				t.Errorf("%v, %v", p, err)
			}
		})
		sameEvents(t, f.events, "start", "started") // that alone comes before Dial returns
		if timers != 0 {
			t.Errorf("TCP-30: the timer runs before the factory is started")
		}
		if f.c != c || len(n.asked) != 0 || faults.Calls["Dial"] != 0 || result != 0 {
			t.Errorf("asked %q, %d dials, %d results", n.asked, faults.Calls["Dial"], result)
		}
		until(t, r, c.Connected)
		sameEvents(t, f.events, "start", "started", "build", "done")
		sameEvents(t, n.asked, "server")
		if n := len(r.DelayedCalls()); n != 0 || result != 1 { // TCP-36: the timer is off
			t.Errorf("%d delayed calls, %d results", n, result)
		}
	})
}

// TCP-32: the local address is really used.
func TestDialBind(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var peer kernel.Addr
		p := listen(t, r, &service{build: func(a kernel.Addr) reactor.Protocol { peer = a; return new(end) }}, nil)
		bind := nobody(t, r)
		cli := new(end)
		r.Dial(p.Addr(), one(cli), &reactor.DialConfig{DialOptions: kernel.DialOptions{Bind: bind}}, nil)
		until(t, r, func() bool { return cli.s != nil && !peer.IsZero() })
		if cli.s.Local() != bind || peer != bind {
			t.Errorf("bound to %v: local %v, seen as %v", bind, cli.s.Local(), peer)
		}
		// A local address that cannot be used is a failure, which is reported later.
		f := &dialer{t: t}
		theirs := kernel.TCPAddr(netip.MustParseAddr("192.0.2.1"), 0)
		r.Dial(p.Addr(), f, &reactor.DialConfig{DialOptions: kernel.DialOptions{Bind: theirs}}, nil)
		sameEvents(t, f.events, "start", "started")
		until(t, r, func() bool { return f.has("stop") })
		sameEvents(t, f.events, "start", "started", "failed", "stop")
		isConnectError(t, f.failure, kernel.ErrAddrUnavailable)
		if op, _ := errors.AsType[*reactor.OpError](f.failure); op.Local != theirs {
			t.Errorf("local %v", op.Local)
		}
		f = &dialer{t: t}
		taken := listen(t, r, &service{}, nil).Addr()
		r.Dial(p.Addr(), f, &reactor.DialConfig{DialOptions: kernel.DialOptions{Bind: taken}}, nil)
		sameEvents(t, f.events, "start", "started")
		until(t, r, func() bool { return f.has("stop") })
		sameEvents(t, f.events, "start", "started", "failed", "stop")
		isConnectError(t, f.failure, kernel.ErrAddrInUse)
	})
}

// TCP-33: the limit is for look-up and connecting together.
func TestDialTimeout(t *testing.T) {
	short := &reactor.DialConfig{Timeout: 3 * time.Millisecond}
	worlds(t, func(t *testing.T, w testworld.World) {
		n := &names{}
		faults := &testworld.Faults{Connected: func() error { return kernel.ErrAgain }}
		r := testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{Resolver: n})
		srv := &service{}
		p := listen(t, r, srv, nil)
		for _, dest := range []kernel.Addr{kernel.HostAddr("nowhere", 7), p.Addr()} {
			f := &dialer{t: t}
			start := r.Now()
			c := r.Dial(dest, f, short, nil)
			until(t, r, func() bool { return f.has("stop") })
			sameEvents(t, f.events, "start", "started", "failed", "stop")
			isConnectError(t, f.failure, reactor.ErrConnectTimeout, kernel.ErrTimeout)
			if took := r.Now() - start; took < short.Timeout {
				t.Errorf("gave up after %v", took)
			}
			if c.Connecting() || len(r.DelayedCalls()) != 0 {
				t.Errorf("connecting %v, %d delayed calls", c.Connecting(), len(r.DelayedCalls()))
			}
		}
		if n.cancelled != 1 {
			t.Errorf("%d look-ups given up", n.cancelled)
		}
		// The socket of the second attempt is closed.
		until(t, r, func() bool { return len(srv.ends) == 1 && srv.ends[0].err == io.EOF })
	})
}

// TCP-33: zero is 30 s, negative no limit.
func TestDialTimeoutDefaults(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{Resolver: &names{}})
		now := r.Now()
		r.Dial(kernel.HostAddr("nowhere", 7), &dialer{t: t}, nil, nil)
		if calls := r.DelayedCalls(); len(calls) != 1 || calls[0].Due() < now+30*time.Second || calls[0].Due() > now+31*time.Second {
			t.Errorf("%v", calls)
		}
		r.Dial(kernel.HostAddr("nowhere", 7), &dialer{t: t}, &reactor.DialConfig{Timeout: -1}, nil)
		if calls := r.DelayedCalls(); len(calls) != 1 {
			t.Errorf("%v", calls)
		}
	})
}

// TCP-34: a literal does not ask the resolver.
func TestDialLiterals(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		n := &names{}
		r := w.New(t, reactor.Config{Resolver: n})
		p := listen(t, r, &service{}, nil)
		c := r.Dial(kernel.HostAddr("127.0.0.1", p.Addr().Port()), &dialer{t: t}, nil, nil)
		until(t, r, c.Connected)
		sameEvents(t, n.asked)
	})
}

// TCP-34: what is no address is not connected to, and nobody is asked. The error names it, as
// that of Listen does.
func TestInvalidAddresses(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		n := &names{}
		r := w.New(t, reactor.Config{Resolver: n})
		port := listen(t, r, &service{}, nil).Addr().Port()
		for _, x := range []struct {
			a      kernel.Addr
			listen bool // it is none to listen on either
			kind   error
		}{
			{kernel.Addr{}, true, kernel.ErrInvalidAddr},
			{kernel.Addr{Net: kernel.TCP}, true, kernel.ErrInvalidAddr},
			{kernel.TCPAddr(netip.Addr{}, port), true, kernel.ErrInvalidAddr},
			{kernel.HostAddr("", port), true, kernel.ErrInvalidAddr},
			{kernel.HostAddr("some.example", 0), true, kernel.ErrInvalidAddr},
			{loopback, false, kernel.ErrInvalidAddr}, // no port
			{kernel.Addr{Net: kernel.UDP, IP: netip.AddrPortFrom(loopback.IP.Addr(), port)}, true, kernel.ErrUnsupported},
		} {
			var got error
			r.Dial(x.a, one(new(end)), nil, func(p reactor.Protocol, err error) {
				if p != nil {
					t.Errorf("connected to %+v", x.a)
				}
				got = err
			})
			until(t, r, func() bool { return got != nil })
			check := func(what string, err, kind error) {
				bad, ok := errors.AsType[*kernel.AddrError](err)
				if !ok || bad.Addr != x.a || bad.Reason == "" || !errors.Is(err, x.kind) || !errors.Is(err, kind) {
					t.Errorf("%s %+v: %v", what, x.a, err)
				}
			}
			check("Dial", got, reactor.ErrConnect)
			if x.listen {
				_, err := r.Listen(x.a, &service{}, nil)
				check("Listen", err, reactor.ErrListen)
			}
		}
		sameEvents(t, n.asked)
		// As a local address, the zero Addr alone leaves the choice to the system.
		var got error
		r.Dial(kernel.TCPAddr(loopback.IP.Addr(), port), one(new(end)),
			&reactor.DialConfig{DialOptions: kernel.DialOptions{Bind: kernel.TCPAddr(netip.Addr{}, port)}},
			func(_ reactor.Protocol, err error) { got = err })
		until(t, r, func() bool { return got != nil })
		if bad, ok := errors.AsType[*kernel.AddrError](got); !ok || bad.Op != kernel.OpBind || !errors.Is(got, kernel.ErrInvalidAddr) {
			t.Errorf("bound to a port without an IP: %v", got)
		}
	})
}

// TCP-34: an IPv6 literal gives IPv6 addresses.
func TestDialIPv6Literal(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		needIPv6(t, w)
		n := &names{}
		r := w.New(t, reactor.Config{Resolver: n})
		p, err := r.Listen(kernel.TCPAddr(netip.IPv6Loopback(), 0), &service{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		cli := new(end)
		r.Dial(kernel.HostAddr("::1", p.Addr().Port()), one(cli), nil, nil)
		until(t, r, func() bool { return cli.s != nil })
		sameEvents(t, n.asked)
		if cli.s.Remote() != p.Addr() || cli.s.Local().IP.Addr() != netip.IPv6Loopback() {
			t.Errorf("%v to %v", cli.s.Local(), cli.s.Remote())
		}
	})
}

// TCP-34: every address of a name is tried, of both families, in the resolver's order, before the
// attempt has failed.
func TestDialEveryAddress(t *testing.T) {
	ips := []netip.Addr{netip.MustParseAddr("127.0.0.3"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("127.0.0.2"), loopback.IP.Addr(), netip.MustParseAddr("127.0.0.4")}
	worlds(t, func(t *testing.T, w testworld.World) {
		n := &names{answer: func() ([]netip.Addr, error) { return ips, nil }}
		var tried []netip.Addr
		faults := &testworld.Faults{Dial: func(a kernel.Addr) error {
			tried = append(tried, a.IP.Addr())
			if a.IP.Addr() != loopback.IP.Addr() { // the others are nobody's
				return fmt.Errorf("connect: %w", kernel.ErrNoRoute)
			}
			return nil
		}}
		r := testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{Resolver: n})
		p := listen(t, r, &service{}, nil)
		f := &dialer{t: t}
		c := r.Dial(kernel.HostAddr("server", p.Addr().Port()), f, nil, nil)
		until(t, r, c.Connected)
		if fmt.Sprint(tried) != fmt.Sprint(ips[:4]) {
			t.Errorf("tried %v", tried)
		}
		sameEvents(t, f.events, "start", "started", "build")
		// No address works: there is one failure, with every cause.
		f, tried = &dialer{t: t}, nil
		r.Dial(kernel.HostAddr("server", nobody(t, r).Port()), f, nil, nil)
		until(t, r, func() bool { return f.has("stop") })
		sameEvents(t, f.events, "start", "started", "failed", "stop")
		isConnectError(t, f.failure, kernel.ErrNoRoute, kernel.ErrRefused)
		if fmt.Sprint(tried) != fmt.Sprint(ips) {
			t.Errorf("tried %v", tried)
		}
	})
}

// TCP-34: a name that nobody knows is a failure of the attempt.
func TestDialUnknownHost(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		why := errors.New("no such name")
		r := w.New(t, reactor.Config{Resolver: &names{answer: func() ([]netip.Addr, error) { return nil, why }}})
		f := &dialer{t: t}
		r.Dial(kernel.HostAddr("nobody", 7), f, nil, nil)
		until(t, r, func() bool { return f.has("stop") })
		sameEvents(t, f.events, "start", "started", "failed", "stop")
		isConnectError(t, f.failure, reactor.ErrUnknownHost, why)
	})
}

// TCP-35: refused. TCP-37: always the connector that Dial returned. TCP-41: the
// order of a failure.
func TestDialRefused(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		f := &dialer{t: t}
		f.onFailed = func(c *reactor.Connector) {
			if c.Connecting() || c.Connected() || len(r.DelayedCalls()) != 0 { // TCP-41
				t.Errorf("in ConnectionFailed: connecting %v, %d delayed calls", c.Connecting(), len(r.DelayedCalls()))
			}
		}
		var told error
		c := r.Dial(nobody(t, r), f, nil, func(p reactor.Protocol, err error) {
			f.note("done")
			told = err
			if p != nil {
				t.Errorf("failed, with protocol %v", p)
			}
		})
		until(t, r, func() bool { return f.has("stop") })
		sameEvents(t, f.events, "start", "started", "failed", "done", "stop")
		isConnectError(t, f.failure, kernel.ErrRefused)
		if told != f.failure || f.c != c {
			t.Errorf("told %v and %v, with %p and %p", told, f.failure, f.c, c)
		}
	})
}

// TCP-36: addresses are literal and the same on both sides. When the protocol is built the timer is
// off, and the connector is connected before ConnectionMade.
func TestDialAddresses(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		n := &names{answer: func() ([]netip.Addr, error) { return []netip.Addr{loopback.IP.Addr()}, nil }}
		r := w.New(t, reactor.Config{Resolver: n})
		srv, cli := new(end), new(end)
		var seen, peer kernel.Addr
		p := listen(t, r, reactor.FactoryFunc(func(a kernel.Addr) reactor.Protocol { seen = a; return srv }), nil)
		var c *reactor.Connector
		f := reactor.FactoryFunc(func(a kernel.Addr) reactor.Protocol {
			if n := len(r.DelayedCalls()); n != 0 || c.Connected() {
				t.Errorf("TCP-36: %d delayed calls in BuildProtocol, connected %v", n, c.Connected())
			}
			peer = a
			return cli
		})
		cli.onMade = func() {
			if !c.Connected() || c.Connecting() {
				t.Error("not connected in ConnectionMade")
			}
		}
		c = r.Dial(kernel.HostAddr("server", p.Addr().Port()), f, nil, nil)
		until(t, r, func() bool { return srv.s != nil && cli.s != nil })
		if peer != p.Addr() || cli.s.Remote() != peer || srv.s.Local() != peer {
			t.Errorf("built for %v, remote %v, the server is %v", peer, cli.s.Remote(), srv.s.Local())
		}
		if seen != cli.s.Local() || srv.s.Remote() != seen {
			t.Errorf("built for %v, remote %v, the client is %v", seen, srv.s.Remote(), cli.s.Local())
		}
	})
}

// TCP-47: what cannot be connected to fails at once, not at the time limit.
func TestDialPortZero(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		f := &dialer{t: t}
		r.Dial(loopback, f, &reactor.DialConfig{Timeout: -1}, nil)
		until(t, r, func() bool { return f.has("stop") })
		isConnectError(t, f.failure)
	})
}

// TCP-48: an attempt ends with the reactor, wherever it stands.
func TestDialUntilTheReactorStops(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		faults := &testworld.Faults{Connected: func() error { return kernel.ErrAgain }}
		r := testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{Resolver: &names{}})
		p := listen(t, r, &service{}, nil)
		var all []*dialer
		dial := func(a kernel.Addr) {
			f := &dialer{t: t}
			all = append(all, f)
			r.Dial(a, f, nil, nil)
		}
		dial(p.Addr())
		dial(kernel.HostAddr("nowhere", 7))
		r.AddTrigger(reactor.Before, reactor.Shutdown, func() { dial(p.Addr()) }) // not begun yet
		r.CallLater(2*time.Millisecond, func() { r.Stop() })
		if err := r.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if len(all) != 3 {
			t.Fatalf("%d attempts", len(all))
		}
		for _, f := range all {
			sameEvents(t, f.events, "start", "started", "failed", "stop")
			isConnectError(t, f.failure, reactor.ErrStopped)
		}
		if n := len(r.DelayedCalls()); n != 0 {
			t.Errorf("%d delayed calls", n)
		}
	})
}
