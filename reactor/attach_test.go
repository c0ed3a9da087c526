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

// rawPair is a connection of r's kernel that no reactor knows.
func rawPair(t *testing.T, r *reactor.Reactor) (dialled, accepted kernel.Conn) {
	t.Helper()
	l, err := r.Kernel().Listen(loopback, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if dialled, err = r.Kernel().Dial(l.Local(), nil); err != nil {
		t.Fatal(err)
	}
	until(t, r, func() bool { return dialled.Connected() == nil })
	until(t, r, func() bool { accepted, err = l.Accept(); return err != kernel.ErrAgain })
	if err != nil {
		t.Fatal(err)
	}
	return dialled, accepted
}

func attach(t *testing.T, r *reactor.Reactor, c kernel.Conn, p reactor.Protocol) *reactor.Stream {
	t.Helper()
	s, err := r.Attach(c, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Attached streams are like any other: callbacks in order, half-close (TCP-69,
// TCP-71), back-pressure (PROD-4), a clean end.
func TestAttach(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		a, b := rawPair(t, r)
		size := bulk(w, 1<<20)
		var srv halfEnd
		var cli end
		srv.onReadLost = func() { srv.s.Write(srv.got); srv.s.Close() }
		cli.onMade = func() { cli.s.Write(make([]byte, size)); cli.s.CloseWrite() }
		attached := attach(t, r, a, &cli)
		if cli.s != attached || len(cli.events) != 1 {
			t.Fatalf("X-1: %v", cli.events)
		}
		attach(t, r, b, &srv)
		until(t, r, func() bool { return cli.err != nil && srv.err != nil })
		if len(cli.got) != size || cli.err != io.EOF || srv.err != reactor.ErrClosed {
			t.Errorf("%d bytes of %d, lost with %v and %v", len(cli.got), size, cli.err, srv.err)
		}
		sameEvents(t, srv.events, "made", "data", "read lost", "lost closed")
		if text := attached.String(); !strings.HasPrefix(text, "<") {
			t.Errorf("it is called %q", text)
		}
	})
}

// Attach returns an error for a conn that it cannot attach. The conn then still belongs
// to the caller.
func TestAttachRefused(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		a, b := rawPair(t, r)
		defer b.Abort()
		_, err := r.Attach(a, new(end), &reactor.StreamConfig{LowWater: 10, HighWater: 10})
		if op, ok := errors.AsType[*reactor.OpError](err); !ok || op.Op != "attach" || !errors.Is(err, reactor.ErrMarks) {
			t.Errorf("bad marks: %v", err)
		}
		if _, err := r.Attach(a, nil, nil); err == nil || !strings.Contains(err.Error(), "there is no protocol") {
			t.Errorf("no protocol: %v", err)
		}
		l, err := r.Kernel().Listen(loopback, nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := r.Kernel().Dial(l.Local(), nil)
		if err == nil && c.Connected() == kernel.ErrAgain {
			if _, err = r.Attach(c, new(end), nil); !errors.Is(err, kernel.ErrAgain) {
				t.Errorf("not connected yet: %v", err)
			}
		}
		c.Abort()
		l.Close()
		if r.Stats().Sources != 0 {
			t.Errorf("%d sources", r.Stats().Sources)
		}
		r.AddTrigger(reactor.After, reactor.Shutdown, func() {
			p := new(end)
			if _, err := r.Attach(a, p, nil); !errors.Is(err, reactor.ErrStopped) || len(p.events) != 0 {
				t.Errorf("at the end: %v, %v", err, p.events)
			}
			if _, err := a.Write([]byte("x")); err != nil {
				t.Errorf("it was taken all the same: %v", err)
			}
			a.Abort()
		})
		r.Close()
	})
}

// A panic in ConnectionMade ends that stream, later, and no other.
func TestAttachPanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		a, b := rawPair(t, r)
		bad := new(end)
		bad.onMade = func() { panic("made") }
		attach(t, r, a, bad)
		if bad.err != nil || panics != 1 {
			t.Fatalf("lost inside Attach with %v; %d panics", bad.err, panics)
		}
		good := new(end)
		attach(t, r, b, good)
		until(t, r, func() bool { return bad.err != nil && good.err != nil })
		if _, ok := errors.AsType[*reactor.PanicError](bad.err); !ok || !errors.Is(good.err, kernel.ErrReset) {
			t.Errorf("lost with %v and %v", bad.err, good.err)
		}
	})
}

// memConn is an end of a connection in memory: a kernel.Conn that no kernel of this module
// has made.
type memConn struct {
	k      *memKernel
	peer   *memConn
	unread []byte
	ended  bool // the peer writes no more
	reset  bool
	closed bool
	token  uint32
	armed  kernel.Ready
}

