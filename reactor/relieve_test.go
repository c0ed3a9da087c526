package reactor_test

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/internal/chunks"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// CORE-52: when the unsent output of all connections together is too much, the connection that
// has the most of it ends, whoever writes, and the others go on.
func TestBufferedTotal(t *testing.T) {
	const piece, total = 64 << 10, 4 << 20
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{MaxBufferedTotal: total})
		writers, readers := stuck(t, r, 5, reactor.StreamConfig{MaxBuffered: -1}, make([]byte, 32<<20))
		hog := writers[2]
		fill := func(e *end, n int) {
			for e.s.Buffered() < n && e.err == nil {
				e.s.Write(make([]byte, piece))
				r.Turn(0)
			}
		}
		fill(hog, total*5/8)
		for i, e := range writers {
			if i != 2 {
				fill(e, total/8)
			}
		}
		until(t, r, func() bool { return hog.err != nil })
		if !errors.Is(hog.err, reactor.ErrBufferFull) || !strings.Contains(hog.err.Error(), "Config.MaxBufferedTotal") {
			t.Errorf("the connection with the most ended with: %v", hog.err)
		}
		for i, e := range writers {
			if i != 2 && e.err != nil {
				t.Errorf("connection %d, which had less, ended too: %v", i, e.err)
			}
		}
		if read(t, r, readers[2:3], func() bool { return readers[2].err != nil }); !isReset(readers[2].err) {
			t.Errorf("its peer was lost with %v, want a reset", readers[2].err)
		}
		// There is room again: what the one had is given back.
		fill(writers[0], total/2)
		if writers[0].err != nil {
			t.Errorf("with room again: %v", writers[0].err)
		}
	})
}

// CORE-52: they end one after the other, those that hold the most first, until a sixteenth is free and no longer.
func TestBufferedTotalFreesASixteenth(t *testing.T) {
	const many, each, total = 32, 128 << 10, 32 * 128 << 10
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{MaxBufferedTotal: total})
		writers, _ := stuck(t, r, many, reactor.StreamConfig{MaxBuffered: -1}, nil)
		for _, e := range writers {
			for e.s.Buffered() == 0 { // the socket takes no more
				e.s.Write(make([]byte, 16<<10))
				r.Turn(0)
			}
		}
		r.Post(func() {
			for i, e := range writers { // the last has the most, by a chunk
				e.s.Write(make([]byte, each-e.s.Buffered()-(many-1-i)/(many-1)*(16<<10)))
			}
		})
		lost := func() (n, held int) {
			for _, e := range writers {
				if e.err != nil {
					n++
				} else {
					held += e.s.Buffered()
				}
			}
			return n, held
		}
		testworld.Turns(t, r, 3)
		if n, held := lost(); n != 0 {
			t.Fatalf("CORE-52: %d ended with %d of %d bytes unsent", n, held, total)
		}
		r.Post(func() { writers[0].s.Write(make([]byte, 64<<10)) })
		testworld.Turns(t, r, 3)
		n, held := lost()
		if most := total - total/16; n < 2 || held > most || held+each+64<<10 < most {
			t.Errorf("CORE-52: %d ended, the others have %d bytes; a sixteenth of %d is to be free, and no more", n, held, total)
		}
		for _, e := range writers {
			if e.err != nil && !errors.Is(e.err, reactor.ErrBufferFull) {
				t.Errorf("CORE-52: lost with %v", e.err)
			}
		}
	})
}

// CORE-52: the default is 1 GiB.
func TestBufferedTotalByDefault(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		if n := reflect.ValueOf(r).Elem().FieldByName("maxChunks").Int() * chunks.Size; n != 1<<30 {
			t.Errorf("CORE-52: %d bytes", n)
		}
	})
}

// One write beyond the total ends the connection that made it, if that has the most, and stops
// its producer.
func TestBufferedTotalOfOne(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{MaxBufferedTotal: 1})
		writers, _ := stuck(t, r, 1, reactor.StreamConfig{}, nil)
		e, p := writers[0], new(neverProduces)
		e.s.RegisterProducer(p)
		r.Post(func() { e.s.WriteVec([][]byte{make([]byte, 6<<20), make([]byte, 6<<20)}) })
		until(t, r, func() bool { return e.err != nil })
		if !errors.Is(e.err, reactor.ErrBufferFull) || p.stopped != 1 {
			t.Errorf("ended with %v, the producer stopped %d times", e.err, p.stopped)
		}
	})
}

