package reactor_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// PROD-17: bytes go both ways at once, the end of a direction is passed on alone, whichever
// is first, and when both have ended both connections close. The result is clean, and counts
// both ways.
func TestJoin(t *testing.T) {
	for first := range 2 {
		t.Run(fmt.Sprintf("first=%d", first), func(t *testing.T) {
			chunked(t, func(t *testing.T, w testworld.World) {
				there, back, late := pattern(bulk(w, 1<<20)), pattern(bulk(w, 700_000)), pattern(1000)
				u := apart(t, w, w.New(t, reactor.Config{}), tight(w))
				u.join(reactor.JoinConfig{})
				a, b := u.out[first], u.out[1-first]
				a.s.Write(there)
				b.s.Write(back)
				a.s.CloseWrite()
				u.until(func() bool { return saw(b, "read lost")() && len(a.got) == len(back) })
				if a.err != nil || len(u.done) > 0 || !bytes.Equal(b.got, there) {
					t.Fatalf("PROD-17: lost with %v, %d results, %d bytes", a.err, len(u.done), len(b.got))
				}
				if st := u.j.Stats(); st.EndedA != (first == 0) || st.EndedB != (first == 1) {
					t.Errorf("PROD-17: %+v", st)
				}
				b.s.Write(late)
				b.s.CloseWrite()
				u.until(saw(a, "read lost"))
				if !bytes.Equal(a.got, append(back, late...)) {
					t.Errorf("PROD-17: %d bytes came back", len(a.got))
				}
				want := reactor.JoinStats{AToB: uint64(len(there)), BToA: uint64(len(back) + len(late)), EndedA: true, EndedB: true}
				if first == 1 {
					want.AToB, want.BToA = want.BToA, want.AToB
				}
				res := u.over()
				if res.JoinStats != want || res.Err != nil || res.ErrA != reactor.ErrClosed || res.ErrB != reactor.ErrClosed ||
					res.First != reactor.Transport(u.in[first].s) {
					t.Errorf("PROD-17: %+v, want %+v", res, want)
				}
			})
		})
	}
}

// PROD-16: a side that does not read holds the other back. Each direction holds at most the
// high-water mark and one read, and loses nothing.
func TestJoinHoldsBack(t *testing.T) {
	const readBuffer, high = 16 << 10, 64 << 10
	for from := range 2 {
		heavy(t, func(t *testing.T, w testworld.World) {
			r := w.New(t, reactor.Config{ReadBuffer: readBuffer})
			u := apart(t, w, r, &reactor.ListenConfig{})
			u.join(reactor.JoinConfig{})
			a, b := u.out[from], u.out[1-from]
			b.s.PauseProducing()
			all := pattern(12 << 20)
			a.s.Write(all)
			held := u.in[1-from].s
			for calm, moved := 0, uint64(0); calm < 50; calm++ {
				if err := r.Turn(time.Millisecond); err != nil {
					t.Fatal(err)
				}
				if now := u.in[from].s.Stats().In + held.Stats().Sent + a.s.Stats().Sent; now != moved {
					calm, moved = 0, now
				}
				if n := held.Buffered(); n > high+readBuffer {
					t.Fatalf("PROD-16: %d bytes are held, at most %d", n, high+readBuffer)
				}
			}
			if held.Buffered() == 0 || a.s.Buffered() == 0 {
				t.Errorf("PROD-16: %d bytes are held, and the writer holds %d", held.Buffered(), a.s.Buffered())
			}
			a.s.CloseWrite()
			b.s.ResumeProducing()
			u.until(saw(b, "read lost"))
			if !bytes.Equal(b.got, all) {
				t.Errorf("PROD-16: %d of %d bytes came", len(b.got), len(all))
			}
			b.s.CloseWrite()
			u.over()
		})
	}
}

// PROD-18: a reset is passed on as a reset, whichever side breaks off.
func TestJoinPassesResetOn(t *testing.T) {
	for from := range 2 {
		chunked(t, func(t *testing.T, w testworld.World) {
			u := joined(t, w, reactor.JoinConfig{})
			a, b := u.out[from], u.out[1-from]
			a.s.Write([]byte("half a sent"))
			u.until(func() bool { return len(b.got) == 11 })
			a.s.Abort()
			u.until(func() bool { return b.err != nil })
			if !isReset(b.err) || len(b.events) != 3 {
				t.Errorf("PROD-18: %q, lost with %v, want a reset", b.events, b.err)
			}
			res := u.over()
			lost, other := res.ErrA, res.ErrB
			if from == 1 {
				lost, other = other, lost
			}
			if res.Err != lost || !isReset(lost) || other != reactor.ErrAborted || res.First != reactor.Transport(u.in[from].s) {
				t.Errorf("PROD-18: %+v", res)
			}
		})
	}
}

