package reactor_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// halfPair is two connected ends that listen to half-closes.
type halfPair struct {
	r        *reactor.Reactor
	srv, cli halfEnd
}

func newHalfPair(t *testing.T, w testworld.World) *halfPair {
	t.Helper()
	p := &halfPair{r: w.New(t, reactor.Config{})}
	connect(t, p.r, &p.srv, &p.cli)
	return p
}

// saw tells whether the last thing that happened to h is what.
func saw(h *halfEnd, what string) func() bool {
	return func() bool { return h.events[len(h.events)-1] == what }
}

// TCP-58: after CloseWrite, writes are refused, before the half-close and after it. While
// a producer is registered, they are taken until the half-close.
func TestWriteAfterCloseWrite(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		p := newHalfPair(t, w)
		s := p.srv.s
		refused := func(when string) {
			t.Helper()
			if n, err := s.Write([]byte("late")); n != 0 || !errors.Is(err, reactor.ErrWriteClosed) {
				t.Errorf("%s: %d, %v", when, n, err)
			}
		}
		s.RegisterProducer(&quiet{e: &p.srv.end})
		s.Write([]byte("before"))
		s.CloseWrite()
		if n, err := s.Write([]byte(" and after")); n != 10 || err != nil {
			t.Errorf("the producer's write: %d, %v", n, err)
		}
		s.UnregisterProducer()
		refused("before the half-close")
		until(t, p.r, saw(&p.srv, "write lost"))
		refused("after the half-close")
		until(t, p.r, saw(&p.cli, "read lost"))
		if string(p.cli.got) != "before and after" {
			t.Errorf("%q", p.cli.got)
		}
	})
}

// TCP-69: the buffer first, then the peer reads the end; our reading goes on.
// TCP-70: the protocol hears of it, once. TCP-71: the peer can still write, and
// must close itself.
func TestCloseWrite(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		sent := pattern(bulk(w, 17_000))
		p := newHalfPair(t, w)
		p.srv.s.Write(sent)
		p.srv.s.CloseWrite()
		p.srv.s.CloseWrite()
		sameEvents(t, p.srv.events, "made") // later
		until(t, p.r, saw(&p.cli, "read lost"))
		if !bytes.Equal(p.cli.got, sent) {
			t.Errorf("%d of %d bytes came", len(p.cli.got), len(sent))
		}
		p.srv.s.CloseWrite()
		testworld.Turns(t, p.r, 3)
		sameEvents(t, p.srv.events, "made", "write lost")
		sameEvents(t, p.cli.events, "made", "data", "read lost")
		p.cli.s.Write([]byte("an answer"))
		until(t, p.r, func() bool { return string(p.srv.got) == "an answer" })
		testworld.Turns(t, p.r, 3)
		sameEvents(t, p.cli.events, "made", "data", "read lost") // it lives on
		p.cli.s.Close()
		until(t, p.r, func() bool { return p.cli.err != nil })
		sameEvents(t, p.cli.events, "made", "data", "read lost", "lost closed")
		until(t, p.r, saw(&p.srv, "read lost"))
		sameEvents(t, p.srv.events, "made", "write lost", "data", "read lost")
	})
}

// TCP-69: CloseWrite waits for a registered producer, paused or not. TCP-76: it goes on
// when the producer unregisters.
func TestCloseWriteWaitsForProducer(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, size := range []int{0, 100_000} { // more than HighWater pauses it
			var h halfEnd
			r, f, p := withPeer(t, w, reactor.Config{}, &h)
			f.Write = func() error { return kernel.ErrAgain }
			h.s.RegisterProducer(&quiet{e: &h.end})
			h.s.Write(make([]byte, size))
			h.s.CloseWrite()
			testworld.Turns(t, r, 3)
			want := []string{"made"}
			if size > 0 {
				want = append(want, "pause")
			}
			sameEvents(t, h.events, want...)
			f.Write = nil
			until(t, r, func() bool { // the peer sees all of it, and no end
				return h.s.Buffered() == 0
			})
			if _, err := io.ReadFull(p, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			testworld.Turns(t, r, 3)
			if size > 0 {
				want = append(want, "resume")
			}
			sameEvents(t, h.events, want...)
			h.s.UnregisterProducer()
			until(t, r, saw(&h, "write lost"))
			sameEvents(t, h.events, append(want, "write lost")...)
			if n, err := p.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("the peer reads %d, %v", n, err)
			}
		}
	})
}

