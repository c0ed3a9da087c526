//go:build unix

package reactor_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// ERR-1, ERR-2: which error is which other.
func TestErrorTree(t *testing.T) {
	op := func(op string, err error) error { return &reactor.OpError{Op: op, Err: err} }
	for _, c := range []struct {
		err, parent error
		want        bool
	}{
		// ERR-1: whatever fails to connect is ErrConnect, and its cause.
		{op("dial", kernel.ErrRefused), reactor.ErrConnect, true},
		{op("dial", kernel.ErrRefused), kernel.ErrRefused, true},
		{op("dial", kernel.ErrRefused), reactor.ErrLost, false},
		{op("dial", kernel.ErrAddrInUse), reactor.ErrConnect, true},
		{op("resolve", reactor.ErrUnknownHost), reactor.ErrConnect, true},
		{op("dial", reactor.ErrUnknownService), reactor.ErrUnknownService, true},
		{op("dial", reactor.ErrConnectTimeout), reactor.ErrConnect, true},
		{reactor.ErrConnectTimeout, kernel.ErrTimeout, true},
		{reactor.ErrConnectTimeout, os.ErrDeadlineExceeded, true},
		// ERR-1: an unclean end is ErrLost; a clean one is not.
		{reactor.ErrAborted, reactor.ErrLost, true},
		{reactor.ErrBufferFull, reactor.ErrLost, true},
		{reactor.ErrStopped, reactor.ErrLost, true},
		{op("read", kernel.ErrReset), reactor.ErrLost, true},
		{op("write", kernel.ErrBroken), reactor.ErrLost, true},
		{op("arm", kernel.ErrBadDescriptor), reactor.ErrLost, true},
		{reactor.ErrClosed, reactor.ErrLost, false},
		{io.EOF, reactor.ErrLost, false},
		{reactor.ErrClosed, net.ErrClosed, true},
		{reactor.ErrWriteClosed, net.ErrClosed, true},
		{reactor.ErrLost, reactor.ErrAborted, false},
		// ERR-1: a port that does not open.
		{op("listen", kernel.ErrAddrInUse), reactor.ErrListen, true},
		{op("listen", kernel.ErrAddrInUse), kernel.ErrAddrInUse, true},
		{op("listen", kernel.ErrAddrInUse), reactor.ErrConnect, false},
		// ERR-2: the rest.
		{reactor.ErrDescriptorGone, reactor.ErrLost, true},
		{op("dial", reactor.ErrCancelled), reactor.ErrConnect, true},
		{op("dial", reactor.ErrCancelled), reactor.ErrCancelled, true},
		{reactor.ErrNoProtocol, reactor.ErrClosed, true},
		{op("listen", reactor.ErrAlreadyListening), reactor.ErrAlreadyListening, true},
		{op("dial", kernel.ErrUnsupported), kernel.ErrUnsupported, true},
		{reactor.ErrNotConnecting, reactor.ErrConnect, false},
	} {
		if got := errors.Is(c.err, c.parent); got != c.want {
			t.Errorf("ERR-1 ERR-2: errors.Is(%v, %v) is %v", c.err, c.parent, got)
		}
	}
	// ERR-2: each of these is itself, and none of the others.
	own := []error{reactor.ErrCancelled, reactor.ErrNotConnecting, reactor.ErrNoProtocol, reactor.ErrAlreadyListening,
		reactor.ErrUnknownHost, reactor.ErrUnknownService, reactor.ErrDescriptorGone}
	for i, a := range own {
		for j, b := range own {
			if errors.Is(a, b) != (i == j) {
				t.Errorf("ERR-2: errors.Is(%v, %v) is %v", a, b, i != j)
			}
		}
	}
	var as *reactor.OpError
	e := op("listen", kernel.ErrPermission)
	if !errors.As(e, &as) || as.Op != "listen" || as.Err != kernel.ErrPermission {
		t.Error("ERR-1: an OpError does not tell interface and cause")
	}
}

