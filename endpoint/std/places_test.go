package std_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// panickingSite cannot be started.
type panickingSite struct{ site }

func (*panickingSite) StartFactory() error { panic("not today") }
func (*panickingSite) StopFactory() error  { return nil }

// EP-1: a factory that panics when it is started fails the Listen of every place, with an error.
func TestListenDoesNotPanic(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "localhost")
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			panics := 0
			r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
			for i, description := range []string{
				"tcp:0", "tcp4:0", "tcp6:0", describe("tls", "0", both), describe("ssl", "0", both),
			} {
				l, err := listenLocal(t, r, description, new(panickingSite))
				if e, ok := errors.AsType[*reactor.PanicError](err); !ok || e.Value != "not today" || !errors.Is(err, reactor.ErrListen) {
					t.Errorf("EP-1: %s: %v, %v", description, l, err)
				}
				if n := r.Stats().Sources; n != 0 || panics != i+1 {
					t.Errorf("EP-1: %s: %d sources are left, %d panics", description, n, panics)
				}
			}
		})
	}
}

// tlsPair is a description of a place to listen by TLS, and what the description of a client adds
// to its host and port.
func tlsPair(ca *authority, scheme string) (listen string, trust string) {
	both, _, _ := ca.issue("srv-"+scheme, "localhost", "127.0.0.1")
	trust = "trustRoots=" + ca.file
	if scheme == "ssl" {
		trust = "caCertsDir=" + ca.file
	}
	return describe(scheme, "0", both, "interface=127.0.0.1"), trust
}

// EP-3, EP-7: a place of TLS tells a factory nothing of connectors, and gives a protocol no
// interface that it has not: one that does not listen for half-closes is lost at the peer's end.
func TestTLSAddsNothing(t *testing.T) {
	ca := newAuthority(t, "ca")
	for name, w := range testworld.Worlds() {
		for _, scheme := range []string{"tls", "ssl"} {
			t.Run(name+"/"+scheme, func(t *testing.T) {
				r := w.New(t, reactor.Config{})
				var served site
				here, trust := tlsPair(ca, scheme)
				port := listen(t, r, here, &served)
				c := client(t, describe(scheme, "127.0.0.1", portOf(port), trust))
				f := new(listeningSite)
				var got result
				c.Connect(r, f, got.done)
				until(t, r, func() bool { return got.calls > 0 && len(served.built) == 1 })
				if got.err != nil || got.p != reactor.Protocol(f.built[0]) {
					t.Fatalf("EP-2: %T, %v", got.p, got.err)
				}
				near, far := f.built[0], served.built[0]
				near.T.Write([]byte("hello"))
				until(t, r, func() bool { return far.got == "hello" })
				far.T.Write([]byte("bye"))
				h, _ := reactor.As[reactor.HalfCloser](far.T)
				h.CloseWrite()
				until(t, r, func() bool { return near.lost != nil && far.lost != nil && len(f.log) == 2 })
				if near.lost != io.EOF || near.got != "bye" {
					t.Errorf("EP-7: the client got %q and was lost with %v", near.got, near.lost)
				}
				stopped := false
				port.StopListening(func(error) { stopped = true })
				until(t, r, func() bool { return stopped })
				got = result{}
				c.Connect(r, f, got.done)
				until(t, r, func() bool { return got.calls > 0 && len(f.log) == 4 })
				if want := []string{"start", "stop", "start", "stop"}; !slices.Equal(f.log, want) || !errors.Is(got.err, kernel.ErrRefused) {
					t.Errorf("EP-3: %q, want %q; %v", f.log, want, got.err)
				}
			})
		}
	}
}

