package std_test

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// GRAM-13, GRAM-20, GRAM-22, EP-13: both schemes on both sides, on every
// kernel: the client gets its own protocol (EP-2), each side its handshake (TLS-5) and
// the data, and the end of a direction and of the connection go through (EP-7).
func TestTLSListenAndConnect(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, cert, key := ca.issue("srv", "localhost", "127.0.0.1")
	for name, w := range testworld.Worlds() {
		for _, c := range []struct{ listen, connect string }{
			{describe("tls", "0", both, "127.0.0.1", "alpn=old,new"), describe("tls", "127.0.0.1", "PORT", "trustRoots="+ca.file, "alpn=new")},
			{describe("tls", "0", "certificates="+cert, "privateKey="+key, "interface=127.0.0.1", "alpn=new"), describe("ssl", "127.0.0.1", "PORT", "caCertsDir="+ca.file)},
			{describe("ssl", "0", key, cert, "TLSv1_2_METHOD", "127.0.0.1", "10"), describe("tls", "127.0.0.1", "PORT", "trustRoots="+ca.file)},
			{describe("ssl", "0", "privateKey="+both, "interface=127.0.0.1"), describe("ssl", "host=127.0.0.1", "port=PORT", "caCertsDir="+ca.file, "hostname=localhost")},
		} {
			t.Run(name, func(t *testing.T) {
				r := w.New(t, reactor.Config{})
				srv := listenTLS(t, r, c.listen)
				p := dialTLS(t, r, strings.Replace(c.connect, "PORT", portOf(srv.Listener), 1))
				until(t, r, func() bool { return srv.served.last() != nil })
				s := srv.served.last()
				if p.lost != nil || len(p.state) != 1 || len(s.state) != 1 {
					t.Fatalf("TLS-5: %v, %d and %d handshakes", p.lost, len(p.state), len(s.state))
				}
				want := ""
				if strings.Contains(c.connect, "alpn=new") {
					want = "new"
				}
				if p.state[0].NegotiatedProtocol != want || s.state[0].NegotiatedProtocol != want {
					t.Errorf("ALPN: %q and %q, want %q", p.state[0].NegotiatedProtocol, s.state[0].NegotiatedProtocol, want)
				}
				if old := strings.Contains(c.listen, "TLSv1_2"); old != (s.state[0].Version == tls.VersionTLS12) {
					t.Errorf("GRAM-13: version %s", tls.VersionName(s.state[0].Version))
				}
				p.T.Write([]byte("there"))
				s.T.Write([]byte("and back"))
				until(t, r, func() bool { return s.got == "there" && p.got == "and back" })
				p.T.CloseWrite()
				until(t, r, func() bool { return s.readLost == 1 })
				s.T.Write([]byte("!"))
				s.T.Close()
				until(t, r, func() bool { return p.readLost == 1 })
				p.T.Close()
				until(t, r, func() bool { return s.lost != nil && p.lost != nil })
				if p.got != "and back!" || s.lost != reactor.ErrClosed || p.lost != reactor.ErrClosed {
					t.Errorf("EP-7: got %q, lost %v and %v", p.got, s.lost, p.lost)
				}
				if srv.log.Len() > 0 {
					t.Errorf("it logged: %s", srv.log.String())
				}
				stopped := false
				srv.StopListening(func(error) { stopped = true })
				until(t, r, func() bool { return stopped })
				if !slices.Equal(srv.served.log, []string{"start", "stop"}) || len(r.DelayedCalls()) != 0 {
					t.Errorf("EP-3: %q, %d delayed calls left", srv.served.log, len(r.DelayedCalls()))
				}
			})
		}
	}
}

