package reactor_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// withPeerConfig is withPeer with a configuration, and a peer that turns the reactor.
func withPeerConfig(t *testing.T, w testworld.World, e *end, c *reactor.StreamConfig) (*reactor.Reactor, *testworld.Faults, *testworld.Peer) {
	t.Helper()
	f := &testworld.Faults{}
	r := testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{})
	return r, f, peerOf(t, w, r, e, c)
}

// peerOf is a peer of r.
func peerOf(t *testing.T, w testworld.World, r *reactor.Reactor, e *end, c *reactor.StreamConfig) *testworld.Peer {
	t.Helper()
	var cfg reactor.ListenConfig
	if c != nil {
		cfg.StreamConfig = *c
	}
	port := listen(t, r, reactor.One(e), &cfg)
	p := w.Peer(t, port.Addr(), r)
	until(t, r, func() bool { return e.s != nil })
	return p
}

// flood is more than a kernel buffers.
func flood(w testworld.World) int {
	if w.Simulated() {
		return 1 << 20
	}
	return 32 << 20
}

// endOf is how the peer sees the end, and how many bytes came before it.
func endOf(p *testworld.Peer) (int, error) {
	got, err := p.Rest()
	return len(got), err
}

// When the reactor stops, the peer sees an orderly end only if everything was sent (TCP-68,
// CORE-25), also after a Close.
func TestStopWithOutputUnsent(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, c := range []struct {
			name  string
			size  int
			close bool
			want  error
		}{
			{"nothing unsent", 1000, false, io.EOF},
			{"much unsent", flood(w), false, kernel.ErrReset},
			{"much unsent, after Close", flood(w), true, kernel.ErrReset},
		} {
			var e end
			r, _, p := withPeerConfig(t, w, &e, nil)
			e.s.Write(make([]byte, c.size))
			if c.close {
				e.s.Close()
			}
			testworld.Turns(t, r, 3)
			r.Close()
			if !errors.Is(e.err, reactor.ErrStopped) {
				t.Errorf("%s: lost with %v", c.name, e.err)
			}
			n, err := endOf(p)
			if !errors.Is(err, c.want) || c.want == io.EOF && n != c.size {
				t.Errorf("%s: the peer got %d of %d bytes, then %v", c.name, n, c.size, err)
			}
		}
	})
}

// Unread input does not turn the end into a reset, which could destroy what was sent: when
// the reactor stops, or when the factory refuses.
func TestUnreadInputAtTheEnd(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var e end
		r, _, p := withPeerConfig(t, w, &e, nil)
		e.s.PauseProducing()
		e.s.Write([]byte("answer"))
		p.Send("unread")
		testworld.Turns(t, r, 3)
		r.Close()
		if n, err := endOf(p); n != 6 || err != io.EOF {
			t.Errorf("stopped: the peer got %d bytes, then %v", n, err)
		}

		r = w.New(t, reactor.Config{})
		port := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return nil }), nil)
		q := w.Peer(t, port.Addr())
		q.Send("hello?")
		until(t, r, func() bool { return port.Stats().Refused == 1 })
		if n, err := endOf(q); n != 0 || err != io.EOF {
			t.Errorf("TCP-25: refused: the peer got %d bytes, then %v", n, err)
		}
	})
}

// The peer's end ends our reading; what is buffered is sent first, and then the connection
// is lost with io.EOF (TCP-72).
func TestPeerEndsFirst(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var e end
		r, _, p := withPeerConfig(t, w, &e, nil)
		size := flood(w)
		e.s.Write(make([]byte, size))
		p.CloseWrite()
		testworld.Turns(t, r, 3)
		if e.err != nil {
			t.Fatalf("lost with %v before it was sent", e.err)
		}
		if n, err := endOf(p); n != size || err != io.EOF {
			t.Errorf("the peer got %d of %d bytes, then %v", n, size, err)
		}
		until(t, r, func() bool { return e.err != nil })
		sameEvents(t, e.events, "made", "lost eof")
	})
}

