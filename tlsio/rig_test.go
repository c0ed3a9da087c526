package tlsio_test

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/tlsio"
)

// under is the stream below TLS, on a simulated network, and what is done to it. far is its other end.
type under struct {
	*reactor.Stream
	far      *reactor.Stream
	out      []byte // was written, and the peer has not been given it yet
	written  int    // bytes
	arrived  []byte // at far
	writes   int
	ended    string // "close" or "abort"
	lost     bool
	paused   bool
	producer reactor.Producer
	full     int // bytes that count as unsent, besides those that are
}

func (u *under) Buffered() int { return u.Stream.Buffered() + u.full }

func (u *under) Write(p []byte) (int, error) {
	u.out = append(u.out, p...)
	u.written += len(p)
	u.writes++
	return u.Stream.Write(p)
}
func (u *under) Close() error              { u.ended = "close"; return u.Stream.Close() }
func (u *under) Abort()                    { u.ended = "abort"; u.Stream.Abort() }
func (u *under) PauseProducing()           { u.paused = true; u.Stream.PauseProducing() }
func (u *under) ResumeProducing()          { u.paused = false; u.Stream.ResumeProducing() }
func (u *under) UnregisterProducer()       { u.producer = nil; u.Stream.UnregisterProducer() }
func (u *under) Unwrap() reactor.Transport { return u.Stream }
func (u *under) RegisterProducer(p reactor.Producer) error {
	u.producer = p
	return u.Stream.RegisterProducer(p)
}

// take is what has arrived of out, which it is taken from.
func (u *under) take() []byte {
	from := u.written - len(u.out)
	if from >= len(u.arrived) {
		return nil
	}
	p := u.arrived[from:]
	u.out = u.out[len(p):]
	return p
}

// near gives the under to TLS as its transport.
type near struct {
	reactor.Protocol
	u *under
}

func (p *near) Unwrap() reactor.Protocol { return p.Protocol }
func (p *near) ConnectionMade(t reactor.Transport) {
	p.u.Stream = t.(*reactor.Stream)
	p.Protocol.ConnectionMade(p.u)
}
func (p *near) ConnectionLost(err error) {
	p.u.lost = true
	p.Protocol.ConnectionLost(err)
}

// far keeps what arrives at the other end.
type far struct {
	reactor.Base
	u *under
}

func (p *far) ConnectionMade(t reactor.Transport) { p.u.far = t.(*reactor.Stream) }
func (p *far) DataReceived(b []byte)              { p.u.arrived = append(p.u.arrived, b...) }

// peer is crypto/tls itself, as a coroutine over memory.
type peer struct {
	tls     *tls.Conn
	in, out []byte
	next    func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
	ready   bool
	got     []byte
	err     error
}

func (p *peer) Read(b []byte) (int, error) {
	for len(p.in) == 0 {
		if !p.yield(struct{}{}) {
			return 0, net.ErrClosed
		}
	}
	n := copy(b, p.in)
	p.in = p.in[n:]
	return n, nil
}
func (p *peer) Write(b []byte) (int, error)      { p.out = append(p.out, b...); return len(b), nil }
func (p *peer) Close() error                     { return nil }
func (p *peer) LocalAddr() net.Addr              { return kernel.Addr{} }
func (p *peer) RemoteAddr() net.Addr             { return kernel.Addr{} }
func (p *peer) SetDeadline(time.Time) error      { return nil }
func (p *peer) SetReadDeadline(time.Time) error  { return nil }
func (p *peer) SetWriteDeadline(time.Time) error { return nil }

func (p *peer) run(yield func(struct{}) bool) {
	p.yield = yield
	if p.err = p.tls.Handshake(); p.err != nil {
		return
	}
	p.ready = true
	buf := make([]byte, 32<<10)
	for p.err == nil {
		var n int
		n, p.err = p.tls.Read(buf)
		p.got = append(p.got, buf[:n]...)
	}
}