// GRAM-20, GRAM-22, TLS-40, TLS-42, TLS-44: who shows the wrong certificate is not
// spoken to. Both sides say which certificate, which name and which rule; the server
// in one line, with the peer. A protocol hears of no handshake (TLS-43).
func TestTLSVerifies(t *testing.T) {
	ca, other := newAuthority(t, "our authority"), newAuthority(t, "another authority")
	both, _, _ := ca.issue("srv", "srv.example")
	r := newTLSReactor(t, reactor.Config{Resolver: &hosts{names: map[string]string{"srv.example": "127.0.0.1", "else.example": "127.0.0.1"}}})
	srv := listenTLS(t, r, describe("tls", "0", both, "interface=127.0.0.1"))
	port := portOf(srv.Listener)
	for _, c := range []struct {
		description string
		rule        error
		says        string
	}{
		{describe("tls", "else.example", port, "trustRoots="+ca.file), certs.ErrName, `asked for "else.example": certificate "CN=srv.example" (issuer "CN=our authority"`},
		{describe("tls", "127.0.0.1", port, "trustRoots="+ca.file), certs.ErrName, `it is for "srv.example"`},
		{describe("tls", "srv.example", port, "trustRoots="+other.file), certs.ErrUntrusted, `its issuer "CN=our authority" is not among the trust roots`},
		{describe("tls", "srv.example", port), certs.ErrUntrusted, `asked for "srv.example"`},
		{describe("ssl", "srv.example", port), certs.ErrUntrusted, `asked for "srv.example"`},
		{describe("ssl", "else.example", port, "caCertsDir="+ca.dir), certs.ErrName, `asked for "else.example"`},
		{describe("ssl", "else.example", port, "caCertsDir="+ca.file, "hostname=third.example"), certs.ErrName, `asked for "third.example"`},
		{describe("ssl", "srv.example", port, "caCertsDir="+other.file, "verify=chain"), certs.ErrUntrusted, `its issuer "CN=our authority" is not`},
		{describe("ssl", "srv.example", port, "verify=chain"), certs.ErrUntrusted, `certificate "CN=srv.example"`},
	} {
		before := srv.log.count()
		p := dialTLS(t, r, c.description)
		e, ok := p.lost.(*tlsio.Error)
		h, named := errors.AsType[*tlsio.HandshakeError](p.lost)
		if !ok || !named || !errors.Is(p.lost, c.rule) || h.Cert == nil || h.Cert.Subject.CommonName != "srv.example" {
			t.Fatalf("%s: lost for %v", c.description, p.lost)
		}
		if e.Remote != srv.Addr() || !strings.Contains(e.Error(), c.says) || strings.Contains(e.Error(), "\n") {
			t.Errorf("%s: says %q, want %q", c.description, e, c.says)
		}
		if len(p.state) != 0 || p.got != "" {
			t.Errorf("TLS-43: %s: %d handshakes", c.description, len(p.state))
		}
		until(t, r, func() bool { return srv.log.count() > before })
		last := strings.Split(strings.TrimSpace(srv.log.String()), "\n")[before:]
		if len(last) != 1 || !strings.Contains(last[0], "peer="+e.Local.String()) || !strings.Contains(last[0], "the peer refused") {
			t.Errorf("the server logged %q, want one line with the peer %v", last, e.Local)
		}
	}

	// GRAM-20: Twisted's laxness is there for who asks, and is told to the log.
	for _, c := range []string{
		describe("ssl", "else.example", port, "caCertsDir="+ca.file, "verify=chain"),
		describe("ssl", "else.example", port, "verify=none"),
	} {
		var said lines
		e, err := said.with().Client(c)
		if err != nil {
			t.Fatal(err)
		}
		var f sites
		e.Connect(r, &f, func(reactor.Protocol, error) {})
		until(t, r, func() bool { return f.last() != nil })
		if f.last().lost != nil || said.count() != 1 || !strings.Contains(said.String(), "the peer may be anybody") || !strings.Contains(e.String(), "verify=") {
			t.Errorf("%s: lost %v, logged %s", e, f.last().lost, said.String())
		}
		f.last().T.Abort()
	}
}

