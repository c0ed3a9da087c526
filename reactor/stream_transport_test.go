package reactor_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// pattern is n bytes in which a piece lost, doubled or moved shows.
func pattern(n int) []byte {
	p := make([]byte, n)
	x := uint32(1)
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}

// tcpPair is two connected ends on one reactor.
type tcpPair struct {
	r        *reactor.Reactor
	srv, cli end
	c        *reactor.Connector
}

func newTCPPair(t *testing.T, w testworld.World) *tcpPair {
	t.Helper()
	p := &tcpPair{r: w.New(t, reactor.Config{})}
	_, p.c = connect(t, p.r, &p.srv, &p.cli)
	return p
}

// withPeer is an end on a kernel with faults, and a peer that turns nothing.
func withPeer(t *testing.T, w testworld.World, c reactor.Config, e reactor.Protocol) (*reactor.Reactor, *testworld.Faults, *testworld.Peer) {
	t.Helper()
	f := &testworld.Faults{}
	r := testworld.New(t, f.Wrap(w.Open(t)), c)
	built := false
	p := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { built = true; return e }), nil)
	conn := w.Peer(t, p.Addr())
	until(t, r, func() bool { return built })
	return r, f, conn
}

// prefixed has a name of its own for logs.
type prefixed struct{ end }

func (*prefixed) LogPrefix() string { return "Greeter" }

// TCP-49: session numbers and text. TCP-50: log prefixes. PROTO-5: names in them
// are the type's, or what LogPrefix says.
func TestStreamInText(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var built []*end
		p := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			if len(built) == 2 {
				e := new(prefixed)
				built = append(built, &e.end)
				return e
			}
			built = append(built, new(end))
			return built[len(built)-1]
		}), nil)
		var clients []*end
		for i := range 3 {
			clients = append(clients, new(end))
			var proto reactor.Protocol = clients[i]
			if i == 2 {
				e := new(prefixed)
				proto, clients[i] = e, &e.end
			}
			r.Dial(p.Addr(), one(proto), nil, nil)
			until(t, r, func() bool { return clients[i].s != nil && len(built) == i+1 && built[i].s != nil })
		}
		for i, name := range []string{"end", "end", "Greeter"} {
			check := func(got, want string) {
				if got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
			check(built[i].s.String(), fmt.Sprintf("<%s #%d on %d>", name, i, p.Addr().Port()))
			check(built[i].s.LogPrefix(), fmt.Sprintf("%s,%d,127.0.0.1", name, i))
			check(clients[i].s.String(), fmt.Sprintf("<%s to 127.0.0.1:%d>", name, p.Addr().Port()))
			check(clients[i].s.LogPrefix(), name+",client")
		}
	})
}

// greeting is a factory with a name of its own for logs.
type greeting struct{ service }

func (*greeting) LogPrefix() string { return "Greetings" }

// PROTO-5: a factory's name in logs.
func TestFactoryPrefix(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		log := &journal{}
		r := w.New(t, reactor.Config{Logger: slog.New(log)})
		p := listen(t, r, &greeting{}, nil)
		if len(log.with("factory=Greetings")) != 2 || !strings.HasPrefix(p.String(), "<Greetings on ") {
			t.Errorf("%v, log %q", p, log.lines)
		}
	})
}

// PROTO-1: the order of one connection's callbacks. PROTO-2: nothing before
// ConnectionMade has returned, nothing after ConnectionLost. TCP-62: the loss is
// told once, when the reactor has forgotten the transport.
func TestCallbackOrder(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv := &halfEnd{}
		srv.onMade = func() {
			srv.s.Write([]byte("welcome"))
			srv.note("made returns")
		}
		srv.onReadLost = func() { srv.s.CloseWrite() }
		srv.onWriteLost = func() { srv.s.Close() }
		srv.onLost = func(error) {
			for s := range r.Streams() {
				if s == srv.s {
					t.Error("the reactor still knows a lost stream")
				}
			}
		}
		cli := &halfEnd{}
		cli.onMade = func() { cli.s.Write([]byte("hello")); cli.s.CloseWrite() }
		cli.onReadLost = func() { cli.s.Close() }
		p := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { srv.note("built"); return srv }), nil)
		r.Dial(p.Addr(), one(cli), nil, nil)
		until(t, r, func() bool { return srv.err != nil && cli.err != nil })
		testworld.Turns(t, r, 3)
		sameEvents(t, srv.events, "built", "made", "made returns", "data", "read lost", "write lost", "lost closed")
		if string(srv.got) != "hello" || string(cli.got) != "welcome" {
			t.Errorf("%q and %q", srv.got, cli.got)
		}
		if n := r.Stats().Sources; n != 1 { // the port
			t.Errorf("%d sources", n)
		}
	})
}

