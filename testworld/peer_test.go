package testworld_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// talker sends back what it hears, unless told otherwise.
type talker struct {
	reactor.Base
	got    []byte
	err    error
	silent bool
}

func (e *talker) DataReceived(p []byte) {
	e.got = append(e.got, p...)
	if !e.silent {
		e.T.Write(p)
	}
}

func (e *talker) ConnectionLost(err error) { e.err = err }

// chunked runs body in every world, for every way of cutting a stream.
func chunked(t *testing.T, body func(t *testing.T, w testworld.World)) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) { body(t, w) })
	}
}

// serve is a reactor on which e answers at the address.
func serve(t testing.TB, w testworld.World, e *talker) (*reactor.Reactor, kernel.Addr) {
	t.Helper()
	r := w.New(t, reactor.Config{})
	at := kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0)
	p, err := r.Listen(at, reactor.One(e), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, p.Addr()
}

// A peer talks with a reactor, which it turns while it waits.
func TestPeerTalks(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		var e talker
		r, at := serve(t, w, &e)
		p := w.Peer(t, at, r)
		if n, err := p.TryRead(make([]byte, 1)); n != 0 || err != kernel.ErrAgain {
			t.Errorf("nothing is there: %d, %v", n, err)
		}
		p.Send("a question")
		p.Expect("a ")
		p.Expect("question")
		if n, err := p.Read(nil); n != 0 || err != nil {
			t.Errorf("reading nothing: %d, %v", n, err)
		}
		if e.T.Remote() != p.Local() || e.T.Local() != p.Remote() || p.Remote() != at {
			t.Errorf("%v to %v, seen as %v to %v", p.Local(), p.Remote(), e.T.Remote(), e.T.Local())
		}
		p.CloseWrite()
		if rest, err := p.Rest(); len(rest) != 0 || err != io.EOF || e.err != io.EOF {
			t.Errorf("%q, %v; the other side lost with %v", rest, err, e.err)
		}
	})
}

// How one side ends is what the other sees.
func TestPeerEnds(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		made := func() (*talker, *reactor.Reactor, *testworld.Peer) {
			e := &talker{silent: true}
			r, at := serve(t, w, e)
			p := w.Peer(t, at, r)
			testworld.Until(t, func() bool { return e.T != nil }, r)
			return e, r, p
		}
		e, _, p := made()
		e.T.Write([]byte("bye"))
		e.T.Close()
		if rest, err := p.Rest(); string(rest) != "bye" || err != io.EOF {
			t.Errorf("closed: %q, %v", rest, err)
		}
		e, _, p = made()
		e.T.Abort()
		if rest, err := p.Rest(); len(rest) != 0 || !errors.Is(err, kernel.ErrReset) {
			t.Errorf("aborted: %q, %v", rest, err)
		}
		var r *reactor.Reactor
		e, r, p = made()
		p.Send("bye")
		p.Close()
		p.Close() // does nothing
		testworld.Until(t, func() bool { return e.err != nil }, r)
		if string(e.got) != "bye" || e.err != io.EOF {
			t.Errorf("the peer closed: %q, %v", e.got, e.err)
		}
		e, r, p = made()
		p.Abort()
		testworld.Until(t, func() bool { return e.err != nil }, r)
		if !errors.Is(e.err, kernel.ErrReset) {
			t.Errorf("the peer aborted: %v", e.err)
		}
	})
}

// Where nobody listens an attempt is refused, and Peer fails the test.
func TestConnectRefused(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		var at kernel.Addr
		t.Run("listening", func(t *testing.T) {
			l := w.Listener(t)
			at = l.Addr()
			if _, err := w.Connect(t, at); err != nil {
				t.Error(err)
			}
		})
		// What a test has opened is closed when it ends.
		if p, err := w.Connect(t, at); p != nil || !errors.Is(err, kernel.ErrRefused) {
			t.Errorf("connecting to nobody: %v, %v", p, err)
		}
		oneFailure(t, "connecting a peer to "+at.String(), func(t testing.TB) { w.Peer(t, at) })
	})
}