// What the system says when connecting, in the reactor's words.
func TestConnectErrors(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		port := listen(t, r, one(new(end)), nil)
		for _, c := range []struct {
			errno syscall.Errno
			want  error // nil: only ErrConnect
		}{
			{syscall.ENETUNREACH, kernel.ErrNoRoute},
			{syscall.EHOSTUNREACH, kernel.ErrNoRoute},
			{syscall.ECONNREFUSED, kernel.ErrRefused},
			{syscall.ETIMEDOUT, kernel.ErrTimeout},
			{syscall.EADDRNOTAVAIL, kernel.ErrAddrUnavailable},
			{syscall.EISDIR, nil},
		} {
			for _, where := range []string{"Dial", "Connected"} {
				cause := native.SysError("connect", c.errno)
				f.Dial, f.Connected = nil, nil
				if where == "Dial" {
					f.Dial = func(kernel.Addr) error { return cause }
				} else {
					f.Connected = func() error { return cause }
				}
				var got error
				r.Dial(port.Addr(), one(new(end)), nil, func(_ reactor.Protocol, err error) { got = err })
				if got != nil {
					t.Errorf("X-2: the failure of a dial was told inside it: %v", got)
				}
				until(t, r, func() bool { return got != nil })
				var errno syscall.Errno
				if !errors.Is(got, reactor.ErrConnect) || !errors.As(got, &errno) || errno != c.errno {
					t.Errorf("ERR-3: %v from %s became %v", c.errno, where, got)
				}
				for _, s := range []error{kernel.ErrNoRoute, kernel.ErrRefused, kernel.ErrTimeout, kernel.ErrAddrUnavailable} {
					if errors.Is(got, s) != (s == c.want) {
						t.Errorf("ERR-3: errors.Is(%v, %v) is %v", got, s, s != c.want)
					}
				}
				// ERR-4: the text says what, where and why.
				if text := "dial tcp " + port.Addr().String() + ": connect: " + c.errno.Error(); got.Error() != text {
					t.Errorf("ERR-4: %q, want %q", got.Error(), text)
				}
			}
		}
	})
}

// The same for real: nobody listens.
func TestConnectRefused(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		port := listen(t, r, one(new(end)), nil)
		stopped := false
		port.StopListening(func(error) { stopped = true })
		if stopped {
			t.Error("X-2: the end of listening was told inside StopListening")
		}
		until(t, r, func() bool { return stopped })
		var got error
		r.Dial(port.Addr(), one(new(end)), nil, func(_ reactor.Protocol, err error) { got = err })
		until(t, r, func() bool { return got != nil })
		if !errors.Is(got, reactor.ErrConnect) || !errors.Is(got, kernel.ErrRefused) || !errors.Is(got, syscall.ECONNREFUSED) {
			t.Errorf("ERR-3: %v", got)
		}
		if !strings.Contains(got.Error(), port.Addr().String()) || !strings.Contains(got.Error(), syscall.ECONNREFUSED.Error()) {
			t.Errorf("ERR-4: %q", got)
		}
	})
}

// resolver is a Resolver that knows no name, and notes what it was asked.
type resolver struct{ asked []string }

func (v *resolver) Resolve(r *reactor.Reactor, name string, done func([]netip.Addr, error)) func() {
	v.asked = append(v.asked, name)
	r.Post(func() { done(nil, errors.New("no such name")) })
	return func() {}
}

// resolve asks r for name, and tells the result and whether the resolver was asked.
func resolve(t *testing.T, r *reactor.Reactor, v *resolver, name string) (ips []netip.Addr, err error, asked bool) {
	t.Helper()
	v.asked = nil
	over := false
	r.Resolve(name, func(i []netip.Addr, e error) { ips, err, over = i, e, true })
	if over {
		t.Errorf("X-2: the address of %q was told inside Resolve", name)
	}
	until(t, r, func() bool { return over })
	return ips, err, v.asked != nil
}

