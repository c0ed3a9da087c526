package reactor_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// gate is a port on a kernel whose accepts are counted and may fail.
type gate struct {
	*service
	w      testworld.World
	faults *testworld.Faults
	log    *journal
	r      *reactor.Reactor
	port   *reactor.Port
	panics int
}

func newGate(t *testing.T, w testworld.World) *gate {
	g := &gate{service: &service{}, w: w, faults: &testworld.Faults{}, log: &journal{}}
	g.r = testworld.New(t, g.faults.Wrap(w.Open(t)), reactor.Config{
		Logger: slog.New(g.log), Panicked: func(*reactor.PanicError) { g.panics++ },
	})
	g.port = listen(t, g.r, g, nil)
	return g
}

// crowd is n clients waiting to be accepted.
func (g *gate) crowd(t *testing.T, n int) []*testworld.Peer {
	t.Helper()
	var all []*testworld.Peer
	for range n {
		all = append(all, g.w.Peer(t, g.port.Addr()))
	}
	return all
}

// wake makes the turns until there was an accept, and returns how many there
// were in that wake-up.
func (g *gate) wake(t *testing.T) int {
	t.Helper()
	before := g.faults.Calls["Accept"]
	until(t, g.r, func() bool { return g.faults.Calls["Accept"] > before })
	return g.faults.Calls["Accept"] - before
}

// wakes checks how many accepts each of the next wake-ups makes.
func (g *gate) wakes(t *testing.T, want ...int) {
	t.Helper()
	for i, n := range want {
		if got := g.wake(t); got != n {
			t.Errorf("wake %d made %d accepts, want %d", i, got, n)
		}
	}
}

// ended tells how a client's connection ended; whatever came is dropped.
func ended(c io.Reader) error {
	_, err := io.Copy(io.Discard, c)
	if err == nil {
		return io.EOF
	}
	return err
}

// TCP-15, X-6: the allowance begins at 100. After a wake-up that used all of it, it grows by
// 20; otherwise it becomes what was accepted. TCP-16: a refusal by the factory counts as
// an accept.
func TestAcceptAllowance(t *testing.T) {
	builds := map[string]func(kernel.Addr) reactor.Protocol{
		"built":   nil,
		"refused": func(kernel.Addr) reactor.Protocol { return nil },
	}
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, build := range builds {
			t.Run(name, func(t *testing.T) {
				g := newGate(t, w)
				g.build = build
				g.crowd(t, 230)
				g.wakes(t, 100, 120, 10+1) // the last one found nobody
				g.crowd(t, 15)
				g.wakes(t, 10, 5+1)
				if n := g.port.Stats().Accepted; n != 245 {
					t.Errorf("%d accepted", n)
				}
			})
		}
	})
}

// TCP-16: an accept that failed does not count, nor one that a firewall refused.
func TestAcceptAllowanceWithoutFailures(t *testing.T) {
	for _, fault := range []error{kernel.ErrAccept, kernel.ErrAgain} {
		worlds(t, func(t *testing.T, w testworld.World) {
			g := newGate(t, w)
			g.crowd(t, 10)
			g.faults.Accept = func() error {
				if g.faults.Calls["Accept"] == 4 {
					return fault
				}
				return nil
			}
			g.wakes(t, 3+1, 3, 4+1) // an allowance of 3 after the failure, not of 4
			if len(g.ends) != 10 {
				t.Errorf("%d accepted", len(g.ends))
			}
		})
	}
}

// TCP-17: would-block ends the wake-up, without a log record and without a pause.
func TestAcceptAgain(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		g.crowd(t, 1)
		g.log.lines = nil
		g.faults.Accept = func() error { return kernel.ErrAgain }
		g.wakes(t, 1)
		g.faults.Accept = nil
		g.wakes(t, 1) // of an allowance of 1
		if len(g.ends) != 1 || len(g.log.lines) != 0 || g.port.Stats().Failed != 0 || len(g.r.DelayedCalls()) != 0 {
			t.Errorf("%d built, log %q, %+v", len(g.ends), g.log.lines, g.port.Stats())
		}
	})
}

