package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// opening is what a client sends in place of a handshake, and the expected result.
type opening struct {
	name  string
	data  []byte
	check func(err error) bool
	alert tls.AlertError
}

func openings() []opening {
	header := is[tls.RecordHeaderError]
	return []opening{
		{"plaintext", []byte("GET / HTTP/1.0\r\n\r\n"), header, noAlert},
		{"SSLv2", []byte{0x80, 0x2e, 1, 0, 2, 0, 0x15}, header, protocolVersion},
		{"version 16", []byte{22, 16, 0, 0, 9}, header, noAlert},
		{"data", []byte{23, 3, 1, 0, 1, 'x'}, header, noAlert},
		{"flood of ChangeCipherSpec", bytes.Repeat([]byte{20, 3, 1, 0, 1, 1}, 40), header, noAlert},
		{"oversized", []byte{22, 3, 1, 0x48, 0x01}, header, recordOverflow},
		{"as long as can be", []byte{22, 3, 1, 0xff, 0xff}, header, recordOverflow},
		{"empty", []byte{22, 3, 1, 0, 0}, alerted(unexpectedMessage), unexpectedMessage},
		{"empty flood", bytes.Repeat([]byte{22, 3, 1, 0, 0}, 1000), alerted(unexpectedMessage), unexpectedMessage},
		{"empty alert", []byte{21, 3, 1, 0, 0}, alerted(unexpectedMessage), unexpectedMessage},
		{"alert", []byte{21, 3, 1, 0, 2, 2, 40}, alerted(handshakeFailure), noAlert},
		{"warning flood", bytes.Repeat([]byte{21, 3, 1, 0, 2, 1, 90}, 40), isTLS, unexpectedMessage},
		{"unknown message", []byte{22, 3, 1, 0, 4, 99, 0, 0, 0}, alerted(unexpectedMessage), unexpectedMessage},
		{"Finished", []byte{22, 3, 1, 0, 4, 20, 0, 0, 0}, isTLS, unexpectedMessage},
		{"bad ClientHello", []byte{22, 3, 1, 0, 5, 1, 0, 0, 1, 0}, alerted(decodeError), decodeError},
		{"bad ServerHello", []byte{22, 3, 1, 0, 5, 2, 0, 0, 1, 0}, alerted(decodeError), decodeError},
		{"longest message", []byte{22, 3, 1, 0, 4, 1, 1, 0, 1}, isTLS, internalError},
	}
}

// alertOf is the alert in p, in clear: the last record of it.
func alertOf(p []byte) tls.AlertError {
	if n := len(p); n >= 7 && p[n-7] == alertRecord && p[n-3] == 2 && p[n-2] == 2 {
		return tls.AlertError(p[n-1])
	}
	return noAlert
}

// checkOpening asserts what an end was lost for that has met an opening.
func checkOpening(t *testing.T, o opening, top *end, alert tls.AlertError) {
	t.Helper()
	top.is(t, "it", tlsio.ErrHandshake, reactor.ErrLost)
	if !isTLS(top.err) || !o.check(top.err) {
		t.Errorf("TLS-24: lost for %T %v", top.err, top.err)
	}
	if top.saw("shaken") || len(top.got) > 0 {
		t.Errorf("TLS-24: %q, %q", top.events, top.got)
	}
	if alert != o.alert {
		t.Errorf("TLS-24: the peer was told %v, want %v", alert, o.alert)
	}
}

// TLS-24: bytes that are not a handshake end this connection with a typed error and the
// alert of crypto/tls, whether they come whole or byte by byte. No other connection
// notices.
func TestHostileOpenings(t *testing.T) {
	for _, client := range []bool{false, true} {
		for _, o := range openings() {
			t.Run(fmt.Sprintf("client=%v/%s", client, o.name), func(t *testing.T) {
				first := hostileRig(t, tls.VersionTLS13, new(end), nil, client)
				first.pump()
				unharmed := first.bystander()
				for _, piece := range []int{len(o.data), 1} {
					top := new(end)
					g := first.another(top)
					g.u.out = nil
					for p := range slices.Chunk(o.data, piece) {
						g.deliver(p)
					}
					g.n.Run(0)
					alert := alertOf(g.u.out)
					g.lose()
					checkOpening(t, o, top, alert)
				}
				unharmed()
			})
		}
	}
}

// TLS-24: the same over sockets, with handshakes in the pool: the alert arrives, and a
// connection that was there goes on.
func TestHostileSockets(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			srv, cli := new(end), new(end)
			s.secure(tls.VersionTLS13, srv, cli)
			s.until(func() bool { return srv.saw("shaken") && cli.saw("shaken") })
			sc, _ := configs(0)
			for _, o := range openings() {
				victim, foe := new(end), new(end)
				foe.onMade = func() { foe.tr.Write(o.data) }
				f := tlsio.Server(sc, one(victim), &tlsio.Options{Stack: tlsio.StackPool})
				s.connect(f, one(foe))
				s.until(func() bool { return victim.lost() && foe.lost() })
				// What is still on its way to us when we close makes it a reset, which may
				// overtake the alert; a short one has come in one piece.
				alert := alertOf(foe.got)
				if len(foe.got) == 0 && len(o.data) > 100 {
					alert = o.alert
				}
				checkOpening(t, o, victim, alert)
			}
			srv.onData = func(p []byte) { srv.c.Write(p) }
			cli.c.Write([]byte("still here"))
			s.until(func() bool { return string(cli.got) == "still here" || cli.lost() })
			if cli.lost() || srv.lost() {
				t.Errorf("another connection has noticed: %v, %v", srv.err, cli.err)
			}
		})
	}
}

