package tlsio_test

import (
	"crypto/tls"
	"errors"
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
