package std_test

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// EP-29: a place of TLS listens at another place that its description names, with a real handshake, in brackets or with escapes. The
// client goes over one too (EP-18).
func TestTLSOverUNIX(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "srv.example")
	for name, w := range testworld.Worlds() {
		for _, escaped := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				path := socketPath(t)
				place := "unix:" + path + ":mode=600"
				d := "tls:certificates=" + both + ":endpoint=[" + place + "]"
				if escaped {
					d = describe("tls", "certificates="+both, "endpoint="+place)
				}
				r := w.New(t, reactor.Config{})
				srv := listenTLS(t, r, d)
				if srv.Addr() != kernel.UNIXAddr(path) || len(endpoint.Ports(srv.Listener)) != 1 {
					t.Fatalf("EP-29: listening on %v", srv.Addr())
				}
				p := dialTLS(t, r, "tls:srv.example:443:trustRoots="+ca.file+":endpoint=[unix:"+path+"]")
				until(t, r, func() bool { return srv.served.last() != nil })
				s := srv.served.last()
				if p.lost != nil || len(p.state) != 1 || len(s.state) != 1 {
					t.Fatalf("EP-29: %v, %d and %d handshakes", p.lost, len(p.state), len(s.state))
				}
				p.T.Write([]byte("hello"))
				s.T.Write([]byte("welcome"))
				until(t, r, func() bool { return s.got == "hello" && p.got == "welcome" })
				s.T.Close()
				until(t, r, func() bool { return p.readLost == 1 })
				p.T.Close()
				until(t, r, func() bool { return s.lost != nil && p.lost != nil })
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

// EP-29: OpenSSL shakes hands over a UNIX socket.
func TestTLSOverUNIXWithOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is missing")
	}
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "srv.example")
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			r := w.New(t, reactor.Config{})
			srv := listenTLS(t, r, "tls:certificates="+both+":endpoint=[unix:"+path+"]")
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			c := exec.CommandContext(ctx, openssl, "s_client", "-unix", path, "-CAfile", ca.file, "-verify_return_error", "-verify_hostname", "srv.example", "-quiet")
			in, _ := c.StdinPipe()
			out, _ := c.StdoutPipe()
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			heard := make(chan string, 1)
			go func() {
				text, _ := io.ReadAll(out)
				heard <- string(text)
				r.Post(func() {})
			}()
			io.WriteString(in, "hello\n")
			until(t, r, func() bool { return len(srv.served.built) == 1 && srv.served.built[0].got == "hello\n" })
			srv.served.built[0].T.Write([]byte("welcome\n"))
			srv.served.built[0].T.Close()
			until(t, r, func() bool { return len(heard) == 1 })
			in.Close()
			if got := <-heard; got != "welcome\n" || len(srv.served.built[0].state) != 1 {
				t.Errorf("EP-29: openssl got %q after %d handshakes", got, len(srv.served.built[0].state))
			}
			c.Wait() // its status depends on who ends first
		})
	}
}

// EP-29: what contradicts the place below is refused with the description, and says what to do. A set's defaults of TCP do not
// count.
func TestTLSOverArguments(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "srv.example")
	c := "certificates=" + both
	for _, bad := range []struct{ d, argument, says string }{
		{"tls:" + c, "port", "required without endpoint="},
		{describe("tls", c, "endpoint=unix:/run/s", "port=443"), "port", "it is not for TLS"},
		{describe("tls", c, "endpoint=unix:/run/s", "interface=127.0.0.1"), "interface", "it is not for TLS"},
		{describe("tls", c, "endpoint=unix:/run/s", "nodelay=no"), "nodelay", "it is not for TLS"},
		{describe("tls", c, "endpoint=udp:53"), "endpoint", "udp takes datagrams, not connections"},
		{describe("tls", c, "endpoint=unix:"), "endpoint", "it has no name"},
		{describe("tls", c, "endpoint=gopher:70"), "endpoint", "unknown endpoint type"},
		{describe("tls", "endpoint=unix:/run/s"), "certificates", "missing"},
	} {
		_, err := std.Schemes(nil).Server(bad.d)
		if e, ok := errors.AsType[*endpoint.ArgumentError](err); !ok || e.Scheme != "tls" || e.Argument != bad.argument || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("EP-29: %s: %v; want an error about %s that says %q", bad.d, err, bad.argument, bad.says)
		}
	}
	known := std.Schemes(&std.Options{Loopback: true, StreamOptions: kernel.StreamOptions{Nagle: true}, PortLimits: reactor.PortLimits{MaxConnections: 9}})
	d := describe("tls", c, "endpoint=unix:/run/s")
	e, err := known.Server(d)
	if err != nil {
		t.Fatalf("EP-29: with the defaults of a set: %v", err)
	}
	if again, err := known.Server(e.String()); err != nil || again.String() != e.String() {
		t.Errorf("EP-29: %s describes itself as %v, %v", d, e, err)
	}
	over := server(t, "tcp:0:interface=127.0.0.1")
	r := newTLSReactor(t, reactor.Config{})
	s := &std.TLSServer{Certificates: both, Over: over}
	if l, err := s.Listen(r, new(site)); err != nil || l.Addr().Net != kernel.TCP {
		t.Errorf("EP-29: Over: %v, %v", l, err)
	}
	s.Endpoint = "tcp:0"
	if _, err := s.Listen(r, new(site)); !errors.Is(err, std.ErrContradiction) || !errors.Is(err, reactor.ErrListen) {
		t.Errorf("EP-29: Over and Endpoint: %v", err)
	}
	if err := (&std.TLSServer{Certificates: both, Endpoint: "tcp:0"}).Check(); !errors.Is(err, endpoint.ErrUnknownScheme) {
		t.Errorf("EP-29: without Known: %v", err)
	}
}