// rig is a server, or a client, of tlsio on an under, and a peer.
type rig struct {
	t    *testing.T
	n    *sim.Net
	u    *under
	p    *peer
	top  reactor.Protocol // above proto
	next reactor.Protocol // the top of the one that is made now, of the first
	plan
	cut   int    // where in the peer's stream a delivery ends; 0: nowhere
	sent  int    // of the peer's stream
	hello []byte // what the server sends first
	keys  strings.Builder

	change  func(i int, record []byte) []byte // what becomes of each of the peer's records; nil: itself
	records int                               // that the peer has sent
}

// plan is what rigs on one network have in common.
type plan struct {
	r      *reactor.Reactor
	marks  reactor.StreamConfig
	ours   reactor.Factory
	theirs *tls.Config
	client bool // we are
}

func newRig(t *testing.T, version uint16, top reactor.Protocol, o *tlsio.Options) *rig {
	t.Helper()
	sc, cc := configs(version)
	return rigOf(t, sc, cc, top, o, false)
}

// rigOf is a rig for two configurations.
func rigOf(t *testing.T, ours, theirs *tls.Config, top reactor.Protocol, o *tlsio.Options, client bool) *rig {
	t.Helper()
	g := &rig{t: t, n: sim.New(1), plan: plan{theirs: theirs, client: client}}
	g.marks.HighWater = 1 << 20                                   // no test pauses a producer by chance
	g.n.Options.SendBuffer, g.n.Options.RecvBuffer = 1<<20, 1<<20 // what is delivered at once arrives at once
	g.r = g.n.Host("host").Reactor
	t.Cleanup(func() { g.n.Close() })
	inner := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return g.next })
	if g.ours = tlsio.Server(ours, inner, o); client {
		g.ours = tlsio.Client(ours, inner, o)
	}
	g.begin(top, g)
	return g
}

// another is one more connection of the same factory on the same reactor.
func (g *rig) another(top reactor.Protocol) *rig {
	g.t.Helper()
	h := &rig{t: g.t, n: g.n, plan: g.plan}
	h.begin(top, g)
	return h
}

