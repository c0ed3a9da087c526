package testworld

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Peer is one end of a TCP connection that belongs to no reactor. It has its own kernel
// in the same world, and its methods may wait. So a test sees what a reactor really
// sends, and how it really ends a connection.
//
// A Peer is used on the test's goroutine. While it waits, it turns the reactors it was
// made with. If it has none, the reactors must run elsewhere or have done their part. No
// method waits longer than Limit; then it fails with kernel.ErrTimeout. The Peer is
// closed when the test ends.
type Peer struct {
	o  *peerKernel
	c  kernel.Conn
	rs []*reactor.Reactor
}

// Listener accepts connections and returns them as Peers.
type Listener struct {
	o  *peerKernel
	l  kernel.Listener
	rs []*reactor.Reactor
}

// peerKernel is the kernel of a test's Peers and Listeners.
type peerKernel struct {
	t  testing.TB
	k  kernel.Kernel
	ev [1]kernel.Event
}

// peerKernels holds the kernels of a world's tests, by test.
type peerKernels struct {
	mu sync.Mutex
	of map[testing.TB]*peerKernel
}

// peerKernel returns the kernel of t's Peers. It opens it at the first call and closes it
// when t ends.
func (w World) peerKernel(t testing.TB) *peerKernel {
	t.Helper()
	w.peers.mu.Lock()
	defer w.peers.mu.Unlock()
	if o := w.peers.of[t]; o != nil {
		return o
	}
	k, err := w.open()
	if err != nil {
		t.Fatalf("opening %s: %v", w.name, err)
	}
	o := &peerKernel{t: t, k: k}
	if w.peers.of == nil {
		w.peers.of = make(map[testing.TB]*peerKernel)
	}
	w.peers.of[t] = o
	t.Cleanup(func() {
		w.peers.mu.Lock()
		defer w.peers.mu.Unlock()
		delete(w.peers.of, t)
		k.Close()
	})
	return o
}

// Peer connects to a, and fails the test if it cannot. It does not wait until the other
// side accepts. The Peer turns the reactors whenever it waits.
func (w World) Peer(t testing.TB, a kernel.Addr, rs ...*reactor.Reactor) *Peer {
	t.Helper()
	p, err := w.Connect(t, a, rs...)
	if err != nil {
		t.Fatalf("connecting a peer to %v: %v", a, err)
	}
	return p
}

// Connect is like Peer, but returns the kernel's error if the connection fails.
func (w World) Connect(t testing.TB, a kernel.Addr, rs ...*reactor.Reactor) (*Peer, error) {
	t.Helper()
	o := w.peerKernel(t)
	s, err := o.k.Dial(a, nil)
	if err != nil {
		return nil, err
	}
	if err = o.retry(s, kernel.Writable, rs, s.Connected); err != nil {
		s.Close()
		return nil, err
	}
	return o.peer(s, rs), nil
}

// Listener listens on a free port of 127.0.0.1. The Listener, and the Peers it accepts,
// turn the reactors whenever they wait.
func (w World) Listener(t testing.TB, rs ...*reactor.Reactor) *Listener {
	t.Helper()
	o := w.peerKernel(t)
	l, err := o.k.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), nil)
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	l.Local() // ask now: once the listener is closed it is too late
	t.Cleanup(func() { l.Close() })
	return &Listener{o, l, rs}
}

// Addr is the address it listens on.
func (l *Listener) Addr() kernel.Addr { return l.l.Local() }

// Accept waits for a connection, and fails the test if none comes.
func (l *Listener) Accept() *Peer {
	l.o.t.Helper()
	var c kernel.Conn
	err := l.o.retry(l.l, kernel.Readable, l.rs, func() (err error) { c, err = l.l.Accept(); return err })
	if err != nil {
		l.o.t.Fatalf("accepting a peer: %v", err)
	}
	return l.o.peer(c, l.rs)
}

// Close ends listening. Connections that were not accepted are reset.
func (l *Listener) Close() error { return l.l.Close() }

