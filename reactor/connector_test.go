package reactor_test

import (
	"errors"
	"io"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// TCP-38: an attempt can be given up at any time. The failure is reported later.
func TestStopConnecting(t *testing.T) {
	moments := map[string]func(n *names, f *testworld.Faults) bool{
		"waiting":    func(*names, *testworld.Faults) bool { return true },
		"resolving":  func(n *names, _ *testworld.Faults) bool { return len(n.asked) == 1 },
		"connecting": func(_ *names, f *testworld.Faults) bool { return f.Calls["Connected"] > 0 },
	}
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, now := range moments {
			t.Run(name, func(t *testing.T) {
				n := &names{}
				faults := &testworld.Faults{Connected: func() error { return kernel.ErrAgain }}
				r := testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{Resolver: n})
				dest := listen(t, r, &service{}, nil).Addr()
				if name == "resolving" {
					dest = kernel.HostAddr("nowhere", 7)
				}
				f := &dialer{t: t}
				c := r.Dial(dest, f, nil, nil)
				until(t, r, func() bool { return now(n, faults) })
				if err := c.StopConnecting(); err != nil {
					t.Error(err)
				}
				sameEvents(t, f.events, "start", "started")
				if c.Connecting() || len(r.DelayedCalls()) != 0 || faults.Calls["Dial"] != len(faults.Closed) {
					t.Errorf("connecting %v, %d delayed calls, %d dialled, closed %q",
						c.Connecting(), len(r.DelayedCalls()), faults.Calls["Dial"], faults.Closed)
				}
				until(t, r, func() bool { return f.has("stop") })
				sameEvents(t, f.events, "start", "started", "failed", "stop")
				isConnectError(t, f.failure, reactor.ErrCancelled)
				if n.cancelled != len(n.asked) {
					t.Errorf("%d look-ups, %d given up", len(n.asked), n.cancelled)
				}
			})
		}
	})
}

// TCP-38: also when the attempt has only just begun, and when it has nearly succeeded.
func TestStopConnectingInCallbacks(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := listen(t, r, &service{}, nil)
		f := &dialer{t: t}
		stop := func(c *reactor.Connector) {
			if err := c.StopConnecting(); err != nil {
				t.Error(err)
			}
		}
		f.onStart = stop
		r.Dial(p.Addr(), f, nil, nil)
		sameEvents(t, f.events, "start", "started")
		until(t, r, func() bool { return f.has("stop") })
		sameEvents(t, f.events, "start", "started", "failed", "stop")
		isConnectError(t, f.failure, reactor.ErrCancelled)

		f = &dialer{t: t}
		f.build = func() reactor.Protocol { stop(f.c); return new(end) }
		c := r.Dial(p.Addr(), f, nil, nil)
		until(t, r, func() bool { return f.has("stop") })
		sameEvents(t, f.events, "start", "started", "build", "failed", "stop")
		isConnectError(t, f.failure, reactor.ErrCancelled)
		if c.Connected() || c.Connecting() {
			t.Error("connected or connecting")
		}
	})
}

// TCP-39: each verb has its time.
func TestConnectorMisused(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv, cli := new(end), new(end)
		p, c := connect(t, r, srv, cli)
		check := func(when string, c *reactor.Connector, stop, connect error) {
			t.Helper()
			if err := c.StopConnecting(); !errors.Is(err, stop) {
				t.Errorf("%s: StopConnecting: %v", when, err)
			}
			if connect == nil {
				return
			}
			if err := c.Connect(); !errors.Is(err, connect) {
				t.Errorf("%s: Connect: %v", when, err)
			}
		}
		check("connected", c, reactor.ErrNotConnecting, reactor.ErrNotDisconnected)
		cli.s.Close()
		until(t, r, func() bool { return cli.err != nil })
		check("disconnected", c, reactor.ErrNotConnecting, nil)
		other := r.Dial(p.Addr(), one(new(end)), nil, nil)
		if err := other.Connect(); !errors.Is(err, reactor.ErrNotDisconnected) {
			t.Errorf("connecting: Connect: %v", err)
		}
		check("connecting", other, nil, reactor.ErrNotDisconnected)
	})
}