// A reactor connects to peers.
func TestListener(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		l := w.Listener(t, r)
		var a, b talker
		dial := func(e *talker) {
			r.Dial(l.Addr(), reactor.One(e), nil, nil)
		}
		dial(&a)
		p := l.Accept()
		p.Send("hello")
		p.Expect("hello")
		if a.T.Local() != p.Remote() || p.Local() != l.Addr() {
			t.Errorf("%v to %v", p.Local(), p.Remote())
		}
		dial(&b)
		testworld.Until(t, func() bool { return b.T != nil }, r)
		l.Close() // before it was accepted
		testworld.Until(t, func() bool { return b.err != nil }, r)
		if !errors.Is(b.err, kernel.ErrReset) || a.err != nil {
			t.Errorf("lost %v and %v", b.err, a.err)
		}
	})
}

// A write of more than the buffers hold is completed by the reactor's reading.
func TestPeerWritesMuch(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		size := 8 << 20
		if n := w.Net(); n != nil {
			n.Options.SendBuffer, n.Options.RecvBuffer = 500, 500
			size = 5000
		} else if w.Chunk() > 0 {
			size = 5000
		}
		e := talker{silent: true}
		r, at := serve(t, w, &e)
		p := w.Peer(t, at, r)
		sent := bytes.Repeat([]byte("0123456789"), size/10)
		if n, err := p.Write(sent); n != len(sent) || err != nil {
			t.Fatalf("wrote %d of %d: %v", n, len(sent), err)
		}
		testworld.Until(t, func() bool { return len(e.got) == len(sent) }, r)
		if !bytes.Equal(e.got, sent) {
			t.Error("not what was sent")
		}
	})
}

// Nothing waits longer than the limit; what was not done is told.
func TestPeerGivesUp(t *testing.T) {
	for _, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue // half a minute each
		}
		w.Alone()
		e := talker{silent: true}
		_, at := serve(t, w, &e)
		p := w.Peer(t, at) // turns nothing
		if n, err := p.Read(make([]byte, 1)); n != 0 || !errors.Is(err, kernel.ErrTimeout) {
			t.Errorf("reading nothing: %d, %v", n, err)
		}
		room := 0
		for {
			n, err := p.TryWrite(make([]byte, 100_000))
			room += n
			if err == kernel.ErrAgain {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if n, err := p.Write([]byte("more")); n != 0 || !errors.Is(err, kernel.ErrTimeout) || room == 0 {
			t.Errorf("after %d bytes: %d, %v", room, n, err)
		}
		oneFailure(t, "wrote 0 bytes of 4", func(t testing.TB) {
			_, at := serve(t, w, &talker{silent: true})
			p := w.Peer(t, at)
			for _, err := p.TryWrite(make([]byte, 100_000)); err == nil; _, err = p.TryWrite(make([]byte, 100_000)) {
			}
			p.Send("more")
		})
		oneFailure(t, `got "", want "x"`, func(t testing.TB) { w.Peer(t, at).Expect("x") })
		oneFailure(t, "accepting a peer", func(t testing.TB) { w.Listener(t).Accept() })
	}
}

// A reactor that was stopped is not turned any more, and harms nothing.
func TestPeerOfStoppedReactor(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		var e talker
		r, at := serve(t, w, &e)
		p := w.Peer(t, at, r)
		p.Send("x")
		p.Expect("x")
		r.Close()
		if rest, err := p.Rest(); len(rest) != 0 || err != io.EOF && !errors.Is(err, kernel.ErrReset) {
			t.Errorf("%q, %v", rest, err)
		}
		other, at := serve(t, w, &talker{})
		p = w.Peer(t, at, r, other)
		p.Send("y")
		p.Expect("y")
	})
}
