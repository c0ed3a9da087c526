package reactor_test

import (
	"errors"
	"io"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// The reason of a loss names the call that failed, also if that call came after Close: then the
// loss is no clean one (TCP-51, TCP-53, TCP-59, DESC-7).
func TestReasonNamesTheCall(t *testing.T) {
	fails := func(err error) func() error { return func() error { return err } }
	unsent := func(e *end, f *testworld.Faults) {
		f.Write = full
		e.s.Write(make([]byte, 100_000))
	}
	cases := []struct {
		name  string
		do    func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer)
		op    string // of the OpError; empty: the reason is cause itself
		cause error
		peer  error
	}{
		{"a read fails", func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer) {
			f.Read = fails(kernel.ErrTimeout)
			p.Write([]byte("x"))
		}, "read", kernel.ErrTimeout, kernel.ErrReset},
		{"a write fails", func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer) {
			f.Write = fails(kernel.ErrTimeout)
			e.s.Write([]byte("x"))
		}, "write", kernel.ErrTimeout, kernel.ErrReset},
		{"a write fails after Close", func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer) {
			e.s.Write([]byte("x"))
			e.s.Close()
			f.Write = fails(kernel.ErrTimeout)
		}, "write", kernel.ErrTimeout, kernel.ErrReset},
		{"a write fails long after Close", func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer) {
			unsent(e, f)
			e.s.Close()
			testworld.Turns(t, e.s.Reactor(), 3)
			f.Write = fails(kernel.ErrTimeout)
		}, "write", kernel.ErrTimeout, kernel.ErrReset},
		{"a write fails after the peer's end", func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer) {
			unsent(e, f)
			p.CloseWrite()
			r := e.s.Reactor()
			until(t, r, func() bool { _, err := e.s.Write(nil); return err != nil })
			f.Write = fails(kernel.ErrTimeout)
		}, "write", kernel.ErrTimeout, kernel.ErrReset},
		{"a write fails after Close, with input unread", func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer) {
			unsent(e, f)
			e.s.Close()
			p.Write([]byte("nobody reads this after Close"))
			testworld.Turns(t, e.s.Reactor(), 3)
			f.Write = fails(kernel.ErrTimeout)
		}, "write", kernel.ErrTimeout, kernel.ErrReset},
		{"the peer resets", func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer) { p.Abort() }, "read", kernel.ErrReset, nil},
		{"the peer resets, while reading is paused", func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer) {
			e.s.PauseProducing()
			testworld.Turns(t, e.s.Reactor(), 2)
			p.Abort()
			if !hearsFailures(e.s.Reactor()) {
				e.s.Abort()
			}
		}, "wait", kernel.ErrReset, nil},
		{"a read would fail after Close", func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer) {
			e.s.Write([]byte("x"))
			e.s.Close()
			f.Read = fails(kernel.ErrTimeout)
		}, "", reactor.ErrClosed, io.EOF},
		{"nothing moves after Close", func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer) {
			unsent(e, f)
			e.s.Close()
		}, "close", reactor.ErrCloseTimeout, kernel.ErrReset},
		{"nothing moves after the peer's end", func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer) {
			unsent(e, f)
			p.CloseWrite()
		}, "close", reactor.ErrCloseTimeout, kernel.ErrReset},
		{"arming fails", func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer) {
			f.Arm = func(kernel.Ready) error { return kernel.ErrNoResources }
			e.s.PauseProducing()
		}, "arm", kernel.ErrNoResources, kernel.ErrReset},
		{"arming fails after Close", func(t *testing.T, e *end, f *testworld.Faults, p *testworld.Peer) {
			f.Arm = func(kernel.Ready) error { return kernel.ErrNoResources }
			unsent(e, f)
			e.s.Close()
		}, "arm", kernel.ErrNoResources, kernel.ErrReset},
	}
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, c := range cases {
			var e end
			r, f, p := withPeerConfig(t, w, &e, &reactor.StreamConfig{CloseTimeout: 20 * ms})
			f.Closed = nil
			local, remote := e.s.Local(), e.s.Remote()
			c.do(t, &e, f, p)
			until(t, r, func() bool { return e.err != nil })
			f.Arm = nil
			if len(e.got) > 0 {
				t.Errorf("%s: %q was delivered", c.name, e.got)
			}
			if c.op == "wait" && !hearsFailures(r) {
				continue // select cannot report it
			}
			op, ok := errors.AsType[*reactor.OpError](e.err)
			switch {
			case c.op == "":
				if e.err != c.cause {
					t.Errorf("%s: lost with %v, not %v", c.name, e.err, c.cause)
				}
			case !ok || op.Op != c.op || !errors.Is(op.Err, c.cause) || op.Local != local || op.Remote != remote:
				t.Errorf("%s: lost with %v, not for %q and %v", c.name, e.err, c.op, c.cause)
			}
			if c.peer == nil {
				continue // it has gone
			}
			if _, err := endOf(p); !errors.Is(err, c.peer) {
				t.Errorf("%s: the peer sees %v, not %v", c.name, err, c.peer)
			}
		}
	})
}

// A stop under Run ends connections in order, on both sides, whatever they are about: all that the
// socket takes is sent, and the peer sees the end (CORE-25).
func TestStopEndsInOrder(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, before := range map[string]func(e *end){
			"quiet":                      func(*end) {},
			"paused":                     func(e *end) { e.s.PauseProducing() },
			"half-closed":                func(e *end) { e.s.CloseWrite() },
			"with a producer":            func(e *end) { e.s.RegisterProducer(new(source)) },
			"closed, a producer working": func(e *end) { e.s.RegisterProducer(new(source)); e.s.Close() },
		} {
			for _, side := range []string{"port", "connector"} {
				r, far := w.New(t, reactor.Config{}), w.New(t, reactor.Config{})
				near, peer := &end{}, &halfEnd{}
				if side == "port" {
					far.Dial(listen(t, r, one(near), nil).Addr(), one(peer), nil, nil)
				} else {
					r.Dial(listen(t, far, one(peer), nil).Addr(), one(near), nil, nil)
				}
				testworld.Until(t, func() bool { return near.s != nil && peer.s != nil }, r, far)
				before(near)
				near.s.Write([]byte("before"))
				testworld.Turns(t, r, 2)
				if name == "paused" {
					peer.s.Write([]byte("unread"))
					testworld.Turns(t, far, 2)
				}
				r.CallWhenRunning(func() {
					r.Post(func() {
						near.s.Write([]byte(" and with"))
						r.Stop()
					})
				})
				runToEnd(t, r)
				testworld.Until(t, func() bool { return peer.events[len(peer.events)-1] == "read lost" || peer.err != nil }, far)
				want := "before and with"
				if name == "half-closed" {
					want = ""
				}
				if near.err != reactor.ErrStopped || peer.err != nil || string(peer.got) != want {
					t.Errorf("CORE-25: %s, of a %s: lost with %v; the peer got %q and then %v", name, side, near.err, peer.got, peer.err)
				}
			}
		}
	})
}