// A panic is told even if nobody has thought of the log.
func TestPanicWithoutLogger(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	for _, told := range []bool{false, true} {
		var out bytes.Buffer
		slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
		var c reactor.Config
		n := 0
		if told {
			c.Panicked = func(*reactor.PanicError) { n++ }
		}
		for _, w := range testworld.Worlds() {
			k := w.Open(t)
			r := reactor.New(k, c)
			listen(t, r, one(new(end)), nil) // which a Logger would be told of
			r.Post(func() { panic("lost words") })
			r.Turn(0)
			r.Close()
			break
		}
		if logged := strings.Count(out.String(), "\n"); logged != 1-n || strings.Contains(out.String(), "lost words") == told {
			t.Errorf("Panicked is set: %v, called %d times; the default log:\n%s", told, n, out.String())
		}
	}
}

// CORE-52: a connection that was ended in this callback, and had the most, costs no other one its
// life.
func TestBufferedTotalOfThoseThatEnd(t *testing.T) {
	const total = 4 << 20
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{MaxBufferedTotal: total})
		all, _ := stuck(t, r, 5, reactor.StreamConfig{MaxBuffered: total}, nil)
		hog := all[0]
		for hog.s.Buffered() == 0 {
			hog.s.Write(make([]byte, 64<<10))
			r.Turn(0)
		}
		r.Post(func() {
			for hog.s.Buffered()+16<<10 <= total {
				hog.s.Write(make([]byte, 16<<10))
			}
			hog.s.Abort()
			for _, e := range all[1:] {
				e.s.Write([]byte("x"))
			}
		})
		until(t, r, func() bool { return hog.err != nil })
		for range 10 {
			r.Turn(0)
		}
		for i, e := range all[1:] {
			if e.err != nil {
				t.Errorf("connection %d, with one byte, ended: %v", i+1, e.err)
			}
		}
	})
}

// What a write sends at once is not unsent: 16 KiB, which go to the socket at once, cost no
// connection its life where the total has room for one chunk, and another connection has it.
func TestBufferedTotalSentAtOnce(t *testing.T) {
	for _, size := range []int{16 << 10, 16<<10 + 1} {
		worlds(t, func(t *testing.T, w testworld.World) {
			r := w.New(t, reactor.Config{MaxBufferedTotal: 1})
			all, _ := stuck(t, r, 2, reactor.StreamConfig{}, nil)
			r.Post(func() {
				all[0].s.Write([]byte("x"))
				all[1].s.Write(make([]byte, size))
				if n := all[1].s.Buffered(); n != 0 {
					t.Errorf("%d of %d bytes are buffered", n, size)
				}
			})
			for range 10 {
				r.Turn(0)
			}
			for i, e := range all {
				if e.err != nil {
					t.Errorf("connection %d ended, after %d bytes were written: %v", i, size, e.err)
				}
			}
		})
	}
}

// The greatest total is as good as none.
func TestBufferedTotalGreatest(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{MaxBufferedTotal: math.MaxInt})
		all, _ := stuck(t, r, 1, reactor.StreamConfig{}, nil)
		r.Post(func() { all[0].s.Write([]byte("x")) })
		for range 10 {
			r.Turn(0)
		}
		if err := all[0].err; err != nil {
			t.Error(err)
		}
	})
}

// CORE-52: a callback that writes a little to many others holds no chunk for each of them until it returns, so it costs none of them its life.
func TestBufferedTotalOfMany(t *testing.T) {
	const many, room = 100, 40 // chunks
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{MaxBufferedTotal: room * chunks.Size})
		all, readers := stuck(t, r, many, reactor.StreamConfig{}, []byte("xxx"))
		r.Post(func() {
			for _, e := range all {
				for range 3 {
					e.s.Write([]byte("x"))
				}
			}
		})
		read(t, r, readers, func() bool {
			for _, e := range readers {
				if e.n < 3 {
					return false
				}
			}
			return true
		})
		for i, e := range all {
			if e.err != nil {
				t.Errorf("connection %d ended: %v", i, e.err)
			}
		}
	})
}