// TCP-72: without a HalfCloseListener the peer's end is the end, when what is buffered has
// been sent; more is not taken. The peer sees the end only after all of it.
func TestPeerEndsWhileWeSend(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var e end
		r, f, p := withPeer(t, w, reactor.Config{}, &e)
		blocked := true
		f.Write = func() error {
			if blocked {
				return kernel.ErrAgain
			}
			return nil
		}
		e.s.Write([]byte("not in vain"))
		p.CloseWrite()
		until(t, r, func() bool { _, err := e.s.Write([]byte("x")); return err == reactor.ErrClosed })
		testworld.Turns(t, r, 3)
		sameEvents(t, e.events, "made")
		before := e.s.Buffered()
		blocked = false
		until(t, r, func() bool { return e.err != nil })
		sameEvents(t, e.events, "made", "lost eof")
		got := make([]byte, before)
		if _, err := io.ReadFull(p, got); err != nil || string(got[:11]) != "not in vain" {
			t.Errorf("the peer reads %q, %v", got, err)
		}
		if n, err := p.Read(make([]byte, 1)); n != 0 || err != io.EOF || e.s.Buffered() != 0 {
			t.Errorf("the peer reads %d, %v; %d buffered", n, err, e.s.Buffered())
		}
	})
}

// TCP-73: Close ends a connection both of whose directions have ended.
func TestCloseAfterBothHalves(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		p := newHalfPair(t, w)
		p.srv.s.CloseWrite()
		p.cli.s.CloseWrite()
		until(t, p.r, func() bool { return len(p.srv.events) == 3 && len(p.cli.events) == 3 })
		testworld.Turns(t, p.r, 3)
		for _, h := range []*halfEnd{&p.srv, &p.cli} {
			sameEvents(t, h.events[:1], "made")
			if h.err != nil || h.events[1] == h.events[2] {
				t.Errorf("%q", h.events)
			}
			h.s.Close()
			until(t, p.r, func() bool { return h.err != nil })
			if len(h.events) != 4 || h.events[3] != "lost closed" {
				t.Errorf("%q", h.events)
			}
		}
	})
}

// TCP-74: a panic in ReadConnectionLost or WriteConnectionLost ends the connection, even
// if CloseWrite was called in ConnectionMade.
func TestHalfCloseListenerPanics(t *testing.T) {
	cases := map[string]func(h *halfEnd, p func() *testworld.Peer) (want string){
		"read": func(h *halfEnd, p func() *testworld.Peer) string {
			h.onReadLost = func() { panic("read") }
			p().CloseWrite()
			return "read lost"
		},
		"write": func(h *halfEnd, p func() *testworld.Peer) string {
			h.onWriteLost = func() { panic("write") }
			p()
			h.s.CloseWrite()
			return "write lost"
		},
		"write, at once": func(h *halfEnd, p func() *testworld.Peer) string {
			h.onMade = func() { h.s.CloseWrite() }
			h.onWriteLost = func() { panic("write, at once") }
			p()
			return "write lost"
		},
	}
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, act := range cases {
			t.Run(name, func(t *testing.T) {
				var h halfEnd
				panics, log := 0, &journal{}
				var r *reactor.Reactor
				what := act(&h, func() (p *testworld.Peer) {
					r, _, p = withPeer(t, w, reactor.Config{Logger: slog.New(log), Panicked: func(*reactor.PanicError) { panics++ }}, &h)
					return p
				})
				until(t, r, func() bool { return h.err != nil })
				sameEvents(t, h.events, "made", what, "lost *pool.PanicError")
				if e, _ := errors.AsType[*reactor.PanicError](h.err); e.Value != name || panics != 1 || len(log.with("ERROR panic", "value="+name)) != 1 {
					t.Errorf("TCP-74: lost with %v, %d panics, log %q", h.err, panics, log.lines)
				}
			})
		}
	})
}

// TCP-75: CloseWrite on a connection whose peer has gone is not a failure of its own.
func TestCloseWriteOfGonePeer(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var h halfEnd
		r, _, p := withPeer(t, w, reactor.Config{}, &h)
		h.s.PauseProducing()
		p.Abort()
		testworld.Turns(t, r, 3)
		h.s.CloseWrite()
		if hearsFailures(r) { // it is lost already
			testworld.Turns(t, r, 3)
			sameEvents(t, h.events, "made", "lost *reactor.OpError")
		} else {
			until(t, r, saw(&h, "write lost"))
			h.s.ResumeProducing()
			until(t, r, func() bool { return h.err != nil })
			sameEvents(t, h.events, "made", "write lost", "lost *reactor.OpError")
		}
		if !errors.Is(h.err, reactor.ErrLost) || !errors.Is(h.err, kernel.ErrReset) {
			t.Errorf("lost with %v", h.err)
		}
	})
}