// Somebody who does not speak TLS gets one line in the log, and the others notice
// nothing. (TLS-24)
func TestTLSGarbageIsLogged(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "127.0.0.1")
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			srv := listenTLS(t, r, describe("tls", "0", both, "interface=127.0.0.1"))
			good := dialTLS(t, r, describe("tls", "127.0.0.1", portOf(srv.Listener), "trustRoots="+ca.file))
			var f site
			var got result
			client(t, at("tcp", srv.Listener)).Connect(r, &f, got.done)
			until(t, r, func() bool { return got.calls > 0 })
			local := f.built[0].T.Local().String()
			f.built[0].T.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
			until(t, r, func() bool { return f.built[0].lost != nil && srv.log.count() > 0 })
			line := srv.log.String()
			if srv.log.count() != 1 || !strings.Contains(line, "peer="+local) || !strings.Contains(line, "does not speak TLS") || !strings.Contains(line, "port of HTTPS") {
				t.Errorf("TLS-24: logged %s", line)
			}
			bad := srv.served.built[len(srv.served.built)-1]
			if !errors.Is(bad.lost, tlsio.ErrNotTLS) || !errors.Is(bad.lost, tlsio.ErrHandshake) {
				t.Errorf("TLS-24: lost for %v", bad.lost)
			}
			good.T.Write([]byte("still"))
			until(t, r, func() bool { return srv.served.built[0].got == "still" })
		})
	}
}

// TLS-46: with clientCAs, clients show a certificate that one of them issued, unless
// they need none.
func TestTLSMutual(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	both, _, _ := ca.issue("srv", "127.0.0.1")
	_, cert, key := ca.issue("alice", "alice")
	wrong, _, _ := other.issue("mallory", "mallory")
	r := newTLSReactor(t, reactor.Config{})
	strict := listenTLS(t, r, describe("tls", "0", both, "interface=127.0.0.1", "clientCAs="+ca.file))
	mild := listenTLS(t, r, describe("tls", "0", both, "interface=127.0.0.1", "clientCAs="+ca.dir, "optionalClientCert=yes"))
	for _, c := range []struct {
		at   *tlsPlace
		args []string
		who  string // "" for nobody, "-" for one who is not let in
	}{
		{strict, []string{"certificate=" + cert, "privateKey=" + key}, "alice"},
		{strict, []string{"scheme=ssl", "certKey=" + cert, "privateKey=" + key}, "alice"},
		{strict, []string{"certificate=" + wrong}, "-"},
		{strict, nil, "-"},
		{mild, []string{"certificate=" + cert, "privateKey=" + key}, "alice"},
		{mild, nil, ""},
	} {
		n := len(c.at.served.built)
		d := describe("tls", append([]string{"127.0.0.1", portOf(c.at.Listener), "trustRoots=" + ca.file}, c.args...)...)
		if len(c.args) > 0 && c.args[0] == "scheme=ssl" {
			d = describe("ssl", append([]string{"127.0.0.1", portOf(c.at.Listener), "caCertsDir=" + ca.file}, c.args[1:]...)...)
		}
		p := dialTLS(t, r, d)
		until(t, r, func() bool { return len(c.at.served.built) > n && c.at.served.last() != nil })
		s := c.at.served.last()
		if c.who == "-" {
			// With TLS 1.3 the client has had its handshake before it is refused.
			until(t, r, func() bool { return p.lost != nil })
			if len(s.state) != 0 || !errors.Is(s.lost, tlsio.ErrHandshake) || !errors.Is(p.lost, tlsio.ErrPeerRefused) {
				t.Errorf("TLS-46: %s: %d handshakes, lost %v and %v", d, len(s.state), s.lost, p.lost)
			}
			continue
		}
		if len(s.state) != 1 {
			t.Fatalf("TLS-46: %s: lost %v and %v", d, s.lost, p.lost)
		}
		who := ""
		if certs := s.state[0].PeerCertificates; len(certs) > 0 {
			who = certs[0].Subject.CommonName
		}
		if who != c.who {
			t.Errorf("TLS-46: %s: it is %q, want %q", d, who, c.who)
		}
		p.T.Abort()
	}
}