func (o *peerKernel) peer(c kernel.Conn, rs []*reactor.Reactor) *Peer {
	c.Local()
	o.t.Cleanup(func() { c.Close() })
	return &Peer{o, c, rs}
}

// retry calls fn until it succeeds, or fails with an error other than ErrAgain. Meanwhile
// it turns the reactors and waits until h is ready for r.
func (o *peerKernel) retry(h kernel.Handle, r kernel.Ready, rs []*reactor.Reactor, fn func() error) error {
	idle := 0
	for end := o.k.Now() + Limit; ; idle++ {
		err := fn()
		if err != kernel.ErrAgain {
			return err
		}
		if o.k.Now() >= end {
			return fmt.Errorf("nothing came of it in %v: %w", Limit, kernel.ErrTimeout)
		}
		until := o.k.Now() + step
		for i, x := range rs {
			before := progress(rs[i : i+1])
			if err := x.Turn(0); err != nil && !errors.Is(err, reactor.ErrNotRestartable) {
				return err
			}
			if progress(rs[i:i+1]) != before {
				idle = 0 // x is busy, so do not wait
			}
		}
		if len(rs) > 0 && idle <= idleRounds {
			until = 0 // another goroutine may be at work for x, as one that reads a file
			runtime.Gosched()
		}
		if err := o.wait(h, r, until); err != nil {
			return err
		}
	}
}

func (o *peerKernel) wait(h kernel.Handle, r kernel.Ready, until time.Duration) error {
	if err := o.k.Arm(h, 0, r); err != nil {
		return err
	}
	_, err := o.k.Wait(o.ev[:], until)
	return errors.Join(err, o.k.Arm(h, 0, 0))
}

// Read implements io.Reader. It waits for at least one byte. At the end it returns
// io.EOF, or what broke the connection.
func (p *Peer) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	err = p.o.retry(p.c, kernel.Readable, p.rs, func() (err error) { n, err = p.c.Read(b); return err })
	return n, err
}

// Write implements io.Writer. It waits until the connection has taken all of b.
func (p *Peer) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		m := 0
		err = p.o.retry(p.c, kernel.Writable, p.rs, func() (err error) { m, err = p.c.Write(b[n:]); return err })
		n += m
	}
	return n, err
}

// TryRead reads without waiting. If nothing is there the error is kernel.ErrAgain.
func (p *Peer) TryRead(b []byte) (int, error) { return p.c.Read(b) }

// TryWrite writes as much of b as there is room for, without waiting. If there is no room
// the error is kernel.ErrAgain.
func (p *Peer) TryWrite(b []byte) (int, error) { return p.c.Write(b) }

// Send writes s, and fails the test if that fails.
func (p *Peer) Send(s string) {
	p.o.t.Helper()
	if n, err := p.Write([]byte(s)); err != nil {
		p.o.t.Fatalf("the peer wrote %d bytes of %d: %v", n, len(s), err)
	}
}

// Expect reads as many bytes as want has, and fails the test if they differ from want.
func (p *Peer) Expect(want string) {
	p.o.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(p, got)
	if string(got[:n]) != want {
		p.o.t.Errorf("the peer got %q, want %q (%v)", got[:n], want, err)
	}
}

// Rest reads until the end. It returns the bytes and io.EOF, or what broke the
// connection.
func (p *Peer) Rest() ([]byte, error) {
	got, err := io.ReadAll(p)
	if err == nil {
		err = io.EOF
	}
	return got, err
}

// CloseWrite ends the peer's direction.
func (p *Peer) CloseWrite() error { return p.c.CloseWrite() }

// Close closes the connection in order. If received bytes were not read, the system may
// reset it instead. A second call does nothing.
func (p *Peer) Close() error { return p.c.Close() }

// Abort resets the connection.
func (p *Peer) Abort() error { return p.c.Abort() }

// Local is the peer's own address. It is the Remote of the reactor's side.
func (p *Peer) Local() kernel.Addr { return p.c.Local() }

// Remote is the address of the reactor's side.
func (p *Peer) Remote() kernel.Addr { return p.c.Remote() }
