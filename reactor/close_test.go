package reactor_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// quiet is a producer that only notes what it is told.
type quiet struct {
	e        *end
	onResume func()
}

func (q *quiet) PauseProducing() { q.e.note("pause") }
func (q *quiet) StopProducing()  { q.e.note("stop") }
func (q *quiet) ResumeProducing() {
	q.e.note("resume")
	if q.onResume != nil {
		q.onResume()
	}
}

// TCP-57: after Close, writes are refused, even if output is still buffered. While a
// producer is registered, they are taken.
func TestWriteAfterClose(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		p := newTCPPair(t, w)
		s := p.srv.s
		s.Write([]byte("before"))
		s.Close()
		if n, err := s.Write([]byte("after")); n != 0 || !errors.Is(err, reactor.ErrClosed) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %d, %v", n, err)
		}
		until(t, p.r, func() bool { return p.cli.err != nil })
		if string(p.cli.got) != "before" {
			t.Errorf("%q", p.cli.got)
		}

		p = newTCPPair(t, w)
		s = p.srv.s
		s.RegisterProducer(&quiet{e: &p.srv})
		s.Write([]byte("before"))
		s.Close()
		until(t, p.r, func() bool { return string(p.cli.got) == "before" })
		if n, err := s.Write([]byte(" and after")); n != 10 || err != nil {
			t.Errorf("the producer's write: %d, %v", n, err)
		}
		until(t, p.r, func() bool { return string(p.cli.got) == "before and after" })
		sameEvents(t, p.srv.events, "made")
		s.UnregisterProducer()
		until(t, p.r, func() bool { return p.cli.err != nil && p.srv.err != nil })
		sameEvents(t, p.srv.events, "made", "lost closed")
	})
}

// TCP-59: Close stops reading at once, sends what is buffered, and ends the connection
// once. Unread input must not make the system drop what it still has to send.
func TestClose(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		sent := pattern(bulk(w, 20_000))
		p := newTCPPair(t, w)
		p.cli.s.Write([]byte("unread"))
		p.srv.s.Write(sent)
		p.srv.s.Close()
		p.srv.s.Close()
		until(t, p.r, func() bool { return p.srv.err != nil && p.cli.err != nil })
		if !bytes.Equal(p.cli.got, sent) {
			t.Errorf("%d of %d bytes came", len(p.cli.got), len(sent))
		}
		testworld.Turns(t, p.r, 3)
		p.srv.s.Close()
		testworld.Turns(t, p.r, 3)
		sameEvents(t, p.srv.events, "made", "lost closed")
		sameEvents(t, p.cli.events, "made", "data", "lost eof")
	})
}

// TCP-59: after a Close in DataReceived nothing more is delivered, neither input that is
// already there nor input that comes later.
func TestCloseInDataReceived(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		p := newTCPPair(t, w)
		p.srv.onData = func([]byte) {
			p.srv.s.Close()
			p.srv.onData = func([]byte) { t.Error("data after Close") }
		}
		p.cli.s.Write([]byte("some text, in one or many pieces"))
		until(t, p.r, func() bool { return p.srv.err != nil && p.cli.err != nil })
		sameEvents(t, p.srv.events, "made", "data", "lost closed")
	})
}

// TCP-60: ConnectionLost is never called inside Close or Write, whatever they find.
func TestLossIsToldLater(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		cases := map[string]func(e *end, f *testworld.Faults){
			"close": func(e *end, _ *testworld.Faults) { e.s.Close() },
			"large write fails": func(e *end, f *testworld.Faults) {
				f.Write = func() error { return syscall.EPIPE }
				if n, err := e.s.Write(make([]byte, 100_000)); n != 100_000 || err != nil || f.Calls["Write"] == 0 {
					t.Errorf("%d, %v, after %d writes", n, err, f.Calls["Write"])
				}
			},
		}
		for name, act := range cases {
			for _, in := range []string{"a callback", "between turns"} {
				var e end
				r, f, p := withPeer(t, w, reactor.Config{}, &e)
				do := func() {
					n := len(e.events)
					act(&e, f)
					if len(e.events) != n {
						t.Errorf("%s in %s: told inside", name, in)
					}
				}
				if in == "a callback" {
					e.onData = func([]byte) { do() }
					p.Write([]byte("x"))
				} else {
					do()
				}
				until(t, r, func() bool { return e.err != nil })
			}
		}
		// Half-closed already: still later.
		var h halfEnd
		r, _, _ := withPeer(t, w, reactor.Config{}, &h)
		h.s.CloseWrite()
		until(t, r, func() bool { return h.events[len(h.events)-1] == "write lost" })
		h.s.Close()
		sameEvents(t, h.events, "made", "write lost")
		until(t, r, func() bool { return h.err != nil })
		sameEvents(t, h.events, "made", "write lost", "lost closed")
	})
}

