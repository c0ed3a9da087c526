package tlsio_test

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// renegotiation is a request to begin another handshake on a protected connection, in
// one record, or split in two of them; and the answer.
func renegotiation(t *testing.T, v uint16, client bool, message []byte, split int, check func(error) bool) {
	t.Helper()
	handshakes := 0
	sc, cc := configs(v)
	sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { handshakes++; return nil, nil }
	cc.VerifyConnection = func(tls.ConnectionState) error { handshakes++; return nil }
	cc.Renegotiation = tls.RenegotiateFreelyAsClient // which Client does not take over
	cc.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	ours, theirs := sc, cc
	if client {
		ours, theirs = cc, sc
	}
	top := new(end)
	g := rigOf(t, ours, theirs, top, nil, client)
	g.pump()
	unharmed := g.bystander()
	before := handshakes
	f := g.forger()
	g.deliver(f.seal(dataRecord, []byte("before")))
	g.u.out = nil
	if split > 0 {
		g.deliver(f.seal(handshakeRecord, message[:split]))
		if top.lost() || len(g.u.out) > 0 {
			t.Errorf("answered after %d bytes", split)
		}
	}
	g.deliver(f.seal(handshakeRecord, message[split:]))
	if n := sizes(t, g.u.out); len(n) != 1 || v == tls.VersionTLS12 && g.u.out[0] != alertRecord {
		t.Errorf("TLS-13: %x is the answer, want an alert", g.u.out)
	}
	g.deliver(f.seal(dataRecord, []byte("behind")))
	g.lose()
	if !isTLS(top.err) || !check(top.err) || string(top.got) != "before" {
		t.Errorf("TLS-13: %q, lost for %v", top.got, top.err)
	}
	if handshakes != before {
		t.Error("TLS-13: another handshake was begun, in Read and so on the loop")
	}
	unharmed()
}

// clientHello is the message that a client begins with.
func clientHello(t *testing.T, v uint16) (hello []byte) {
	t.Helper()
	g := newRig(t, v, new(end), nil)
	g.change = func(i int, p []byte) []byte {
		if i == 0 {
			hello = slices.Clone(p[5:])
		}
		return p
	}
	g.pump()
	return hello
}

// TLS-13: renegotiation is refused by either side, with an alert; the connection ends
// with it, as crypto/tls has it, and nothing of another handshake is computed.
func TestRenegotiation(t *testing.T) {
	for split := range 4 {
		helloRequest := make([]byte, 4)
		renegotiation(t, tls.VersionTLS12, true, helloRequest, split, alerted(noRenegotiation))
		renegotiation(t, tls.VersionTLS12, false, helloRequest, split, alerted(noRenegotiation))
		renegotiation(t, tls.VersionTLS13, true, helloRequest, split, isTLS)
		renegotiation(t, tls.VersionTLS13, false, helloRequest, split, isTLS)
	}
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		renegotiation(t, v, false, clientHello(t, v), 0, isTLS)
		renegotiation(t, v, false, clientHello(t, v), 100, isTLS)
	}
}

// OpenSSL's client asks for another handshake (R): it is told that this is not done,
// and another connection goes on.
func TestOpenSSLClientRenegotiates(t *testing.T) {
	t.Parallel()
	needs(t, "openssl")
	o := newOutside(t)
	srv := parrot(0)
	addr := o.listen(tlsio.Server(o.cfg, one(srv), nil))
	still := o.run(nil, "openssl", "s_client", "-connect", o.listen(tlsio.Server(o.cfg, one(parrot(0)), nil)), "-tls1_2", "-CAfile", o.roots)
	still.line("before")
	still.says("before\n")
	p := o.run(nil, "openssl", "s_client", "-connect", addr, "-tls1_2", "-CAfile", o.roots)
	p.line("hello")
	p.says("hello\n")
	p.line("R")
	o.until(func() bool { return srv.lost() && p.over() })
	if e, ok := errors.AsType[*tlsio.Error](srv.err); !ok || e.Op != "read" {
		t.Errorf("TLS-13: lost for %v", srv.err)
	}
	if out := p.out.String(); !strings.Contains(out, "RENEGOTIATING") || !strings.Contains(out, "alert unexpected message") {
		t.Errorf("TLS-13: it was not refused: %s", out)
	}
	still.line("after")
	still.says("after\n")
}

// OpenSSL's server asks us for another handshake (r): likewise.
func TestOpenSSLServerRenegotiates(t *testing.T) {
	t.Parallel()
	needs(t, "openssl")
	o := newOutside(t)
	addr := freePort(t)
	p := o.run(nil, "openssl", "s_server", "-accept", addr, "-tls1_2", "-cert", o.srv, "-naccept", "1", "-CAfile", o.roots)
	p.says("ACCEPT")
	cli := new(end)
	o.dial(addr, cli, nil)
	o.until(func() bool { return cli.saw("shaken") || cli.lost() })
	p.line("hello")
	o.until(func() bool { return string(cli.got) == "hello\n" || cli.lost() })
	p.line("r")
	o.until(func() bool { return cli.lost() && p.over() })
	cli.is(t, "TLS-13: the client", noRenegotiation, reactor.ErrLost)
	if out := p.out.String(); !strings.Contains(out, "no renegotiation") {
		t.Errorf("TLS-13: it was not refused: %s", out)
	}
}