// Garbage of any kind, with and without a good beginning, ends the connection with a
// typed error, at the latest when the handshake has taken too long.
func TestRandomOpenings(t *testing.T) {
	seeds := uint64(200)
	if raced {
		seeds = 5 // there are no goroutines here
	}
	for _, client := range []bool{false, true} {
		first := hostileRig(t, tls.VersionTLS13, new(end), nil, client)
		first.pump()
		unharmed := first.bystander()
		for seed := range seeds {
			rnd := rand.New(rand.NewPCG(seed, 0))
			p := make([]byte, 1+rnd.IntN(600))
			for i := range p {
				p[i] = byte(rnd.Uint32())
			}
			good := []byte{22, 3, 1, 0, byte(rnd.Uint32()), 1, 0, 0, byte(rnd.Uint32())}
			copy(p, good[:rnd.IntN(len(good)+1)])
			top := new(end)
			g := first.another(top)
			g.deliver(p)
			g.n.Run(11 * time.Second)
			g.lose()
			if !isTLS(top.err) || !errors.Is(top.err, tlsio.ErrHandshake) || top.saw("shaken") || len(top.got) > 0 {
				t.Fatalf("seed %d: %x: %q, %v", seed, p, top.events, top.err)
			}
		}
		unharmed()
	}
}

// mangling is what somebody on the way does to one record of a handshake.
type mangling struct {
	name string
	do   func(record []byte) (now, afterNext []byte)
}

func manglings() []mangling {
	edit := func(f func(p []byte) []byte) func([]byte) ([]byte, []byte) {
		return func(p []byte) ([]byte, []byte) { return f(slices.Clone(p)), nil }
	}
	return []mangling{
		{"left out", edit(func([]byte) []byte { return nil })},
		{"duplicated", edit(func(p []byte) []byte { return append(p, p...) })},
		{"reordered", func(p []byte) (now, afterNext []byte) { return nil, slices.Clone(p) }},
		{"truncated", edit(func(p []byte) []byte {
			if len(p) < 10 {
				return p[:len(p)-1] // the 1 of a ChangeCipherSpec, which begins no record
			}
			return p[:len(p)-3] // not by one byte, because that may by chance be the next record's first
		})},
		{"lengthened", edit(func(p []byte) []byte { p[4]++; return append(p, 0) })},
		{"oversized", edit(func(p []byte) []byte { p[3], p[4] = 0xff, 0xff; return p })},
		{"emptied", edit(func(p []byte) []byte { p[3], p[4] = 0, 0; return p[:5] })},
		{"flipped", edit(func(p []byte) []byte { p[len(p)-1] ^= 1; return p })},
		{"kind", edit(func(p []byte) []byte { p[0] ^= 1; return p })},
		{"version", edit(func(p []byte) []byte { p[1] = 0x20; return p })},
	}
}

// mangled is a connection whose peer's i-th record was mangled. It also tells whether
// that record was a ChangeCipherSpec, and whether there was one.
func mangled(t *testing.T, v uint16, client bool, m mangling, i int) (g *rig, top *end, filler, found bool) {
	top = new(end)
	g = hostileRig(t, v, top, nil, client)
	var later []byte
	over := false
	g.change = func(at int, p []byte) (now []byte) {
		if at == i && !over {
			filler, found = p[0] == 20, true
			now, later = m.do(p)
			return now
		}
		now = append(slices.Clone(p), later...)
		later = nil
		return now
	}
	g.pump()
	if over = true; g.p.ready && g.p.err == nil && g.u.ended == "" {
		g.p.tls.Write([]byte("data"))
		g.pump()
	}
	if g.u.ended == "" {
		g.n.Run(11 * time.Second) // it waits for what does not come
	}
	return g, top, filler, found
}

// Somebody leaves out, repeats, moves, cuts or alters one record of a handshake. Then the
// handshake ends with a typed error. The peer gets an alert, except after a timeout, after
// an alert of its own, and if the first record is not TLS. A ChangeCipherSpec has no
// meaning in TLS 1.3, so there it may be moved, doubled and lost.
func TestMangledHandshakes(t *testing.T) {
	roles(t, func(t *testing.T, v uint16, client bool) {
		for _, m := range manglings() {
			for i := 0; ; i++ {
				g, top, filler, found := mangled(t, v, client, m, i)
				if !found {
					if i < 2 {
						t.Fatalf("only %d records", i)
					}
					break
				}
				what := fmt.Sprintf("record %d %s", i, m.name)
				if moved := m.name == "left out" || m.name == "duplicated" || m.name == "reordered"; v == tls.VersionTLS13 && filler && moved {
					if string(top.got) != "data" || top.lost() {
						t.Errorf("%s: %q, %v", what, top.got, top.err)
					}
					continue
				}
				g.lose()
				if !isTLS(top.err) || !errors.Is(top.err, reactor.ErrLost) || errors.Is(top.err, tlsio.ErrHandshake) == top.saw("shaken") || len(top.got) > 0 {
					t.Errorf("%s: %q, %q, %v", what, top.events, top.got, top.err)
				}
				silent := errors.Is(top.err, kernel.ErrTimeout) || i == 0 && is[tls.RecordHeaderError](top.err) || alertFrom(top.err, "remote error")
				if !silent && g.p.err == nil {
					t.Errorf("%s: the peer was not told of %v", what, top.err)
				}
			}
		}
	})
}