// TCP-62: when the loss is told, the stream has given its socket back: it is closed or aborted, or
// lingers after a Close, and no event of it reaches the protocol any more.
func TestLossComesBehindTheSocket(t *testing.T) {
	for how, c := range map[string]struct {
		end    func(e *end, p *testworld.Peer)
		closed []string
	}{
		"Abort":          {func(e *end, _ *testworld.Peer) { e.s.Abort() }, []string{"abort"}},
		"the peer's end": {func(_ *end, p *testworld.Peer) { p.Close() }, []string{"close"}},
		"a reset":        {func(_ *end, p *testworld.Peer) { p.Abort() }, []string{"abort"}},
		"Close":          {func(e *end, p *testworld.Peer) { e.s.Write([]byte("bye")); e.s.Close(); p.Send("more") }, nil},
		"both": {func(e *end, p *testworld.Peer) {
			e.s.PauseProducing()
			p.CloseWrite()
			testworld.Turns(t, e.s.Reactor(), 10) // it has come
			e.s.Close()
		}, []string{"close"}},
	} {
		worlds(t, func(t *testing.T, w testworld.World) {
			var e end
			r, f, p := withPeerConfig(t, w, &e, nil)
			lost := 0
			e.onLost = func(error) {
				lost++
				if !slices.Equal(f.Closed, c.closed) {
					t.Errorf("TCP-62: %s: the socket was closed by %q, want %q", how, f.Closed, c.closed)
				}
				for s := range r.Streams() {
					if s == e.s {
						t.Errorf("TCP-62: %s: the reactor knows a stream that is lost", how)
					}
				}
			}
			c.end(&e, p)
			until(t, r, func() bool { return lost > 0 })
			if len(c.closed) == 0 {
				p.Send("and more") // to a connection that lingers
			}
			testworld.Turns(t, r, 5)
			if lost != 1 || len(e.got) > 0 {
				t.Errorf("TCP-62: %s: told %d times, then got %q", how, lost, e.got)
			}
		})
	}
}

// byteCounter is a protocol made by Each.
type byteCounter struct {
	reactor.Base
	n int
}

func (c *byteCounter) DataReceived(p []byte) { c.n += len(p) }

// PROTO-3: Each makes a new protocol for each connection.
func TestEach(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := listen(t, r, reactor.Each[byteCounter](), nil)
		w.Peer(t, p.Addr()).Write([]byte("one"))
		w.Peer(t, p.Addr()).Write([]byte("three"))
		counts := func() map[int]bool {
			m := map[int]bool{}
			for s := range r.Streams() {
				c := s.Protocol().(*byteCounter)
				if c.T != reactor.Transport(s) {
					t.Errorf("%v has transport %v", s, c.T)
				}
				m[c.n] = true
			}
			return m
		}
		until(t, r, func() bool { m := counts(); return m[3] && m[5] })
	})
}

// TCP-51: each wake-up reads once, at most ReadBuffer bytes. Would-block does nothing,
// and the end is io.EOF.
func TestReads(t *testing.T) {
	const size = 1000
	chunked(t, func(t *testing.T, w testworld.World) {
		var e end
		e.onData = func(p []byte) {
			if len(p) == 0 || len(p) > size || cap(p) > len(p) {
				t.Errorf("%d bytes, capacity %d", len(p), cap(p))
			}
		}
		r, f, p := withPeer(t, w, reactor.Config{ReadBuffer: size}, &e)
		sent := pattern(3 * size)
		p.Write(sent)
		reads := f.Calls["Read"]
		until(t, r, func() bool {
			if n := f.Calls["Read"]; n > reads+1 {
				t.Errorf("%d reads in one turn", n-reads)
			}
			reads = f.Calls["Read"]
			return len(e.got) == len(sent)
		})
		if !bytes.Equal(e.got, sent) {
			t.Error("not what was sent")
		}
		p.Write([]byte("x"))
		f.Read = func() error { return kernel.ErrAgain }
		until(t, r, func() bool { return f.Calls["Read"] == reads+1 })
		sameEvents(t, e.events, "made", "data")
		f.Read = nil
		p.Close()
		until(t, r, func() bool { return e.err != nil })
		sameEvents(t, e.events, "made", "data", "lost eof")
		if len(e.got) != len(sent)+1 {
			t.Errorf("%d bytes", len(e.got))
		}
	})
}