// These names are addresses, so they need no look-up.
func TestLiterals(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var v resolver
		r := w.New(t, reactor.Config{Resolver: &v})
		for name, number := range map[string]string{
			"DESC-40 ADDR-5 four numbers": "0.0.0.0 127.0.0.1 255.255.255.255 1.2.3.4",
			"DESC-40 ADDR-6 IPv6":         "::1 fe80::1%eth0 fe80::1%7 ::ffff:1.2.3.4 2001:db8::",
		} {
			for _, text := range strings.Fields(number) {
				ips, err, asked := resolve(t, r, &v, text)
				if err != nil || asked || len(ips) != 1 || ips[0] != netip.MustParseAddr(text) {
					t.Errorf("%s: %q: %v, %v, asked %v", name, text, ips, err, asked)
				}
			}
		}
		for name, texts := range map[string]string{
			"DESC-40 ADDR-5 no IPv4": "1 1.2 1.2.3 1.2.3.4.5 -1.2.3.4 1.2.3.-4 256.1.1.1 1.2.3.1000 a.b.c.d 1.2.3.4x 01.2.3.4 1.2.3.04 1..2.3 1.2.3. ١.2.3.4",
			"DESC-40 ADDR-6 no IPv6": ": ::: ::1% :%eth0 1:2:3 g::1 ::1::2 [::1] ::g%eth0",
		} {
			for _, text := range strings.Fields(texts) {
				_, err, asked := resolve(t, r, &v, text)
				if !errors.Is(err, reactor.ErrUnknownHost) || !errors.Is(err, reactor.ErrConnect) || !asked {
					t.Errorf("%s: %q: %v, asked %v", name, text, err, asked)
				}
			}
		}
		// ADDR-5: the empty name is no address, but it has a meaning.
		if ips, err, asked := resolve(t, r, &v, ""); err != nil || asked || ips[0] != netip.IPv4Unspecified() {
			t.Errorf("ADDR-5: the empty name: %v, %v", ips, err)
		}
		var got error
		r.Dial(kernel.HostAddr("nowhere.invalid", 80), one(new(end)), nil, func(_ reactor.Protocol, err error) { got = err })
		until(t, r, func() bool { return got != nil })
		if !errors.Is(got, reactor.ErrUnknownHost) || !errors.Is(got, reactor.ErrConnect) || !strings.Contains(got.Error(), "no such name") {
			t.Errorf("ERR-3: a name that does not resolve: %v", got)
		}
	})
}

// ADDR-2: Dial and Listen refuse a network that has no streams.
func TestWrongNetwork(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for _, n := range []kernel.Net{0, kernel.UDP, kernel.UNIXDatagram, kernel.Pipe, kernel.Process, 99} {
			a := loopback
			a.Net = n
			if p, err := r.Listen(a, one(new(end)), nil); p != nil || !errors.Is(err, reactor.ErrListen) || !errors.Is(err, kernel.ErrUnsupported) {
				t.Errorf("ADDR-2: listening on %q: %v", n, err)
			}
			a.IP = netip.AddrPortFrom(a.IP.Addr(), 80)
			var got error
			r.Dial(a, one(new(end)), nil, func(_ reactor.Protocol, err error) { got = err })
			until(t, r, func() bool { return got != nil })
			if !errors.Is(got, reactor.ErrConnect) || !errors.Is(got, kernel.ErrUnsupported) {
				t.Errorf("ADDR-2: dialling %q: %v", n, got)
			}
		}
	})
}

// linkLocal is an address of this machine with a scope; not ok if it has none.
func linkLocal() (netip.Addr, bool) {
	all, err := net.Interfaces()
	if err != nil {
		return netip.Addr{}, false
	}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
				return p.Addr().WithZone(i.Name), true
			}
		}
	}
	return netip.Addr{}, false
}

// ADDR-7: the scope of a link-local address is told everywhere.
func TestScopes(t *testing.T) {
	ip, ok := linkLocal()
	if !ok {
		ip = netip.MustParseAddr("::1") // without a scope the rest still holds
		t.Log("no link-local address on this machine")
	}
	worlds(t, func(t *testing.T, w testworld.World) {
		ip := ip
		if w.Simulated() { // its hosts have no link-local addresses
			ip = netip.IPv6Loopback()
		}
		r := w.New(t, reactor.Config{})
		var srv, cli end
		var told kernel.Addr
		port, err := r.Listen(kernel.TCPAddr(ip, 0), reactor.FactoryFunc(func(peer kernel.Addr) reactor.Protocol {
			told = peer
			return &srv
		}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := port.Addr().IP.Addr(); a != ip {
			t.Errorf("TCP-2: listening at %v, told %v", ip, a)
		}
		r.Dial(port.Addr(), one(&cli), nil, nil)
		until(t, r, func() bool { return srv.s != nil && cli.s != nil })
		for name, a := range map[string]kernel.Addr{
			"Port.Addr": port.Addr(), "the factory's peer": told, "server's Local": srv.s.Local(), "server's Remote": srv.s.Remote(),
			"client's Local": cli.s.Local(), "client's Remote": cli.s.Remote(),
		} {
			if a.Host() != ip.String() || a.IP.Addr() != ip {
				t.Errorf("ADDR-7: %s is %q, host %q; want %q", name, a, a.Host(), ip)
			}
		}
		if cli.s.Local() != srv.s.Remote() || cli.s.Remote() != srv.s.Local() || told != cli.s.Local() {
			t.Error("ADDR-3: the two ends do not agree on who they are")
		}
	})
}