// TCP-40: Disconnect gives up the attempt, closes the connection, or does nothing. RECON-6:
// between two attempts the factory is not in use.
func TestDisconnect(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := listen(t, r, &service{}, nil)
		f := &dialer{t: t}
		c := r.Dial(p.Addr(), f, nil, nil)
		c.Disconnect() // connecting
		until(t, r, func() bool { return f.has("stop") })
		sameEvents(t, f.events, "start", "started", "failed", "stop")
		isConnectError(t, f.failure, reactor.ErrCancelled)
		c.Disconnect() // disconnected
		testworld.Turns(t, r, 3)
		sameEvents(t, f.events, "start", "started", "failed", "stop")
		f.events = nil
		if err := c.Connect(); err != nil {
			t.Fatal(err)
		}
		until(t, r, c.Connected)
		c.Disconnect() // connected
		sameEvents(t, f.events, "start", "started", "build")
		until(t, r, func() bool { return f.has("stop") })
		sameEvents(t, f.events, "start", "started", "build", "ended", "stop")
		if f.loss != reactor.ErrClosed {
			t.Error(f.loss)
		}
	})
}

// TCP-42: the protocol first, then the connector's state, the listener, and the
// factory; TCP-37: with the connector that Dial returned.
func TestConnectionEndedOrder(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv := &service{}
		p := listen(t, r, srv, nil)
		f, cli := &dialer{t: t}, new(end)
		var c *reactor.Connector
		cli.onLost = func(error) {
			f.note("lost")
			if !c.Connected() {
				t.Error("the connector is disconnected before the protocol knows")
			}
		}
		f.build = func() reactor.Protocol { return cli }
		f.onEnded = func(c *reactor.Connector) {
			if c.Connected() || c.Connecting() {
				t.Error("not disconnected in ConnectionEnded")
			}
		}
		c = r.Dial(p.Addr(), f, nil, nil)
		until(t, r, func() bool { return len(srv.ends) == 1 && srv.ends[0].s != nil && c.Connected() })
		srv.ends[0].s.Close()
		until(t, r, func() bool { return f.has("stop") })
		sameEvents(t, f.events, "start", "started", "build", "lost", "ended", "stop")
		sameEvents(t, cli.events, "made", "lost eof")
		if f.loss != cli.err || f.c != c {
			t.Errorf("ended with %v, lost with %v", f.loss, cli.err)
		}
	})
}

// TCP-43: ConnectionFailed and ConnectionEnded start the next attempt; the factory stays
// in use. TCP-41 and TCP-42: it is not stopped then.
func TestConnectAgain(t *testing.T) {
	again := func(c *reactor.Connector) {
		if err := c.Connect(); err != nil {
			c.Reactor().Stop()
			panic(err)
		}
	}
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := listen(t, r, &service{}, nil)
		f := &dialer{t: t}
		f.onFailed = func(c *reactor.Connector) { f.onFailed = nil; again(c) }
		f.onEnded = func(c *reactor.Connector) { f.onEnded = nil; again(c) }
		stopped(t, p)
		done := 0
		c := r.Dial(p.Addr(), f, nil, func(reactor.Protocol, error) {
			if done++; done == 1 { // refused once
				if _, err := r.Listen(p.Addr(), &service{}, nil); err != nil {
					t.Fatal(err)
				}
			}
		})
		until(t, r, c.Connected)
		sameEvents(t, f.events, "start", "started", "failed", "started", "build")
		c.Disconnect()
		until(t, r, func() bool { return f.has("build") && len(f.events) > 5 })
		sameEvents(t, f.events, "start", "started", "failed", "started", "build", "ended", "started", "build")
		if done != 3 { // once for each attempt
			t.Errorf("%d results", done)
		}
		c.Disconnect()
		until(t, r, func() bool { return f.has("stop") })
	})
}

// TCP-43: also in the failure that StopConnecting caused.
func TestConnectAgainAfterStopConnecting(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := listen(t, r, &service{}, nil)
		f := &dialer{t: t}
		f.onStart = func(c *reactor.Connector) { f.onStart = nil; c.StopConnecting() }
		f.onFailed = func(c *reactor.Connector) {
			if err := c.Connect(); err != nil {
				t.Error(err)
			}
		}
		c := r.Dial(p.Addr(), f, nil, nil)
		until(t, r, c.Connected)
		sameEvents(t, f.events, "start", "started", "failed", "started", "build")
		c.Disconnect()
		until(t, r, func() bool { return f.has("stop") })
		if f.loss != reactor.ErrClosed {
			t.Error(f.loss)
		}
	})
}

