// Package kerneltest tests the promises of a kernel. Every back end, native or simulated,
// passes the suite.
//
// The suite uses only the interfaces of package kernel. Its clock is Kernel.Now. Both
// ends of each connection are conns of the kernel under test, on its loopback addresses.
// A capability that only some kernels have is tested if it is found. Only the tests of
// Watch open real descriptors.
package kerneltest

import (
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// limit is how long the suite waits for something expected, by the kernel's clock.
const limit = 20 * time.Second

// moment is how long the suite watches for something that must not come.
const moment = 3 * time.Millisecond

// Run tests a kernel: one promise in each subtest, one after the other. open makes a new
// kernel for each subtest and reports its own failure. Run closes the kernel. A subtest
// that hangs for two minutes panics with its name.
func Run(t *testing.T, open func(t *testing.T) kernel.Kernel) {
	for _, group := range [][]promise{timePromises(), wakePromises(), readyPromises(), streamPromises(), dialPromises(), acceptPromises(),
		failedPromises(), optionPromises(), errorPromises(), watchPromises(), manyPromises(), unixPromises(), passingPromises(),
		packetPromises(), unixgramPromises(), multicastPromises(), spawnPromises()} {
		for _, p := range group {
			p.run(t, p.name, open, false)
		}
	}
	for _, p := range append(readyPromises(), streamPromises()...) {
		if p.name != "Abort" { // a UNIX socket has no reset
			p.run(t, "UNIX/"+p.name, open, true)
		}
	}
}

// RunSpawn is the part of Run about [kernel.Spawner].
func RunSpawn(t *testing.T, open func(t *testing.T) kernel.Kernel) {
	for _, p := range spawnPromises() {
		p.run(t, p.name, open, false)
	}
}

// run runs p as a subtest, on a kernel of its own.
func (p promise) run(t *testing.T, name string, open func(t *testing.T) kernel.Kernel, unix bool) {
	t.Run(name, func(t *testing.T) {
		dog := time.AfterFunc(2*time.Minute, func() { panic("kerneltest: " + t.Name() + " hangs") })
		defer dog.Stop()
		g := newRig(t, open(t))
		g.unix = unix
		defer g.end()
		p.test(g)
	})
}

// promise is one subtest.
type promise struct {
	name string
	test func(*rig)
}

// rig is a kernel under test and what the test has done with it.
type rig struct {
	*testing.T
	k       kernel.Kernel
	armed   map[uint32]kernel.Ready
	token   map[kernel.Handle]uint32
	handles []kernel.Handle
	ev      []kernel.Event // the slice that Wait fills
	last    uint32
	unix    bool // streams are UNIX sockets, not TCP
	names   int  // of UNIX sockets, given out
}

func newRig(t *testing.T, k kernel.Kernel) *rig {
	return &rig{T: t, k: k, armed: map[uint32]kernel.Ready{}, token: map[kernel.Handle]uint32{},
		ev: make([]kernel.Event, 64), last: 100}
}

// end aborts and closes the handles that are left, which leaves no TIME_WAIT. Then it
// closes the kernel twice.
func (g *rig) end() {
	for _, h := range g.handles {
		if c, ok := h.(kernel.Conn); ok {
			c.Abort()
		}
		h.Close()
	}
	if err := g.k.Close(); err != nil {
		g.Errorf("Close of the kernel: %v", err)
	}
	if err := g.k.Close(); err != nil {
		g.Errorf("second Close of the kernel: %v", err)
	}
	g.k.Wake() // after Close it does nothing
}

// keep has end close h.
func keep[T kernel.Handle](g *rig, h T) T {
	g.handles = append(g.handles, h)
	return h
}

// arm arms h and returns the token. It uses the token of the last time, or a new one.
func (g *rig) arm(h kernel.Handle, r kernel.Ready) uint32 {
	g.Helper()
	tok, ok := g.token[h]
	if !ok {
		g.last++
		tok = g.last
	}
	g.armAs(h, tok, r)
	return tok
}

// armAs arms h under tok.
func (g *rig) armAs(h kernel.Handle, tok uint32, r kernel.Ready) {
	g.Helper()
	if err := g.k.Arm(h, tok, r); err != nil {
		g.Fatalf("Arm(%d, %v): %v", tok, r, err)
	}
	if old, ok := g.token[h]; ok && old != tok {
		delete(g.armed, old)
	}
	g.token[h] = tok
	g.armed[tok] = r
}

// gone notes that the test has closed h.
func (g *rig) gone(h kernel.Handle) {
	if tok, ok := g.token[h]; ok {
		delete(g.armed, tok)
		delete(g.token, h)
	}
}

// wait calls Wait and checks what must hold of every result.
func (g *rig) wait(until time.Duration) []kernel.Event {
	g.Helper()
	n, err := g.k.Wait(g.ev, until)
	if err != nil {
		g.Fatalf("Wait: %v", err)
	}
	if n < 0 || n > len(g.ev) {
		g.Fatalf("Wait filled %d of %d", n, len(g.ev))
	}
	seen := map[uint32]bool{}
	for _, e := range g.ev[:n] {
		want, ok := g.armed[e.Token]
		switch {
		case seen[e.Token]:
			g.Fatalf("token %d stands twice in %v", e.Token, g.ev[:n])
		case !ok || want == 0:
			g.Fatalf("token %d was reported and is not armed", e.Token)
		case e.Ready == 0 || e.Ready&^want != 0:
			g.Fatalf("token %d was reported as %v and is armed for %v", e.Token, e.Ready, want)
		}
		seen[e.Token] = true
	}
	return g.ev[:n]
}

// until waits until cond holds, and calls each with every event. It fails after limit.
func (g *rig) until(what string, each func(kernel.Event), cond func() bool) {
	g.Helper()
	end := g.k.Now() + limit
	for !cond() {
		for _, e := range g.wait(end) {
			if each != nil {
				each(e)
			}
		}
		if g.k.Now() >= end {
			g.Fatalf("%s did not come in %v", what, limit)
		}
	}
}

// becomes arms h for r and waits until h is ready for all of r. Then it disarms h.
func (g *rig) becomes(h kernel.Handle, r kernel.Ready) {
	g.Helper()
	tok := g.arm(h, r)
	var got kernel.Ready
	g.until("readiness "+r.String(), func(e kernel.Event) {
		if e.Token == tok {
			got |= e.Ready
		}
	}, func() bool { return got == r })
	g.arm(h, 0)
}

// quiet arms h for r and fails if h is reported within a moment. Then it disarms h.
func (g *rig) quiet(h kernel.Handle, r kernel.Ready) {
	g.Helper()
	tok := g.arm(h, r)
	until := g.k.Now() + moment
	for g.k.Now() < until {
		for _, e := range g.wait(until) {
			if e.Token == tok {
				g.Fatalf("reported as %v", e.Ready)
			}
		}
	}
	g.arm(h, 0)
}

// local4 and local6 return this host's loopback addresses.
func local4() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }
func local6() netip.Addr { return netip.IPv6Loopback() }