const memRoom = 1000 // bytes that a direction holds

func (c *memConn) Read(p []byte) (int, error) {
	switch n := copy(p, c.unread); {
	case n > 0:
		c.unread = c.unread[n:]
		return n, nil
	case c.reset:
		return 0, kernel.ErrReset
	case c.ended:
		return 0, io.EOF
	}
	return 0, kernel.ErrAgain
}

func (c *memConn) Write(p []byte) (int, error) {
	n := min(len(p), memRoom-len(c.peer.unread))
	switch {
	case c.reset || c.peer.closed:
		return 0, kernel.ErrBroken
	case n == 0 && len(p) > 0:
		return 0, kernel.ErrAgain
	}
	c.peer.unread = append(c.peer.unread, p[:n]...)
	return n, nil
}

func (c *memConn) CloseWrite() error   { c.peer.ended = true; return nil }
func (c *memConn) Connected() error    { return nil }
func (c *memConn) Local() kernel.Addr  { return kernel.Addr{Net: kernel.Pipe} }
func (c *memConn) Remote() kernel.Addr { return kernel.Addr{Net: kernel.Pipe} }

func (c *memConn) Close() error {
	c.closed, c.armed, c.peer.ended = true, 0, true
	return nil
}

func (c *memConn) Abort() error {
	c.peer.reset = true
	return c.Close()
}

func (c *memConn) readiness() (r kernel.Ready) {
	if len(c.unread) > 0 || c.ended || c.reset {
		r = kernel.Readable
	}
	if c.reset || c.peer.closed || len(c.peer.unread) < memRoom {
		r |= kernel.Writable
	}
	return r & c.armed
}

// memKernel is a kernel that can arm memConns too.
type memKernel struct {
	kernel.Kernel
	conns []*memConn
}

func (k *memKernel) Unwrap() kernel.Kernel { return k.Kernel }

func (k *memKernel) pair() (a, b *memConn) {
	a, b = &memConn{k: k}, &memConn{k: k}
	a.peer, b.peer = b, a
	k.conns = append(k.conns, a, b)
	return a, b
}

func (k *memKernel) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	if c, ok := h.(*memConn); ok {
		c.token, c.armed = token, r
		return nil
	}
	return k.Kernel.Arm(h, token, r)
}

func (k *memKernel) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	n := 0
	for _, c := range k.conns {
		if r := c.readiness(); r != 0 && n < len(ev) {
			ev[n] = kernel.Event{Token: c.token, Ready: r}
			n++
		}
	}
	if n > 0 {
		return n, nil
	}
	return k.Kernel.Wait(ev, until)
}

// Attach takes a conn of any type that the kernel can arm. This one has no Vectors, no
// socket options and little room.
func TestAttachAnyConn(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := &memKernel{Kernel: w.Open(t)}
		r := testworld.New(t, k, reactor.Config{})
		a, b := k.pair()
		want := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
		var srv, cli end
		srv.onData = func(p []byte) { srv.s.Write(p) }
		cli.onMade = func() { cli.s.Write(want) }
		cli.onData = func([]byte) {
			if len(cli.got) == len(want) {
				cli.s.Close()
			}
		}
		attach(t, r, a, &cli)
		attach(t, r, b, &srv)
		if err := cli.s.SetNoDelay(true); !errors.Is(err, kernel.ErrUnsupported) {
			t.Errorf("SetNoDelay: %v", err)
		}
		until(t, r, func() bool { return cli.err != nil && srv.err != nil })
		if !bytes.Equal(cli.got, want) || cli.err != reactor.ErrClosed || srv.err != io.EOF {
			t.Errorf("%d bytes of %d, lost with %v and %v", len(cli.got), len(want), cli.err, srv.err)
		}
		a, b = k.pair()
		var one, two end
		attach(t, r, a, &one).Abort()
		attach(t, r, b, &two)
		until(t, r, func() bool { return one.err != nil && two.err != nil })
		if one.err != reactor.ErrAborted || !errors.Is(two.err, kernel.ErrReset) {
			t.Errorf("lost with %v and %v", one.err, two.err)
		}
	})
}

// A stream that was attached before Run goes on during Run, and ends with the reactor
// (CORE-25).
func TestAttachEnds(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		a, b := rawPair(t, r)
		defer b.Close()
		p := new(end)
		attach(t, r, a, p)
		r.Close()
		if !errors.Is(p.err, reactor.ErrStopped) {
			t.Errorf("lost with %v", p.err)
		}
	})
}