func (g *rig) begin(top reactor.Protocol, first *rig) {
	g.t.Helper()
	g.u, g.p = new(under), new(peer)
	cfg := g.theirs.Clone()
	cfg.KeyLogWriter = &g.keys
	if g.p.tls = tls.Client(g.p, cfg); g.client {
		g.p.tls = tls.Server(g.p, cfg)
	}
	g.p.next, g.p.stop = iter.Pull(g.p.run)
	g.t.Cleanup(g.p.stop)
	g.top, first.next = top, top
	port, err := g.r.Listen(loopback(), one(&far{u: g.u}), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	g.r.Dial(port.Addr(), reactor.FactoryFunc(func(a kernel.Addr) reactor.Protocol {
		return &near{g.ours.BuildProtocol(a), g.u}
	}), &reactor.DialConfig{StreamConfig: g.marks}, nil)
	g.flow(func() bool { return g.u.far != nil && g.u.Stream != nil })
	port.StopListening(nil)
	g.p.next()
}

// flow lets the network go on until done, and until nothing is on the way.
func (g *rig) flow(done func() bool) {
	g.t.Helper()
	if err := g.n.RunUntil(done, time.Hour); err != nil {
		g.t.Fatal(err)
	}
	for before := uint64(0); before != g.r.Stats().Events; {
		before = g.r.Stats().Events
		if err := g.n.Run(5 * time.Millisecond); err != nil {
			g.t.Fatal(err)
		}
	}
}

func always() bool { return true }

// deliver sends p to the server, in two pieces if the cut is in it.
func (g *rig) deliver(p []byte) {
	g.t.Helper()
	if at := g.cut - g.sent; at > 0 && at < len(p) {
		g.u.far.Write(p[:at])
		g.flow(always)
		g.sent += at
		p = p[at:]
	}
	g.sent += len(p)
	g.u.far.Write(p)
	g.flow(always)
}

// pump moves bytes until there are none.
func (g *rig) pump() {
	g.t.Helper()
	for g.move() {
	}
}

// move lets what is posted run, and moves what one side has sent.
func (g *rig) move() bool {
	g.t.Helper()
	if err := g.n.Run(0); err != nil {
		g.t.Fatal(err)
	}
	server := &g.u.out
	if g.client {
		server = &g.p.out
	}
	if len(g.hello) == 0 {
		g.hello = append(g.hello, *server...)
	}
	switch {
	case len(g.p.out) > 0:
		b := g.changed(g.p.out)
		g.p.out = nil
		if len(b) > 0 {
			g.deliver(b)
		}
	case len(g.u.out) > 0:
		g.flow(always)
		p := g.u.take()
		g.p.in = append(g.p.in, p...)
		g.p.next()
		return len(p) > 0
	default:
		return false
	}
	return true
}

// changed is what becomes of p, which the peer has sent: whole records.
func (g *rig) changed(p []byte) (out []byte) {
	if g.change == nil {
		return p
	}
	for len(p) > 0 {
		n := 5 + int(binary.BigEndian.Uint16(p[3:]))
		out = append(out, g.change(g.records, p[:n:n])...)
		g.records++
		p = p[n:]
	}
	return out
}

// lose waits until the transport below is lost, which must have been asked for.
func (g *rig) lose() {
	g.t.Helper()
	if g.u.ended == "" {
		g.t.Error("the transport below was not ended")
		g.u.far.Close()
	}
	g.flow(func() bool { return g.u.lost })
}

// The kinds of records.
const (
	alertRecord     = 21
	handshakeRecord = 22
	dataRecord      = 23
)

// keyUpdate asks for an answer.
func keyUpdate() []byte { return []byte{24, 0, 0, 1, 1} }

// Every record of a connection split at every byte, its end included: the data
// arrives, and close_notify behind it is the end (TLS-12; the defect of others in which
// data before a split close_notify was lost).
func TestEverySplit(t *testing.T) {
	versions(t, func(t *testing.T, v uint16) {
		total, step := 1, 1
		if raced {
			step = 11 // there are no goroutines here
		}
		for cut := 0; cut < total; cut += step {
			top := new(end)
			g := newRig(t, v, top, nil)
			g.cut = cut
			g.pump()
			if !g.p.ready {
				t.Fatalf("cut %d: %v, %v", cut, g.p.err, top.err)
			}
			g.p.tls.Write([]byte("twenty-two bytes of it"))
			g.p.tls.CloseWrite()
			g.pump()
			g.lose()
			if string(top.got) != "twenty-two bytes of it" || top.err != io.EOF {
				t.Fatalf("cut %d: %q, %v", cut, top.got, top.err)
			}
			if g.p.err != io.EOF {
				t.Fatalf("TLS-17: cut %d: the peer saw %v", cut, g.p.err)
			}
			total = g.sent
		}
		t.Logf("%d cuts", total)
	})
}

// TLS-10: small writes of one callback are one record; TLS-11: records stay within 16
// KiB; TLS-12: many records that come at once are delivered in the same call.
func TestRecords(t *testing.T) {
	versions(t, func(t *testing.T, v uint16) {
		top := new(end)
		top.onData = func([]byte) {
			for range 10 {
				top.c.Write([]byte("ten bytes."))
			}
		}
		g := newRig(t, v, top, nil)
		g.pump()
		g.p.tls.Write([]byte("x"))
		g.deliver(g.p.out)
		g.p.out = nil
		if n := sizes(t, g.u.out); len(n) != 1 {
			t.Errorf("TLS-10: records of %v bytes", n)
		}
		g.pump()
		top.onData = nil
		for range 20 {
			top.c.Write([]byte("outside")) // TLS-10: flushed in the next turn
		}
		if len(g.u.out) != 0 {
			t.Error("TLS-10: written at once")
		}
		g.n.Run(0)
		if n := sizes(t, g.u.out); len(n) != 1 {
			t.Errorf("TLS-10: records of %v bytes", n)
		}
		g.pump()
		top.c.Write(make([]byte, 1<<20))
		for _, n := range sizes(t, g.u.out) {
			if n > 16<<10+256 {
				t.Errorf("TLS-11: a record of %d bytes", n)
			}
		}
		g.pump()
		if len(g.p.got) != 100+140+1<<20 {
			t.Errorf("%d bytes", len(g.p.got))
		}
		top.got = nil
		for range 50 {
			g.p.tls.Write([]byte("record"))
		}
		g.deliver(g.p.out)
		g.p.out = nil
		if len(top.got) != 300 {
			t.Errorf("TLS-12: %d bytes in one call", len(top.got))
		}
	})
}

// sizes are the lengths of the records in p, which must be whole.
func sizes(t *testing.T, p []byte) (all []int) {
	t.Helper()
	for len(p) >= 5 {
		n := int(binary.BigEndian.Uint16(p[3:]))
		if len(p) < 5+n {
			break
		}
		all = append(all, n)
		p = p[5+n:]
	}
	if len(p) != 0 {
		t.Errorf("%d bytes of half a record", len(p))
	}
	return all
}

// KeyUpdate with an answer asked for, split at every byte, then data under new keys.
func TestKeyUpdate(t *testing.T) {
	step := 1
	if raced {
		step = 11 // there are no goroutines here
	}
	for cut := 1; ; cut += step {
		top := new(end)
		g := newRig(t, tls.VersionTLS13, top, nil)
		g.pump()
		f := g.forger()
		stream := f.seal(handshakeRecord, keyUpdate())
		f.update()
		stream = append(stream, f.seal(dataRecord, []byte("under new keys"))...)
		if cut >= len(stream) {
			return
		}
		g.deliver(stream[:cut])
		g.deliver(stream[cut:])
		top.c.Write([]byte("answered"))
		g.pump()
		if string(top.got) != "under new keys" || string(g.p.got) != "answered" {
			t.Fatalf("cut %d: %q, %q, %v", cut, top.got, g.p.got, top.err)
		}
	}
}

// A peer that asks for answers and does not take them is not read from any more until
// it does.
func TestKeyUpdateFlood(t *testing.T) {
	top := new(end)
	sc, cc := configs(tls.VersionTLS13)
	g := rigOf(t, sc, cc, new(end), nil, false)
	g.n.Options.SendBuffer, g.n.Options.RecvBuffer, g.marks.HighWater = 500, 500, 500
	g = g.another(top)
	g.pump()
	f := g.forger()
	flood := func() {
		for range 2000 {
			p := f.seal(handshakeRecord, keyUpdate())
			f.update()
			g.deliver(append(p, f.seal(dataRecord, []byte("x"))...))
		}
	}
	g.u.far.PauseProducing()
	flood()
	if !g.u.paused || len(g.u.out) > 5<<10 || len(top.got) == 0 {
		t.Errorf("paused %v with %d bytes of answers, %d of data", g.u.paused, len(g.u.out), len(top.got))
	}
	g.u.far.ResumeProducing()
	g.flow(always) // the peer would not bear so many answers in a row
	if g.u.paused || len(top.got) != 2000 || top.err != nil {
		t.Errorf("paused %v, %d of data, %v", g.u.paused, len(top.got), top.err)
	}
	if g.u.producer != nil {
		t.Error("still tied to the transport below")
	}
}

func isTLS(err error) bool { return is[*tlsio.Error](err) }

func alerted(want tls.AlertError) func(error) bool {
	return func(err error) bool {
		got, ok := errors.AsType[tls.AlertError](err)
		return ok && got == want
	}
}
