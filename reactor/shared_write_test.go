package reactor_test

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"testing"
	"weak"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// DESC-42: WriteShared is a write like the others, in order with them, for every size and
// every way of cutting the stream.
func TestWriteShared(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		bulk(w, 0) // smaller buffers where streams are cut
		r := w.New(t, reactor.Config{})
		want, conns := pattern(150_000), 2
		if w.Chunk() > 0 {
			want, conns = want[:30_000], 1
		}
		kept := bytes.Clone(want)
		writers, readers := stuck(t, r, conns, reactor.StreamConfig{}, kept)
		for _, e := range writers {
			rest, written := want, 0
			for i := 0; len(rest) > 0; i++ {
				n := min([]int{1, 5000, 100, 0, 4096, 3, 20_000, 16 << 10, 12_000, 2000}[i%10], len(rest))
				if p := rest[:n:n]; i%4 == 3 {
					p = bytes.Clone(p)
					e.s.Write(p)
					clear(p)
				} else if m, err := e.s.WriteShared(p); m != n || err != nil {
					t.Errorf("WriteShared of %d bytes: %d, %v", n, m, err)
				}
				rest, written = rest[n:], written+n
				if s := e.s.Stats(); int(s.Sent)+s.Buffered != written {
					t.Errorf("%d bytes were written: %+v", written, s)
				}
			}
			e.s.Close()
		}
		read(t, r, readers, func() bool {
			return !slices.ContainsFunc(readers, func(s *sink) bool { return s.err == nil })
		})
		for _, s := range readers {
			if s.n != len(want) {
				t.Errorf("%d of %d bytes came, lost for %v", s.n, len(want), s.err)
			}
		}
		if !bytes.Equal(want, kept) {
			t.Error("WriteShared changed what it was given")
		}
	})
}

