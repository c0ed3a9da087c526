package reactor_test

import (
	"bytes"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// sink checks that it receives want, in order, and keeps nothing.
type sink struct {
	reactor.Base
	t    *testing.T
	want []byte
	n    int
	err  error
}

func (s *sink) DataReceived(p []byte) {
	if s.n+len(p) > len(s.want) || !bytes.Equal(p, s.want[s.n:s.n+len(p)]) {
		s.t.Errorf("%d bytes at %d are not what was sent", len(p), s.n)
		s.T.Abort()
	}
	s.n += len(p)
}

func (s *sink) ConnectionLost(err error) { s.err = err }

// stuck connects n ends that write to n that do not read yet.
func stuck(t *testing.T, r *reactor.Reactor, n int, c reactor.StreamConfig, want []byte) (writers []*end, readers []*sink) {
	t.Helper()
	for range n {
		w, s := new(end), &sink{t: t, want: want}
		p := listen(t, r, one(w), &reactor.ListenConfig{StreamConfig: c})
		r.Dial(p.Addr(), one(s), nil, nil)
		until(t, r, func() bool { return w.s != nil && s.T != nil })
		s.T.PauseProducing()
		p.StopListening(nil)
		writers, readers = append(writers, w), append(readers, s)
	}
	return writers, readers
}

// read has the sinks read until done.
func read(t *testing.T, r *reactor.Reactor, sinks []*sink, done func() bool) {
	t.Helper()
	for _, s := range sinks {
		s.T.ResumeProducing()
	}
	until(t, r, done)
	for _, s := range sinks {
		s.T.PauseProducing()
	}
}

// TCP-54: 60 MB in one write arrive whole and in order, and then the close.
func TestLargeWrite(t *testing.T) {
	size := 60_000_000
	if raced {
		size /= 6 // still more than the buffers on the way hold
	}
	all := pattern(size)
	chunked(t, func(t *testing.T, w testworld.World) {
		sent := all[:bulk(w, len(all))]
		r := w.New(t, reactor.Config{})
		var srv end
		srv.onMade = func() {
			if n, err := srv.s.Write(sent); n != len(sent) || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			srv.s.Close()
		}
		cli := &sink{t: t, want: sent}
		p := listen(t, r, one(&srv), nil)
		r.Dial(p.Addr(), one(cli), nil, nil)
		until(t, r, func() bool { return cli.err != nil && srv.err != nil })
		if cli.n != len(sent) {
			t.Errorf("%d of %d bytes came; lost with %v", cli.n, len(sent), cli.err)
		}
		sameEvents(t, srv.events, "made", "lost closed")
		if s := srv.s.Stats(); s.Sent != uint64(len(sent)) || s.Buffered != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TCP-54, in writes of every size, for every way of cutting a stream.
func TestManyWrites(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		sent := pattern(bulk(w, 20_000))
		r := w.New(t, reactor.Config{})
		var srv end
		srv.onMade = func() {
			for rest, n := sent, 0; len(rest) > 0; n = (n*7 + 1) % 9001 {
				n := min(n, len(rest))
				srv.s.Write(rest[:n])
				rest = rest[n:]
			}
			srv.s.Close()
		}
		cli := &sink{t: t, want: sent}
		p := listen(t, r, one(&srv), nil)
		r.Dial(p.Addr(), one(cli), nil, nil)
		until(t, r, func() bool { return cli.err != nil })
		if cli.n != len(sent) {
			t.Errorf("%d of %d bytes came; lost with %v", cli.n, len(sent), cli.err)
		}
	})
}

// relay passes what it receives on, and holds its source back for its target.
type relay struct {
	reactor.Base
	to   *reactor.Stream
	most int // bytes buffered
}

func (p *relay) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	if err := p.to.RegisterProducer(p.T); err != nil {
		panic(err)
	}
}

func (p *relay) DataReceived(b []byte) {
	p.to.Write(b)
	p.most = max(p.most, p.to.Buffered())
}

func (p *relay) ConnectionLost(error) { p.to.StopConsuming() }

// PROD-13: one transport is registered as the producer of another. A reader that takes
// nothing pauses the sender, and in the end everything arrives.
func TestPiping(t *testing.T) {
	const readBuffer, high = 32 << 10, 64 << 10
	sent := pattern(40_000_000) // much more than the system's buffers hold
	heavy(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{ReadBuffer: readBuffer})
		// sender > relay > out ... reader, all on this reactor.
		var out, sender end
		reader := &sink{t: t, want: sent}
		target := listen(t, r, one(reader), nil)
		r.Dial(target.Addr(), one(&out), nil, nil)
		until(t, r, func() bool { return out.s != nil && reader.T != nil })
		through := &relay{to: out.s}
		front := listen(t, r, reactor.One(through), nil)
		reading := reader.T
		reading.PauseProducing()
		sender.onMade = func() { sender.s.Write(sent); sender.s.Close() }
		r.Dial(front.Addr(), one(&sender), nil, nil)
		// Nobody reads. So the transfer stops, with most of the bytes still at the
		// sender.
		moved, still := uint64(0), 0
		until(t, r, func() bool {
			r.Post(func() {}) // so that no turn waits for what should not come
			before := moved
			if moved = out.s.Stats().Sent; sender.s != nil {
				moved += sender.s.Stats().Sent
			}
			if still++; moved != before || through.most == 0 {
				still = 0
			}
			return still == 5
		})
		if n := sender.s.Buffered(); n < 10_000_000 || reader.n != 0 {
			t.Errorf("%d bytes at the sender, %d at the reader", n, reader.n)
		}
		reading.ResumeProducing()
		until(t, r, func() bool { return reader.err != nil })
		if reader.n != len(sent) {
			t.Errorf("%d of %d bytes came", reader.n, len(sent))
		}
		if through.most == 0 || through.most > high+readBuffer {
			t.Errorf("%d bytes were buffered on the way", through.most)
		}
	})
}