// TCP-51: an error of read, TCP-53: one of write, is the loss; both say what.
func TestReadAndWriteErrors(t *testing.T) {
	broken := fmt.Errorf("it: %w", syscall.EIO)
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, op := range []string{"read", "write"} {
			var e end
			r, f, p := withPeer(t, w, reactor.Config{}, &e)
			if op == "read" {
				f.Read = func() error { return broken }
				p.Write([]byte("x"))
			} else {
				f.Write = func() error { return broken }
				e.s.Write([]byte("x"))
			}
			until(t, r, func() bool { return e.err != nil })
			got, ok := errors.AsType[*reactor.OpError](e.err)
			if !ok || got.Op != op || got.Remote != p.Local() || !errors.Is(e.err, reactor.ErrLost) || !errors.Is(e.err, syscall.EIO) {
				t.Errorf("%s: lost with %v", op, e.err)
			}
		}
	})
}

// TCP-52: a DataReceived that panics loses its connection, with the panic.
func TestDataReceivedPanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		log := &journal{}
		var e end
		e.onData = func([]byte) { panic("indigestible") }
		panics := 0
		r, _, p := withPeer(t, w, reactor.Config{Logger: slog.New(log), Panicked: func(*reactor.PanicError) { panics++ }}, &e)
		p.Write([]byte("x"))
		until(t, r, func() bool { return e.err != nil })
		sameEvents(t, e.events, "made", "data", "lost *pool.PanicError")
		if got, _ := errors.AsType[*reactor.PanicError](e.err); got.Value != "indigestible" || panics != 1 || len(log.with("ERROR panic", "indigestible")) != 1 {
			t.Errorf("lost with %v, %d panics, log %q", e.err, panics, log.lines)
		}
		if err := ended(p); !errors.Is(err, kernel.ErrReset) {
			t.Errorf("the peer sees %v", err)
		}
	})
}

// TCP-53: short writes and would-block lose and reorder nothing.
func TestShortWrites(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var e end
		r, f, p := withPeer(t, w, reactor.Config{}, &e)
		f.MaxWrite = 1000
		f.Write = func() error {
			if f.Calls["Write"]%3 == 0 {
				return kernel.ErrAgain
			}
			return nil
		}
		sent := pattern(100_000)
		for rest, n := sent, 1; len(rest) > 0; n *= 3 { // small and large, one by one and together
			n = min(n, len(rest))
			if n%2 == 0 || n < 10 {
				e.s.Write(rest[:n])
			} else {
				e.s.WriteVec([][]byte{rest[:n/2], nil, rest[n/2 : n]})
			}
			rest = rest[n:]
		}
		if e.s.Buffered() == 0 {
			t.Error("nothing is buffered")
		}
		e.s.Close()
		until(t, r, func() bool { return e.err != nil })
		if got, err := io.ReadAll(p); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes of %d came, %v", len(got), len(sent), err)
		}
		sameEvents(t, e.events, "made", "lost closed")
	})
}

// patient is a kernel that has the reactor send later whatever it may send later.
type patient struct {
	kernel.Kernel
	asked int
}

func (k *patient) Unwrap() kernel.Kernel { return k.Kernel }

func (k *patient) Force(s probe.Site) bool {
	if s == probe.SiteFlushLater {
		k.asked++
	}
	return s == probe.SiteFlushLater && k.asked < 10
}

// Whatever the method, a large write that is forced to wait waits, and then arrives.
func TestLargeWritesFlushLater(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		large := pattern(20_000)
		for name, write := range map[string]func(*reactor.Stream) (int, error){
			"Write":       func(s *reactor.Stream) (int, error) { return s.Write(large) },
			"WriteVec":    func(s *reactor.Stream) (int, error) { return s.WriteVec([][]byte{large[:18_000], large[18_000:]}) },
			"WriteShared": func(s *reactor.Stream) (int, error) { return s.WriteShared(large) },
		} {
			k := &patient{Kernel: w.Open(t)}
			r := testworld.New(t, k, reactor.Config{})
			var srv, cli end
			connect(t, r, &srv, &cli)
			k.asked = 0
			write(srv.s)
			if n := srv.s.Buffered(); n != len(large) || k.asked < 2 {
				t.Errorf("%s: %d bytes wait, asked %d times", name, n, k.asked)
			}
			until(t, r, func() bool { return bytes.Equal(cli.got, large) })
		}
	})
}

