package reactor_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

func TestBuiltInShutdownSteps(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var s steps
		srv, cli := &end{}, &end{}
		srv.onLost = func(error) { s.add(fmt.Sprint("lost ", r.Running())) }
		r.AddTrigger(reactor.During, reactor.Shutdown, func() {
			s.add("first")
			if err := r.CallInThread(func() {}); err != nil {
				t.Errorf("CORE-25: the pool has ended before a trigger registered earlier: %v", err)
			}
		})
		r.AddTrigger(reactor.After, reactor.Shutdown, func() {
			if err := r.CallInThread(func() {}); err != pool.ErrStopped {
				t.Errorf("CORE-25: the pool lives after the During phase: %v", err)
			}
		})
		connect(t, r, srv, cli)
		r.Post(func() { r.Stop() })
		runToEnd(t, r)
		same(t, s, "lost false", "first") // CORE-25: not running, disconnected, then the user's
	})
}

// readWriter is a pipeReader that is also written to.
type readWriter struct{ *pipeReader }

func (readWriter) DoWrite() error { return nil }

func TestDisconnectAll(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var panics []any
		r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { panics = append(panics, e.Value) }})
		var s steps
		lost := func(name string) func(error) {
			return func(err error) { s.add(fmt.Sprintf("%s %v", name, err == reactor.ErrStopped)) }
		}
		idle := listen(t, r, one(&end{}), nil)
		stopped(t, idle)
		srv, cli := &end{onLost: lost("srv")}, &end{}
		p, _ := connect(t, r, srv, cli)
		again := false
		cli.onLost = func(err error) {
			lost("cli")(err)
			if !again {
				again = true
				if _, err := r.Listen(loopback, one(&end{}), nil); !errors.Is(err, reactor.ErrStopped) {
					t.Errorf("CORE-26: Listen while everything ends: %v", err)
				}
				if err := idle.StartListening(); !errors.Is(err, reactor.ErrStopped) || idle.Listening() {
					t.Errorf("CORE-26: StartListening while everything ends: %v", err)
				}
			}
		}
		bad, last := &end{onLost: func(error) { panic("in ConnectionLost") }}, &end{onLost: lost("last")}
		connect(t, r, bad, last)
		r.Post(func() {
			r.Dial(p.Addr(), one(&end{}), nil, func(_ reactor.Protocol, err error) {
				s.add(fmt.Sprintf("connector %v", errors.Is(err, reactor.ErrStopped)))
			})
			r.Post(func() { r.Stop() }) // when the connector has begun, and before it can be connected
		})
		runToEnd(t, r)
		// CORE-26: each is told once, whatever the others do.
		slices.Sort(s)
		same(t, s, "cli true", "connector true", "last true", "srv true")
		same(t, panics, any("in ConnectionLost"))
		if p.Listening() || r.Stats().Sources != 0 {
			t.Errorf("CORE-26: something is left: %+v", r.Stats())
		}
	})
}

// The same with descriptors among them.
func TestDisconnectDescriptors(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		var panics []any
		r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { panics = append(panics, e.Value) }})
		var s steps
		lost := func(name string) func(error) {
			return func(err error) { s.add(fmt.Sprintf("%s %v", name, err == reactor.ErrStopped)) }
		}
		both, bad, last := readWriter{newPipeReader(t)}, newPipeReader(t), newPipeReader(t)
		both.lost, last.lost = lost("both"), lost("last")
		bad.lost = func(error) { panic("in ConnectionLost") }
		again := false
		both.read = func() {}
		if r.AddReader(both) != nil || r.AddWriter(both) != nil || r.AddReader(bad) != nil || r.AddReader(last) != nil {
			t.Fatal("cannot watch")
		}
		srv, cli := &end{onLost: lost("srv")}, &end{onLost: lost("cli")}
		p, _ := connect(t, r, srv, cli)
		cli.onLost = func(err error) {
			lost("cli")(err)
			if !again {
				again = true
				if err := r.AddReader(newPipeReader(t)); !errors.Is(err, reactor.ErrStopped) {
					t.Errorf("CORE-26: AddReader while everything ends: %v", err)
				}
				if err := r.AddWriter(readWriter{newPipeReader(t)}); !errors.Is(err, reactor.ErrStopped) {
					t.Errorf("CORE-26: AddWriter while everything ends: %v", err)
				}
			}
		}
		r.Post(func() { r.Stop() })
		runToEnd(t, r)
		// CORE-26: each is told once, whatever the others do.
		slices.Sort(s)
		same(t, s, "both true", "cli true", "last true", "srv true")
		same(t, panics, any("in ConnectionLost"))
		if p.Listening() || len(r.Readers())+len(r.Writers()) != 0 || r.Stats().Sources != 0 {
			t.Errorf("CORE-26: something is left: %+v", r.Stats())
		}
	})
}

