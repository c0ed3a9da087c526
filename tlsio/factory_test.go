package tlsio_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"slices"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// counted is a factory that notes what it is told.
type counted struct {
	p      reactor.Protocol
	events []string
	c      []*reactor.Connector
}

func (f *counted) BuildProtocol(kernel.Addr) reactor.Protocol { return f.p }
func (f *counted) StartFactory() error                        { f.events = append(f.events, "start"); return nil }
func (f *counted) StopFactory() error                         { f.events = append(f.events, "stop"); return nil }
func (f *counted) StartedConnecting(c *reactor.Connector) {
	f.events = append(f.events, "started")
	f.c = append(f.c, c)
}
func (f *counted) ConnectionFailed(c *reactor.Connector, _ error) {
	f.events = append(f.events, "failed")
	f.c = append(f.c, c)
}
func (f *counted) ConnectionEnded(c *reactor.Connector, _ error) {
	f.events = append(f.events, "ended")
	f.c = append(f.c, c)
}

// TLS-1: factories are started, stopped and told of attempts as over TCP, and errors of
// listening and connecting are TCP's.
func TestFactories(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		t := s.t
		sc, cc := configs(tls.VersionTLS13)
		srv, cli := &counted{p: new(end)}, &counted{p: new(end)}
		c := cli.p.(*end)
		c.onShaken = func() { c.c.Close() }
		p, err := s.srv.Listen(s.addr, tlsio.Server(sc, srv, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.srv.Listen(p.Addr(), tlsio.Server(sc, srv, nil), nil); !errors.Is(err, kernel.ErrAddrInUse) || !errors.Is(err, reactor.ErrListen) {
			t.Errorf("TLS-1: %v", err)
		}
		var made reactor.Protocol
		conn := s.cli.Dial(p.Addr(), tlsio.Client(cc, cli, nil), nil, func(p reactor.Protocol, _ error) { made = p })
		s.until(func() bool { return slices.Contains(cli.events, "stop") })
		if found, ok := reactor.ProtocolAs[*end](made); !ok || found != c {
			t.Errorf("TLS-1: Dial's protocol leads to %v", found)
		}
		if !slices.Equal(cli.events, []string{"start", "started", "ended", "stop"}) || !slices.Equal(cli.c, []*reactor.Connector{conn, conn}) {
			t.Errorf("TLS-1: %q", cli.events)
		}
		stopped := false
		p.StopListening(func(error) { stopped = true })
		s.until(func() bool { return stopped })
		if !slices.Equal(srv.events, []string{"start", "stop"}) {
			t.Errorf("TLS-1: %q", srv.events)
		}
		cli.events = nil
		var failed error
		s.cli.Dial(p.Addr(), tlsio.Client(cc, cli, nil), nil, func(_ reactor.Protocol, err error) { failed = err })
		s.until(func() bool { return slices.Contains(cli.events, "stop") })
		if !errors.Is(failed, kernel.ErrRefused) || !slices.Equal(cli.events, []string{"start", "started", "failed", "stop"}) {
			t.Errorf("TLS-1: %v, %q", failed, cli.events)
		}
		s.until(func() bool { return srv.p.(*end).lost() })
	})
}

// TCP-14 holds for a factory on a port of TLS, another of TLS and one without: it is
// started once, and so is what cannot be used at all, which is none.
func TestFactoryIsSharedByPorts(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		t := s.t
		sc, _ := configs(tls.VersionTLS13)
		f := &counted{p: new(end)}
		var ports []*reactor.Port
		for _, g := range []reactor.Factory{tlsio.Server(sc, f, nil), f, tlsio.Server(sc, f, nil)} {
			addr := s.addr
			addr.IP = netip.AddrPortFrom(addr.IP.Addr(), 0)
			p, err := s.srv.Listen(addr, g, nil)
			if err != nil {
				t.Fatal(err)
			}
			ports = append(ports, p)
		}
		if _, err := s.srv.Listen(s.addr, tlsio.Server(nil, f, nil), nil); !errors.Is(err, tlsio.ErrConfig) {
			t.Errorf("TLS-2: %v", err)
		}
		for i, p := range ports {
			if !slices.Equal(f.events, []string{"start"}) {
				t.Errorf("TCP-14: %q with %d ports", f.events, len(ports)-i)
			}
			stopped := false
			p.StopListening(func(error) { stopped = true })
			s.until(func() bool { return stopped })
		}
		if !slices.Equal(f.events, []string{"start", "stop"}) {
			t.Errorf("TCP-14: %q", f.events)
		}
	})
}

// TCP-40 above TLS: a connector disconnects as its protocol would, so that the peer is
// told that nothing is missing (TLS-16); in a handshake it gives up.
func TestDisconnect(t *testing.T) {
	stages(t, []int{1, 0}, func(s *stage) {
		t := s.t
		srv, cli := new(end), new(end)
		sc, cc := configs(tls.VersionTLS13)
		p, c := s.connect(tlsio.Server(sc, one(srv), nil), tlsio.Client(cc, one(cli), nil))
		s.until(func() bool { return srv.saw("shaken") && cli.saw("shaken") })
		cli.c.Write([]byte("before"))
		c.Disconnect()
		s.until(func() bool { return srv.lost() && cli.lost() })
		if string(srv.got) != "before" || srv.err != io.EOF || cli.err != reactor.ErrClosed {
			t.Errorf("TCP-40: %q, %v; %v", srv.got, srv.err, cli.err)
		}
		early := new(end)
		early.onMade = func() { s.cli.Post(c.Disconnect) }
		c = s.cli.Dial(p.Addr(), tlsio.Client(cc, one(early), nil), nil, nil)
		s.until(early.lost)
		early.is(t, "TLS-21: client", reactor.ErrAborted)
	})
}
