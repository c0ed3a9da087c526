package tlsio_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
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

// rig is a server of tlsio on an under, and a peer.
type rig struct {
	t     *testing.T
	n     *sim.Net
	u     *under
	proto reactor.Protocol // what is above under
	p     *peer
	cut   int // where in the peer's stream a delivery ends; 0: nowhere
	sent  int // of the peer's stream
	keys  strings.Builder
}

func newRig(t *testing.T, version uint16, top reactor.Protocol, o *tlsio.Options) *rig {
	t.Helper()
	sc, cc := configs(version)
	g := &rig{t: t, n: sim.New(1), u: new(under), p: new(peer)}
	cc.KeyLogWriter = &g.keys
	g.u.r = g.n.Host("host").Reactor
	g.p.tls = tls.Client(g.p, cc)
	g.p.next, g.p.stop = iter.Pull(g.p.run)
	t.Cleanup(func() { g.p.stop(); g.n.Close() })
	g.proto = tlsio.Server(sc, one(top), o).BuildProtocol(kernel.Addr{})
	g.proto.ConnectionMade(g.u)
	g.p.next()
	return g
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
	for {
		if err := g.n.Run(0); err != nil {
			g.t.Fatal(err)
		}
		switch {
		case len(g.p.out) > 0:
			b := g.p.out
			g.p.out = nil
			g.deliver(b)
		case len(g.u.out) > 0:
			g.p.in = append(g.p.in, g.u.out...)
			g.u.out = nil
			g.p.next()
		default:
			return
		}
	}
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

// forger seals records of TLS 1.3 in the peer's place.
type forger struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

func (g *rig) forger() *forger {
	g.t.Helper()
	if s := g.p.tls.ConnectionState().CipherSuite; s != tls.TLS_AES_128_GCM_SHA256 {
		g.t.Fatalf("cipher suite %x", s)
	}
	_, line, _ := strings.Cut(g.keys.String(), "CLIENT_TRAFFIC_SECRET_0 ")
	line, _, _ = strings.Cut(line, "\n")
	_, text, _ := strings.Cut(line, " ")
	secret, err := hex.DecodeString(text)
	if err != nil || len(secret) != 32 {
		g.t.Fatalf("no secret in %q", g.keys.String())
	}
	f := &forger{secret: secret}
	f.rekey()
	return f
}

func expand(secret []byte, label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(6+len(label)))
	info = append(append(info, "tls13 "+label...), 0)
	out, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		panic(err)
	}
	return out
}

func (f *forger) rekey() {
	block, _ := aes.NewCipher(expand(f.secret, "key", 16))
	f.aead, _ = cipher.NewGCM(block)
	f.iv, f.seq = expand(f.secret, "iv", 12), 0
}

// update goes on to the next secret, as KeyUpdate does.
func (f *forger) update() {
	f.secret = expand(f.secret, "traffic upd", 32)
	f.rekey()
}

// seal is one record.
func (f *forger) seal(kind byte, data []byte) []byte {
	nonce := append([]byte(nil), f.iv...)
	for i, b := range binary.BigEndian.AppendUint64(nil, f.seq) {
		nonce[4+i] ^= b
	}
	f.seq++
	inner := append(append([]byte(nil), data...), kind)
	head := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(inner)+16))
	return append(head, f.aead.Seal(nil, nonce, inner, head)...)
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
	for cut := 1; ; cut++ {
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

// Records that must not be end this connection, with a typed error and an alert.
func TestHostileRecords(t *testing.T) {
	for name, c := range map[string]struct {
		records func(f *forger) []byte
		check   func(err error) bool
	}{
		"oversized": {func(*forger) []byte { return []byte{23, 3, 3, 0x48, 0x00} }, is[tls.RecordHeaderError]},
		"version":   {func(*forger) []byte { return []byte{23, 2, 0, 0, 9} }, is[tls.RecordHeaderError]},
		"garbage": {func(f *forger) []byte { p := f.seal(dataRecord, []byte("x")); p[9] ^= 1; return p },
			alerted(20)},
		"reordered": {func(f *forger) []byte { f.seal(dataRecord, nil); return f.seal(dataRecord, []byte("x")) }, alerted(20)},
		"kind":      {func(f *forger) []byte { return f.seal(99, []byte("x")) }, alerted(10)},
		"alert":     {func(f *forger) []byte { return f.seal(alertRecord, []byte{2, 40}) }, alerted(40)},
		"message":   {func(f *forger) []byte { return f.seal(handshakeRecord, []byte{20, 0, 0, 0}) }, isTLS},
		"empty flood": {func(f *forger) (p []byte) {
			for range 40 {
				p = append(p, f.seal(dataRecord, nil)...)
			}
			return p
		}, isTLS},
	} {
		t.Run(name, func(t *testing.T) {
			top := new(end)
			g := newRig(t, tls.VersionTLS13, top, nil)
			g.pump()
			g.p.tls.Write([]byte("before"))
			f := g.forger()
			f.seq = 1 // the peer has used one
			g.pump()
			g.deliver(c.records(f))
			g.deliver([]byte("and more")) // which nobody looks at
			g.pump()
			g.lose()
			if !c.check(top.err) || !isTLS(top.err) || !errors.Is(top.err, reactor.ErrLost) || string(top.got) != "before" {
				t.Errorf("TLS-14: %T %v; %q", top.err, top.err, top.got)
			}
			if name != "alert" && g.p.err == nil {
				t.Error("the peer got no alert")
			}
		})
	}
}

func isTLS(err error) bool { return is[*tlsio.Error](err) }

func alerted(want tls.AlertError) func(error) bool {
	return func(err error) bool {
		got, ok := errors.AsType[tls.AlertError](err)
		return ok && got == want
	}
}

// A few empty records are allowed, and do nothing.
func TestEmptyRecords(t *testing.T) {
	top := new(end)
	g := newRig(t, tls.VersionTLS13, top, nil)
	g.pump()
	f := g.forger()
	for range 3 {
		g.deliver(f.seal(dataRecord, nil))
	}
	g.deliver(f.seal(dataRecord, []byte("data")))
	if string(top.got) != "data" || top.err != nil {
		t.Errorf("%q, %v", top.got, top.err)
	}
}
