package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

const mebibyte = 1 << 20

// OpenSSL's client verifies us, negotiates by ALPN, and gets 1 MiB back by TLS 1.2
// and 1.3; both ends close cleanly (TLS-11, TLS-16, TLS-50).
func TestOpenSSLClient(t *testing.T) {
	t.Parallel()
	needs(t, "openssl")
	for flag, version := range map[string]uint16{"-tls1_2": tls.VersionTLS12, "-tls1_3": tls.VersionTLS13} {
		t.Run(flag, func(t *testing.T) {
			o := newOutside(t)
			srv := parrot(mebibyte)
			addr := o.listen(tlsio.Server(o.cfg, one(srv), nil))
			var got bytes.Buffer
			p := o.run(&got, "openssl", "s_client", "-connect", addr, flag, "-servername", "localhost", "-alpn", "echo",
				"-CAfile", o.roots, "-verify_return_error", "-verify_hostname", "localhost", "-quiet")
			go func() { p.in.Write(pattern(mebibyte)) }()
			o.until(func() bool { return srv.lost() && p.over() })
			if p.err != nil || !bytes.Equal(got.Bytes(), pattern(mebibyte)) {
				t.Fatalf("TLS-11: it ended with %v and got %d bytes", p.err, got.Len())
			}
			srv.is(t, "the server", reactor.ErrClosed) // TLS-16: with the peer's close_notify
			if srv.state.Version != version || srv.state.NegotiatedProtocol != "echo" || srv.state.ServerName != "localhost" {
				t.Errorf("TLS-50: version %s, protocol %q", tls.VersionName(srv.state.Version), srv.state.NegotiatedProtocol)
			}
		})
	}
}

// OpenSSL changes keys, with (K) and without (k) asking us for the same, and data
// before and after is whole.
func TestOpenSSLClientKeyUpdate(t *testing.T) {
	t.Parallel()
	needs(t, "openssl")
	o := newOutside(t)
	srv := parrot(0)
	addr := o.listen(tlsio.Server(o.cfg, one(srv), nil))
	p := o.run(nil, "openssl", "s_client", "-connect", addr, "-tls1_3", "-CAfile", o.roots)
	want := ""
	for i, command := range []string{"k", "K", "k", "K"} {
		line := "line " + string(rune('0'+i))
		p.line(line)
		want += line + "\n"
		o.until(func() bool { return string(srv.got) == want })
		p.says(line)
		p.line(command)
		o.until(func() bool { return strings.Count(p.out.String(), "KEYUPDATE") == i+1 })
	}
	p.line("end")
	p.says("end\n")
	p.line("Q")
	o.until(srv.lost)
	srv.is(t, "the server", io.EOF)
}

// A session of TLS 1.2 and of 1.3 is resumed by OpenSSL's client.
func TestOpenSSLClientResumes(t *testing.T) {
	t.Parallel()
	needs(t, "openssl")
	for _, flag := range []string{"-tls1_2", "-tls1_3"} {
		t.Run(flag, func(t *testing.T) {
			o := newOutside(t)
			for i, keep := range []string{"-sess_out", "-sess_in"} {
				srv := parrot(0)
				addr := o.listen(tlsio.Server(o.cfg, one(srv), nil))
				p := o.run(nil, "openssl", "s_client", "-connect", addr, flag, "-CAfile", o.roots, keep, filepath.Join(o.dir, "session"))
				p.line("hello")
				p.says("hello\n") // with TLS 1.3 the ticket comes before it
				p.line("Q")
				o.until(func() bool { return srv.lost() && p.over() })
				if srv.state.DidResume != (i == 1) || strings.Contains(p.out.String(), "Reused, ") != (i == 1) {
					t.Errorf("%s: resumed %v", keep, srv.state.DidResume)
				}
			}
		})
	}
}

// TLS-46: OpenSSL's client is let in with a certificate and not without one.
func TestOpenSSLClientMutual(t *testing.T) {
	t.Parallel()
	needs(t, "openssl")
	o := newOutside(t)
	o.cfg.ClientCAs, o.cfg.ClientAuth = o.ca.Pool(), tls.RequireAndVerifyClientCert
	for _, with := range []bool{true, false} {
		srv := parrot(0)
		addr := o.listen(tlsio.Server(o.cfg, one(srv), nil))
		args := []string{"s_client", "-connect", addr, "-CAfile", o.roots}
		if with {
			args = append(args, "-cert", o.cli)
		}
		p := o.run(nil, "openssl", args...)
		if with {
			p.line("hello")
			p.says("hello\n")
			if got := srv.state.PeerCertificates[0].Subject.CommonName; got != "alice" {
				t.Errorf("TLS-46: it is %q", got)
			}
			continue
		}
		o.until(func() bool { return srv.lost() && p.over() })
		srv.is(t, "the server", tlsio.ErrHandshake)
		if !strings.Contains(p.out.String(), "certificate required") || len(srv.state.PeerCertificates) > 0 {
			t.Errorf("TLS-46: it was not told why: %s", p.out.String())
		}
	}
}