// A registered producer is told at once that the peer has ended: nothing more is wanted of it
// (PROD-6, TCP-72).
func TestPeerEndsProducer(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var e end
		r, _, p := withPeerConfig(t, w, &e, nil)
		src := new(source)
		e.s.RegisterProducer(src)
		e.s.Write(make([]byte, flood(w)))
		p.CloseWrite()
		until(t, r, func() bool { return src.heard("pause", "stop") })
		if e.err != nil {
			t.Errorf("lost with %v", e.err)
		}
	})
}

// What the peer sent before its reset is delivered, although a write fails first; then the
// loss tells why the write failed (TCP-67).
func TestDataBeforeReset(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, paused := range []bool{false, true} {
			var e end
			r, f, p := withPeerConfig(t, w, &e, nil)
			src := new(source)
			e.s.RegisterProducer(src)
			e.s.PauseProducing()
			p.Send("quota exceeded")
			testworld.Turns(t, r, 5) // it arrives, and is not read
			broken := kernel.Sentinel("broken by the test", kernel.ErrReset)
			f.Write = func() error { return broken }
			if !paused {
				e.s.ResumeProducing()
			}
			e.s.Write([]byte("x"))
			if n, err := e.s.Write(make([]byte, 32<<10)); n != 0 && err == nil {
				e.s.Write([]byte("y")) // the first was not tried yet
			}
			if paused {
				testworld.Turns(t, r, 5)
				if e.err != nil || len(e.got) != 0 {
					t.Fatalf("paused: %q, lost with %v", e.got, e.err)
				}
				e.s.ResumeProducing()
			}
			until(t, r, func() bool { return e.err != nil })
			if string(e.got) != "quota exceeded" || !errors.Is(e.err, broken) || !src.heard("stop") {
				t.Errorf("paused %v: got %q, lost with %v", paused, e.got, e.err)
			}
			sameEvents(t, e.events, "made", "data", "lost *reactor.OpError")
			if n, err := endOf(p); n != 0 || !errors.Is(err, kernel.ErrReset) {
				t.Errorf("the peer got %d bytes, then %v", n, err)
			}
		}
	})
}

// A program that does not resume loses the connection all the same, after CloseTimeout (TCP-67).
func TestDataBeforeResetNeverRead(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var e end
		r, f, p := withPeerConfig(t, w, &e, &reactor.StreamConfig{CloseTimeout: 20 * ms})
		e.s.PauseProducing()
		p.Send("unread")
		testworld.Turns(t, r, 3)
		f.Write = func() error { return kernel.ErrReset }
		e.s.Write([]byte("x"))
		start := r.Now()
		until(t, r, func() bool { return e.err != nil })
		if took := r.Now() - start; !errors.Is(e.err, kernel.ErrReset) || len(e.got) > 0 || took < 20*ms {
			t.Errorf("TCP-67: got %q, lost with %v after %v", e.got, e.err, took)
		}
	})
}

// Close has a limit: a peer that reads nothing is reset when nothing was sent for
// CloseTimeout, 30 s by default, and one that reads slowly is not (TCP-59).
func TestCloseTimeout(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, how := range []string{"close", "the peer's end", "producer"} {
			var e end
			r, _, p := withPeerConfig(t, w, &e, &reactor.StreamConfig{CloseTimeout: 40 * ms})
			if how != "producer" {
				e.s.Write(make([]byte, flood(w)))
			} else {
				e.s.RegisterProducer(new(source))
			}
			if how == "the peer's end" {
				p.CloseWrite()
			} else {
				e.s.Close()
			}
			start := r.Now()
			until(t, r, func() bool { return e.err != nil })
			if took := r.Now() - start; !errors.Is(e.err, reactor.ErrCloseTimeout) || !errors.Is(e.err, kernel.ErrTimeout) || took < 40*ms {
				t.Errorf("TCP-59: %s: lost with %v after %v", how, e.err, took)
			}
			if _, err := endOf(p); !errors.Is(err, kernel.ErrReset) {
				t.Errorf("TCP-59: %s: the peer sees %v", how, err)
			}
		}
		if !w.Simulated() {
			return // the rest takes half a minute, which the simulated clock has
		}
		var e end
		r, _, _ := withPeerConfig(t, w, &e, nil)
		e.s.Write(make([]byte, flood(w)))
		e.s.Close()
		start := r.Now()
		for e.err == nil && r.Now()-start < time.Minute {
			if err := r.Turn(time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if took := r.Now() - start; !errors.Is(e.err, reactor.ErrCloseTimeout) || took < 30*time.Second || took > 31*time.Second {
			t.Errorf("TCP-59: by default: lost with %v after %v", e.err, took)
		}
	})
}