// PROD-18: a side that had sent everything before it was lost did so for good. The other
// still gets all of it, and a clean end.
func TestJoinLostAfterTheEnd(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		u := apart(t, w, r, &reactor.ListenConfig{})
		u.join(reactor.JoinConfig{})
		a, b := u.out[0], u.out[1]
		a.s.Write([]byte("all of it"))
		a.s.CloseWrite()
		u.until(saw(a, "write lost"))
		f.Write = full
		u.until(func() bool { return u.j.Stats().EndedA })
		a.s.Abort()
		u.until(func() bool { return a.err != nil })
		f.Write = nil
		f.MaxWrite = 1
		u.until(func() bool { b.s.Write([]byte("x")); return u.in[0].err != nil })
		f.MaxWrite = 0
		u.until(saw(b, "read lost"))
		if string(b.got) != "all of it" {
			t.Errorf("PROD-18: got %q", b.got)
		}
		res := u.over()
		if res.ErrB != reactor.ErrClosed || res.ErrA == reactor.ErrClosed || res.Err != res.ErrA {
			t.Errorf("PROD-18: %+v", res)
		}
	})
}

// PROD-18: a side that vanishes is noticed though the other is paused because it does not read.
func TestJoinLostWhileHeldBack(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		u := joined(t, w, reactor.JoinConfig{})
		a, b := u.out[0], u.out[1]
		b.s.PauseProducing()
		a.s.Write(make([]byte, flood(w)))
		u.until(func() bool { return u.in[1].s.Buffered() > 0 })
		b.s.Abort()
		u.until(func() bool { return a.err != nil })
		if !isReset(a.err) {
			t.Errorf("PROD-18: lost with %v, want a reset", a.err)
		}
		u.over()
	})
}

// A transport that cannot end one direction alone is closed at the first end.
func TestJoinWithoutHalfClose(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		u := apart(t, w, w.New(t, reactor.Config{}), &reactor.ListenConfig{})
		var res []reactor.JoinResult
		_, err := reactor.Join(u.in[0].s, whole(u.in[1].s), &reactor.JoinConfig{
			Done: func(r reactor.JoinResult) { res = append(res, r) }})
		if err != nil {
			t.Fatal(err)
		}
		u.out[0].s.Write([]byte("last words"))
		u.out[0].s.CloseWrite()
		u.until(func() bool { return saw(u.out[1], "read lost")() && saw(u.out[0], "read lost")() })
		if string(u.out[1].got) != "last words" {
			t.Errorf("got %q", u.out[1].got)
		}
		u.out[0].s.Close()
		u.out[1].s.Close()
		u.until(func() bool { return len(res) == 1 })
		if res[0].Err != reactor.ErrClosed || !res[0].EndedA || res[0].EndedB {
			t.Errorf("%+v", res[0])
		}
	})
}

// PROD-18: a transport that tells the end of its peer by its loss alone, with io.EOF, has ended in
// order: the other sends all of it and closes.
func TestJoinEndIsLoss(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		u := apart(t, w, w.New(t, reactor.Config{}), &reactor.ListenConfig{})
		var res []reactor.JoinResult
		_, err := reactor.Join(endIsLoss{u.in[0].s}, u.in[1].s, &reactor.JoinConfig{
			Done: func(r reactor.JoinResult) { res = append(res, r) }})
		if err != nil {
			t.Fatal(err)
		}
		u.out[0].s.Write([]byte("last words"))
		u.out[0].s.CloseWrite()
		u.until(saw(u.out[1], "read lost"))
		if string(u.out[1].got) != "last words" {
			t.Errorf("got %q", u.out[1].got)
		}
		u.out[0].s.Close()
		u.out[1].s.Close()
		u.until(func() bool { return len(res) == 1 })
		if r := res[0]; r.ErrA != io.EOF || r.Err != reactor.ErrClosed || !r.EndedA || r.EndedB {
			t.Errorf("%+v", r)
		}
	})
}

// endIsLoss is a stream that tells nobody of half-closes.
type endIsLoss struct{ *reactor.Stream }

func (s endIsLoss) SwitchProtocol(p reactor.Protocol) (reactor.Switched, error) {
	return s.Stream.SwitchProtocol(struct{ reactor.Protocol }{p})
}

// A transport whose partner's peer has ended has no producer any more, also if it is none that asks
// its producer whether more may come.
func TestJoinUnregisters(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		u := apart(t, w, w.New(t, reactor.Config{}), &reactor.ListenConfig{})
		to := &registry{Stream: u.in[1].s}
		if _, err := reactor.Join(u.in[0].s, to, nil); err != nil || to.producer == nil {
			t.Fatal(err, to.producer)
		}
		u.out[0].s.CloseWrite()
		u.until(saw(u.out[1], "read lost"))
		if to.producer != nil {
			t.Errorf("%v is still registered", to.producer)
		}
	})
}

// registry is a stream that knows its producer.
type registry struct {
	*reactor.Stream
	producer reactor.Producer
}