// TCP-61: what ConnectionMade writes is sent, even if it then calls Close. This holds on
// both sides.
func TestCloseInConnectionMade(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		for _, side := range []string{"server", "client"} {
			r := w.New(t, reactor.Config{})
			var srv, cli end
			talks, hears := &srv, &cli
			if side == "client" {
				talks, hears = hears, talks
			}
			talks.onMade = func() {
				talks.s.Write([]byte("good day, "))
				talks.s.Write([]byte("good bye"))
				talks.s.Close()
			}
			p := listen(t, r, one(&srv), nil)
			r.Dial(p.Addr(), one(&cli), nil, nil)
			until(t, r, func() bool { return srv.err != nil && cli.err != nil })
			if string(hears.got) != "good day, good bye" {
				t.Errorf("from the %s: %q", side, hears.got)
			}
			sameEvents(t, talks.events, "made", "lost closed")
			sameEvents(t, hears.events, "made", "data", "lost eof")
		}
	})
}

// TCP-64: nothing is delivered after PauseProducing, also in ConnectionMade and in
// DataReceived, until ResumeProducing.
func TestPause(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var srv, cli end
		srv.onMade = func() { srv.s.PauseProducing() }
		cli.onMade = func() { cli.s.Write([]byte("some text")) }
		connect(t, r, &srv, &cli)
		until(t, r, func() bool { return cli.s.Buffered() == 0 })
		testworld.Turns(t, r, 5)
		sameEvents(t, srv.events, "made")
		calls := 0
		srv.onData = func([]byte) { calls++; srv.s.PauseProducing() }
		for len(srv.got) < len("some text") {
			srv.s.ResumeProducing()
			n := calls
			until(t, r, func() bool { return calls > n })
			testworld.Turns(t, r, 3)
			if calls != n+1 {
				t.Fatalf("%d deliveries after a pause", calls-n-1)
			}
		}
		if string(srv.got) != "some text" {
			t.Errorf("%q", srv.got)
		}
	})
}

// TCP-65: calling either twice is harmless, and resuming does not reopen a closing
// stream.
func TestPauseAndResumeRepeated(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		p := newTCPPair(t, w)
		s := p.srv.s
		s.ResumeProducing()
		s.PauseProducing()
		s.PauseProducing()
		p.cli.s.Write([]byte("once"))
		until(t, p.r, func() bool { return p.cli.s.Buffered() == 0 })
		testworld.Turns(t, p.r, 3)
		sameEvents(t, p.srv.events, "made")
		s.ResumeProducing()
		s.ResumeProducing()
		until(t, p.r, func() bool { return string(p.srv.got) == "once" })

		s.PauseProducing()
		s.RegisterProducer(&quiet{e: &p.srv}) // Close waits for it
		s.Close()
		s.ResumeProducing()
		p.cli.s.Write([]byte("twice"))
		until(t, p.r, func() bool { return p.cli.s.Buffered() == 0 })
		testworld.Turns(t, p.r, 3)
		sameEvents(t, p.srv.events, "made", "data")
		s.UnregisterProducer()
		until(t, p.r, func() bool { return p.srv.err != nil })
		s.ResumeProducing()
		s.PauseProducing()
		s.ResumeProducing()
		testworld.Turns(t, p.r, 3)
		sameEvents(t, p.srv.events, "made", "data", "lost closed")
		if string(p.srv.got) != "once" {
			t.Errorf("%q", p.srv.got)
		}
	})
}