// listen listens on a free port of ip, or, in a rig of UNIX sockets, on a new name.
func (g *rig) listen(ip netip.Addr, o *kernel.ListenOptions) kernel.Listener {
	g.Helper()
	if g.unix {
		return g.listenOn(g.name(), o)
	}
	return g.listenOn(kernel.TCPAddr(ip, 0), o)
}

func (g *rig) listenOn(a kernel.Addr, o *kernel.ListenOptions) kernel.Listener {
	g.Helper()
	l, err := g.k.Listen(a, o)
	if err != nil {
		g.Fatalf("Listen on %v: %v", a, err)
	}
	return keep(g, l)
}

// dial begins a connection to l.
func (g *rig) dial(l kernel.Listener, o *kernel.DialOptions) kernel.Conn {
	g.Helper()
	c, err := g.k.Dial(l.Local(), o)
	if err != nil {
		g.Fatalf("Dial %v: %v", l.Local(), err)
	}
	return keep(g, c)
}

// accept waits for a connection and returns it.
func (g *rig) accept(l kernel.Listener) kernel.Conn {
	g.Helper()
	for {
		c, err := l.Accept()
		if err == nil {
			return keep(g, c)
		}
		if err != kernel.ErrAgain {
			g.Fatalf("Accept: %v", err)
		}
		g.becomes(l, kernel.Readable)
	}
}

// connect returns both ends of a connection through l.
func (g *rig) connect(l kernel.Listener, o *kernel.DialOptions) (dialled, accepted kernel.Conn) {
	g.Helper()
	c := g.dial(l, o)
	g.becomes(c, kernel.Writable)
	if err := c.Connected(); err != nil {
		g.Fatalf("Connected: %v", err)
	}
	return c, g.accept(l)
}

// pair returns both ends of a connection.
func (g *rig) pair() (dialled, accepted kernel.Conn) {
	g.Helper()
	return g.connect(g.listen(local4(), nil), nil)
}

// send writes all of p.
func (g *rig) send(s kernel.Conn, p []byte) {
	g.Helper()
	for len(p) > 0 {
		n, err := s.Write(p)
		switch {
		case err == kernel.ErrAgain:
			g.becomes(s, kernel.Writable)
		case err != nil:
			g.Fatalf("Write: %v", err)
		case n < 1 || n > len(p):
			g.Fatalf("Write of %d bytes took %d", len(p), n)
		}
		p = p[n:]
	}
}

// read waits until there is something to read, and reads once. It returns the error too.
func (g *rig) read(s kernel.Conn, p []byte) (int, error) {
	g.Helper()
	for {
		n, err := s.Read(p)
		if err != kernel.ErrAgain {
			return n, err
		}
		if n != 0 {
			g.Fatalf("Read returned %d with ErrAgain", n)
		}
		g.becomes(s, kernel.Readable)
	}
}

// receive reads n bytes.
func (g *rig) receive(s kernel.Conn, n int) []byte {
	g.Helper()
	p := make([]byte, n)
	for at := 0; at < n; {
		m, err := g.read(s, p[at:])
		if err != nil {
			g.Fatalf("Read after %d of %d bytes: %v", at, n, err)
		}
		at += m
	}
	return p
}

// ends checks that s has nothing left to read but the end, and that the end is read every
// time.
func (g *rig) ends(s kernel.Conn) {
	g.Helper()
	for range 3 {
		if n, err := g.read(s, make([]byte, 10)); n != 0 || err != io.EOF {
			g.Fatalf("Read at the end: %d, %v", n, err)
		}
	}
}

// isOne fails unless err is one of wants.
func (g *rig) isOne(what string, err error, wants ...error) {
	g.Helper()
	for _, w := range wants {
		if errors.Is(err, w) {
			return
		}
	}
	g.Fatalf("%s: %v; want one of %v", what, err, wants)
}