// Progress gives a Close new time.
func TestCloseTimeoutProgress(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var e end
		const pieces = 8
		limit := unhurried(w, 90*ms)
		r, pass := timed(t, w, new(testworld.Faults), reactor.Config{})
		p := peerOf(t, w, r, &e, &reactor.StreamConfig{CloseTimeout: limit})
		size := flood(w)
		e.s.Write(make([]byte, size))
		e.s.Close()
		start, got, buf := r.Now(), 0, make([]byte, size/pieces)
		for e.err == nil && got < size {
			pass(limit / 3)
			n, err := io.ReadFull(p, buf[:min(len(buf), size-got)])
			if got += n; err != nil {
				t.Fatalf("after %d of %d bytes: %v; lost with %v", got, size, err, e.err)
			}
		}
		until(t, r, func() bool { return e.err != nil })
		if e.err != reactor.ErrClosed || r.Now()-start < limit {
			t.Errorf("lost with %v after %v", e.err, r.Now()-start)
		}
	})
}

// Two that are each other's producers do not wait for each other when one is gone, with no
// word from the program (PROD-11).
func TestJoinedPairEnds(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var a, b end
		r := w.New(t, reactor.Config{})
		port := listen(t, r, reactor.One(&a), nil)
		p := w.Peer(t, port.Addr(), r)
		until(t, r, func() bool { return a.s != nil })
		other := listen(t, r, reactor.One(&b), nil)
		q := w.Peer(t, other.Addr(), r)
		until(t, r, func() bool { return b.s != nil })
		a.s.RegisterProducer(b.s)
		b.s.RegisterProducer(a.s)
		a.onLost = func(error) { b.s.Close() }
		p.Close()
		until(t, r, func() bool { return a.err != nil && b.err != nil })
		if b.err != reactor.ErrClosed {
			t.Errorf("lost with %v and %v", a.err, b.err)
		}
		if n, err := endOf(q); n != 0 || err != io.EOF {
			t.Errorf("the other peer got %d bytes, then %v", n, err)
		}
	})
}

// Who was still sending when we closed is not reset: the answer arrives, and what comes is
// discarded for a while (TCP-59).
func TestLinger(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var e end
		r, _, p := withPeerConfig(t, w, &e, nil)
		e.s.PauseProducing()
		p.Send("an upload")
		testworld.Turns(t, r, 3)
		answer := bytes.Repeat([]byte("too large. "), 1000)
		e.s.Write(answer)
		e.s.Close()
		until(t, r, func() bool { return e.err != nil })
		if e.err != reactor.ErrClosed || r.Stats().Lingered != 1 {
			t.Fatalf("lost with %v, %d linger", e.err, r.Stats().Lingered)
		}
		for range 10 {
			p.Send("more of it") // it would be answered with a reset
			testworld.Turns(t, r, 1)
		}
		if n, err := endOf(p); n != len(answer) || err != io.EOF {
			t.Errorf("the peer got %d of %d bytes, then %v", n, len(answer), err)
		}
		before := r.Stats().Sources
		p.Close()
		until(t, r, func() bool { return r.Stats().Sources == before-1 })
	})
}