// TCP-66: a paused stream notices that its peer has closed when it resumes, after the
// rest of the data.
func TestPausedPeerCloses(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		p := newTCPPair(t, w)
		p.srv.s.PauseProducing()
		p.cli.s.Write([]byte("last words"))
		p.cli.s.Close()
		until(t, p.r, func() bool { return p.cli.err != nil })
		testworld.Turns(t, p.r, 5)
		sameEvents(t, p.srv.events, "made")
		p.srv.s.ResumeProducing()
		until(t, p.r, func() bool { return p.srv.err != nil })
		sameEvents(t, p.srv.events, "made", "data", "lost eof")
		if string(p.srv.got) != "last words" {
			t.Errorf("%q", p.srv.got)
		}
	})
}

// TCP-67: writing finds out that the peer is gone, though reading is paused.
func TestPausedPeerGone(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, leave := range map[string]func(p *testworld.Peer) error{
			"reset": (*testworld.Peer).Abort, "closed": (*testworld.Peer).Close,
		} {
			var e end
			r, _, p := withPeer(t, w, reactor.Config{}, &e)
			e.s.PauseProducing()
			leave(p)
			testworld.Turns(t, r, 3)
			if name == "closed" || !hearsFailures(r) {
				sameEvents(t, e.events, "made")
			}
			until(t, r, func() bool {
				e.s.Write([]byte("is anybody there?"))
				return e.err != nil
			})
			sameEvents(t, e.events, "made", "lost *reactor.OpError")
			if !errors.Is(e.err, reactor.ErrLost) {
				t.Errorf("%s: lost with %v", name, e.err)
			}
		}
	})
}

// TCP-68: the peer of a closed connection reads the end; the peer of an aborted one gets
// a reset.
func TestCloseIsOrderlyAbortIsNot(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		var e end
		r, f, p := withPeer(t, w, reactor.Config{}, &e)
		e.s.Write([]byte("bye"))
		e.s.Close()
		until(t, r, func() bool { return e.err != nil })
		if got, err := io.ReadAll(p); string(got) != "bye" || err != nil {
			t.Errorf("closed: %q, %v", got, err)
		}
		p.Close()
		until(t, r, func() bool { return len(f.Closed) > 0 })
		sameEvents(t, f.Closed, "close")

		var a end
		r, f, p = withPeer(t, w, reactor.Config{}, &a)
		a.s.Abort()
		until(t, r, func() bool { return a.err != nil })
		if _, err := p.Read(make([]byte, 1)); !errors.Is(err, kernel.ErrReset) {
			t.Errorf("aborted: %v", err)
		}
		sameEvents(t, f.Closed, "abort")
	})
}

// TCP-59: a Close discards at most 1 MiB of unread input at once, so that it holds nobody up. The rest
// is discarded while the connection lingers.
func TestCloseDiscardsInParts(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		if !w.Simulated() {
			t.Skip("sockets do not hold so much")
		}
		const piece, unread = 64 << 10, 3 << 20
		w.Net().Options.RecvBuffer, w.Net().Options.SendBuffer = 2*unread, 2*unread
		f := &testworld.Faults{}
		r := testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{ReadBuffer: piece})
		var e end
		p := w.Peer(t, listen(t, r, reactor.One(&e), nil).Addr(), r)
		until(t, r, func() bool { return e.s != nil })
		e.s.PauseProducing()
		p.Send(string(make([]byte, unread)))
		testworld.Turns(t, r, 3)
		e.s.Write([]byte("answer"))
		e.s.Close()
		before, reads := f.Calls["Read"], 0
		e.onLost = func(error) { reads = f.Calls["Read"] - before }
		until(t, r, func() bool { return e.err != nil })
		if reads < 2 || reads > 1<<20/piece+1 || e.err != reactor.ErrClosed || len(e.got) > 0 {
			t.Errorf("TCP-59: %d reads of %d bytes before the loss, lost with %v", reads, piece, e.err)
		}
		if n, err := endOf(p); n != len("answer") || err != io.EOF {
			t.Errorf("TCP-59: the peer got %d bytes, then %v", n, err)
		}
		sources := r.Stats().Sources
		p.Close()
		until(t, r, func() bool { return r.Stats().Sources < sources })
		if all := f.Calls["Read"] - before; all*piece < unread {
			t.Errorf("TCP-59: %d reads of %d bytes discard less than %d", all, piece, unread)
		}
	})
}
