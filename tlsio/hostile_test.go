package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// The alerts that are asked for, by their numbers in RFC 8446.
const (
	unexpectedMessage = tls.AlertError(10)
	badRecordMAC      = tls.AlertError(20)
	recordOverflow    = tls.AlertError(22)
	handshakeFailure  = tls.AlertError(40)
	illegalParameter  = tls.AlertError(47)
	decodeError       = tls.AlertError(50)
	protocolVersion   = tls.AlertError(70)
	internalError     = tls.AlertError(80)
	noRenegotiation   = tls.AlertError(100)
	noAlert           = tls.AlertError(255)
)

// roles runs body as the server and as the client, with TLS 1.3 and 1.2. The race
// detector is shown the first only, for there are no goroutines in a rig.
func roles(t *testing.T, body func(t *testing.T, version uint16, client bool)) {
	t.Helper()
	for _, v := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		for _, client := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/client=%v", tls.VersionName(v), client), func(t *testing.T) { body(t, v, client) })
			if raced {
				return
			}
		}
	}
}

// hostileRig is a rig whose peer's records can be forged.
func hostileRig(t *testing.T, version uint16, top reactor.Protocol, o *tlsio.Options, client bool) *rig {
	t.Helper()
	sc, cc := configs(version)
	cc.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	if client {
		cc.ClientSessionCache = tls.NewLRUClientSessionCache(1) // else tickets are not looked at
		sc.SessionTicketsDisabled = true                        // they are for the forger to send
		return rigOf(t, cc, sc, top, o, true)
	}
	return rigOf(t, sc, cc, top, o, false)
}

// bystander is another connection of the same factory, which is not to notice anything.
func (g *rig) bystander() (unharmed func()) {
	g.t.Helper()
	top := new(end)
	h := g.another(top)
	h.pump()
	return func() {
		g.t.Helper()
		top.got, h.p.got = nil, nil
		top.c.Write([]byte("to the peer"))
		h.p.tls.Write([]byte("from the peer"))
		h.pump()
		if string(top.got) != "from the peer" || string(h.p.got) != "to the peer" || top.lost() {
			g.t.Errorf("another connection has noticed: %q, %q, %v", top.got, h.p.got, top.err)
		}
	}
}

// heard is the alert that the peer was told.
func (g *rig) heard() tls.AlertError {
	if a, ok := errors.AsType[tls.AlertError](&tlsio.Error{Err: g.p.err}); ok {
		return a
	}
	return noAlert
}

// attack is what a peer sends on a protected connection, and what comes of it.
type attack struct {
	name    string
	records func(f *forger) []byte
	check   func(err error) bool
	alert   tls.AlertError // that the peer is sent
	got     string         // what the protocol still got of it
	only    uint16         // the one version for which it holds
}

func sealed(kind byte, data ...byte) func(*forger) []byte {
	return func(f *forger) []byte { return f.seal(kind, data) }
}

func raw(p ...byte) func(*forger) []byte { return func(*forger) []byte { return p } }

func flood(kind byte, data ...byte) func(*forger) []byte {
	return func(f *forger) (p []byte) {
		for range 40 {
			p = append(p, f.seal(kind, data)...)
		}
		return p
	}
}

func attacks() []attack {
	x := []byte("x")
	return []attack{
		{"oversized", raw(23, 3, 3, 0x48, 0x01), is[tls.RecordHeaderError], recordOverflow, "", 0},
		{"oversized for 1.3", raw(23, 3, 3, 0x41, 0x01), is[tls.RecordHeaderError], recordOverflow, "", tls.VersionTLS13},
		{"as long as can be", raw(23, 3, 3, 0xff, 0xff), is[tls.RecordHeaderError], recordOverflow, "", 0},
		{"version", raw(23, 2, 0, 0, 9), is[tls.RecordHeaderError], protocolVersion, "", 0},
		{"nothing sealed", raw(23, 3, 3, 0, 0), alerted(badRecordMAC), badRecordMAC, "", 0},
		{"alert in clear", raw(21, 3, 3, 0, 2, 2, 40), alerted(badRecordMAC), badRecordMAC, "", 0},
		{"message in clear", raw(22, 3, 3, 0, 4, 0, 0, 0, 0), alerted(badRecordMAC), badRecordMAC, "", 0},
		{"garbage", func(f *forger) []byte { p := f.seal(dataRecord, x); p[9] ^= 1; return p },
			alerted(badRecordMAC), badRecordMAC, "", 0},
		{"truncated", func(f *forger) []byte {
			// By three bytes, because one may by chance be the next record's first.
			p := f.seal(dataRecord, x)
			return append(p[:len(p)-3], f.seal(dataRecord, x)...)
		}, alerted(badRecordMAC), badRecordMAC, "", 0},
		{"left out", func(f *forger) []byte { f.seal(dataRecord, x); return f.seal(dataRecord, x) },
			alerted(badRecordMAC), badRecordMAC, "", 0},
		{"reordered", func(f *forger) []byte {
			first := f.seal(dataRecord, x)
			return append(f.seal(dataRecord, x), first...)
		}, alerted(badRecordMAC), badRecordMAC, "", 0},
		{"duplicated", func(f *forger) []byte { p := f.seal(dataRecord, x); return append(p, p...) },
			alerted(badRecordMAC), badRecordMAC, "x", 0},
		{"too much sealed", func(f *forger) []byte { return f.seal(dataRecord, make([]byte, 16<<10+1)) },
			alerted(recordOverflow), recordOverflow, "", 0},
		{"kind", sealed(99, 'x'), alerted(unexpectedMessage), unexpectedMessage, "", 0},
		{"alert", sealed(alertRecord, 2, 40), alerted(handshakeFailure), noAlert, "", 0},
		{"half an alert", sealed(alertRecord, 2), alerted(unexpectedMessage), unexpectedMessage, "", 0},
		{"Finished", sealed(handshakeRecord, 20, 0, 0, 0), isTLS, unexpectedMessage, "", 0},
		{"unknown message", sealed(handshakeRecord, 99, 0, 0, 0), alerted(unexpectedMessage), unexpectedMessage, "", 0},
		{"empty message", sealed(handshakeRecord), alerted(unexpectedMessage), unexpectedMessage, "", 0},
		{"longest message", sealed(handshakeRecord, 4, 1, 0, 1), isTLS, internalError, "", 0},
		{"bad KeyUpdate", sealed(handshakeRecord, 24, 0, 0, 1, 7), alerted(decodeError), decodeError, "", 0},
		{"message cut by data", func(f *forger) []byte {
			return append(f.seal(handshakeRecord, []byte{4, 0}), f.seal(dataRecord, x)...)
		}, alerted(unexpectedMessage), unexpectedMessage, "", tls.VersionTLS13},
		{"empty flood", flood(dataRecord), isTLS, unexpectedMessage, "", 0},
		{"warning flood", flood(alertRecord, 1, 90), isTLS, unexpectedMessage, "", 0},
		{"flood of ChangeCipherSpec", raw(bytes.Repeat([]byte{20, 3, 3, 0, 1, 1}, 40)...), isTLS, unexpectedMessage, "", tls.VersionTLS13},
		{"ChangeCipherSpec", raw(20, 3, 3, 0, 1, 1), alerted(badRecordMAC), badRecordMAC, "", tls.VersionTLS12},
	}
}