// An SMTP server begins TLS midstream for OpenSSL's client (TLS-33, TLS-35).
func TestOpenSSLClientSTARTTLS(t *testing.T) {
	t.Parallel()
	needs(t, "openssl")
	o := newOutside(t)
	srv := new(end)
	srv.onMade = func() { srv.tr.Write([]byte("220 localhost ESMTP\r\n")) }
	srv.onData = func(p []byte) {
		command, rest, ok := bytes.Cut(srv.got, []byte("\r\n"))
		switch {
		case srv.saw("shaken"):
			srv.tr.Write(p)
		case !ok:
		case bytes.HasPrefix(command, []byte("EHLO")):
			srv.got = rest
			srv.tr.Write([]byte("250-localhost\r\n250 STARTTLS\r\n"))
		case string(command) == "STARTTLS":
			srv.got = nil
			srv.tr.Write([]byte("220 go ahead\r\n"))
			c, err := tlsio.StartServer(srv.tr, o.cfg, nil, rest, nil)
			if err != nil {
				t.Error(err)
				srv.tr.Abort()
				return
			}
			srv.tr = c
		}
	}
	p := o.run(nil, "openssl", "s_client", "-connect", o.listen(one(srv)), "-starttls", "smtp", "-CAfile", o.roots, "-verify_return_error")
	p.says("Verify return code: 0 (ok)")
	p.line("by TLS")
	p.says("by TLS\n")
	p.line("Q")
	o.until(srv.lost)
	srv.is(t, "the server", io.EOF)
	srv.wants(t, "the server", "made", "data", "shaken", "data", "lost") // TLS-35: made once
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// OpenSSL's server is verified, verifies us (TLS-46), changes keys with and without
// asking us for the same, and both directions go on; TLS 1.2 and 1.3.
func TestOpenSSLServer(t *testing.T) {
	t.Parallel()
	needs(t, "openssl")
	for flag, version := range map[string]uint16{"-tls1_2": tls.VersionTLS12, "-tls1_3": tls.VersionTLS13} {
		t.Run(flag, func(t *testing.T) {
			o := newOutside(t)
			addr := freePort(t)
			p := o.run(nil, "openssl", "s_server", "-accept", addr, flag, "-cert", o.srv, "-naccept", "1",
				"-CAfile", o.roots, "-Verify", "1", "-verify_return_error", "-alpn", "echo")
			p.says("ACCEPT")
			cli := new(end)
			o.dial(addr, cli, func(c *certs.ClientOptions) {
				c.Certificates, c.NextProtos = []certs.Source{{File: o.cli}}, []string{"echo"}
			})
			o.until(func() bool { return cli.saw("shaken") || cli.lost() })
			if cli.state.Version != version || cli.state.NegotiatedProtocol != "echo" {
				t.Fatalf("TLS-50: version %s, protocol %q, lost %v", tls.VersionName(cli.state.Version), cli.state.NegotiatedProtocol, cli.err)
			}
			want := ""
			for i, command := range []string{"", "k", "K"} {
				if command != "" && version == tls.VersionTLS13 {
					p.line(command)
				}
				line := "line " + string(rune('0'+i))
				cli.tr.Write([]byte("to " + line + "\n"))
				p.says("to " + line)
				p.line("from " + line)
				want += "from " + line + "\n"
				o.until(func() bool { return string(cli.got) == want || cli.lost() })
			}
			if string(cli.got) != want || !strings.Contains(p.out.String(), "CN = alice") {
				t.Errorf("TLS-46: got %q, lost %v", cli.got, cli.err)
			}
			cli.tr.Close()
			o.until(func() bool { return cli.lost() && p.over() })
			cli.is(t, "the client", reactor.ErrClosed)
		})
	}
}

// TLS-42, TLS-44: an OpenSSL server whose certificate is not for the name, or not
// trusted, is refused, and told with an alert.
func TestOpenSSLServerIsRefused(t *testing.T) {
	t.Parallel()
	needs(t, "openssl")
	o := newOutside(t)
	for _, c := range []struct {
		name, roots string
		rule        error
	}{{"elsewhere", "own.crt", certs.ErrName}, {"localhost", "ca.pem", certs.ErrUntrusted}} {
		if out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
			"-keyout", filepath.Join(o.dir, "own.key"), "-out", filepath.Join(o.dir, "own.crt"), "-subj", "/CN="+c.name,
			"-addext", "subjectAltName=DNS:"+c.name).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		addr := freePort(t)
		p := o.run(nil, "openssl", "s_server", "-accept", addr, "-cert", "own.crt", "-key", "own.key", "-naccept", "1")
		p.says("ACCEPT")
		cli := new(end)
		o.dial(addr, cli, func(opt *certs.ClientOptions) {
			opt.Roots = certs.Roots{Files: []string{filepath.Join(o.dir, c.roots)}}
		})
		o.until(cli.lost)
		cli.err = tlsio.Explain(cli.err, "localhost")
		cli.is(t, "the client", c.rule)
		p.says("alert")
		if cli.saw("shaken") {
			t.Error("TLS-43: HandshakeCompleted came first")
		}
	}
}

