package std_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// GRAM-7, TLS-2: what is wrong with a place of TLS is known at the parse, files
// included, and the argument, the file and the rule are said.
func TestTLSArgumentErrors(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	both, cert, key := ca.issue("srv", "localhost")
	_, _, strange := other.issue("strange", "strange.example")
	empty := t.TempDir()
	none := filepath.Join(empty, "none.pem")
	text := ca.write("text.pem", []byte("nothing to see\n"))
	for _, c := range []struct {
		description string
		argument    string
		is          error
		says        string
	}{
		{describe("tls", "0"), "certificates", endpoint.ErrArgument, "missing: it is required"},
		{describe("tls", "0", ""), "certificates", certs.ErrNoCertificate, "it is empty"}, // as of a shell's variable that is not set
		{describe("tls", "0", both, "clientCAs="), "clientCAs", endpoint.ErrArgument, "it is empty"},
		{describe("client tls", "localhost", "443", "trustRoots="), "trustRoots", endpoint.ErrArgument, "it is empty"},
		{describe("client ssl", "localhost", "443", "caCertsDir="), "caCertsDir", endpoint.ErrArgument, "it is empty"},
		{describe("haproxy", "[tcp:0]", "trusted="), "trusted", endpoint.ErrArgument, "it is empty"},
		{describe("tls", "0", none), "certificates", fs.ErrNotExist, none},
		{describe("tls", "0", empty), "certificates", certs.ErrNoCertificate, empty},
		{describe("tls", "0", cert), "certificates", certs.ErrNoKey, cert},
		{describe("tls", "0", cert, "privateKey="+strange), "privateKey", certs.ErrKeyMismatch, strange},
		{describe("tls", "0", ca.dir, "privateKey="+key), "certificates", certs.ErrOptions, "a key file or a chain file is for a single certificate"},
		{describe("tls", "0", both, "minVersion=1.1"), "minVersion", std.ErrVersion, `"1.1" is broken: use 1.2 or 1.3`}, // TLS-48
		{describe("tls", "0", both, "maxVersion=2"), "maxVersion", std.ErrVersion, `"2" is not 1.2 or 1.3`},
		{describe("tls", "0", both, "minVersion=1.3", "maxVersion=TLSv1.2"), "maxVersion", std.ErrContradiction, "is less than minVersion"},
		{describe("tls", "0", both, "alpn=h2,"), "alpn", endpoint.ErrArgument, "names have 1 to 255"},
		{describe("tls", "0", both, "clientCAs="+none), "clientCAs", fs.ErrNotExist, none},
		{describe("tls", "0", both, "clientCAs="+empty), "clientCAs", certs.ErrNoRoots, empty},
		{describe("tls", "0", both, "optionalClientCert=yes"), "optionalClientCert", std.ErrContradiction, "needs clientCAs"},
		// GRAM-13
		{describe("ssl", "0"), "privateKey", fs.ErrNotExist, "server.pem"},
		{describe("ssl", "0", none), "privateKey", fs.ErrNotExist, none},
		{describe("ssl", "0", key, none), "certKey", fs.ErrNotExist, none},
		{describe("ssl", "0", both, "sslmethod=TLSv1_METHOD"), "sslmethod", std.ErrVersion, "is broken"},
		{describe("ssl", "0", both, "sslmethod=SSLv2"), "sslmethod", std.ErrVersion, "is not TLS_METHOD"},
		// GRAM-14
		{describe("ssl", "0", both, "extraCertChain="+key), "extraCertChain", certs.ErrNoCertificate, key},
		{describe("ssl", "0", both, "dhParameters="+text), "dhParameters", std.ErrNotSupported, text},
		// GRAM-13: the order by position, to its end.
		{describe("ssl", "0", key, cert, "TLS_METHOD", "[::1]", "many"), "backlog", endpoint.ErrArgument, `"many"`},
		{describe("ssl", "0", key, cert, "TLS_METHOD", "127.0.0.1", "5", key), "extraCertChain", certs.ErrNoCertificate, key},
		{describe("ssl", "0", key, cert, "TLS_METHOD", "127.0.0.1", "5", "", text), "dhParameters", std.ErrNotSupported, text},
		{describe("ssl", "0", both, both, "", "", "", "", "", "x"), "", nil, `surplus argument "x"`},
		// GRAM-20
		{describe("client ssl", "localhost", "443", "verify=maybe"), "verify", endpoint.ErrArgument, "is not name, chain or none"},
		{describe("client ssl", "localhost", "443", "verify=none", "caCertsDir="+ca.file), "caCertsDir", std.ErrContradiction, "verify=none"},
		{describe("client ssl", "localhost", "443", "privateKey="+key), "privateKey", std.ErrContradiction, "without a certificate"}, // TLS-47
		{describe("client ssl", "localhost", "443", "certKey="+cert), "certKey", certs.ErrNoKey, cert},                               // TLS-47
		{describe("client ssl", "localhost", "443", "hostname=a b"), "hostname", endpoint.ErrArgument, "is not a host name"},
		// GRAM-21: of a directory in which nothing is good, nothing is trusted.
		{describe("client ssl", "localhost", "443", "caCertsDir="+empty), "caCertsDir", certs.ErrNoRoots, empty},
		// GRAM-22
		{describe("client tls", "localhost"), "port", endpoint.ErrArgument, "missing: it is required"},
		{describe("client tls", "localhost", "443", "30"), "", nil, `surplus argument "30"; by position it takes host, port`},
		{describe("client tls", "localhost", "443", "trustRoots="+text), "trustRoots", certs.ErrNotPEM, text},
		{describe("client tls", "localhost", "443", "certificate="+none), "certificate", fs.ErrNotExist, none},
		{describe("client tls", "localhost", "443", "privateKey="+key), "privateKey", std.ErrContradiction, "without a certificate"},
		{describe("client tls", "localhost", "443", "endpoint=tpc:x:1"), "endpoint", endpoint.ErrUnknownScheme, `did you mean "tcp"?`},
		{describe("client tls", "localhost", "443", "endpoint=tcp:x:1", "timeout=3"), "timeout", std.ErrContradiction, "description of the endpoint"},
		{describe("client tls", "localhost", "443", "endpoint=tcp:x:1", "keepalive=yes"), "keepalive", std.ErrContradiction, "description of the endpoint"},
		{describe("client tls", "localhost", "443", "keepidle=1"), "keepidle", kernel.ErrInvalidOption, "it needs keepalive=yes"}, // TCP-91
		{describe("tls", "0", both, "keepalive=yes", "keepcount=-1"), "keepcount", kernel.ErrInvalidOption, "it is negative"},     // TCP-91
		{describe("client tls", "127.0.0.1", "443", "bindAddress=[::1]"), "bindAddress", endpoint.ErrArgument, "is not of the family"},
	} {
		var err error
		if d, ok := strings.CutPrefix(c.description, "client "); ok {
			_, err = std.Schemes(nil).Client(d)
		} else {
			_, err = std.Schemes(nil).Server(c.description)
		}
		e, ok := errors.AsType[*endpoint.ArgumentError](err)
		if !ok || e.Argument != c.argument || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v; want an error about %q that is %v", c.description, err, c.argument, c.is)
			continue
		}
		if !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "endpoint "+e.Scheme+": ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: says %q; want %q", c.description, err, c.says)
		}
	}
}