// EP-13: the Options of a place, which its description cannot say, are those of its connections,
// on both sides, whether the place was made by a set or by hand.
func TestTLSOptions(t *testing.T) {
	const limit = 20 * time.Millisecond
	ca := newAuthority(t, "ca")
	both, cert, key := ca.issue("srv", "localhost", "127.0.0.1")
	settings := std.TLSSettings{Options: &tlsio.Options{HandshakeTimeout: limit}}
	known := std.Schemes(&std.Options{TLSSettings: settings})
	made := func(description string) endpoint.Server {
		e, err := known.Server(description)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	at := std.TCPServer{Interface: loopback4}
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			for _, e := range []endpoint.Server{
				made(describe("tls", "0", both, "interface=127.0.0.1")),
				made(describe("ssl", "0", both, "interface=127.0.0.1")),
				&std.TLSServer{Certificates: cert, PrivateKey: key, TCPServer: at, TLSSettings: settings},
				&std.SSLServer{PrivateKey: key, CertKey: cert, TCPServer: at, TLSSettings: settings},
			} {
				var served sites
				l, err := e.Listen(r, &served)
				if err != nil {
					t.Fatal(err)
				}
				silent := w.Peer(t, l.Addr())
				until(t, r, func() bool { return served.last() != nil })
				if err := served.last().lost; !errors.Is(err, tlsio.ErrHandshakeTimeout) {
					t.Errorf("EP-13: %v: lost with %v", e, err)
				}
				silent.Close()
			}
			to := std.TCPClient{Host: "127.0.0.1", Port: listen(t, r, "tcp:0:interface=127.0.0.1", new(site)).Addr().Port()}
			for _, e := range []endpoint.Client{
				&std.TLSClient{TCPClient: to, TrustRoots: ca.file, TLSSettings: settings},
				&std.SSLClient{TCPClient: to, CACertsDir: ca.file, TLSSettings: settings},
			} {
				var f sites
				e.Connect(r, &f, func(reactor.Protocol, error) {})
				until(t, r, func() bool { return f.last() != nil })
				if err := f.last().lost; !errors.Is(err, tlsio.ErrHandshakeTimeout) {
					t.Errorf("EP-13: %v: lost with %v", e, err)
				}
			}
		})
	}
}

// below is a place to connect to that does nothing until it is cancelled.
type below struct {
	endpoint.Client
	done      func(reactor.Protocol, error)
	cancelled int
}

func (b *below) Connect(_ *reactor.Reactor, _ reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	b.done = done
	return func() { b.cancelled++ }
}

// EP-18: a cancel goes through to the place below TLS, and what that says is the result.
func TestTLSCancelGoesThrough(t *testing.T) {
	ca := newAuthority(t, "ca")
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			b := new(below)
			e := &std.TLSClient{TCPClient: std.TCPClient{Host: "srv.example", Port: 1}, TrustRoots: ca.file, Over: b}
			var got result
			cancel := e.Connect(r, new(site), got.done)
			if testworld.Turns(t, r, 3); got.calls != 0 || b.cancelled != 0 {
				t.Fatalf("EP-18: %d results, cancelled %d times", got.calls, b.cancelled)
			}
			cancel()
			broken := fmt.Errorf("given up: %w", reactor.ErrCancelled)
			if b.done(nil, broken); b.cancelled != 1 || got.calls != 1 || got.p != nil || got.err != broken {
				t.Errorf("EP-18: cancelled %d times, %d results, %v", b.cancelled, got.calls, got.err)
			}
		})
	}
}

// EP-19: timeout of a place of TLS counts from Connect: what the look-up has taken, the handshake has
// not.
func TestTLSTimeoutCountsTheLookUp(t *testing.T) {
	const limit, look = 60 * time.Millisecond, 40 * time.Millisecond
	ca := newAuthority(t, "ca")
	for name, w := range testworld.Worlds() {
		for scheme, trust := range map[string]string{"tls": "trustRoots=", "ssl": "caCertsDir="} {
			t.Run(name+"/"+scheme, func(t *testing.T) {
				r := w.New(t, reactor.Config{Resolver: &hosts{names: map[string]string{"srv.example": "127.0.0.1"}, delay: look}})
				silent := listen(t, r, "tcp:0:interface=127.0.0.1", new(sites))
				var got result
				var f sites
				began := r.Now()
				client(t, describe(scheme, "srv.example", portOf(silent), "timeout=0.06", trust+ca.file)).Connect(r, &f, got.done)
				until(t, r, func() bool { return got.calls > 0 && (got.err != nil || f.last() != nil) })
				if took := r.Now() - began; got.err != nil && !w.Simulated() {
					t.Skipf("the machine is slow: connecting has taken %v", took)
				} else if took < limit || w.Simulated() && took > limit+time.Millisecond {
					t.Errorf("EP-19: it took %v, want %v", took, limit)
				}
				if err := f.last().lost; !errors.Is(err, tlsio.ErrHandshakeTimeout) {
					t.Errorf("EP-19: lost with %v", err)
				}
			})
		}
	}
}
