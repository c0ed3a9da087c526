package flow_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// source is a pull producer of numbered pieces.
type source struct {
	t       reactor.Transport
	p       *flow.Pulling
	asked   int
	pieces  int // before it unregisters
	most    int // most that was buffered when it was asked
	nothing bool
	stopped int
	fail    bool
}

func (s *source) Produce() bool {
	s.asked++
	if b, ok := reactor.As[interface{ Buffered() int }](s.t); ok {
		s.most = max(s.most, b.Buffered())
	}
	switch {
	case s.fail:
		panic("producing")
	case s.nothing:
		return false
	case s.pieces == 0:
		s.p.Unregister()
		return false
	}
	s.pieces--
	s.t.Write([]byte(strings.Repeat("x", 49) + "\n"))
	return true
}

func (s *source) StopProducing() { s.stopped++ }

// PROD-3: a pull producer is asked inside Pull, and then at the pace of the peer, so that the transport holds the high-water mark and one
// piece; Close waits until it is unregistered; all arrives, however it is cut.
func TestPull(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		const pieces, highWater = 100, 200
		srv := new(app)
		s := &source{pieces: pieces}
		srv.made = func(c reactor.Transport) {
			s.t = c
			p, err := flow.Pull(c, s)
			if err != nil || s.asked != 1 {
				t.Errorf("%v, asked %d times inside Pull", err, s.asked)
			}
			s.p = p
			if _, err := flow.Pull(c, s); !errors.Is(err, reactor.ErrProducerRegistered) {
				t.Errorf("PROD-1: a second producer: %v", err)
			}
			c.Close()
		}
		port, err := r.Listen(loopback(), reactor.One(srv), &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: highWater}})
		if err != nil {
			t.Fatal(err)
		}
		p := w.Peer(t, port.Addr(), r)
		got, _ := p.Rest()
		if len(got) != 50*pieces {
			t.Errorf("%d bytes came", len(got))
		}
		testworld.Until(t, srv.lost, r)
		if s.asked != pieces+1 || s.most > highWater || s.stopped != 0 || srv.err != reactor.ErrClosed {
			t.Errorf("asked %d times, with at most %d bytes buffered; stopped %d times; lost for %v", s.asked, s.most, s.stopped, srv.err)
		}
	})
}

// PROD-3: one that has nothing is not asked again before Ask; one that is lost is stopped once; one that panics ends the connection, and is stopped too.
func TestPullNothing(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var panics int
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		srv := new(app)
		s := &source{nothing: true, pieces: 1000}
		srv.made = func(c reactor.Transport) {
			s.t = c
			s.p, _ = flow.Pull(c, s)
		}
		p := w.Peer(t, listen(t, r, reactor.One(srv)).Addr(), r)
		testworld.Until(t, func() bool { return srv.T != nil }, r)
		testworld.Turns(t, r, 5)
		if s.asked != 1 {
			t.Errorf("asked %d times without anything", s.asked)
		}
		s.nothing, s.pieces = false, 2
		s.p.Ask()
		s.p.Ask()
		if s.asked != 1 {
			t.Error("asked inside Ask")
		}
		p.Expect(strings.Repeat(strings.Repeat("x", 49)+"\n", 2))
		s.p.Unregister() // PROD-7: a second time does nothing

		s.pieces, s.asked = 1000, 0
		var err error
		if s.p, err = flow.Pull(srv.T, s); err != nil {
			t.Fatal(err)
		}
		s.fail = true
		testworld.Until(t, srv.lost, r)
		if panics != 1 || srv.err != reactor.ErrAborted || s.stopped != 1 {
			t.Errorf("%d panics, lost for %v, stopped %d times", panics, srv.err, s.stopped)
		}
		asked := s.asked
		if _, err := flow.Pull(srv.T, s); err != nil || s.stopped != 2 || s.asked != asked { // PROD-2
			t.Errorf("PROD-2: %v, stopped %d times, asked %d times more", err, s.stopped, s.asked-asked)
		}
	})
}

// PROD-3: one that panics when it is asked for the first time ends the connection and is stopped too, also if Pull is called outside of the connection's callbacks.
func TestPullPanic(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		srv := new(app)
		w.Peer(t, listen(t, r, reactor.One(srv)).Addr(), r)
		testworld.Until(t, func() bool { return srv.T != nil }, r)
		s := &source{t: srv.T, fail: true}
		r.CallLater(0, func() { s.p, _ = flow.Pull(srv.T, s) })
		testworld.Turns(t, r, 5)
		if panics != 1 || srv.err != reactor.ErrAborted || s.stopped != 1 {
			t.Errorf("%d panics, lost for %v, stopped %d times", panics, srv.err, s.stopped)
		}
	})
}