// TCP-44: a client's factory that builds nothing ends the connection cleanly.
func TestDialBuildsNothing(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv := &service{}
		p := listen(t, r, srv, nil)
		f := &dialer{t: t, build: func() reactor.Protocol { return nil }}
		var told error
		c := r.Dial(p.Addr(), f, nil, func(_ reactor.Protocol, err error) { told = err })
		until(t, r, func() bool { return f.has("stop") && len(srv.ends) == 1 && srv.ends[0].err != nil })
		sameEvents(t, f.events, "start", "started", "build", "ended", "stop")
		if f.loss != reactor.ErrNoProtocol || !errors.Is(told, reactor.ErrNoProtocol) || c.Connected() {
			t.Errorf("ended with %v, told %v", f.loss, told)
		}
		sameEvents(t, srv.ends[0].events, "made", "lost eof")
	})
}

// TCP-44: also if the server's greeting has come already, which nobody reads.
func TestDialBuildsNothingAfterGreeting(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		if w.Simulated() {
			return // nothing comes there in the turn in which the connection is made
		}
		r := w.New(t, reactor.Config{})
		l := w.Listener(t)
		defer l.Close()
		var p *testworld.Peer
		f := &dialer{t: t, build: func() reactor.Protocol {
			p = l.Accept()
			p.Send("220 ready\r\n")
			return nil
		}}
		r.Dial(l.Addr(), f, nil, nil)
		until(t, r, func() bool { return f.has("stop") })
		defer p.Close()
		if got, err := p.Rest(); len(got) > 0 || err != io.EOF {
			t.Errorf("the server got %q and %v, want io.EOF", got, err)
		}
	})
}

// TCP-45: one that panics fails the attempt. TCP-46: a ConnectionMade that
// panics loses the connection.
func TestDialPanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		p := listen(t, r, &service{}, nil)
		f := &dialer{t: t, build: func() reactor.Protocol { panic("no protocol") }}
		r.Dial(p.Addr(), f, nil, nil)
		until(t, r, func() bool { return f.has("stop") })
		sameEvents(t, f.events, "start", "started", "build", "failed", "stop")
		isConnectError(t, f.failure)
		if e, ok := errors.AsType[*reactor.PanicError](f.failure); !ok || e.Value != "no protocol" || panics != 1 {
			t.Errorf("%v, %d panics", f.failure, panics)
		}

		cli := &end{onMade: func() { panic("not made") }}
		f = &dialer{t: t, build: func() reactor.Protocol { return cli }}
		var told error
		r.Dial(p.Addr(), f, nil, func(_ reactor.Protocol, err error) { told = err })
		until(t, r, func() bool { return f.has("stop") })
		sameEvents(t, f.events, "start", "started", "build", "ended", "stop")
		sameEvents(t, cli.events, "made", "lost *pool.PanicError")
		if e, ok := errors.AsType[*reactor.PanicError](f.loss); !ok || e.Value != "not made" || cli.err != f.loss || told != f.loss || panics != 2 {
			t.Errorf("ended with %v, lost with %v, told %v, %d panics", f.loss, cli.err, told, panics)
		}
	})
}

// If a factory cannot start, the attempt fails and the factory is not stopped: neither
// for this use nor for one that came after it (TCP-14).
func TestDialFactoryCannotStart(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := listen(t, r, &service{}, nil)
		f := &service{startErr: errors.New("not today")}
		var told error
		r.Dial(p.Addr(), f, nil, func(_ reactor.Protocol, err error) { told = err })
		why := f.startErr
		f.startErr = nil
		c := r.Dial(p.Addr(), f, nil, nil)
		until(t, r, func() bool { return told != nil && c.Connected() })
		isConnectError(t, told, why)
		sameEvents(t, f.events, "start", "start", "build")
		c.Disconnect()
		until(t, r, func() bool { return len(f.events) == 4 })
		sameEvents(t, f.events, "start", "start", "build", "stop")
	})
}