// The same if nothing was unread at the Close: who uploads may have paused for a moment (TCP-59).
func TestLingerNothingUnread(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var e end
		r, _, p := withPeerConfig(t, w, &e, nil)
		answer := bytes.Repeat([]byte("too large. "), 1000)
		e.onData = func([]byte) { e.s.Write(answer); e.s.Close() }
		p.Send("an upload")
		until(t, r, func() bool { return e.err != nil })
		for range 10 {
			p.Send("more of it") // it would be answered with a reset
			testworld.Turns(t, r, 1)
		}
		if n, err := endOf(p); n != len(answer) || err != io.EOF || e.err != reactor.ErrClosed {
			t.Errorf("the peer got %d of %d bytes, then %v; lost with %v", n, len(answer), err, e.err)
		}
	})
}

// A Close discards 1 MiB of what is unread, and leaves the rest to the lingering: it must not hold up
// the loop.
func TestCloseDiscardsSome(t *testing.T) {
	for _, w := range wrap(testworld.Worlds()) {
		if !w.Simulated() {
			continue // only there the buffers of sockets can be as large as it takes
		}
		n := w.Net()
		n.Options.SendBuffer, n.Options.RecvBuffer = 4<<20, 4<<20
		var e end
		r, f, p := withPeerConfig(t, w, &e, nil)
		e.s.PauseProducing()
		p.Send(strings.Repeat("x", 3<<20))
		testworld.Turns(t, r, 5)
		reads := f.Calls["Read"]
		e.onLost = func(error) { reads = f.Calls["Read"] - reads }
		e.s.Close()
		until(t, r, func() bool { return e.err != nil })
		if e.err != reactor.ErrClosed || reads != 4 { // of 256 KiB
			t.Errorf("%d reads before it was lost with %v", reads, e.err)
		}
	}
}

// At most 1,024 connections linger at a time. Of more, the oldest are closed.
func TestLingerMost(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		if !w.Simulated() {
			t.Skip("thousands of connections, which the simulated network makes quickly")
		}
		const all = 1030
		r := w.New(t, reactor.Config{})
		port := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			e := new(end)
			e.onMade = func() { e.s.Write([]byte("bye")); e.s.Close() }
			return e
		}), nil)
		for range all {
			r.Dial(port.Addr(), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return new(halfEnd) }), nil, nil)
		}
		until(t, r, func() bool { return r.Stats().Lingered == all })
		testworld.Turns(t, r, 1)
		if n := r.Stats().Sources - 1 - all; n != 1024 { // the port and the clients
			t.Errorf("%d linger", n)
		}
	})
}

// A peer that goes on sending is cut off after two seconds (TCP-59).
func TestLingerEnds(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		if !w.Simulated() {
			t.Skip("it takes two seconds, which the simulated clock has")
		}
		var e end
		r, _, p := withPeerConfig(t, w, &e, nil)
		e.s.PauseProducing()
		p.Send("an upload")
		testworld.Turns(t, r, 3)
		e.s.Close()
		until(t, r, func() bool { return e.err != nil })
		sources, start := r.Stats().Sources, r.Now()
		for r.Stats().Sources == sources && r.Now()-start < time.Minute {
			if err := r.Turn(time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if took := r.Now() - start; took < 2*time.Second-ms || took > 2*time.Second+ms {
			t.Errorf("TCP-59: it lingered for %v", took)
		}
	})
}

// A connection whose writing has failed ends after CloseTimeout, though the peer sends on.
func TestBrokenAndFlooded(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const limit = 40 * ms
		var e end
		r, f, p := withPeerConfig(t, w, &e, &reactor.StreamConfig{CloseTimeout: limit})
		e.onData = func([]byte) { p.Send("more") } // so that there always is something to read
		p.Send("some")
		until(t, r, func() bool { return len(e.got) > 0 })
		f.Write = func() error { return kernel.ErrNoResources }
		e.s.Write([]byte("x"))
		start := r.Now()
		until(t, r, func() bool { return e.err != nil })
		if !errors.Is(e.err, kernel.ErrNoResources) {
			t.Errorf("lost with %v after %v", e.err, r.Now()-start)
		}
	})
}