// A certificate that is replaced is used for new connections, without a restart;
// names of a directory are picked by SNI. One that is broken changes nothing.
func TestTLSReload(t *testing.T) {
	ca := newAuthority(t, "ca")
	sites := t.TempDir()
	put := func(name string, file string) {
		t.Helper()
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tmp := filepath.Join(sites, name+".new")
		if err := errors.Join(os.WriteFile(tmp, data, 0o600), os.Rename(tmp, filepath.Join(sites, name+".pem"))); err != nil {
			t.Fatal(err)
		}
	}
	issued := func(name string) string { both, _, _ := ca.issue(name, name); return both }
	put("a", issued("a.example"))
	put("b", issued("b.example"))
	r := newTLSReactor(t, reactor.Config{Resolver: &hosts{names: map[string]string{"a.example": "127.0.0.1", "b.example": "127.0.0.1"}}})
	srv := listenTLS(t, r, describe("tls", "0", sites, "interface=127.0.0.1", "reload=0.01"))
	serial := func(host string) string {
		t.Helper()
		p := dialTLS(t, r, describe("tls", host, portOf(srv.Listener), "trustRoots="+ca.file))
		if p.lost != nil {
			t.Fatal(p.lost)
		}
		p.T.Abort()
		return p.state[0].PeerCertificates[0].SerialNumber.String()
	}
	a, b := serial("a.example"), serial("b.example")
	if a == b {
		t.Fatal("one certificate for both names")
	}
	if err := os.WriteFile(filepath.Join(sites, "b.pem"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, r, func() bool { return strings.Contains(srv.log.String(), "certificate refused") })
	if again := serial("b.example"); again != b {
		t.Error("a broken file took the place of the certificate")
	}
	put("a", issued("a.example"))
	until(t, r, func() bool { return strings.Contains(srv.log.String(), "certificate loaded") })
	if again := serial("a.example"); again == a {
		t.Error("the new certificate is not used")
	}
}

// GRAM-22, EP-18: TLS over another place: by description, by Over, and twice. Its
// failures and a cancel go through, and there is one result (EP-6).
func TestTLSOverAnotherPlace(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "srv.example")
	r := newTLSReactor(t, reactor.Config{})
	srv := listenTLS(t, r, describe("tls", "0", both, "interface=127.0.0.1"))
	p := dialTLS(t, r, describe("tls", "srv.example", "1", "trustRoots="+ca.file, "endpoint="+at("tcp", srv.Listener)))
	if p.lost != nil || p.T.Remote() != srv.Addr() {
		t.Errorf("GRAM-22: lost %v, peer %v", p.lost, p.T.Remote())
	}
	over := &std.TLSClient{TCPClient: std.TCPClient{Host: "srv.example", Port: 1}, TrustRoots: ca.file, Over: client(t, at("tcp", srv.Listener))}
	var f sites
	var got result
	over.Connect(r, &f, got.done)
	until(t, r, func() bool { return got.calls > 0 && f.last() != nil })
	if got.p != reactor.Protocol(f.built[0]) || f.built[0].lost != nil {
		t.Errorf("EP-18: %T, lost %v", got.p, f.built[0].lost)
	}

	// TLS within TLS: the server's protocol begins again as the server.
	var deep sites
	inner := tunnelled(t, both, &deep)
	tunnel, err := server(t, describe("tls", "0", both, "interface=127.0.0.1")).Listen(r, inner)
	if err != nil {
		t.Fatal(err)
	}
	first := describe("tls", "srv.example", "1", "trustRoots="+ca.file, "endpoint="+at("tcp", tunnel))
	p = dialTLS(t, r, describe("tls", "srv.example", "1", "trustRoots="+ca.file, "endpoint="+first))
	p.T.Write([]byte("deep"))
	until(t, r, func() bool { return len(deep.built) > 0 && deep.built[0].got == "deep" })
	if len(p.state) != 1 || len(deep.built[0].state) != 1 {
		t.Errorf("TLS-5: %d and %d handshakes", len(p.state), len(deep.built[0].state))
	}

	// Failure and cancel.
	gone := srv.Addr()
	stopped := false
	srv.StopListening(func(error) { stopped = true })
	until(t, r, func() bool { return stopped })
	got = result{}
	var failing sites
	over.Connect(r, &failing, got.done)
	until(t, r, func() bool { return got.calls > 0 && len(failing.log) == 2 })
	op, ok := errors.AsType[*reactor.OpError](got.err)
	if !ok || !errors.Is(got.err, kernel.ErrRefused) || op.Remote != gone || failing.log[1] != "stop" {
		t.Errorf("EP-18: %v, %q", got.err, failing.log)
	}
	got = result{}
	cancel := over.Connect(r, &f, got.done)
	cancel()
	cancel()
	until(t, r, func() bool { return got.calls > 0 })
	if !errors.Is(got.err, reactor.ErrCancelled) || got.calls != 1 {
		t.Errorf("EP-18: %d results, %v", got.calls, got.err)
	}
	// EP-4
	got = result{}
	over.Over = nil
	late := &std.TLSClient{TCPClient: std.TCPClient{Host: "127.0.0.1", Port: tunnel.Addr().Port()}, TrustRoots: ca.file}
	late.Connect(r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return nil }), got.done)
	until(t, r, func() bool { return got.calls > 0 })
	if !errors.Is(got.err, reactor.ErrNoProtocol) {
		t.Errorf("EP-4: %v", got.err)
	}
}

