package reactor_test

import (
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// TCP-77: Abort drops output and input. ConnectionLost is called later, never inside
// Abort.
func TestAbortDropsEverything(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		for _, in := range []string{"ConnectionMade", "DataReceived", "no callback"} {
			r := w.New(t, reactor.Config{})
			var srv, cli end
			abort := func() {
				srv.s.Write(make([]byte, 100))
				n := len(srv.events)
				srv.s.Abort()
				if len(srv.events) != n {
					t.Errorf("in %s: told inside", in)
				}
				srv.onData = func([]byte) { t.Errorf("in %s: data after Abort", in) }
			}
			cli.onMade = func() { cli.s.Write([]byte("some text")) }
			switch in {
			case "ConnectionMade":
				srv.onMade = abort
			case "DataReceived":
				srv.onData = func([]byte) { abort() }
			default:
				srv.onMade = func() { srv.s.PauseProducing(); r.Post(abort) }
			}
			p := listen(t, r, one(&srv), nil)
			theirs := func() error { return cli.err }
			r.Dial(p.Addr(), one(&cli), nil, func(_ reactor.Protocol, err error) {
				if err != nil { // the reset was there before the connection was known
					theirs = func() error { return err }
				}
			})
			until(t, r, func() bool { return srv.err != nil && theirs() != nil })
			want := []string{"made", "lost aborted"}
			if in == "DataReceived" {
				want = []string{"made", "data", "lost aborted"}
			}
			sameEvents(t, srv.events, want...)
			if !errors.Is(srv.err, reactor.ErrLost) || len(cli.got) != 0 {
				t.Errorf("in %s: lost with %v, the peer got %d bytes", in, srv.err, len(cli.got))
			}
			// TCP-82: there was data in flight, so the peer sees a reset.
			if err := theirs(); !errors.Is(err, kernel.ErrReset) && !errors.Is(err, kernel.ErrBroken) {
				t.Errorf("in %s: the peer lost with %v", in, err)
			}
		}
	})
}

// TCP-78: after Abort no write is taken and no callback but the loss comes. Abort also
// ends a Close in progress.
func TestAfterAbort(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		for _, closed := range []bool{false, true} {
			p := newTCPPair(t, w)
			s := p.srv.s
			if closed {
				s.RegisterProducer(&quiet{e: &p.srv}) // Close waits for it
				s.Close()
				testworld.Turns(t, p.r, 3)
				sameEvents(t, p.srv.events, "made")
			}
			s.Abort()
			s.Abort()
			s.Close()
			s.CloseWrite()
			if n, err := s.Write([]byte("late")); n != 0 || !errors.Is(err, reactor.ErrClosed) {
				t.Errorf("after Abort: %d, %v", n, err)
			}
			until(t, p.r, func() bool { return p.srv.err != nil && p.cli.err != nil })
			s.Abort()
			s.Close()
			testworld.Turns(t, p.r, 3)
			want := []string{"made", "lost aborted"}
			if closed {
				want = []string{"made", "stop", "lost aborted"}
			}
			sameEvents(t, p.srv.events, want...)
			if len(p.cli.got) != 0 {
				t.Errorf("the peer got %q", p.cli.got)
			}
		}
	})
}

// TCP-79: also with a full send buffer and a peer that does not read.
func TestAbortFull(t *testing.T) {
	heavy(t, func(t *testing.T, w testworld.World) {
		for _, closing := range []bool{false, true} {
			var e end
			r, _, p := withPeer(t, w, reactor.Config{}, &e)
			e.s.Write(make([]byte, 20<<20))
			sent := uint64(0)
			until(t, r, func() bool { // the socket takes no more
				before := sent
				sent = e.s.Stats().Sent
				return sent == before
			})
			if e.s.Buffered() == 0 {
				t.Fatal("the system took it all")
			}
			if closing {
				e.s.Close()
				testworld.Turns(t, r, 3)
				sameEvents(t, e.events, "made")
			}
			e.s.Abort()
			until(t, r, func() bool { return e.err != nil })
			sameEvents(t, e.events, "made", "lost aborted")
			if n, err := io.Copy(io.Discard, p); err == nil || n == 20<<20 { // TCP-82
				t.Errorf("the peer read %d bytes to the end", n)
			}
			if got := e.s.Stats(); got.Buffered == 0 || uint64(got.Buffered)+got.Sent != 20<<20 {
				t.Errorf("after the loss %d bytes were sent, and %d never", got.Sent, got.Buffered)
			}
		}
	})
}