// A connection whose writing has failed, though the peer lives and says no more, ends as soon as
// what came before is delivered, in as many pieces as that takes. It does not wait for
// CloseTimeout (TCP-67).
func TestBrokenAndQuiet(t *testing.T) {
	for _, unread := range []string{"", "in pieces"} {
		worlds(t, func(t *testing.T, w testworld.World) {
			const limit = 10 * time.Second
			var e end
			r, f, p := withPeerConfig(t, w, &e, &reactor.StreamConfig{CloseTimeout: limit})
			f.MaxRead = 2
			f.Write = func() error { return kernel.ErrNoResources }
			start := r.Now()
			if unread != "" {
				e.s.PauseProducing()
				p.Send(unread)
				testworld.Turns(t, r, 5)
			}
			e.s.Write([]byte("x"))
			e.s.ResumeProducing()
			until(t, r, func() bool { return e.err != nil })
			if took := r.Now() - start; string(e.got) != unread || !errors.Is(e.err, kernel.ErrNoResources) || took >= limit {
				t.Errorf("after %q it was lost with %v, after %v", e.got, e.err, took)
			}
		})
	}
}

// A panic in the delivery of what came before a reset ends only that connection, and leaves
// the loop in order: the simulation looks at the buffer that was lent.
func TestPanicBeforeReset(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		f := &testworld.Faults{}
		panics := 0
		r := testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		var e, other end
		port := listen(t, r, reactor.One(&e), nil)
		p := w.Peer(t, port.Addr(), r)
		until(t, r, func() bool { return e.s != nil })
		e.s.PauseProducing()
		p.Send("unread")
		testworld.Turns(t, r, 5)
		f.Write = func() error { return kernel.ErrReset }
		e.onData = func([]byte) { panic("in the delivery") }
		e.s.Write([]byte("x"))
		testworld.Turns(t, r, 2)
		e.s.ResumeProducing()
		until(t, r, func() bool { return e.err != nil })
		if _, ok := errors.AsType[*reactor.PanicError](e.err); !ok || panics != 1 {
			t.Errorf("X-3: lost with %v, %d panics", e.err, panics)
		}
		f.Write = nil
		connect(t, r, &other, new(end))
		other.s.Write([]byte("goes on"))
		testworld.Turns(t, r, 3)
		if other.err != nil {
			t.Errorf("X-3: another is lost with %v", other.err)
		}
	})
}

// The end of lingering destroys nothing either, here because the reactor stops: what the peer has
// sent until then is discarded.
func TestLingerAtStop(t *testing.T) {
	nativeWorlds(t, "what a socket has taken arrives after its host has gone", func(t *testing.T, w testworld.World) {
		const size = 1 << 20
		r, far := w.New(t, reactor.Config{}), w.New(t, reactor.Config{})
		in, out := &end{}, &end{}
		p := listen(t, r, one(in), nil)
		far.Dial(p.Addr(), one(out), nil, nil)
		testworld.Until(t, func() bool { return in.s != nil && out.s != nil }, r, far)
		out.s.PauseProducing()
		in.s.Write(make([]byte, size))
		in.s.Close()
		for range 200 {
			r.Turn(0)
		}
		if in.err != reactor.ErrClosed {
			t.Fatalf("the socket has no room for %d bytes; %d wait", size, in.s.Buffered())
		}
		out.s.Write([]byte("x"))
		testworld.Turns(t, far, 2)
		r.Close()
		out.s.ResumeProducing()
		testworld.Until(t, func() bool { return out.err != nil }, far)
		if len(out.got) != size || out.err != io.EOF {
			t.Errorf("%v was told, and the peer got %d of %d bytes, then %v", in.err, len(out.got), size, out.err)
		}
	})
}