// TCP-18: a firewall's no is skipped.
func TestAcceptPermission(t *testing.T) {
	no := fmt.Errorf("accept: %w", kernel.ErrPermission)
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		g.crowd(t, 3)
		g.faults.Accept = func() error {
			if g.faults.Calls["Accept"] == 2 {
				return no
			}
			return nil
		}
		g.wakes(t, 5) // one, a no, two, nobody
		if len(g.ends) != 3 {
			t.Errorf("%d built", len(g.ends))
		}
		g.crowd(t, 2)
		g.faults.Accept = func() error { return no }
		g.wakes(t, 3, 1, 1) // the whole allowance of 3, then 1 at a time
		g.faults.Accept = nil
		until(t, g.r, func() bool { return len(g.ends) == 5 })
		if len(g.log.with("WARN")) != 0 || len(g.log.with("ERROR")) != 0 {
			t.Errorf("log %q", g.log.lines)
		}
	})
}

// TCP-19 (out of a resource, or the client went away before it was accepted), TCP-20 (any
// other error): one log record, the wake-up ends, and the port stays open.
func TestAcceptFails(t *testing.T) {
	cases := []struct {
		name  string
		err   error
		level string
		rests bool
	}{
		{"aborted", fmt.Errorf("accept: %w", kernel.ErrAccept), "WARN", false},
		{"no memory", fmt.Errorf("accept: %w", kernel.ErrNoResources), "WARN", true},
		{"no descriptors, no reserve", fmt.Errorf("accept: %w", kernel.ErrTooManyFiles), "WARN", true},
		{"other", fmt.Errorf("accept: %w", syscall.EINVAL), "ERROR", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // most of the time is waiting
			worlds(t, func(t *testing.T, w testworld.World) {
				faults := &testworld.Faults{Reserve: func() error { return kernel.ErrTooManyFiles }}
				g := &gate{service: &service{}, w: w, faults: faults, log: &journal{}}
				g.r = testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{Logger: slog.New(g.log)})
				g.port = listen(t, g.r, g, nil)
				g.log.lines = nil
				g.crowd(t, 2)
				faults.Accept = func() error { faults.Accept = nil; return c.err }
				g.wakes(t, 1)
				if len(g.log.lines) != 1 || len(g.log.with(c.level, "could not accept new connection", c.err.Error())) != 1 {
					t.Errorf("log %q", g.log.lines)
				}
				if !g.port.Listening() || g.port.Stats().Failed != 1 || len(g.ends) != 0 {
					t.Errorf("listening %v, %+v", g.port.Listening(), g.port.Stats())
				}
				// If the socket stays ready, the port pauses; otherwise the loop
				// would spin.
				start := g.r.Now()
				testworld.Turns(t, g.r, 1)
				if rested := len(g.ends) == 0; rested != c.rests {
					t.Errorf("rested: %v", rested)
				}
				until(t, g.r, func() bool { return len(g.ends) == 2 })
				if rest := g.r.Now() - start; c.rests && rest < 40e6 {
					t.Errorf("rested %v", rest)
				}
			})
		})
	}
}

// A port may be stopped during its pause, and listen again (TCP-11).
func TestStopListeningInARest(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		g.crowd(t, 1)
		g.faults.Accept = func() error { return kernel.ErrNoResources }
		g.wakes(t, 1)
		g.faults.Accept = nil
		stopped(t, g.port)
		if n := len(g.r.DelayedCalls()); n != 0 {
			t.Errorf("%d delayed calls of a stopped port", n)
		}
		if len(g.ends) != 1 {
			t.Errorf("%d built, want the client that waited", len(g.ends))
		}
		if err := g.port.StartListening(); err != nil {
			t.Fatal(err)
		}
		g.crowd(t, 1)
		until(t, g.r, func() bool { return len(g.ends) == 2 })
	})
}

