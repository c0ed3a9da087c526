package tlsio_test

import (
	"crypto/tls"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// eager is a producer that writes until it is told not to, and ignores errors. slow is its pause
// between two writes; zero: none.
type eager struct {
	tr      reactor.Transport
	left    int
	slow    time.Duration
	stopped bool
	paused  bool
}

func (p *eager) PauseProducing()  { p.paused = true }
func (p *eager) ResumeProducing() { p.paused = false; p.produce() }
func (p *eager) StopProducing()   { p.stopped = true }

func (p *eager) produce() {
	for !p.stopped && !p.paused && p.left > 0 {
		p.tr.Write(make([]byte, 10))
		if p.left--; p.slow > 0 && p.left > 0 {
			p.tr.Reactor().CallLater(p.slow, p.produce)
			return
		}
	}
	if p.left == 0 && !p.stopped {
		c, _ := reactor.As[reactor.Consumer](p.tr)
		c.UnregisterProducer()
	}
}

// produces registers p with the server's side of a new TLS connection.
func produces(s *stage, p *eager, o *tlsio.Options) (srv *end, cli *halfEnd) {
	srv, cli = new(end), new(halfEnd)
	sc, cc := configs(tls.VersionTLS13)
	s.connect(tlsio.Server(sc, one(srv), o), tlsio.Client(cc, one(cli), nil))
	s.until(func() bool { return srv.saw("shaken") && cli.saw("shaken") })
	p.tr = srv.tr
	c, _ := reactor.As[reactor.Consumer](srv.tr)
	if err := c.RegisterProducer(p); err != nil {
		s.t.Error(err)
	}
	return srv, cli
}

// PROD-14: a producer whose write is refused, or fails below, is stopped inside the write.
func TestProducerStoppedInside(t *testing.T) {
	for how, ends := range map[string]func(tr reactor.Transport){
		"abort": reactor.Transport.Abort,
		"abort below": func(tr reactor.Transport) {
			below, _ := reactor.As[*reactor.Stream](tr)
			below.Abort()
		},
	} {
		stages(t, []int{0}, func(s *stage) {
			const many = 1_000_000
			p := &eager{left: many}
			srv, _ := produces(s, p, nil)
			s.srv.Post(func() {
				ends(srv.tr)
				p.produce()
			})
			s.until(srv.lost)
			if !p.stopped || many-p.left > 100_000 {
				s.t.Errorf("PROD-14: %s: stopped %v after %d writes", how, p.stopped, many-p.left)
			}
		})
	}
}

// TLS-20: a Close waits for a producer as long as that makes progress, and no longer than
// CloseTimeout for one that does not.
func TestCloseWaitsForProducer(t *testing.T) {
	const period = 300 * time.Millisecond
	for what, c := range map[string]struct {
		p    eager
		want error
	}{
		"idle": {eager{left: 1}, tlsio.ErrCloseTimeout},
		"slow": {eager{left: 10, slow: period / 6}, reactor.ErrClosed},
	} {
		waitingStages(t, func(s *stage) {
			p := c.p
			srv, cli := produces(s, &p, &tlsio.Options{CloseTimeout: period})
			want := p.left * 10
			start := s.srv.Now()
			srv.tr.Close()
			if p.slow > 0 {
				p.produce()
			}
			s.until(func() bool { return srv.lost() || cli.saw("read lost") })
			cli.tr.Close()
			s.until(srv.lost)
			took := s.srv.Now() - start
			if !errors.Is(srv.err, c.want) || took < period {
				s.t.Errorf("TLS-20: %s: lost with %v after %v", what, srv.err, took)
			}
			if c.want == reactor.ErrClosed && len(cli.got) != want {
				s.t.Errorf("TLS-20: %s: %d of %d bytes came", what, len(cli.got), want)
			}
		})
	}
}

// CloseTimeout counts from the Close on. Before it, a producer may be silent for as long as it
// likes.
func TestSilentProducerIsNoClose(t *testing.T) {
	const period = 50 * time.Millisecond
	waitingStages(t, func(s *stage) {
		p := &eager{left: 2, slow: 4 * period}
		srv, cli := produces(s, p, &tlsio.Options{CloseTimeout: period})
		p.produce()
		s.until(func() bool { return len(cli.got) == 20 || srv.lost() })
		if srv.lost() {
			s.t.Errorf("without a Close: lost with %v", srv.err)
		}
		cli.tr.Abort()
		s.until(srv.lost)
	})
}

// refusing is a protocol between TLS and the transport that ends the connection before TLS
// begins.
type refusing struct {
	reactor.Protocol
	lost bool
}

func (p *refusing) ConnectionMade(t reactor.Transport) { t.Abort() }
func (p *refusing) Unwrap() reactor.Protocol           { return p.Protocol }
func (p *refusing) ConnectionLost(err error) {
	p.Protocol.ConnectionLost(err)
	p.lost = true
}

// A connection that a wrapper refuses never begins its handshake, and is not counted in one.
func TestRefusedBelow(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		sc, cc := configs(tls.VersionTLS13)
		srv, in := new(end), (*refusing)(nil)
		inner := tlsio.Server(sc, one(srv), nil)
		port, err := s.srv.Listen(s.addr, reactor.FactoryFunc(func(a kernel.Addr) reactor.Protocol {
			in = &refusing{Protocol: inner.BuildProtocol(a)}
			return in
		}), nil)
		if err != nil {
			s.t.Fatal(err)
		}
		s.cli.Dial(port.Addr(), tlsio.Client(cc, one(new(end)), nil), nil, nil)
		s.until(func() bool { return in != nil && in.lost })
		if st := tlsio.StatsOf(s.srv); st.Pending != 0 || !srv.lost() {
			s.t.Errorf("%+v, lost with %v", st, srv.err)
		}
	})
}