// tunnelled is a factory of TLS servers, whose plaintext is for f.
func tunnelled(t *testing.T, both string, f reactor.Factory) reactor.Factory {
	t.Helper()
	cfg, err := certs.ServerConfig(&certs.ServerOptions{Certificates: []certs.Source{{File: both}}})
	if err != nil {
		t.Fatal(err)
	}
	return tlsio.Server(cfg, f, nil)
}

// GRAM-22: without an endpoint it is Happy Eyeballs, by the rules of TCP.
func TestTLSHappyEyeballs(t *testing.T) {
	p := newPlan(t, map[string]string{"xn--bcher-kva.example": "2001:db8::1 192.0.2.1"}, map[string]fate{
		"2001:db8::1": {after: never}, "192.0.2.1": {after: 10e6},
	})
	var got result
	var f sites
	// HOST-1: the name is looked up in its ASCII form.
	client(t, "tls:Bücher.example:443").Connect(p.Reactor, &f, got.done)
	for range 1000 {
		if got.calls > 0 {
			break
		}
		if err := p.Turn(-1); err != nil {
			t.Fatal(err)
		}
	}
	if got.err != nil || got.p != reactor.Protocol(f.built[0]) {
		t.Fatalf("%v, %T", got.err, got.p)
	}
	if !slices.Equal(p.hosts.asked, []string{"xn--bcher-kva.example"}) {
		t.Errorf("HOST-1: asked for %q", p.hosts.asked)
	}
	p.expect(t, "0s dial 2001:db8::1", "300ms dial 192.0.2.1", "310ms connected 192.0.2.1", "310ms drop 2001:db8::1")
	f.built[0].T.Abort()
	until(t, p.Reactor, func() bool { return f.built[0].lost != nil })
}

// A factory that says which protocols it speaks takes the place of alpn= (TLS-51).
type speaking struct{ *sites }

func (speaking) NextProtos() []string { return []string{"mine"} }

// speechless has a name that cannot be.
type speechless struct{ *sites }

func (speechless) NextProtos() []string { return []string{""} }

// around is a factory that wraps another.
type around struct{ reactor.Factory }

func (f around) Unwrap() reactor.Factory { return f.Factory }

func TestTLSProtocolsOfTheFactory(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "127.0.0.1")
	r := newTLSReactor(t, reactor.Config{})
	var served, f sites
	port, err := server(t, describe("tls", "0", both, "interface=127.0.0.1", "alpn=other")).Listen(r, around{speaking{&served}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = server(t, describe("tls", "0", both, "interface=127.0.0.1")).Listen(r, around{speechless{&served}})
	if !errors.Is(err, tlsio.ErrConfig) || !strings.Contains(err.Error(), "NextProtos") {
		t.Errorf("a name of no bytes: %v", err)
	}
	e := client(t, describe("tls", "127.0.0.1", portOf(port), "trustRoots="+ca.file, "alpn=other"))
	for _, c := range []struct {
		f    reactor.Factory
		want string
	}{{speaking{&f}, "mine"}, {around{speaking{&f}}, "mine"}, {&f, ""}} {
		e.Connect(r, c.f, func(reactor.Protocol, error) {})
		n := len(f.built)
		until(t, r, func() bool { return len(f.built) > n && f.last() != nil })
		p := f.last()
		if c.want == "" {
			if !errors.Is(p.lost, tlsio.ErrPeerRefused) {
				t.Errorf("TLS-51: lost %v", p.lost)
			}
		} else if len(p.state) != 1 || p.state[0].NegotiatedProtocol != c.want {
			t.Errorf("TLS-51: lost %v, %v", p.lost, p.state)
		}
	}
}