func (r *registry) RegisterProducer(p reactor.Producer) error {
	r.producer = p
	return r.Stream.RegisterProducer(p)
}

func (r *registry) UnregisterProducer() {
	r.producer = nil
	r.Stream.UnregisterProducer()
}

// wholeOnly is a stream without HalfCloser, and without counters.
type wholeOnly struct {
	reactor.Transport
	reactor.Switcher
	reactor.Producer
	reactor.Consumer
}

func whole(s *reactor.Stream) reactor.Transport { return wholeOnly{s, s, s, s} }

// A wrapper around a transport is written to, and its capabilities are found through Unwrap.
func TestJoinWrapped(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		u := apart(t, w, w.New(t, reactor.Config{}), &reactor.ListenConfig{})
		loud := &shouting{u.in[1].s}
		j, err := reactor.Join(u.in[0].s, loud, nil)
		if err != nil {
			t.Fatal(err)
		}
		u.out[0].s.Write([]byte("hello"))
		u.out[0].s.CloseWrite()
		u.until(saw(u.out[1], "read lost"))
		u.out[1].s.Write([]byte("yes?"))
		u.out[1].s.CloseWrite()
		u.until(saw(u.out[0], "read lost"))
		if string(u.out[1].got) != "HELLO" || string(u.out[0].got) != "yes?" {
			t.Errorf("got %q and %q", u.out[1].got, u.out[0].got)
		}
		if st := j.Stats(); st.AToB != 5 || st.BToA != 4 {
			t.Errorf("%+v", st)
		}
		u.out[0].s.Close()
		u.out[1].s.Close()
		u.until(func() bool { return connections(u.r) == 0 })
	})
}

// shouting is a transport that writes in capitals.
type shouting struct{ reactor.Transport }

func (s *shouting) Unwrap() reactor.Transport   { return s.Transport }
func (s *shouting) Write(p []byte) (int, error) { return s.Transport.Write(bytes.ToUpper(p)) }

// Nothing is left of pairs that come and go, whichever way they end.
func TestJoinComeAndGo(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var wait *end
		results := 0
		f := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			e := new(end)
			e.onMade = func() { // in ConnectionMade
				if wait == nil {
					wait = e
					return
				}
				_, err := reactor.Join(wait.s, e.s, &reactor.JoinConfig{Done: func(reactor.JoinResult) { results++ }})
				if wait = nil; err != nil {
					t.Error(err)
				}
			}
			return e
		})
		p := listen(t, r, f, nil)
		before := r.Stats()
		for i := range 100 {
			var ends [2]halfEnd
			for k := range ends {
				r.Dial(p.Addr(), one(&ends[k]), nil, nil)
				until(t, r, func() bool { return ends[k].s != nil })
			}
			ends[0].s.Write([]byte("ping"))
			until(t, r, func() bool { return len(ends[1].got)+len(ends[0].got) == 4 })
			switch i % 4 {
			case 0:
				ends[0].s.Abort()
			case 1:
				ends[0].s.Close()
				ends[1].s.Close()
			case 2:
				ends[1].onReadLost = func() { ends[1].s.Close() }
				ends[0].onReadLost = func() { ends[0].s.Close() }
				ends[0].s.CloseWrite()
			default:
				ends[1].s.Abort()
				ends[0].s.Abort()
			}
			until(t, r, func() bool { return ends[0].err != nil && ends[1].err != nil })
		}
		until(t, r, func() bool { return connections(r) == 0 && r.Stats().Sources == before.Sources })
		if n := r.Stats().Pending; n > int(r.Stats().Lingered) || results != 100 {
			t.Errorf("%d delayed calls left, %d results", n, results)
		}
	})
}

// When the reactor stops, both sides are lost with ErrStopped, and so is the pair.
func TestJoinStopped(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		u := joined(t, w, reactor.JoinConfig{})
		u.out[0].s.Write([]byte("x"))
		u.until(func() bool { return len(u.out[1].got) == 1 })
		u.r.Close()
		if len(u.done) != 1 || !errors.Is(u.done[0].Err, reactor.ErrStopped) || u.done[0].AToB != 1 {
			t.Errorf("%+v", u.done)
		}
		if st := u.r.Stats(); st.Sources != 0 {
			t.Errorf("%d sources left", st.Sources)
		}
	})
}

// A message through a pair costs no memory.
func TestJoinAllocs(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		u := apart(t, w, r, &reactor.ListenConfig{})
		u.join(reactor.JoinConfig{})
		got := 0
		u.out[1].got = make([]byte, 0, 1<<20)
		u.out[1].onData = func(p []byte) { got += len(p) }
		msg := make([]byte, 100)
		want := 0
		pass := func() {
			want += len(msg)
			u.out[0].s.Write(msg)
			for got < want {
				if err := r.Turn(-1); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := testing.AllocsPerRun(200, pass); n != 0 {
			t.Errorf("%v allocations for a message", n)
		}
	})
}