// TCP-80: a registered producer is stopped before ConnectionLost; Abort in its
// ResumeProducing works. TCP-81: if it then panics, the panic is the reason.
func TestAbortWithProducer(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, onResume := range map[string]func(s *reactor.Stream){
			"outside":       nil,
			"inside":        func(s *reactor.Stream) { s.Abort() },
			"and panics":    func(s *reactor.Stream) { s.Abort(); panic("resumed") },
			"panics before": func(s *reactor.Stream) { defer s.Abort(); panic("resumed") },
		} {
			t.Run(name, func(t *testing.T) {
				var e end
				panics, log := 0, &journal{}
				r, f, p := withPeer(t, w, reactor.Config{Logger: slog.New(log), Panicked: func(*reactor.PanicError) { panics++ }}, &e)
				q := &quiet{e: &e}
				e.s.RegisterProducer(q)
				if onResume == nil {
					e.s.Abort()
					until(t, r, func() bool { return e.err != nil })
					sameEvents(t, e.events, "made", "stop", "lost aborted")
					return
				}
				q.onResume = func() {
					n := len(e.events)
					defer func() {
						if len(e.events) != n {
							t.Error("told inside")
						}
					}()
					onResume(e.s)
				}
				f.Write = func() error { return kernel.ErrAgain }
				e.s.Write(make([]byte, 100_000))
				f.Write = nil
				until(t, r, func() bool {
					p.TryRead(make([]byte, 64<<10))
					return e.err != nil
				})
				if name == "inside" {
					sameEvents(t, e.events, "made", "pause", "resume", "stop", "lost aborted")
					return
				}
				sameEvents(t, e.events, "made", "pause", "resume", "stop", "lost *pool.PanicError")
				if v, _ := errors.AsType[*reactor.PanicError](e.err); v.Value != "resumed" || panics != 1 || len(log.with("ERROR panic", "value=resumed")) != 1 {
					t.Errorf("TCP-81: lost with %v, %d panics, log %q", e.err, panics, log.lines)
				}
			})
		}
	})
}

// TCP-81: a DataReceived that panics after Abort: the panic is the reason.
func TestAbortAndPanic(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var e end
		panics, log := 0, &journal{}
		e.onData = func([]byte) { e.s.Abort(); panic("indigestible") }
		r, _, p := withPeer(t, w, reactor.Config{Logger: slog.New(log), Panicked: func(*reactor.PanicError) { panics++ }}, &e)
		p.Write([]byte("x"))
		until(t, r, func() bool { return e.err != nil })
		sameEvents(t, e.events, "made", "data", "lost *pool.PanicError")
		if v, _ := errors.AsType[*reactor.PanicError](e.err); v.Value != "indigestible" || panics != 1 || len(log.with("ERROR panic", "value=indigestible")) != 1 {
			t.Errorf("TCP-81: lost with %v, %d panics, log %q", e.err, panics, log.lines)
		}
	})
}

// TCP-82: with nothing in flight the peer sees the reset as well.
func TestAbortIdle(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		p := newTCPPair(t, w)
		p.cli.s.Abort()
		until(t, p.r, func() bool { return p.srv.err != nil && p.cli.err != nil })
		sameEvents(t, p.srv.events, "made", "lost *reactor.OpError")
		if !errors.Is(p.srv.err, kernel.ErrReset) {
			t.Errorf("the peer lost with %v", p.srv.err)
		}
	})
}