// A callback of the tls.Config that calls runtime.Goexit ends its connection.
func TestGoexitInCallback(t *testing.T) {
	for name, w := range testworld.Native() { // a simulated kernel computes on the loop
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			sc, cc := configs(tls.VersionTLS13)
			sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { runtime.Goexit(); return nil, nil }
			srv := new(end)
			s.connect(tlsio.Server(sc, one(srv), &tlsio.Options{HandshakeTimeout: -1}), tlsio.Client(cc, one(new(end)), nil))
			s.until(srv.lost)
			if !errors.Is(srv.err, pool.ErrGoexit) || !errors.Is(srv.err, tlsio.ErrHandshake) {
				t.Errorf("lost with %v", srv.err)
			}
			if st := tlsio.StatsOf(s.srv); st.Pending != 0 || st.Running != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// part is a producer that says that it is unfinished.
type part struct{ eager }

func (*part) Unfinished() bool { return true }

// PROD-24: what the producer calls a part does not end in order: neither for the peer's close_notify, nor for the end of the reactor.
func TestProducerUnfinished(t *testing.T) {
	for _, stop := range []bool{false, true} {
		stages(t, []int{0}, func(s *stage) {
			p := new(part)
			srv, cli := produces(s, &p.eager, nil)
			srv.c.UnregisterProducer()
			if err := srv.c.RegisterProducer(p); err != nil {
				s.t.Fatal(err)
			}
			if stop && s.srv == s.cli {
				return // both ends would stop
			}
			if stop {
				s.srv.Close()
			} else {
				cli.c.CloseWrite()
				s.until(srv.lost)
			}
			s.until(cli.lost)
			op := (*reactor.OpError)(nil)
			if !errors.As(cli.err, &op) || !errors.Is(cli.err, kernel.ErrReset) || !p.stopped {
				s.t.Errorf("PROD-24: stop %v: the peer's end is %v, ours %v; the producer was stopped: %v", stop, cli.err, srv.err, p.stopped)
			}
		})
	}
}
