package reactor_test

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// DESC-8: while something is unsent the stream waits for room. When everything is sent, it stops
// waiting for room, and then does what was asked for, which it has not done before.
func TestAllIsSent(t *testing.T) {
	for _, c := range []struct {
		name   string
		ask    func(e *halfEnd, p *source)
		events []string
		told   []string     // of the producer
		armed  kernel.Ready // what it waits for in the end
		ended  bool         // whether the peer sees an end behind the bytes
	}{
		{"nothing", func(*halfEnd, *source) {}, []string{"made"}, nil, kernel.Readable, false},
		{"nothing, reading paused", func(e *halfEnd, _ *source) { e.s.PauseProducing() }, []string{"made"}, nil, kernel.Failed, false},
		{"resume the producer", func(e *halfEnd, p *source) { e.s.RegisterProducer(p) }, []string{"made"}, []string{"pause", "resume"}, kernel.Readable, false},
		{"end its direction", func(e *halfEnd, _ *source) { e.s.CloseWrite() }, []string{"made", "write lost"}, nil, kernel.Readable, true},
		{"end the connection", func(e *halfEnd, _ *source) { e.s.Close() }, []string{"made", "lost closed"}, nil, kernel.Readable, true}, // it lingers
	} {
		worlds(t, func(t *testing.T, w testworld.World) {
			sent := pattern(1000)
			r, f := faulty(t, w)
			var e halfEnd
			var p source
			cfg := &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: len(sent) - 1}}
			peer := w.Peer(t, listen(t, r, one(&e), cfg).Addr(), r)
			until(t, r, func() bool { return e.s != nil })
			armed := kernel.Readable
			f.Arm = func(want kernel.Ready) error { armed = want; return nil }
			f.Write = full
			e.s.Write(sent)
			c.ask(&e, &p)
			testworld.Turns(t, r, 3)
			if armed&kernel.Writable == 0 {
				t.Errorf("DESC-8: %s: with everything unsent it waits for %v", c.name, armed)
			}
			if len(e.events) != 1 || len(p.told) > 1 {
				t.Errorf("DESC-8: %s: before it was sent: %v, the producer %v", c.name, e.events, p.told)
			}
			f.Write, f.MaxWrite = nil, 1+len(sent)/2
			testworld.Turns(t, r, 1)
			if n := e.s.Buffered(); n == 0 || armed&kernel.Writable == 0 || len(e.events) != 1 || len(p.told) > 1 {
				t.Errorf("DESC-8: %s: with %d bytes unsent it waits for %v: %v, the producer %v", c.name, n, armed, e.events, p.told)
			}
			until(t, r, func() bool { return e.s.Buffered() == 0 })
			testworld.Turns(t, r, 2)
			if !slices.Equal(e.events, c.events) || !slices.Equal(p.told, c.told) {
				t.Errorf("DESC-8: %s: when it was sent: %v, the producer %v", c.name, e.events, p.told)
			}
			if armed != c.armed {
				t.Errorf("DESC-8: %s: when it was sent it waits for %v", c.name, armed)
			}
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("DESC-8: %s: the peer got something else: %v", c.name, err)
			}
			read := peer.TryRead
			if c.ended {
				read = peer.Read
			}
			if _, err := read(got); err != map[bool]error{true: io.EOF, false: kernel.ErrAgain}[c.ended] {
				t.Errorf("DESC-8: %s: behind it the peer sees %v", c.name, err)
			}
			e.s.UnregisterProducer()
		})
	}
}

// DESC-6: pieces are not merged, and all that is unsent is offered together, up to sixteen pieces a
// call. Here the socket takes one piece of each call.
func TestSixteenPiecesACall(t *testing.T) {
	const pieces, size = 40, 5000
	worlds(t, func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		srv, cli := &end{}, &end{}
		connect(t, r, srv, cli)
		f.MaxWrite = size
		f.Writev = func(bufs [][]byte) {
			want := min(16, (srv.s.Buffered()+size-1)/size)
			if len(bufs) != want || want > 1 && len(bufs[want-1]) != size {
				t.Errorf("DESC-6: the socket is offered %d pieces of %d bytes, want %d", len(bufs), srv.s.Buffered(), want)
			}
		}
		sent := pattern(pieces * size)
		r.Post(func() {
			for i := range pieces {
				srv.s.WriteShared(sent[i*size:][:size])
			}
		})
		until(t, r, func() bool { return len(cli.got) == len(sent) })
		if n := f.Calls["Write"]; n < pieces {
			t.Errorf("DESC-6: %d calls for %d pieces", n, pieces)
		}
		if !bytes.Equal(cli.got, sent) {
			t.Error("DESC-6: other bytes came")
		}
	})
}