// TCP-21: the clients that wait are accepted with the reserve and closed; TCP-24:
// nothing is logged while there is no descriptor.
func TestAcceptOverflow(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		var events []string
		note := func(s string) { events = append(events, s) }
		full := true
		g.faults.Accept = func() error {
			if full {
				full = false
				note("full")
				return fmt.Errorf("accept: %w", kernel.ErrTooManyFiles)
			}
			note("accept")
			return nil
		}
		g.faults.Reserve = func() error { note("reserve"); return nil }
		g.log.heard = func(string) { note("log") }
		g.log.lines = nil
		clients := g.crowd(t, 3)
		g.wakes(t, 5)
		sameEvents(t, events, "full", "accept", "accept", "accept", "accept", "reserve", "log")
		if n := g.faults.Calls["Release"]; n != 1 {
			t.Errorf("the reserve was given up %d times", n)
		}
		for _, c := range clients {
			if err := ended(c); err != io.EOF && !errors.Is(err, kernel.ErrReset) {
				t.Errorf("a client sees %v", err)
			}
		}
		sameEvents(t, g.events, "start") // the factory never saw them
		if s := g.port.Stats(); s.Refused != 3 || s.Failed != 1 || s.Open != 0 {
			t.Errorf("%+v", s)
		}
		// The reserve is there again, and so is the port.
		g.crowd(t, 1)
		until(t, g.r, func() bool { return len(g.ends) == 1 })
		full = true
		g.crowd(t, 1)
		until(t, g.r, func() bool { return g.port.Stats().Refused == 4 })
		if n := g.faults.Calls["Release"]; n != 2 {
			t.Errorf("the reserve was given up %d times", n)
		}
	})
}

// TCP-21: one wake-up closes no more clients than it would have accepted.
func TestAcceptOverflowIsBounded(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		g.crowd(t, 130)
		g.faults.Accept = func() error { g.faults.Accept = nil; return kernel.ErrTooManyFiles }
		g.wakes(t, 1+100)
		if n := g.port.Stats().Refused; n != 100 {
			t.Errorf("%d closed", n)
		}
		until(t, g.r, func() bool { return len(g.ends) == 30 })
	})
}

// TCP-23: the reserve is taken back even if it did not help. If that fails, the port
// works without it.
func TestAcceptOverflowFails(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		t.Parallel() // most of the time is waiting
		g := newGate(t, w)
		g.crowd(t, 1)
		g.faults.Accept = func() error { return kernel.ErrTooManyFiles }
		g.wakes(t, 2)
		if n := g.faults.Calls["Reserve"]; n != 2 {
			t.Errorf("the reserve was taken %d times", n)
		}
		g.faults.Reserve = func() error { return kernel.ErrTooManyFiles }
		g.wakes(t, 2)
		if len(g.log.with("ERROR", "reserve")) != 1 {
			t.Errorf("log %q", g.log.lines)
		}
		g.wakes(t, 1) // no reserve any more
		if n := g.faults.Calls["Release"]; n != 2 || !g.port.Listening() {
			t.Errorf("the reserve was given up %d times, listening %v", n, g.port.Listening())
		}
		g.faults.Accept = nil
		until(t, g.r, func() bool { return len(g.ends) == 1 })
	})
}

// TCP-22: one reserve for all ports of a reactor, from its first listen on.
func TestReserveIsShared(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		listen(t, g.r, &service{}, nil)
		stopped(t, g.port)
		if err := g.port.StartListening(); err != nil {
			t.Fatal(err)
		}
		if n := g.faults.Calls["Reserve"]; n != 1 {
			t.Errorf("the reserve was taken %d times", n)
		}
	})
}

// TCP-23: no descriptor for a reserve is a warning; anything else fails the
// listen.
func TestReserveFails(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		log := &journal{}
		faults := &testworld.Faults{Reserve: func() error { return fmt.Errorf("open: %w", kernel.ErrTooManyFiles) }}
		r := testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{Logger: slog.New(log)})
		p := listen(t, r, &service{}, nil)
		if !p.Listening() || len(log.with("WARN", "reserve")) != 1 {
			t.Errorf("listening %v, log %q", p.Listening(), log.lines)
		}
		faults.Reserve = func() error { return fmt.Errorf("open: %w", kernel.ErrPermission) }
		if _, err := r.Listen(loopback, &service{}, nil); !errors.Is(err, reactor.ErrListen) || !errors.Is(err, kernel.ErrPermission) {
			t.Errorf("listening without a null device: %v", err)
		}
	})
}

