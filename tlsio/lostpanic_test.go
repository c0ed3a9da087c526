package tlsio_test

import (
	"crypto/tls"
	"errors"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// panicking is realStage on a reactor that survives panics.
func panicking(t *testing.T, w testworld.World) *stage {
	r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
	return &stage{t: t, srv: r, cli: r, addr: loopback(), until: func(cond func() bool) { t.Helper(); testworld.Until(t, cond, r) }}
}

// early is a protocol that stands below TLS, and is told of the loss once.
type early struct {
	reactor.Protocol
	lost bool
}

func (p *early) Unwrap() reactor.Protocol { return p.Protocol }
func (p *early) ConnectionLost(err error) {
	if !p.lost {
		p.lost = true
		p.Protocol.ConnectionLost(err)
	}
}

// TLS-18, TLS-61: a protocol that panics about what was kept until the transport below was lost is told of the loss nevertheless, with the
// panic as the reason.
func TestKeptPanics(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			s := panicking(t, w)
			sc, cc := configs(tls.VersionTLS13)
			srv, cli := new(end), newSpeaker(t, cc)
			cli.onReady = func() {
				for range 1000 {
					cli.p.tls.Write([]byte("x"))
				}
			}
			below := new(early)
			srv.onData = func([]byte) {
				switch len(srv.got) {
				case 10: // behind the share of this turn, before that of the next
					s.srv.Post(func() { below.ConnectionLost(&reactor.OpError{Op: "write", Err: kernel.ErrBroken}) })
				case 999:
					panic("planted")
				}
			}
			inner := tlsio.Server(sc, one(srv), nil)
			s.connect(reactor.FactoryFunc(func(a kernel.Addr) reactor.Protocol {
				below.Protocol = inner.BuildProtocol(a)
				return below
			}), one(cli))
			s.until(func() bool { return below.lost })
			testworld.Turns(t, s.srv, 3)
			if pe := (*reactor.PanicError)(nil); len(srv.got) != 999 || !errors.As(srv.err, &pe) {
				t.Errorf("TLS-18: told %q, with %d bytes; lost for %v", srv.events, len(srv.got), srv.err)
			}
			cli.t.Abort()
			s.until(func() bool { return cli.err != nil })
		})
	}
}

// brittle is a producer that panics when it is stopped.
type brittle struct{}

func (brittle) PauseProducing()  {}
func (brittle) ResumeProducing() {}
func (brittle) StopProducing()   { panic("planted") }

// TLS-18: a protocol is told of the loss although its producer panics when it is stopped.
func TestStoppedProducerPanics(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			s := panicking(t, w)
			srv, cli := new(end), new(end)
			s.secure(tls.VersionTLS13, srv, cli)
			s.until(func() bool { return srv.saw("shaken") && cli.saw("shaken") })
			if err := srv.c.RegisterProducer(brittle{}); err != nil {
				t.Fatal(err)
			}
			raw, _ := reactor.As[*reactor.Stream](cli.c)
			raw.Write([]byte("this is no record of TLS"))
			s.until(func() bool { return s.srv.Stats().Connections == 0 })
			if !srv.lost() || !isTLS(srv.err) {
				t.Errorf("TLS-18: told %q, lost for %v", srv.events, srv.err)
			}
		})
	}
}