// GRAM-21: of the files in a directory of authorities those count that end in .pem
// and hold certificates; the log says which others were skipped.
func TestTLSSkipsFilesGRAM21(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "127.0.0.1")
	roots := t.TempDir()
	own, err := os.ReadFile(ca.file)
	if err != nil {
		t.Fatal(err)
	}
	useless := t.TempDir()
	for name, data := range map[string][]byte{"good.pem": own, "bad.pem": []byte("no"), "ignored.txt": []byte("no")} {
		if err := os.WriteFile(filepath.Join(roots, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if name != "good.pem" {
			if err := os.WriteFile(filepath.Join(useless, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, dir := range []string{roots, useless} { // a file that cannot be read
		if err := os.Symlink("nowhere", filepath.Join(dir, "gone.pem")); err != nil {
			t.Skip(err)
		}
	}
	for _, d := range []string{
		describe("ssl", "127.0.0.1", "443", "caCertsDir="+useless), describe("tls", "127.0.0.1", "443", "trustRoots="+useless),
	} {
		if _, err := std.Schemes(nil).Client(d); !errors.Is(err, certs.ErrNoRoots) || !errors.Is(err, endpoint.ErrArgument) {
			t.Errorf("GRAM-21: %s: %v", d, err)
		}
	}
	r := newTLSReactor(t, reactor.Config{})
	srv := listenTLS(t, r, describe("tls", "0", both, "interface=127.0.0.1"))
	for _, d := range []string{
		describe("ssl", "127.0.0.1", portOf(srv.Listener), "caCertsDir="+roots),
		describe("tls", "127.0.0.1", portOf(srv.Listener), "trustRoots="+roots),
	} {
		if p := dialTLS(t, r, d); p.lost != nil {
			t.Errorf("GRAM-21: %s: %v", d, p.lost)
		}
		var said lines
		if _, err := said.with().Client(d); err != nil || said.count() != 2 || !strings.Contains(said.String(), "bad.pem") || !strings.Contains(said.String(), "gone.pem") {
			t.Errorf("GRAM-21: %v, logged %q", err, said.String())
		}
	}
}

// A place of TLS describes itself so that the registry reads the same place again.
func TestTLSDescriptions(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, cert, key := ca.issue("srv", "localhost")
	for in, want := range map[string]string{
		describe("TLS", "8443", both):                                         describe("tls", "8443", both),
		describe("tls", "0", cert, "127.0.0.1", "5", "privateKey="+key):       describe("tls", "0", cert, "interface=127.0.0.1", "backlog=5", "privateKey="+key),
		describe("tls", "0", both, "alpn=h2,echo", "reload=-1", "nodelay=no"): describe("tls", "0", both, "alpn=h2,echo", "reload=-1", "nodelay=no"),
		describe("SSL", "443", key, cert, "TLSv1_2_METHOD"):                   describe("ssl", "443", "privateKey="+key, "certKey="+cert, "sslmethod=TLSv1_2_METHOD"),
	} {
		e := server(t, in)
		if e.String() != want || server(t, want).String() != want {
			t.Errorf("%s describes itself as %s; want %s", in, e, want)
		}
	}
	for in, want := range map[string]string{
		describe("tls", "A.example", "443", "timeout=5", "trustRoots="+ca.file):                describe("tls", "A.example", "443", "timeout=5", "trustRoots="+ca.file),
		describe("tls", "a", "443", "endpoint=tcp:[::1]:443", "minVersion=1.3"):                describe("tls", "a", "443", "endpoint=tcp:[::1]:443", "minVersion=1.3"),
		describe("ssl", "bücher.example", "443", "verify=none", "hostname=b", "certKey="+both): describe("ssl", "xn--bcher-kva.example", "443", "certKey="+both, "hostname=b", "verify=none"),
	} {
		e := client(t, in)
		if e.String() != want || client(t, want).String() != want {
			t.Errorf("%s describes itself as %s; want %s", in, e, want)
		}
	}
}

// EP-1, EP-8, EP-5: a place that was made by hand, and is no good, fails like others.
func TestTLSPlacesByHand(t *testing.T) {
	r := newTLSReactor(t, reactor.Config{})
	for _, e := range []endpoint.Server{
		&std.TLSServer{Certificates: "none.pem"},
		&std.SSLServer{PrivateKey: "none.pem"},
		&std.SSLServer{PrivateKey: "none.pem", SSLMethod: "x"},
	} {
		if _, err := e.Listen(r, new(sites)); !errors.Is(err, reactor.ErrListen) || !errors.Is(err, endpoint.ErrArgument) {
			t.Errorf("EP-8: %s: %v", e, err)
		}
	}
	a := std.TCPClient{Host: "a.example", Port: 443}
	for _, e := range []endpoint.Client{
		&std.TLSClient{TCPClient: a, TrustRoots: "none.pem"},
		&std.TLSClient{TCPClient: a, Endpoint: "tcp:a:1"}, // nothing is known
		&std.TLSClient{TCPClient: a, Endpoint: "tcp:a:1", Over: &std.TCPClient{}},
		&std.SSLClient{TCPClient: a, CACertsDir: "none.pem"},
		&std.SSLClient{TCPClient: std.TCPClient{Port: 443}},
	} {
		var got result
		e.Connect(r, new(sites), got.done)
		if got.calls != 0 {
			t.Error("EP-1: done was called inside Connect")
		}
		until(t, r, func() bool { return got.calls > 0 })
		op, ok := errors.AsType[*reactor.OpError](got.err)
		if !ok || !errors.Is(got.err, reactor.ErrConnect) || !errors.Is(got.err, endpoint.ErrArgument) || op.Remote.Port() != 443 {
			t.Errorf("EP-5: %s: %v", e, got.err)
		}
	}
	// EP-6: also such a Connect is cancelled, with one result.
	var got result
	cancel := (&std.SSLClient{TCPClient: std.TCPClient{Host: "127.0.0.1", Port: 443}, Verify: "x"}).Connect(r, new(sites), got.done)
	cancel()
	until(t, r, func() bool { return got.calls > 0 })
	if !errors.Is(got.err, reactor.ErrCancelled) || got.calls != 1 {
		t.Errorf("EP-6: %d results, %v", got.calls, got.err)
	}
}

// GRAM-14: extraCertChain is sent along, so that clients find the way to the root; without
// it they say what is missing.
func TestTLSExtraCertChain(t *testing.T) {
	root := newAuthority(t, "root")
	sub := newFiles(t, root.Intermediate("sub"))
	both, _, _ := sub.issue("srv", "127.0.0.1")
	r := newTLSReactor(t, reactor.Config{})
	for _, scheme := range []string{"ssl", "tls"} {
		with := listenTLS(t, r, describe(scheme, "0", both, "interface=127.0.0.1", "extraCertChain="+sub.file))
		p := dialTLS(t, r, describe("tls", "127.0.0.1", portOf(with.Listener), "trustRoots="+root.file))
		if p.lost != nil || len(p.state[0].PeerCertificates) != 2 {
			t.Errorf("GRAM-14: %s: lost %v", scheme, p.lost)
		}
		without := listenTLS(t, r, describe(scheme, "0", both, "interface=127.0.0.1"))
		p = dialTLS(t, r, describe("tls", "127.0.0.1", portOf(without.Listener), "trustRoots="+root.file))
		if !errors.Is(p.lost, certs.ErrUntrusted) || !strings.Contains(p.lost.Error(), "the peer sent no other certificate") {
			t.Errorf("GRAM-14: %s: lost %v", scheme, p.lost)
		}
	}
}

// Options of sockets that are defaults of the set do not contradict an endpoint below TLS.
func TestDefaultsBelowTLS(t *testing.T) {
	known := std.Schemes(&std.Options{StreamOptions: kernel.StreamOptions{Nagle: true, KeepAlive: true, RecvBuffer: 9999}})
	if _, err := known.Client(`tls:localhost:443:endpoint=tcp\:x\:1`); err != nil {
		t.Error(err)
	}
	if _, err := known.Client(`tls:localhost:443:rcvbuf=1234:endpoint=tcp\:x\:1`); !errors.Is(err, std.ErrContradiction) {
		t.Errorf("rcvbuf: %v", err)
	}
}