func TestNoLastPoll(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := spyOn(t, w)
		r := testworld.New(t, k, reactor.Config{})
		p := newPipeReader(t)
		p.read = func() { t.Error("CORE-27: DoRead after the shutdown") }
		waits := 0
		var late *reactor.DelayedCall
		r.AddTrigger(reactor.After, reactor.Shutdown, func() {
			late = r.CallLater(0, func() { t.Error("CORE-27: a call that an After trigger has added was made") })
			if err := r.AddReader(p); !errors.Is(err, reactor.ErrStopped) {
				t.Errorf("CORE-27: AddReader after the shutdown: %v", err)
			}
			waits = len(k.waits)
		})
		r.Post(func() { r.Post(func() { r.Stop() }) }) // in the second turn: the first one waits
		distant := r.CallLater(time.Hour, func() { t.Error("CORE-28: a distant call was made") })
		runToEnd(t, r)
		if waits == 0 || len(k.waits) != waits {
			t.Errorf("CORE-27: %d waits at the shutdown, %d at the end", waits, len(k.waits))
		}
		// CORE-28: neither run nor cancelled.
		if !distant.Active() || !late.Active() {
			t.Error("CORE-28: a call is not active after the end")
		}
		late.Cancel()
		same(t, r.DelayedCalls(), distant)
	})
}

func TestCallWhenRunning(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var s steps
		var log coreLog
		r := w.New(t, reactor.Config{Logger: slog.New(&log), Panicked: func(e *reactor.PanicError) { s.add(fmt.Sprint("panic ", e.Value)) }})
		r.CallWhenRunning(s.adds("one"))
		gone := r.CallWhenRunning(s.adds("gone"))
		r.CallWhenRunning(func() { panic("two") }) // CORE-44: the rest runs
		r.CallWhenRunning(s.adds("three"))
		if gone == nil || gone.Remove() != nil {
			t.Error("CORE-43: the trigger cannot be removed")
		}
		r.Post(func() {
			if r.CallWhenRunning(s.adds("at once")) != nil {
				t.Error("CORE-43: a trigger for a function that has been called")
			}
			s.add("after it")
			defer func() {
				if v := recover(); v != "mine" {
					t.Errorf("CORE-44: the caller caught %v", v)
				}
				r.Stop()
			}()
			r.CallWhenRunning(func() { panic("mine") })
		})
		runToEnd(t, r)
		if n := log.count(slog.LevelError, "panic"); n != 1 {
			t.Errorf("CORE-44: %d panics logged", n)
		}
		if r.CallWhenRunning(s.adds("too late")) == nil {
			t.Error("CORE-45: not accepted after the end")
		}
		r.Close()
		// CORE-43: in order, and at once while it runs; CORE-45: not after the end.
		same(t, s, "one", "panic two", "three", "at once", "after it")
	})
}

// answers is a resolver that knows one answer.
type answers struct{ asked []string }

func (a *answers) Resolve(r *reactor.Reactor, name string, done func([]netip.Addr, error)) (cancel func()) {
	a.asked = append(a.asked, name)
	d := r.CallLater(0, func() { done([]netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil) })
	return func() { d.Cancel() }
}

func TestResolveNames(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		a := &answers{}
		r := w.New(t, reactor.Config{Resolver: a})
		for _, c := range []struct{ name, want string }{
			{"", "0.0.0.0"}, {"198.51.100.7", "198.51.100.7"}, {"2001:db8::1", "2001:db8::1"}, {"some.example", "192.0.2.1"},
		} {
			var got []netip.Addr
			calls := 0
			r.Resolve(c.name, func(ips []netip.Addr, err error) {
				if err != nil {
					t.Errorf("Resolve(%q): %v", c.name, err)
				}
				calls++
				got = ips
			})
			if calls != 0 {
				t.Errorf("Resolve(%q) has called back before it returned", c.name)
			}
			until(t, r, func() bool { return calls > 0 })
			same(t, got, netip.MustParseAddr(c.want)) // CORE-46
		}
		same(t, a.asked, "some.example") // CORE-46: literals and "" ask nobody
	})
}

func TestResolveLocalhost(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		r.CallWhenRunning(func() {
			r.Resolve("localhost", func(ips []netip.Addr, err error) {
				if !slices.Contains(ips, loopback.IP.Addr()) {
					t.Errorf("CORE-47: localhost is %v, %v", ips, err)
				}
				r.Stop()
			})
		})
		runToEnd(t, r)
	})
}

func TestDefaultKernel(t *testing.T) {
	names := native.Names()
	rank := []string{"epoll", "kqueue", "poll", "select"}
	var want []string
	for _, n := range rank {
		if slices.Contains(names, n) {
			want = append(want, n)
		}
	}
	got := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !slices.Contains(rank, n) })
	same(t, got, want...) // CORE-48
	if runtime.GOOS == "linux" {
		same(t, names, "epoll", "poll", "select") // CORE-48
	}
	k, err := native.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if n := kernel.NameOf(k); n != names[0] {
		t.Errorf("CORE-48: the default is %s, the best %s", n, names[0])
	}
}

