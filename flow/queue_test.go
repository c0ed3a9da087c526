package flow_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// slow is a transport that pauses its producer after each write, unless it is fast.
type slow struct {
	stub
	fast     bool
	producer reactor.Producer
	got      []string
	aborted  bool
}

func (s *slow) Write(p []byte) (int, error) {
	s.got = append(s.got, string(p))
	if !s.fast && s.producer != nil {
		s.producer.PauseProducing()
	}
	return len(p), nil
}
func (s *slow) RegisterProducer(p reactor.Producer) error { s.producer = p; return nil }
func (s *slow) Abort()                                    { s.aborted = true }

// queue makes a queue above a slow transport.
func queue(t *testing.T, o flow.QueueOptions) (*flow.Queue, *slow) {
	t.Helper()
	s := &slow{stub: stub{r: virtual(t, reactor.Config{})}}
	q, err := flow.NewQueue(s, &o)
	if err != nil {
		t.Fatal(err)
	}
	return q, s
}

// cost is what a message of one byte counts.
const cost = 65

// POL-13: Block refuses what does not fit and tells when half of the room is free; order is kept.
func TestQueueBlock(t *testing.T) {
	ready := 0
	q, s := queue(t, flow.QueueOptions{MaxBytes: 4 * cost, Ready: func(*flow.Queue) { ready++ }})
	var refused []string
	for _, m := range strings.Split("abcdefgh", "") {
		if err := q.Send([]byte(m)); errors.Is(err, flow.ErrQueueFull) {
			refused = append(refused, m)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(refused, []string{"f", "g", "h"}) { // a is written, four wait
		t.Errorf("refused %q", refused)
	}
	s.producer.ResumeProducing()
	if ready != 0 {
		t.Error("ready with three of four")
	}
	s.producer.ResumeProducing()
	if ready != 1 {
		t.Errorf("%d times ready with two of four", ready)
	}
	s.fast = true
	s.producer.ResumeProducing()
	if got := strings.Join(s.got, ""); got != "abcde" || ready != 1 {
		t.Errorf("got %q, ready %d", got, ready)
	}
	if got, want := q.Stats(), (flow.QueueStats{Sent: 5, Refused: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := q.Send(make([]byte, 5*cost)); err != nil { // POL-12: while the transport takes it, nothing waits
		t.Error(err)
	}
}

// POL-13: DropOldest drops what has waited longest, and counts it; a message larger than all room is refused.
func TestQueueDropOldest(t *testing.T) {
	q, s := queue(t, flow.QueueOptions{Policy: flow.DropOldest, MaxBytes: 3 * cost})
	for _, m := range strings.Split("abcdefg", "") {
		if err := q.Send([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Send(make([]byte, 3*cost)); !errors.Is(err, flow.ErrQueueFull) {
		t.Error(err)
	}
	if got, want := q.Stats(), (flow.QueueStats{Sent: 1, Refused: 1, Dropped: 3, DroppedBytes: 3, Queued: 3, QueuedBytes: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := q.Send(make([]byte, 2*cost)); err != nil { // needs the room of three
		t.Error(err)
	}
	s.fast = true
	s.producer.ResumeProducing()
	if len(s.got) != 2 || s.got[0] != "a" || q.Stats().Dropped != 6 {
		t.Errorf("got %q, %+v", s.got, q.Stats())
	}
}

// POL-13: KeepLatest replaces what has the same key, in its place, and drops the oldest if there is no room.
func TestQueueKeepLatest(t *testing.T) {
	q, s := queue(t, flow.QueueOptions{Policy: flow.KeepLatest, MaxBytes: 3*cost + 2}) // for two keys of one byte
	q.Send([]byte("0"))
	for _, m := range []string{"x1", "y1", "x2", "y2", "x3"} {
		if err := q.SendKeyed(m[:1], []byte(m[1:])); err != nil {
			t.Fatal(err)
		}
	}
	q.Send([]byte("p"))
	q.Send([]byte("p")) // no key: not replaced, and x is dropped
	q.SendKeyed("x", []byte("4"))
	want := flow.QueueStats{Sent: 1, Replaced: 3, Dropped: 2, DroppedBytes: 5, Queued: 3, QueuedBytes: 3}
	if got := q.Stats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	s.fast = true
	s.producer.ResumeProducing()
	if got := strings.Join(s.got, ""); got != "0pp4" {
		t.Errorf("got %q", got)
	}
	if err := q.SendKeyed("x", []byte("5")); err != nil || s.got[len(s.got)-1] != "5" {
		t.Errorf("%v, got %q", err, s.got)
	}
}

// POL-13: Disconnect aborts the connection of a peer that is too slow.
func TestQueueDisconnect(t *testing.T) {
	q, s := queue(t, flow.QueueOptions{Policy: flow.Disconnect, MaxBytes: 2 * cost})
	for _, m := range strings.Split("abc", "") {
		if err := q.Send([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Send([]byte("d")); !errors.Is(err, flow.ErrSlowConsumer) || !s.aborted || q.Err() != err {
		t.Errorf("%v, aborted %v, %v", err, s.aborted, q.Err())
	}
	if err := q.Send([]byte("e")); !errors.Is(err, flow.ErrSlowConsumer) {
		t.Error(err)
	}
	if got, want := q.Stats(), (flow.QueueStats{Sent: 1, Dropped: 4, DroppedBytes: 4}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// POL-13: what has waited longer than MaxAge is dropped, and Disconnect aborts then, when the time has come, without any call.
func TestQueueAge(t *testing.T) {
	q, s := queue(t, flow.QueueOptions{Policy: flow.DropOldest, MaxAge: time.Second})
	q.Send([]byte("a"))
	q.Send([]byte("b"))
	pass(t, s.r, 600*time.Millisecond)
	q.Send([]byte("c"))
	pass(t, s.r, 399*time.Millisecond)
	if got := q.Stats().Queued; got != 2 {
		t.Errorf("%d wait just before the time is over", got)
	}
	pass(t, s.r, 2*time.Millisecond)
	if got, want := q.Stats(), (flow.QueueStats{Sent: 1, Expired: 1, DroppedBytes: 1, Queued: 1, QueuedBytes: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	pass(t, s.r, time.Second)
	if got := q.Stats(); got.Expired != 2 || len(s.r.DelayedCalls()) != 0 {
		t.Errorf("%+v, %d delayed calls", got, len(s.r.DelayedCalls()))
	}

	q, s = queue(t, flow.QueueOptions{Policy: flow.Disconnect, MaxAge: time.Second})
	q.Send([]byte("a"))
	q.Send([]byte("b"))
	pass(t, s.r, 1001*time.Millisecond)
	if !s.aborted || q.Err() != flow.ErrSlowConsumer || q.Stats().Dropped != 1 {
		t.Errorf("aborted %v, %v, %+v", s.aborted, q.Err(), q.Stats())
	}
}

// POL-12, POL-13: a peer that reads late gets whole messages in their order, however the stream is cut; what it does not get
// is counted; Close of the transport sends what waits.
func TestQueueSlowPeer(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv := new(app)
		port, err := r.Listen(loopback(), reactor.One(srv), &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 256}})
		if err != nil {
			t.Fatal(err)
		}
		p := w.Peer(t, port.Addr(), r)
		testworld.Until(t, func() bool { return srv.T != nil }, r)
		q, err := flow.NewQueue(srv.T, &flow.QueueOptions{Policy: flow.DropOldest, MaxBytes: 50 * (64 + 8)})
		if err != nil {
			t.Fatal(err)
		}
		const total = 400
		for i := range total {
			if err := q.Send(fmt.Appendf(nil, "%07d\n", i)); err != nil {
				t.Fatal(err)
			}
		}
		if got := q.Stats(); got.Queued != 50 || got.Dropped == 0 {
			t.Fatalf("%+v", got)
		}
		srv.T.Close()
		text, err := p.Rest()
		last := -1
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		for _, line := range lines {
			n := 0
			if _, err := fmt.Sscanf(line, "%d", &n); err != nil || len(line) != 7 || n <= last {
				t.Fatalf("%q after %d: %v", line, last, err)
			}
			last = n
		}
		if s := q.Stats(); last != total-1 || uint64(len(lines)) != s.Sent || s.Sent+s.Dropped != total || s.Queued != 0 {
			t.Errorf("%d lines, the last %d, %v; %+v", len(lines), last, err, s)
		}
		testworld.Until(t, srv.lost, r)
		if srv.err != reactor.ErrClosed {
			t.Errorf("lost for %v", srv.err)
		}
	})
}

// POL-13: what waits when the connection is lost is counted as dropped, and nothing is taken any more.
func TestQueueLost(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv := new(app)
		port, err := r.Listen(loopback(), reactor.One(srv), &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 1}})
		if err != nil {
			t.Fatal(err)
		}
		w.Peer(t, port.Addr(), r)
		testworld.Until(t, func() bool { return srv.T != nil }, r)
		q, err := flow.NewQueue(srv.T, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := flow.NewQueue(srv.T, nil); !errors.Is(err, reactor.ErrProducerRegistered) {
			t.Errorf("a second queue: %v", err)
		}
		for range 10 {
			q.Send([]byte("message"))
		}
		srv.T.Abort()
		testworld.Until(t, srv.lost, r)
		if got := q.Stats(); got.Sent != 1 || got.Dropped != 9 || got.Queued != 0 {
			t.Errorf("%+v", got)
		}
		if err := q.Send([]byte("x")); !errors.Is(err, reactor.ErrClosed) || q.Stats().Dropped != 10 {
			t.Errorf("%v, %+v", err, q.Stats())
		}
	})
}

// A message that goes straight through, or waits and is sent, allocates nothing.
func TestQueueAllocs(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	q, err := flow.NewQueue(&stub{r: virtual(t, reactor.Config{})}, &flow.QueueOptions{Policy: flow.KeepLatest})
	if err != nil {
		t.Fatal(err)
	}
	msg := make([]byte, 100)
	for _, waits := range []bool{false, true} {
		if n := testing.AllocsPerRun(1000, func() {
			if waits {
				q.PauseProducing()
			}
			q.SendKeyed("key", msg)
			q.Send(msg)
			q.ResumeProducing()
		}); n != 0 {
			t.Errorf("waits %v: %v allocations", waits, n)
		}
	}
}