// Records that must not be end this connection, with a typed error and an alert; what
// came before them is delivered, what comes behind is not, and others do not notice.
func TestHostileRecords(t *testing.T) {
	roles(t, func(t *testing.T, v uint16, client bool) {
		for _, a := range attacks() {
			if a.only != 0 && a.only != v {
				continue
			}
			t.Run(a.name, func(t *testing.T) { a.run(t, v, client) })
		}
	})
}

// run makes the attack and asserts what comes of it: its end, which does not concern
// others, with an error that is typed, and an alert.
func (a *attack) run(t *testing.T, v uint16, client bool) {
	t.Helper()
	top := new(end)
	g := hostileRig(t, v, top, nil, client)
	g.pump()
	unharmed := g.bystander()
	f := g.forger()
	g.deliver(f.seal(dataRecord, []byte("before")))
	g.deliver(a.records(f))
	g.deliver(f.seal(dataRecord, []byte("behind")))
	g.pump()
	if g.u.ended != "close" {
		t.Errorf("the transport below was ended by %q, want a close, behind the alert", g.u.ended)
	}
	g.lose()
	if e, ok := errors.AsType[*tlsio.Error](top.err); !ok || e.Op != "read" || !a.check(e) || !errors.Is(e, reactor.ErrLost) || errors.Is(e, tlsio.ErrHandshake) {
		t.Errorf("lost for %T %v", top.err, top.err)
	}
	if string(top.got) != "before"+a.got {
		t.Errorf("it got %q", top.got)
	}
	if got := g.heard(); got != a.alert {
		t.Errorf("the peer was told %v, want %v", got, a.alert)
	}
	unharmed()
}

// A few empty records are allowed, and do nothing.
func TestEmptyRecords(t *testing.T) {
	roles(t, func(t *testing.T, v uint16, client bool) {
		top := new(end)
		g := hostileRig(t, v, top, nil, client)
		g.pump()
		f := g.forger()
		for range 3 {
			g.deliver(f.seal(dataRecord, nil))
		}
		g.deliver(f.seal(dataRecord, []byte("data")))
		if string(top.got) != "data" || top.err != nil {
			t.Errorf("%q, %v", top.got, top.err)
		}
	})
}

// Over sockets too, records that must not be end a protected connection: with a typed
// error here, and an alert there.
func TestHostileSocketsProtected(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				for _, c := range []struct {
					data  []byte
					alert tls.AlertError
				}{
					{[]byte{23, 3, 3, 0xff, 0xff}, recordOverflow},
					{[]byte{23, 2, 0, 0, 9}, protocolVersion},
					{[]byte{23, 3, 3, 0, 0}, badRecordMAC},
					{append([]byte{23, 3, 3, 0x40, 0}, pattern(16<<10)...), badRecordMAC},
				} {
					s := realStage(t, w)
					srv, cli := new(end), new(end)
					srv.onShaken = func() { srv.c.Write([]byte("x")) }
					cli.onData = func([]byte) {
						lower, _ := reactor.As[*reactor.Stream](cli.c)
						lower.Write(c.data) // behind TLS's back
					}
					s.secure(v, srv, cli)
					s.until(func() bool { return srv.lost() && cli.lost() })
					if e, ok := errors.AsType[*tlsio.Error](srv.err); !ok || e.Op != "read" || len(srv.got) > 0 {
						t.Errorf("% x: %q, lost for %v", c.data[:5], srv.got, srv.err)
					}
					if !alerted(c.alert)(cli.err) || !alertFrom(cli.err, "remote error") {
						t.Errorf("% x: the other end was told %v, want %v", c.data[:5], cli.err, c.alert)
					}
				}
			}
		})
	}
}

// alertFrom tells whether err is an alert of ours ("local error") or of the peer
// ("remote error").
func alertFrom(err error, op string) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == op
}