// TCP-25: no protocol, no connection, no session number.
func TestBuildProtocolRefuses(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		g.build = func(kernel.Addr) reactor.Protocol { return nil }
		c := g.crowd(t, 1)[0]
		g.wake(t)
		sameEvents(t, g.faults.Closed, "close") // at once
		if err := ended(c); err != io.EOF {
			t.Errorf("the client sees %v", err)
		}
		g.build = nil
		g.crowd(t, 1)
		until(t, g.r, func() bool { return len(g.ends) == 1 })
		if s := g.ends[0].s.String(); !strings.Contains(s, "#0") {
			t.Error(s)
		}
	})
}

// TCP-26: a factory that panics loses only the connection it was asked for.
func TestBuildProtocolPanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		g.build = func(kernel.Addr) reactor.Protocol { g.build = nil; panic("no protocol") }
		clients := g.crowd(t, 3)
		g.wakes(t, 4) // the wake goes on
		if len(g.ends) != 2 || g.panics != 1 || len(g.log.with("ERROR panic", "no protocol")) != 1 {
			t.Errorf("%d built, %d panics, log %q", len(g.ends), g.panics, g.log.lines)
		}
		sameEvents(t, g.faults.Closed, "close")
		if err := ended(clients[0]); err != io.EOF {
			t.Errorf("the client sees %v", err)
		}
		g.crowd(t, 1)
		until(t, g.r, func() bool { return len(g.ends) == 3 })
	})
}

// TCP-27: a server's protocol that panics in ConnectionMade loses its connection, and its
// ConnectionLost is called. The others go on.
func TestServerConnectionMadePanics(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		g.build = func(kernel.Addr) reactor.Protocol {
			e := new(end)
			if g.ends = append(g.ends, e); len(g.ends) == 1 {
				e.onMade = func() { panic("not made") }
			}
			return e
		}
		clients := g.crowd(t, 2)
		clients[0].Write([]byte("in vain"))
		clients[1].Write([]byte("hello"))
		until(t, g.r, func() bool { return len(g.ends) == 2 && string(g.ends[1].got) == "hello" })
		sameEvents(t, g.ends[0].events, "made", "lost *pool.PanicError")
		if p, ok := errors.AsType[*reactor.PanicError](g.ends[0].err); !ok || p.Value != "not made" || g.panics != 1 {
			t.Errorf("lost with %v, %d panics", g.ends[0].err, g.panics)
		}
		if err := ended(clients[0]); !errors.Is(err, kernel.ErrReset) {
			t.Errorf("the client sees %v", err)
		}
		if !slices.Equal(g.ends[1].events, []string{"made", "data"}) || len(g.log.with("ERROR panic", "not made")) != 1 {
			t.Errorf("%q, log %q", g.ends[1].events, g.log.lines)
		}
	})
}

// If no descriptor is left, connections that linger after their Close make room, before anybody
// is refused.
func TestLingeringMakesRoom(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		first := g.crowd(t, 1)
		until(t, g.r, func() bool { return len(g.ends) == 1 })
		e := g.ends[0]
		e.s.Write([]byte("bye"))
		e.s.Close()
		until(t, g.r, func() bool { return e.err != nil })
		before := g.r.Stats().Sources
		g.crowd(t, 1)
		failed := false
		g.faults.Accept = func() error {
			if failed {
				return nil
			}
			failed = true
			return kernel.ErrTooManyFiles
		}
		until(t, g.r, func() bool { return len(g.ends) == 2 })
		if s := g.port.Stats(); s.Refused != 0 || s.Failed != 0 || g.r.Stats().Sources != before || len(g.faults.Closed) != 1 {
			t.Errorf("%+v, %d sources, closed %v", s, g.r.Stats().Sources, g.faults.Closed)
		}
		if got, err := first[0].Rest(); string(got) != "bye" || err != nil && err != io.EOF {
			t.Errorf("the peer got %q, %v", got, err)
		}
	})
}