// allocated is the heap memory that fn takes, freed or not.
func allocated(fn func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// DESC-42: a message to many connections that do not read is in memory once.
func TestBroadcast(t *testing.T) {
	size, conns := 8<<20, 100
	if raced {
		conns = 10
	}
	all := pattern(size)
	heavy(t, func(t *testing.T, w testworld.World) {
		if w.Simulated() {
			size = 1 << 20 // a simulated network has memory of its own for what is under way
		}
		want := all[:size]
		r := w.New(t, reactor.Config{})
		writers, readers := stuck(t, r, conns, reactor.StreamConfig{}, want)
		var message []byte
		took := allocated(func() {
			message = bytes.Clone(want)
			for _, e := range writers {
				if n, err := reactor.WriteShared(e.s, message); n != size || err != nil {
					t.Fatalf("%d, %v", n, err)
				}
			}
		})
		first, waiting := took, 0
		for _, e := range writers {
			waiting += e.s.Buffered()
		}
		if waiting < conns*size/4 {
			t.Fatalf("%d bytes wait: the test shows nothing", waiting)
		}
		took += allocated(func() {
			read(t, r, readers, func() bool {
				return !slices.ContainsFunc(readers, func(s *sink) bool { return s.n < size })
			})
		})
		t.Logf("%d bytes were allocated for %d bytes to %d connections, %d of them at once", took, size, conns, first)
		if !w.Simulated() && took > 2*size || first > conns*size/2 || first < size {
			t.Errorf("DESC-42: %d bytes were allocated, %d of them at once", took, first)
		}
	})
}

// DESC-42: a stream does not keep a shared slice that was sent, or that is of no use any
// more.
func TestSharedIsLetGo(t *testing.T) {
	const size = 8 << 20
	heavy(t, func(t *testing.T, w testworld.World) {
		for _, c := range []struct {
			name string
			end  func(r *reactor.Reactor, e *end, s *sink)
		}{
			{"sent", func(r *reactor.Reactor, e *end, s *sink) {
				read(t, r, []*sink{s}, func() bool { return e.s.Buffered() == 0 })
			}},
			{"aborted", func(_ *reactor.Reactor, e *end, s *sink) { e.s.Abort() }},
			{"reset", func(_ *reactor.Reactor, e *end, s *sink) { s.T.Abort() }},
		} {
			r := w.New(t, reactor.Config{})
			writers, readers := stuck(t, r, 1, reactor.StreamConfig{}, make([]byte, size))
			e := writers[0]
			message := make([]byte, size)
			kept := weak.Make(&message[0])
			e.s.WriteShared(message)
			e.s.Write([]byte("."))
			readers[0].want = append(readers[0].want, '.')
			message = nil
			if runtime.GC(); e.s.Buffered() < size/8 || kept.Value() == nil {
				t.Errorf("%s: %d bytes wait, and the slice is gone", c.name, e.s.Buffered())
			}
			c.end(r, e, readers[0])
			until(t, r, func() bool { return e.err != nil || e.s.Buffered() == 0 })
			if runtime.GC(); kept.Value() != nil {
				t.Errorf("DESC-42: %s: the slice is still kept", c.name)
			}
		}
	})
}

// DESC-42: the limits count shared bytes, and its refusals are those of Write.
func TestSharedLimits(t *testing.T) {
	const most = 4 << 20
	worlds(t, func(t *testing.T, w testworld.World) {
		bulk(w, 0)
		r := w.New(t, reactor.Config{})
		message := make([]byte, most)
		writers, readers := stuck(t, r, 2, reactor.StreamConfig{MaxBuffered: most}, make([]byte, 8*most))
		e, full := writers[0], writers[1]
		var p source
		paused := 0
		p.onPause = func() { paused++ }
		e.s.RegisterProducer(&p)
		for e.s.Buffered() <= 64<<10 {
			testworld.Turns(t, r, 1) // what is sent at once counts too, until the turn is over
			if paused != 0 {
				t.Error("DESC-42: paused too early")
			}
			e.s.WriteShared(message[:32<<10])
		}
		if paused != 1 {
			t.Errorf("DESC-42: %d bytes wait, and the producer was paused %d times", e.s.Buffered(), paused)
		}
		e.s.UnregisterProducer()
		e.s.Close()
		if n, err := e.s.WriteShared(message); n != 0 || err != reactor.ErrClosed {
			t.Errorf("DESC-42: after Close: %d, %v", n, err)
		}
		if n, err := full.s.WriteShared(message); n != most || err != nil || full.s.Buffered() == 0 {
			t.Errorf("DESC-42: %d, %v, %d bytes wait", n, err, full.s.Buffered())
		}
		if n, err := full.s.WriteShared(message); n != 0 || !errors.Is(err, reactor.ErrBufferFull) {
			t.Errorf("DESC-42: with too much: %d, %v", n, err)
		}
		read(t, r, readers, func() bool { return e.err != nil && full.err != nil })
		if e.err != reactor.ErrClosed || !errors.Is(full.err, reactor.ErrBufferFull) {
			t.Errorf("lost for %v and %v", e.err, full.err)
		}
	})
}

// plain is a transport that has nothing but the methods of one.
type plain struct{ reactor.Transport }

// covered is a wrapper that changes nothing.
type covered struct{ reactor.Transport }

func (c covered) Unwrap() reactor.Transport { return c.Transport }

// The function WriteShared goes through wrappers, and writes to what is no SharedWriter.
func TestWriteSharedToAnything(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		p := newTCPPair(t, w)
		want := ""
		for _, tr := range []reactor.Transport{p.srv.s, plain{p.srv.s}, covered{p.srv.s}} {
			if _, ok := reactor.As[reactor.SharedWriter](tr); ok == (tr == plain{p.srv.s}) {
				t.Errorf("%T is a SharedWriter: %v", tr, ok)
			}
			if n, err := reactor.WriteShared(tr, []byte("abc")); n != 3 || err != nil {
				t.Errorf("%T: %d, %v", tr, n, err)
			}
			want += "abc"
		}
		until(t, p.r, func() bool { return string(p.cli.got) == want })
	})
}
