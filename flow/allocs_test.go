package flow_test

import (
	"testing"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// stub is a transport that takes everything and keeps nothing.
type stub struct {
	r     *reactor.Reactor
	wrote int
}

var _ reactor.Connection = (*stub)(nil)

func (s *stub) Write(p []byte) (int, error)             { s.wrote += len(p); return len(p), nil }
func (s *stub) Close() error                            { return nil }
func (s *stub) CloseWrite() error                       { return nil }
func (s *stub) Abort()                                  {}
func (s *stub) Local() kernel.Addr                      { return loopback() }
func (s *stub) Remote() kernel.Addr                     { return loopback() }
func (s *stub) Reactor() *reactor.Reactor               { return s.r }
func (s *stub) PauseProducing()                         {}
func (s *stub) ResumeProducing()                        {}
func (s *stub) StopProducing()                          {}
func (s *stub) RegisterProducer(reactor.Producer) error { return nil }
func (s *stub) UnregisterProducer()                     {}
func (s *stub) Buffered() int                           { return 0 }

// echo writes what it receives.
type echo struct{ reactor.Base }

func (e *echo) DataReceived(p []byte) { e.T.Write(p) }

// noAllocs checks that input and output of a connection of f allocate nothing.
func noAllocs(t *testing.T, f func(inner reactor.Factory) reactor.Factory, before string) {
	t.Helper()
	if raced {
		t.Skip("the race detector allocates")
	}
	s := &stub{r: virtual(t, reactor.Config{})}
	p := f(reactor.One(new(echo))).BuildProtocol(loopback())
	p.ConnectionMade(s)
	p.DataReceived([]byte(before))
	data := make([]byte, 100)
	if n := testing.AllocsPerRun(1000, func() { p.DataReceived(data) }); n != 0 {
		t.Errorf("%v allocations for input and output", n)
	}
	if s.wrote < 100*1000 {
		t.Errorf("%d bytes were written", s.wrote)
	}
	p.ConnectionLost(reactor.ErrClosed)
}

// Behind the header, input and output allocate nothing.
func TestProxyAllocs(t *testing.T) {
	noAllocs(t, func(f reactor.Factory) reactor.Factory { return flow.ReadProxy(f, nil) }, lineHeader)
	noAllocs(t, func(f reactor.Factory) reactor.Factory { return flow.SendProxy(f, nil) }, "")
}

// A header of version 2 that comes as a whole is parsed without allocations.
func TestParseProxyHeaderAllocs(t *testing.T) {
	p, err := flow.AppendProxyHeader(nil, flow.ProxyHeader{Source: tcp("192.0.2.7:1"), Destination: tcp("192.0.2.8:1")})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if _, n, err := flow.ParseProxyHeader(p); n == 0 || err != nil {
			t.Fatal(n, err)
		}
	}); n != 0 && !raced {
		t.Errorf("%v allocations", n)
	}
}
