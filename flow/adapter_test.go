package flow_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// recorder is a producer that counts what it is told.
type recorder struct{ paused, resumed, stopped int }

func (p *recorder) PauseProducing()  { p.paused++ }
func (p *recorder) ResumeProducing() { p.resumed++ }
func (p *recorder) StopProducing()   { p.stopped++ }

// PROTO-6: what is written to the Sink of a protocol is received by it, at once and in order; its one producer is told nothing.
func TestSinkOf(t *testing.T) {
	a := new(app)
	a.received = func([]byte) {}
	a.got = "kept, " // app looks at its transport before its first input, and has none
	s := flow.SinkOf(a)
	first, second := new(recorder), new(recorder)
	if err := s.RegisterProducer(first); err != nil {
		t.Fatal(err)
	}
	for _, p := range []reactor.Producer{first, second} {
		if err := s.RegisterProducer(p); !errors.Is(err, reactor.ErrProducerRegistered) {
			t.Errorf("PROD-1: a second producer: %v", err)
		}
	}
	if n, err := io.WriteString(s, "one, "); n != 5 || err != nil || a.got != "kept, one, " {
		t.Errorf("PROTO-6: %d, %v; received %q", n, err, a.got)
	}
	if n, err := s.Write([]byte(strings.Repeat("x", 1<<20))); n != 1<<20 || err != nil || len(a.got) != len("kept, one, ")+1<<20 {
		t.Errorf("PROTO-6: %d, %v; received %d bytes", n, err, len(a.got))
	}
	s.UnregisterProducer()
	s.UnregisterProducer()
	if err := s.RegisterProducer(second); err != nil {
		t.Errorf("PROTO-6: a producer after the first: %v", err)
	}
	if *first != (recorder{}) || *second != (recorder{}) {
		t.Errorf("PROTO-6: the producers were told %+v and %+v", *first, *second)
	}
}

// PROTO-6: what a connection receives is written to another one, all of it and in order, however it is cut. The end of the connection does
// not end the other.
func TestProtocolOf(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		const size = 20_000
		sink, far := sinkTo(t, w, r)
		var ended error
		in := listen(t, r, reactor.One(flow.ProtocolOf(sink, func(err error) { ended = err })))
		near := w.Peer(t, in.Addr(), r)
		text := strings.Repeat("0123456789", size/10)
		near.Send(text)
		near.Close()
		far.Expect(text)
		testworld.Until(t, func() bool { return ended != nil }, r)
		if ended != io.EOF || sink.registered != 0 || sink.wrote != size {
			t.Errorf("PROTO-6: ended for %v, %d producers are left, %d bytes were written", ended, sink.registered, sink.wrote)
		}
		sink.Write([]byte("more"))
		far.Expect("more")
	})
}

// PROTO-6, PROD-13: while the Sink takes no more, the peer is held back, and the Sink holds no more than its mark and one read.
func TestProtocolOfSlow(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const readBuffer, size, mark = 32 << 10, 16 << 20, 64 << 10
		r := w.New(t, reactor.Config{ReadBuffer: readBuffer})
		sink, _ := sinkTo(t, w, r)
		sender := new(app)
		sender.made = func(c reactor.Transport) { c.Write(make([]byte, size)); c.Close() }
		in := listen(t, r, reactor.One(flow.ProtocolOf(sink, nil)))
		r.Dial(in.Addr(), reactor.One(sender), nil, nil)
		testworld.Until(t, func() bool { return sink.most > mark }, r)
		testworld.Turns(t, r, 20)
		if sender.lost() {
			t.Error("PROTO-6: the peer was not held back")
		}
		if sink.most > mark+readBuffer {
			t.Errorf("PROTO-6: at most %d bytes were buffered, want no more than %d", sink.most, mark+readBuffer)
		}
	})
}

// PROTO-6: a Sink with another producer, and a write that fails or is short, abort the connection, and the error is told; a Sink that is
// lost closes it; one that can have no producer takes what comes.
func TestProtocolOfFails(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		prepare func(s *counted)
		want    error
	}{
		"producer":    {func(s *counted) { s.Connection.RegisterProducer(new(recorder)) }, reactor.ErrProducerRegistered},
		"write":       {func(s *counted) { s.err = broken }, broken},
		"short":       {func(s *counted) { s.took = 1 }, io.ErrShortWrite},
		"lost":        {func(s *counted) { s.Abort() }, reactor.ErrClosed},
		"unsupported": {func(s *counted) { s.refusal = errors.ErrUnsupported }, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				r := w.New(t, reactor.Config{})
				sink, far := sinkTo(t, w, r)
				c.prepare(sink)
				testworld.Turns(t, r, 3)
				var ended []error
				in := listen(t, r, reactor.One(flow.ProtocolOf(sink, func(err error) { ended = append(ended, err) })))
				near := new(app)
				near.made = func(c reactor.Transport) { c.Write([]byte("text")) }
				r.Dial(in.Addr(), reactor.One(near), nil, nil)
				if c.want == io.EOF {
					far.Expect("text")
					near.T.Close()
				}
				testworld.Until(t, func() bool { return ended != nil }, r)
				if len(ended) != 1 || !errors.Is(ended[0], c.want) {
					t.Errorf("PROTO-6: ended for %v, want %v", ended, c.want)
				}
			})
		})
	}
}

// sinkTo returns a transport of r as a Sink, and its peer.
func sinkTo(t *testing.T, w testworld.World, r *reactor.Reactor) (*counted, *testworld.Peer) {
	t.Helper()
	out := new(app)
	far := w.Peer(t, listen(t, r, reactor.One(out)).Addr(), r)
	testworld.Until(t, func() bool { return out.T != nil }, r)
	return &counted{Connection: out.T}, far
}

// counted is a Sink that counts.
type counted struct {
	reactor.Connection
	registered, wrote int
	most              int   // that was buffered
	took              int   // of each Write, unless 0
	err               error // of each Write
	refusal           error // of RegisterProducer
}

func (c *counted) RegisterProducer(p reactor.Producer) error {
	if c.refusal != nil {
		return c.refusal
	}
	c.registered++
	return c.Connection.RegisterProducer(p)
}

func (c *counted) UnregisterProducer() {
	c.registered--
	c.Connection.UnregisterProducer()
}

func (c *counted) Write(p []byte) (int, error) {
	if c.took != 0 || c.err != nil {
		return c.took, c.err
	}
	n, err := c.Connection.Write(p)
	c.wrote += n
	c.most = max(c.most, c.Buffered())
	return n, err
}
