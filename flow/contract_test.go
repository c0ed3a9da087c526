package flow_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/testworld/transporttest"
)

// POL-1: the transport of a connection with a PROXY header holds the contract of every transport, on every kernel, however it
// is cut. The accepted end has the policy, and is in turn either end of the suite.
func TestProxyContract(t *testing.T) {
	contract(t, func(p reactor.Protocol) reactor.Factory { return flow.ReadProxy(reactor.One(p), nil) },
		func(p reactor.Protocol) reactor.Factory { return flow.SendProxy(reactor.One(p), nil) })
}

// contract runs the suite of transports.
func contract(t *testing.T, server, client func(reactor.Protocol) reactor.Factory) {
	for name, w := range testworld.Chunked() {
		if raced && (w.Chunk() > 0 || w.Simulated()) {
			continue // the race detector is slow, and sees no more in other pieces
		}
		w = w.Crowded()
		t.Run(name, func(t *testing.T) {
			t.Parallel() // some of the time is waiting
			ends := []bool{true, false}
			if w.Chunk() > 0 {
				ends = ends[w.Chunk()%2:][:1] // a system call for each piece is slow
			}
			for _, aDials := range ends {
				t.Run(map[bool]string{true: "dialled", false: "accepted"}[aDials], func(t *testing.T) {
					transporttest.Run(t, pairs(w, aDials, server, client))
				})
			}
		})
	}
}

// pairs connects pairs of ends in w.
func pairs(w testworld.World, aDials bool, server, client func(reactor.Protocol) reactor.Factory) transporttest.Pair {
	return func(t *testing.T, c reactor.Config, a, b reactor.Protocol) transporttest.Link {
		link := transporttest.Link{Moment: time.Millisecond, NoAddresses: true}
		var marks reactor.StreamConfig
		k := w.Open(t)
		switch {
		case w.Chunk() > 0:
			link.Much, link.Deep = 1024, !w.Simulated()
			marks = reactor.StreamConfig{HighWater: 100, LowWater: 20}
			if n := w.Net(); n != nil {
				n.Options.SendBuffer, n.Options.RecvBuffer = 200, 200
			}
		case !w.Simulated() && w.Name() != "epoll": // to fill the sockets of one kernel is enough
			k = (&testworld.Faults{MaxWrite: 4 << 10}).Wrap(k)
			link.Much, link.Deep = 256<<10, true
			marks = reactor.StreamConfig{HighWater: 16 << 10}
		}
		c.ReadBuffer = 32 << 10
		r := testworld.New(t, k, c)
		link.Until = func(done func() bool) { t.Helper(); testworld.Until(t, done, r) }
		srv, cli := b, a
		if !aDials {
			srv, cli = a, b
		}
		port, err := r.Listen(loopback(), &onlyOne{Factory: server(srv)}, &reactor.ListenConfig{StreamConfig: marks})
		if err != nil {
			t.Fatal(err)
		}
		r.Dial(port.Addr(), client(cli), &reactor.DialConfig{StreamConfig: marks}, func(_ reactor.Protocol, err error) {
			if _, panicked := errors.AsType[*reactor.PanicError](err); err != nil && !panicked {
				t.Errorf("dial: %v", err)
			}
		})
		return link
	}
}

// onlyOne refuses all connections but the first. Another program that runs beside the test may connect to the port, because it had that port before.
type onlyOne struct {
	reactor.Factory
	met bool
}

func (f *onlyOne) Unwrap() reactor.Factory { return f.Factory }

func (f *onlyOne) BuildProtocol(a kernel.Addr) reactor.Protocol {
	if f.met {
		return nil
	}
	f.met = true
	return f.Factory.BuildProtocol(a)
}