// curl gets a canned reply over HTTPS, in whole and with a clean end.
func TestCurl(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	o := newOutside(t)
	o.cfg.NextProtos = []string{"http/1.1"}
	srv := new(end)
	srv.onData = func([]byte) {
		if bytes.Contains(srv.got, []byte("\r\n\r\n")) {
			srv.tr.Write([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/octet-stream\r\n\r\n"))
			srv.tr.Write(pattern(mebibyte))
			srv.tr.Close() // the length is told by the end alone, so it must be a clean one
		}
	}
	addr := o.listen(tlsio.Server(o.cfg, one(srv), nil))
	_, port, _ := strings.Cut(addr, ":")
	var got bytes.Buffer
	p := o.run(&got, "curl", "--silent", "--show-error", "--cacert", o.roots, "--ipv4", "--noproxy", "*", "https://localhost:"+port+"/")
	o.until(p.over)
	if p.err != nil || !bytes.Equal(got.Bytes(), pattern(mebibyte)) {
		t.Fatalf("it ended with %v and got %d bytes", p.err, got.Len())
	}
	o.until(srv.lost)
}

// GnuTLS's client verifies us and gets its lines back.
func TestGnuTLSClient(t *testing.T) {
	t.Parallel()
	needs(t, "gnutls-cli")
	o := newOutside(t)
	srv := parrot(0)
	addr := o.listen(tlsio.Server(o.cfg, one(srv), nil))
	_, port, _ := strings.Cut(addr, ":")
	p := o.run(nil, "gnutls-cli", "--x509cafile", o.roots, "--port", port, "localhost")
	p.says("Handshake was completed")
	p.line("hello from GnuTLS")
	p.says("hello from GnuTLS\n")
	p.in.Close()
	o.until(func() bool { return srv.lost() && p.over() })
	if p.err != nil {
		t.Errorf("it ended with %v", p.err)
	}
	srv.is(t, "the server", io.EOF)
}

// python is where Debian's packages for Python are found.
const python = "/usr/bin/python3"

func needsTwisted(t *testing.T) {
	t.Helper()
	needs(t, python)
	if out, err := exec.Command(python, "-c", "import twisted.internet.endpoints, OpenSSL, service_identity").CombinedOutput(); err != nil {
		t.Skipf("Twisted with TLS (python3-twisted, python3-service-identity) is not installed here: what it would say of us is not known: %v: %s", err, out)
	}
}

// Our client sends 1 MiB to Twisted's echo server and gets it back; both see a clean
// end (TLS-16).
func TestTwistedServer(t *testing.T) {
	t.Parallel()
	needsTwisted(t)
	o := newOutside(t)
	script, err := filepath.Abs("testdata/twisted_echo.py")
	if err != nil {
		t.Fatal(err)
	}
	p := o.run(nil, python, script, "ssl:0:privateKey=srv.pem:interface=127.0.0.1")
	p.says(" end\n")
	port := regexp.MustCompile(`port (\d+) end`).FindStringSubmatch(p.out.String())
	cli := new(end)
	cli.onMade = func() { cli.tr.Write(pattern(mebibyte)) }
	cli.onData = func([]byte) {
		if len(cli.got) >= mebibyte {
			cli.tr.Close()
		}
	}
	o.dial("127.0.0.1:"+port[1], cli, nil)
	o.until(cli.lost)
	cli.is(t, "the client", reactor.ErrClosed)
	if !bytes.Equal(cli.got, pattern(mebibyte)) {
		t.Errorf("got %d bytes, and they differ", len(cli.got))
	}
	p.says("lost ConnectionDone")
}

// Twisted's client, which verifies us, sends 1 MiB and gets it back; both see a clean
// end. Its refusal of another name is an error of the handshake here (TLS-42).
func TestTwistedClient(t *testing.T) {
	t.Parallel()
	needsTwisted(t)
	o := newOutside(t)
	script, err := filepath.Abs("testdata/twisted_client.py")
	if err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(o.dir, "roots")
	if err := errors.Join(os.Mkdir(roots, 0o700), os.WriteFile(filepath.Join(roots, "ca.pem"), o.ca.PEM(), 0o600)); err != nil {
		t.Fatal(err)
	}
	data := o.write("data", pattern(mebibyte))
	for host, want := range map[string]string{"localhost": "same ConnectionDone", "elsewhere": "different "} {
		srv := parrot(0)
		addr := o.listen(tlsio.Server(o.cfg, one(srv), nil))
		below := strings.ReplaceAll("tcp:"+addr, ":", `\:`)
		p := o.run(nil, python, script, "tls:"+host+":1:trustRoots="+roots+":endpoint="+below, data)
		o.until(func() bool { return p.over() && srv.lost() })
		if !strings.Contains(p.out.String(), want) {
			t.Errorf("%s: %q, want %q; lost for %v", host, p.out.String(), want, srv.err)
		}
		if host == "localhost" {
			srv.is(t, "the server", io.EOF)
			continue
		}
		srv.is(t, "the server", reactor.ErrLost) // TLS-42; by TLS 1.3 our handshake is over when the alert comes
		if len(srv.got) > 0 {
			t.Errorf("TLS-44: %d bytes came from a client that does not trust us", len(srv.got))
		}
	}
}
