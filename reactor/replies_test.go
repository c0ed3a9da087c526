package reactor_test

import (
	"errors"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// repliers are twenty connections of r, more than are answered at a time, whose peers
// have all sent before r looks again.
func repliers(t *testing.T, w testworld.World, r *reactor.Reactor) (ends []*end, peers []*testworld.Peer) {
	t.Helper()
	p := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
		e := &end{}
		e.onData = func(p []byte) { e.s.Write(p) }
		ends = append(ends, e)
		return e
	}), nil)
	for range 20 {
		peers = append(peers, w.Peer(t, p.Addr(), r))
		until(t, r, func() bool { return len(ends) == len(peers) && ends[len(ends)-1].s != nil })
	}
	for _, q := range peers {
		q.Send("question")
	}
	return ends, peers
}

// TestReplies checks that all answers that are held back go out, whatever the other
// connections do meanwhile (TCP-59, TCP-68, TCP-81).
func TestReplies(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		ends, peers := repliers(t, w, r)
		const closed, aborted, panicked = 2, 3, 9
		for i, e := range ends {
			e.onData = func(p []byte) {
				e.s.Write(p)
				// The last one finds the other two waiting or answered.
				if heard(ends) == len(ends) {
					ends[closed].s.Close()
				}
				if i == aborted {
					e.s.Abort()
				}
				if i == panicked {
					panic("in the middle of a batch")
				}
			}
		}
		until(t, r, func() bool { return heard(ends) == len(ends) })
		for i, q := range peers {
			switch i {
			case aborted, panicked:
				if got, err := q.Rest(); len(got) != 0 || !errors.Is(err, kernel.ErrReset) { // TCP-68, TCP-81
					t.Errorf("%d: %q, %v", i, got, err)
				}
			case closed:
				if got, _ := q.Rest(); string(got) != "question" { // TCP-59
					t.Errorf("closed after its answer: %q", got)
				}
			default:
				q.Expect("question")
			}
		}
		if panics != 1 {
			t.Errorf("%d panics", panics)
		}
	})
}

// heard is how many of ends have got something.
func heard(ends []*end) int {
	n := 0
	for _, e := range ends {
		if len(e.got) > 0 {
			n++
		}
	}
	return n
}

// TestReplyPanics checks a panic in a callback that sending an answer causes. It ends
// that connection, and the answers held behind it go out (TCP-81).
func TestReplyPanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		var ends []*halfEnd
		p := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			h := &halfEnd{}
			h.onData = func(p []byte) {
				h.s.Write(p)
				if h != ends[0] {
					ends[0].s.CloseWrite() // its answer may be waiting
				}
			}
			ends = append(ends, h)
			return h
		}), nil)
		var peers []*testworld.Peer
		for range 5 {
			peers = append(peers, w.Peer(t, p.Addr(), r))
			until(t, r, func() bool { return len(ends) == len(peers) && ends[len(ends)-1].s != nil })
		}
		ends[0].onWriteLost = func() { panic("while it is settled") }
		for _, q := range peers {
			q.Send("question")
		}
		until(t, r, func() bool { return ends[0].err != nil })
		for _, q := range peers[1:] {
			q.Expect("question")
		}
		if _, ok := errors.AsType[*reactor.PanicError](ends[0].err); !ok || panics != 1 {
			t.Errorf("ended by %v, %d panics", ends[0].err, panics)
		}
	})
}
