package reactor_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// hearing runs body on every kernel that can report the failure of a quiet connection.
func hearing(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	worlds(t, func(t *testing.T, w testworld.World) {
		k := w.Open(t)
		can := !kernel.LimitsOf(k).NoFailed
		k.Close()
		if !can {
			t.Skip("select cannot report it")
		}
		body(t, w)
	})
}

// A stream that waits for nothing is lost at once when the peer resets the connection
// (TCP-83): paused, half-closed and quiet, or closing with a producer that is idle.
func TestQuietStreamHearsReset(t *testing.T) {
	hearing(t, func(t *testing.T, w testworld.World) {
		for name, quiet := range map[string]func(r *reactor.Reactor, h *halfEnd, p *testworld.Peer){
			"paused": func(_ *reactor.Reactor, h *halfEnd, _ *testworld.Peer) { h.s.PauseProducing() },
			"half-closed": func(r *reactor.Reactor, h *halfEnd, p *testworld.Peer) {
				p.CloseWrite()
				until(t, r, saw(h, "read lost"))
			},
			"closing": func(_ *reactor.Reactor, h *halfEnd, _ *testworld.Peer) {
				register(t, h.s, new(source))
				h.s.Close()
			},
			"write side closed, paused": func(r *reactor.Reactor, h *halfEnd, _ *testworld.Peer) {
				h.s.CloseWrite()
				until(t, r, saw(h, "write lost"))
				h.s.PauseProducing()
			},
		} {
			var h halfEnd
			r, _, p := withPeer(t, w, reactor.Config{}, &h)
			start := r.Now()
			quiet(r, &h, p)
			testworld.Turns(t, r, 3)
			if h.err != nil {
				t.Fatalf("%s: lost with %v before the reset", name, h.err)
			}
			events := len(h.events)
			p.Abort()
			until(t, r, func() bool { return h.err != nil })
			if !errors.Is(h.err, kernel.ErrReset) || !errors.Is(h.err, reactor.ErrLost) || len(h.events) != events+1 {
				t.Errorf("TCP-83: %s: %v, lost with %v", name, h.events, h.err)
			}
			if d := r.Now() - start; d > 5*time.Second {
				t.Errorf("TCP-83: %s: heard after %v", name, d)
			}
		}
	})
}

// A paused stream with unread input delivers that first, when it is resumed (TCP-84). If it is
// not, it is lost after CloseTimeout.
func TestPausedStreamHearsReset(t *testing.T) {
	hearing(t, func(t *testing.T, w testworld.World) {
		for _, resumes := range []bool{true, false} {
			var e end
			limit := 30 * ms
			if resumes {
				limit = time.Minute // which a busy machine does not take
			}
			r, _, p := withPeerConfig(t, w, &e, &reactor.StreamConfig{CloseTimeout: limit})
			e.s.PauseProducing()
			p.Send("quota exceeded")
			testworld.Turns(t, r, 3)
			start := r.Now()
			p.Abort()
			testworld.Turns(t, r, 3)
			if e.err != nil && r.Now()-start < limit || len(e.got) > 0 {
				t.Fatalf("TCP-84: paused: got %q, lost with %v", e.got, e.err)
			}
			want := ""
			if resumes {
				want = "quota exceeded"
				e.s.ResumeProducing()
			}
			until(t, r, func() bool { return e.err != nil })
			if string(e.got) != want || !errors.Is(e.err, kernel.ErrReset) || !resumes && r.Now()-start < limit {
				t.Errorf("TCP-84: got %q, lost with %v after %v", e.got, e.err, r.Now()-start)
			}
		}
	})
}

// The peer's orderly end is no failure: a paused stream hears of it when it resumes, and a
// half-closed one goes on writing.
func TestQuietStreamAndOrderlyEnd(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var h halfEnd
		r, _, p := withPeer(t, w, reactor.Config{}, &h)
		h.s.PauseProducing()
		p.Send("last")
		p.CloseWrite()
		testworld.Turns(t, r, 5)
		sameEvents(t, h.events, "made") // TCP-66
		h.s.CloseWrite()
		until(t, r, saw(&h, "write lost"))
		events := r.Stats().Events
		testworld.Turns(t, r, 50)
		if n := r.Stats().Events - events; n > 1 {
			t.Errorf("TCP-83: %d events for a connection that has ended in both directions", n)
		}
		h.s.ResumeProducing()
		until(t, r, saw(&h, "read lost"))
		if string(h.got) != "last" {
			t.Errorf("TCP-66: got %q", h.got)
		}
		h.s.Close()
		until(t, r, func() bool { return h.err != nil })
		sameEvents(t, h.events, "made", "write lost", "data", "read lost", "lost closed")
	})
}
