package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// outcome is how a tunnel ended.
type outcome struct {
	over bool
	err  error
}

// join connects from and to with a, and returns where the end will be noted.
func join(t *testing.T, r *reactor.Reactor, a kernel.Addr, from io.Reader, to io.Writer) *outcome {
	t.Helper()
	o := &outcome{}
	u := newTunnel(r, from, to)
	u.over = func(err error) {
		if o.over {
			t.Error("over twice")
		}
		o.over, o.err = true, err
	}
	r.Dial(a, reactor.One(u), nil, nil)
	return o
}

// The input goes out, its end ends one direction, and what comes back is written
// before it is over.
func TestConnect(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		want := noise(3000)
		var out bytes.Buffer
		o := join(t, r, listen(t, r, reactor.Each[Echo]()), bytes.NewReader(want), &out)
		until(t, r, func() bool { return o.over })
		same(t, "output", out.Bytes(), want)
		if o.err != nil {
			t.Error(o.err)
		}
	})
}

// aborter resets its connection when something comes.
type aborter struct{ reactor.Base }

func (a *aborter) DataReceived([]byte) { a.T.Abort() }

// An error of the connection names the place as it was typed.
func TestConnectNamesPlace(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		a := listen(t, r, reactor.Each[aborter]())
		var failed error
		u := newTunnel(r, bytes.NewReader([]byte("hello")), io.Discard)
		u.name = "tcp:somewhere:7"
		u.over = func(err error) { failed = err }
		r.Dial(a, reactor.One(u), nil, nil)
		until(t, r, func() bool { return failed != nil })
		if !errors.Is(failed, kernel.ErrReset) || !strings.HasPrefix(failed.Error(), "tcp:somewhere:7: ") {
			t.Error(failed)
		}
	})
}

// slow is a writer that blocks until it is told, and fails when it is told.
type slow struct {
	mu    sync.Mutex
	got   []byte
	err   error
	gate  chan struct{}
	again int // so many times EAGAIN first, after half
}

func (s *slow) Write(p []byte) (int, error) {
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if s.again > 0 {
		s.again--
		p = p[:len(p)/2]
		s.got = append(s.got, p...)
		return len(p), syscall.EAGAIN
	}
	s.got = append(s.got, p...)
	return len(p), nil
}

// An output that blocks holds the peer back and not the loop: what is held is
// bounded, and all of it is written, although the peer has gone by then.
func TestConnectSlowOutput(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const readBuffer = 16 << 10
		r := w.New(t, reactor.Config{ReadBuffer: readBuffer})
		far := &peers{}
		out := &slow{gate: make(chan struct{})}
		in, more := io.Pipe()
		defer more.Close()
		o := join(t, r, listen(t, r, far), in, out)
		until(t, r, func() bool { return len(far.all) == 1 })
		want := noise(6 << 20)
		far.all[0].s.Write(want)
		far.all[0].s.Close()
		settle(t, r)
		found := false
		for s := range r.Streams() {
			if u, ok := s.Protocol().(*tunnel); ok {
				found = true
				// What is being written, what waits, and one read above that.
				if got, limit := s.Stats().In, uint64(2*(stdioBuffer+readBuffer)); got == 0 || got > limit {
					t.Errorf("%d bytes were read, want at most %d", got, limit)
				}
				if !u.out.held {
					t.Error("the peer is not held back")
				}
			}
		}
		if !found {
			t.Error("everything was read although nothing could be written")
		}
		close(out.gate)
		until(t, r, func() bool { return o.over })
		same(t, "output", out.got, want)
		if o.err != nil {
			t.Error(o.err)
		}
	})
}

// An input that is faster than the peer is held back: what is buffered is the
// high-water mark and one buffer (PROD-4).
func TestConnectFastInput(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		far := &peers{deaf: true}
		want := noise(12 << 20)
		var out bytes.Buffer
		from := bytes.NewReader(want)
		o := join(t, r, listen(t, r, far), from, &out)
		until(t, r, func() bool { return len(far.all) == 1 })
		held := 0
		for end := time.Now().Add(testworld.Limit); held == 0 && time.Now().Before(end); {
			settle(t, r) // the input may be the one that is slow
			_, held = sum(r)
		}
		if held == 0 || held > 64<<10+stdioBuffer {
			t.Errorf("%d bytes are buffered, want at most 64 KiB and one buffer", held)
		}
		p := far.all[0]
		p.s.ResumeProducing()
		until(t, r, func() bool { return p.ended })
		same(t, "sent", p.got, want)
		p.s.Close()
		until(t, r, func() bool { return o.over })
	})
}

// The peer's end is the end, although the input still blocks.
func TestConnectPeerEnds(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		far := &peers{}
		in, more := io.Pipe()
		defer more.Close()
		var out bytes.Buffer
		o := join(t, r, listen(t, r, far), in, &out)
		until(t, r, func() bool { return len(far.all) == 1 })
		far.all[0].s.Write([]byte("bye"))
		far.all[0].s.Close()
		until(t, r, func() bool { return o.over })
		if out.String() != "bye" || o.err != nil {
			t.Errorf("wrote %q and ended with %v", out.String(), o.err)
		}
	})
}

