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

// under is a transport in memory, whose bytes the test moves.
type under struct {
	r        *reactor.Reactor
	out      []byte
	writes   int
	ended    string // "close" or "abort"
	paused   bool
	producer reactor.Producer
	full     bool // it has more than enough to send
}

func (u *under) Write(p []byte) (int, error) {
	u.out = append(u.out, p...)
	u.writes++
	return len(p), nil
}
func (u *under) Close() error              { u.ended = "close"; return nil }
func (u *under) Abort()                    { u.ended = "abort" }
func (u *under) Local() kernel.Addr        { return kernel.Addr{Net: kernel.Pipe, Name: "here"} }
func (u *under) Remote() kernel.Addr       { return kernel.Addr{Net: kernel.Pipe, Name: "there"} }
func (u *under) Reactor() *reactor.Reactor { return u.r }
func (u *under) PauseProducing()           { u.paused = true }
func (u *under) ResumeProducing()          { u.paused = false }
func (u *under) StopProducing()            {}
func (u *under) UnregisterProducer()       { u.producer = nil }
func (u *under) RegisterProducer(p reactor.Producer) error {
	u.producer = p
	if u.full {
		p.PauseProducing()
	}
	return nil
}

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
	t     *testing.T
	n     *sim.Net
	u     *under
	proto reactor.Protocol // what is above under
	p     *peer
	top   reactor.Protocol // above proto
	next  reactor.Protocol // the top of the one that is made now, of the first
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
	t.Cleanup(func() { g.n.Close() })
	inner := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return g.next })
	if g.ours = tlsio.Server(ours, inner, o); client {
		g.ours = tlsio.Client(ours, inner, o)
	}
	g.begin(g.n.Host("host").Reactor, top, g)
	return g
}

// another is one more connection of the same factory on the same reactor.
func (g *rig) another(top reactor.Protocol) *rig {
	g.t.Helper()
	h := &rig{t: g.t, n: g.n, plan: g.plan}
	h.begin(g.u.r, top, g)
	return h
}

func (g *rig) begin(r *reactor.Reactor, top reactor.Protocol, first *rig) {
	g.t.Helper()
	g.u, g.p = &under{r: r}, new(peer)
	cfg := g.theirs.Clone()
	cfg.KeyLogWriter = &g.keys
	if g.p.tls = tls.Client(g.p, cfg); g.client {
		g.p.tls = tls.Server(g.p, cfg)
	}
	g.p.next, g.p.stop = iter.Pull(g.p.run)
	g.t.Cleanup(g.p.stop)
	g.top, first.next = top, top
	g.proto = g.ours.BuildProtocol(kernel.Addr{})
	g.proto.ConnectionMade(g.u)
	g.p.next()
}

// deliver hands p to the server, in two pieces if the cut is in it.
func (g *rig) deliver(p []byte) {
	if at := g.cut - g.sent; at > 0 && at < len(p) {
		g.proto.DataReceived(append([]byte(nil), p[:at]...))
		g.sent += at
		p = p[at:]
	}
	g.sent += len(p)
	q := append([]byte(nil), p...)
	g.proto.DataReceived(q)
	clear(q) // it was only lent
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
		g.p.in = append(g.p.in, g.u.out...)
		g.u.out = nil
		g.p.next()
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

// lose ends the transport below as it was asked to.
func (g *rig) lose() {
	g.t.Helper()
	switch g.u.ended {
	case "close":
		g.proto.ConnectionLost(reactor.ErrClosed)
	case "abort":
		g.proto.ConnectionLost(reactor.ErrAborted)
	default:
		g.t.Error("the transport below was not ended")
		g.proto.ConnectionLost(io.EOF)
	}
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
	g := newRig(t, tls.VersionTLS13, top, nil)
	g.pump()
	f := g.forger()
	flood := func() {
		for range 2000 {
			p := f.seal(handshakeRecord, keyUpdate())
			f.update()
			g.deliver(append(p, f.seal(dataRecord, []byte("x"))...))
		}
	}
	g.u.full = true
	flood()
	if !g.u.paused || len(g.u.out) > 5<<10 || len(top.got) == 0 {
		t.Errorf("paused %v with %d bytes of answers, %d of data", g.u.paused, len(g.u.out), len(top.got))
	}
	g.u.full = false
	g.u.producer.ResumeProducing()
	for range 100 {
		g.pump()
	}
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