// TCP-55: a slice is the caller's again when Write returns.
func TestWriteCopies(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		large := bulk(w, 17_000) // more than 16 KiB takes another path
		p := newTCPPair(t, w)
		var want []byte
		scribble := func(p []byte) {
			for i := range p {
				p[i] = '!'
			}
		}
		for _, n := range []int{large, 1, 100} {
			a, b, c := pattern(n), pattern(7), pattern(100)
			want = append(append(append(want, a...), b...), c...)
			p.srv.s.Write(a)
			scribble(a)
			vec := [][]byte{b, c}
			p.srv.s.WriteVec(vec)
			scribble(b)
			scribble(c)
			vec[0], vec[1] = nil, nil
		}
		until(t, p.r, func() bool { return len(p.cli.got) >= len(want) })
		if !bytes.Equal(p.cli.got, want) {
			t.Error("what was sent changed after Write")
		}
	})
}

// TCP-56: after the loss nothing is taken; writing no bytes does nothing.
func TestWriteNothing(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var e end
		r, f, p := withPeer(t, w, reactor.Config{}, &e)
		for _, empty := range [][]byte{nil, {}} {
			n, err := e.s.Write(empty)
			m, err2 := e.s.WriteVec([][]byte{empty, empty})
			if n != 0 || err != nil || m != 0 || err2 != nil {
				t.Errorf("writing nothing: %d, %v and %d, %v", n, err, m, err2)
			}
		}
		if n, err := e.s.WriteVec(nil); n != 0 || err != nil {
			t.Errorf("writing nothing: %d, %v", n, err)
		}
		testworld.Turns(t, r, 3)
		if n := f.Calls["Write"]; n != 0 {
			t.Errorf("nothing was written %d times", n)
		}
		p.Close()
		until(t, r, func() bool { return e.err != nil })
		if n, err := e.s.Write([]byte("late")); n != 0 || !errors.Is(err, reactor.ErrClosed) {
			t.Errorf("after the loss: %d, %v", n, err)
		}
		if n, err := e.s.WriteVec([][]byte{[]byte("late")}); n != 0 || !errors.Is(err, reactor.ErrClosed) || e.s.Buffered() != 0 {
			t.Errorf("after the loss: %d, %v, %d buffered", n, err, e.s.Buffered())
		}
	})
}

// TCP-63: TCP_NODELAY is on and SO_KEEPALIVE off, unless the configuration says otherwise, and both can
// be set and asked for at any time.
func TestSocketOptions(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, on := range []bool{false, true} {
			r := w.New(t, reactor.Config{})
			opts := kernel.StreamOptions{Nagle: !on, KeepAlive: on}
			var srv, cli end
			p := listen(t, r, one(&srv), &reactor.ListenConfig{ListenOptions: kernel.ListenOptions{StreamOptions: opts}})
			r.Dial(p.Addr(), one(&cli), &reactor.DialConfig{DialOptions: kernel.DialOptions{StreamOptions: opts}}, nil)
			until(t, r, func() bool { return srv.s != nil && cli.s != nil })
			for _, s := range []*reactor.Stream{srv.s, cli.s} {
				for _, o := range []struct {
					name string
					get  func() (bool, error)
					set  func(bool) error
				}{{"NoDelay", s.NoDelay, s.SetNoDelay}, {"KeepAlive", s.KeepAlive, s.SetKeepAlive}} {
					for _, want := range []bool{on, !on, on} {
						if got, err := o.get(); got != want || err != nil {
							t.Errorf("%s is %v, %v, want %v", o.name, got, err, want)
						}
						if err := o.set(!want); err != nil {
							t.Error(err)
						}
					}
				}
			}
			cli.s.Abort()
			until(t, r, func() bool { return cli.err != nil })
			if err := cli.s.SetNoDelay(true); !errors.Is(err, reactor.ErrClosed) {
				t.Errorf("after the loss: %v", err)
			}
		}
	})
}