// A peer that sends nothing more may still read, as "nc -N" does when its own input is empty: the input is sent to its
// end, however slowly the peer takes it.
func TestConnectPeerOnlyReads(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		far := &peers{deaf: true}
		in, more := io.Pipe()
		var out bytes.Buffer
		o := join(t, r, listen(t, r, far), in, &out)
		until(t, r, func() bool { return len(far.all) == 1 })
		p := far.all[0]
		p.s.Write([]byte("go on"))
		p.s.CloseWrite()
		until(t, r, func() bool { moved, _ := sum(r); return moved == 10 })
		want := noise(6 << 20)
		go func() {
			more.Write(want)
			more.Close()
		}()
		slowly := false
		r.CallLater(2*drySpell, func() { slowly = true; p.s.ResumeProducing() })
		until(t, r, func() bool { return p.ended })
		same(t, "sent", p.got, want)
		p.s.Close()
		until(t, r, func() bool { return o.over })
		if !slowly || out.String() != "go on" || o.err != nil {
			t.Errorf("the peer was slow: %v; wrote %q and ended with %v", slowly, out.String(), o.err)
		}
	})
}

// Nobody takes the rest of the input: that is an error, although the peer has ended in order.
func TestConnectPeerEndsEarly(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		far := &peers{deaf: true}
		o := join(t, r, listen(t, r, far), bytes.NewReader(noise(12<<20)), io.Discard)
		until(t, r, func() bool { return len(far.all) == 1 })
		far.all[0].s.CloseWrite()
		r.CallLater(drySpell, func() { far.all[0].s.Abort() })
		until(t, r, func() bool { return o.over })
		if o.err == nil {
			t.Error("the rest of the input was lost without an error")
		}
	})
}

// A connection that is cut is an error, but what came before it is written.
func TestConnectCut(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		far := &peers{}
		in, more := io.Pipe()
		defer more.Close()
		out := &slow{gate: make(chan struct{})}
		o := join(t, r, listen(t, r, far), in, out)
		until(t, r, func() bool { return len(far.all) == 1 })
		far.all[0].s.Write([]byte("well"))
		until(t, r, func() bool { moved, _ := sum(r); return moved == 8 })
		far.all[0].s.Abort()
		until(t, r, func() bool { return count(r) == 0 })
		close(out.gate)
		until(t, r, func() bool { return o.over })
		if string(out.got) != "well" || !errors.Is(o.err, kernel.ErrReset) {
			t.Errorf("wrote %q and ended with %v, want a reset", out.got, o.err)
		}
	})
}

// An output that fails ends it: quietly if nobody reads it any more.
func TestConnectBrokenOutput(t *testing.T) {
	for _, x := range []struct {
		err   error
		quiet bool
	}{{syscall.EPIPE, true}, {syscall.ENOSPC, false}} {
		worlds(t, func(t *testing.T, w testworld.World) {
			r := w.New(t, reactor.Config{})
			far := &peers{}
			in, more := io.Pipe()
			defer more.Close()
			o := join(t, r, listen(t, r, far), in, &slow{err: x.err})
			until(t, r, func() bool { return len(far.all) == 1 })
			far.all[0].s.Write([]byte("hello"))
			until(t, r, func() bool { return o.over && far.all[0].err != nil })
			if errors.Is(o.err, errQuiet) != x.quiet || x.quiet == errors.Is(o.err, x.err) {
				t.Errorf("ended with %v", o.err)
			}
		})
	}
}

// An input that fails cuts the connection, so that the peer does not take it for
// the end.
func TestConnectBrokenInput(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		far := &peers{}
		in, more := io.Pipe()
		more.CloseWithError(syscall.EIO)
		o := join(t, r, listen(t, r, far), in, io.Discard)
		until(t, r, func() bool { return o.over && len(far.all) == 1 && far.all[0].err != nil })
		if !errors.Is(o.err, syscall.EIO) || far.all[0].ended {
			t.Errorf("ended with %v; the peer saw an end: %v", o.err, far.all[0].ended)
		}
	})
}

// reluctant gives one byte in two reads.
type reluctant struct {
	from  io.Reader
	again bool
}

func (s *reluctant) Read(p []byte) (int, error) {
	if s.again = !s.again; s.again {
		return -1, syscall.EAGAIN
	}
	return s.from.Read(p)
}

// Streams that somebody else has made non-blocking work all the same.
func TestConnectNonBlockingStreams(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		want := noise(200 << 10)
		out := &slow{again: 3}
		o := join(t, r, listen(t, r, reactor.Each[Echo]()), &reluctant{from: bytes.NewReader(want)}, out)
		until(t, r, func() bool { return o.over })
		same(t, "output", out.got, want)
		if o.err != nil {
			t.Error(o.err)
		}
		if n := r.Stats().DelayedCalls; n < 5 {
			t.Errorf("%d delayed calls: it spins instead of waiting", n)
		}
	})
}
