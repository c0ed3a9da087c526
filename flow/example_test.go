package flow_test

import (
	"crypto/sha256"
	"net/netip"
	"os"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// A server behind load balancers.
func ExampleReadProxy() {
	serve := func(r *reactor.Reactor, at kernel.Addr, app reactor.Factory) (*reactor.Port, error) {
		balancers := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		port, err := r.Listen(at, flow.ReadProxy(app, &flow.ReadProxyOptions{Trusted: balancers}), nil)
		return port, err
	}
	_ = serve
}

// A proxy that tells a backend whose connection it passes on.
func ExampleSendProxy() {
	pass := func(r *reactor.Reactor, accepted reactor.Transport, backend kernel.Addr, out reactor.Factory, done func(reactor.Protocol, error)) {
		said := flow.ProxyOf(accepted) // the client whose connection is passed on
		o := &flow.SendProxyOptions{Header: func(reactor.Transport) flow.ProxyHeader { return said }}
		r.Dial(backend, flow.SendProxy(out, o), nil, done)
	}
	_ = pass
}

// The newest price of each share, for clients that read slowly.
func ExampleNewQueue() {
	made := func(t reactor.Transport) error {
		q, err := flow.NewQueue(t, &flow.QueueOptions{Policy: flow.KeepLatest, MaxBytes: 256 << 10, MaxAge: 10 * time.Second})
		if err != nil {
			return err
		}
		return q.SendKeyed("ACME", []byte("ACME 12.50\n"))
	}
	_ = made
}

// Messages for many connections, gathered for five milliseconds.
func ExampleBroadcaster() {
	run := func(r *reactor.Reactor, q *flow.Queue) {
		b := flow.NewBroadcaster(r, &flow.BroadcastOptions{Interval: 5 * time.Millisecond})
		b.Add(q)
		b.Send([]byte("a message for all\n"))
	}
	_ = run
}

// A range of a file, with its checksum.
func ExampleSendFile() {
	send := func(t reactor.Transport, f *os.File) error {
		sum := sha256.New()
		_, err := flow.SendFile(t, f, &flow.FileOptions{
			Offset: 1 << 20, Length: 4 << 20, // a range; without it, all
			Check: func(p []byte) error { _, err := sum.Write(p); return err },
			Done:  func(sent int64, err error) { f.Close() },
		})
		return err
	}
	_ = send
}

// Rates for a connection, for a group and for all.
func ExampleLimitRate() {
	limit := func(app reactor.Factory) reactor.Factory {
		f := flow.LimitRate(app, flow.LimitOptions{
			Read:       flow.Rate{PerSecond: 1 << 20},                  // each connection
			GroupWrite: flow.Rate{PerSecond: 8 << 20, Burst: 16 << 20}, // all of one address
			TotalWrite: flow.Rate{PerSecond: 100 << 20},                // all together
		})
		return f
	}
	_ = limit
}

// Limits of time.
func ExampleLimitTime() {
	limit := func(app reactor.Factory) reactor.Factory {
		f := flow.LimitTime(app, flow.TimeoutOptions{Idle: time.Minute, Total: time.Hour, HalfClosed: 10 * time.Second})
		return f
	}
	_ = limit
}

// Policies upon each other.
func Example() {
	stack := func(app reactor.Factory) reactor.Factory {
		f := flow.ReadProxy(flow.LimitTime(app, flow.TimeoutOptions{Idle: time.Minute}), nil)
		return f
	}
	_ = stack
}