// TestPanicInCallback panics in each kind of callback once: it is logged, reported,
// and the loop and the other connections go on (CORE-20, X-3).
func TestPanicInCallback(t *testing.T) {
	oh := func() { panic("oh") }
	dial := func(t *testing.T, r *reactor.Reactor, srv reactor.Factory, cli *end, done func(reactor.Protocol, error)) {
		cli.onMade = func() { cli.s.Write([]byte("x")) }
		r.Dial(listen(t, r, srv, nil).Addr(), one(cli), nil, done)
	}
	for _, c := range []struct {
		name string
		do   func(t *testing.T, r *reactor.Reactor)
	}{
		{"ConnectionMade", func(t *testing.T, r *reactor.Reactor) { dial(t, r, one(&end{onMade: oh}), &end{}, nil) }},
		{"DataReceived", func(t *testing.T, r *reactor.Reactor) {
			dial(t, r, one(&end{onData: func([]byte) { oh() }}), &end{}, nil)
		}},
		{"ConnectionLost", func(t *testing.T, r *reactor.Reactor) {
			srv := &end{onLost: func(error) { oh() }}
			srv.onData = func([]byte) { srv.s.Close() }
			dial(t, r, one(srv), &end{}, nil)
		}},
		{"BuildProtocol", func(t *testing.T, r *reactor.Reactor) {
			dial(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { oh(); return nil }), &end{}, nil)
		}},
		{"done of Dial", func(t *testing.T, r *reactor.Reactor) {
			dial(t, r, one(&end{}), &end{}, func(reactor.Protocol, error) { oh() })
		}},
		{"done of StopListening", func(t *testing.T, r *reactor.Reactor) {
			listen(t, r, one(&end{}), nil).StopListening(func(error) { oh() })
		}},
		{"done of Resolve", func(t *testing.T, r *reactor.Reactor) { r.Resolve("127.0.0.1", func([]netip.Addr, error) { oh() }) }},
		{"done of InThread", func(t *testing.T, r *reactor.Reactor) {
			reactor.InThread(r, func() (int, error) { return 0, nil }, func(int, error) { oh() })
		}},
		{"work", func(t *testing.T, r *reactor.Reactor) {
			if err := r.CallInThread(oh); err != nil {
				t.Error(err)
			}
		}},
		{"posted function", func(t *testing.T, r *reactor.Reactor) { r.Post(oh) }},
		{"delayed call", func(t *testing.T, r *reactor.Reactor) { r.CallLater(0, oh) }},
		{"trigger", func(t *testing.T, r *reactor.Reactor) {
			r.AddTrigger(reactor.During, "an event", oh)
			r.CallLater(0, func() { r.FireEvent("an event") })
		}},
		{"ReadConnectionLost", func(t *testing.T, r *reactor.Reactor) {
			cli := &end{}
			dial(t, r, one(&halfEnd{onReadLost: oh}), cli, nil)
			cli.onMade = func() { cli.s.CloseWrite() }
		}},
		{"ResumeProducing", func(t *testing.T, r *reactor.Reactor) {
			srv, marks := &end{}, reactor.StreamConfig{HighWater: 500, LowWater: 100} // few, as some worlds send single bytes
			srv.onMade = func() {
				srv.s.RegisterProducer(&source{onResume: oh})
				srv.s.Write(make([]byte, marks.HighWater+1)) // in one callback
			}
			r.Dial(listen(t, r, one(srv), &reactor.ListenConfig{StreamConfig: marks}).Addr(), one(&end{}), nil, nil)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			chunked(t, func(t *testing.T, w testworld.World) { survives(t, w, c.do) })
		})
	}
}

// And in DoRead of a descriptor (CORE-20, X-3).
func TestPanicInDoRead(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		survives(t, w, func(t *testing.T, r *reactor.Reactor) {
			p := newPipeReader(t)
			p.read = func() { panic("oh") }
			if err := r.AddReader(p); err != nil {
				t.Error(err)
			}
		})
	})
}

// survives checks that do leads to one panic, with "oh", and that another connection goes
// on.
func survives(t *testing.T, w testworld.World, do func(t *testing.T, r *reactor.Reactor)) {
	t.Helper()
	var log coreLog
	var panics []any
	r := w.New(t, reactor.Config{Logger: slog.New(&log), Panicked: func(e *reactor.PanicError) { panics = append(panics, e.Value) }})
	other, cli := &end{}, &end{}
	connect(t, r, other, cli)
	do(t, r)
	until(t, r, func() bool { return len(panics) > 0 })
	cli.s.Write([]byte("still there"))
	called := false
	r.CallLater(0, func() { called = true })
	until(t, r, func() bool { return called && string(other.got) == "still there" })
	same(t, panics, any("oh"))
	if n := log.count(slog.LevelError, "panic"); n != 1 {
		t.Errorf("%d panics logged", n)
	}
}
