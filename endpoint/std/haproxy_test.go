package std_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// PROXY-1, GRAM-17: haproxy: listens at the place that its description names, and the header says whose each connection is. EP-2: who
// connects by it gets the protocol of its own factory.
func TestHAProxy(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			var served site
			last := func() *proto {
				if len(served.built) == 0 {
					return new(proto)
				}
				return served.built[len(served.built)-1]
			}
			l, err := server(t, "haproxy:[tcp:0:interface=127.0.0.1]:trusted=127.0.0.0/8").Listen(r, &served)
			if err != nil {
				t.Fatal(err)
			}
			if len(endpoint.Ports(l)) != 1 {
				t.Fatalf("listening on %v", l.Addr())
			}
			p := w.Peer(t, l.Addr(), r)
			p.Send("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nhello")
			until(t, r, func() bool { return last().got == "hello" })
			if got := last().T.Remote(); got.IP != netip.MustParseAddrPort("192.0.2.7:4711") {
				t.Errorf("PROXY-1: Remote is %v", got)
			}
			p.Close()
			for _, version := range []string{"", ":version=1", ":version=2"} {
				var mine site
				var got result
				client(t, "haproxy:[tcp:127.0.0.1:"+portOf(l)+"]"+version).Connect(r, &mine, got.done)
				until(t, r, func() bool { return got.calls == 1 })
				own, ok := got.p.(*proto)
				if !ok {
					t.Fatalf("EP-2: %T, %v", got.p, got.err)
				}
				own.T.Write([]byte("mine"))
				until(t, r, func() bool { return last().got == "mine" })
				if s := last(); s.T.Remote() != own.T.Local() || s.T.Local() != own.T.Remote() {
					t.Errorf("the ends are %v and %v", s.T.Remote(), s.T.Local())
				}
				own.T.Close()
				until(t, r, func() bool { return own.lost != nil })
			}
		})
	}
}

// PROXY-4: TLS behind the header, and the header before TLS, by descriptions alone.
func TestHAProxyWithTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "srv.example")
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			srv := listenTLS(t, r, describe("tls", "certificates="+both, "endpoint=haproxy:endpoint=[tcp:0:interface=127.0.0.1]"))
			p := dialTLS(t, r, describe("tls", "srv.example", "443", "trustRoots="+ca.file, "endpoint=haproxy:endpoint=[tcp:127.0.0.1:"+portOf(srv)+"]"))
			until(t, r, func() bool { return srv.served.last() != nil && len(p.state) == 1 })
			p.T.Write([]byte("hello"))
			until(t, r, func() bool { return srv.served.last().got == "hello" })
			if got := srv.served.last().T.Remote(); got != p.T.Local() {
				t.Errorf("Remote is %v, want %v", got, p.T.Local())
			}
			p.T.Abort()
			until(t, r, func() bool { return p.lost != nil })
		})
	}
}

// GRAM-17: what is no good is refused with the description, and by the Go API later (EP-1).
func TestHAProxyArguments(t *testing.T) {
	for _, d := range []string{"haproxy:", "haproxy:[gopher:70]", "haproxy:[udp:53]", "haproxy:[tcp:80]:trusted=10.0.0.0/33", "haproxy:[tcp:80]:trusted=x",
		"haproxy:[tcp:80]:direct=yes"} {
		if _, err := std.Schemes(nil).Server(d); err == nil {
			t.Errorf("%s is taken", d)
		} else if _, ok := errors.AsType[*endpoint.ArgumentError](err); !ok {
			t.Errorf("%s: %T, %v", d, err, err)
		}
	}
	for _, d := range []string{"haproxy:[tcp:h:80]:version=3", "haproxy:[tcp]"} {
		if _, err := std.Schemes(nil).Client(d); err == nil {
			t.Errorf("%s is taken", d)
		}
	}
	if e := server(t, "haproxy:[tcp:80]:trusted=[10.0.0.0/8,::1]:optional=yes:timeout=5"); server(t, e.String()).String() != e.String() {
		t.Errorf("%s is not what it says", e)
	}
	var r *reactor.Reactor
	for _, w := range testworld.Worlds() {
		r = w.New(t, reactor.Config{})
		break
	}
	if _, err := (&std.HAProxyServer{Endpoint: "tcp:0"}).Listen(r, new(site)); !errors.Is(err, reactor.ErrListen) {
		t.Errorf("EP-1: %v", err)
	}
	var got result
	(&std.HAProxyClient{Endpoint: "tcp:h:1"}).Connect(r, new(site), got.done)
	until(t, r, func() bool { return got.calls == 1 })
	if !errors.Is(got.err, reactor.ErrConnect) {
		t.Errorf("EP-1: %v", got.err)
	}
}

// GRAM-17: an IPv4 network that is written as an IPv6 one is that of IPv4, as the addresses of peers are.
func TestHAProxyMappedNetwork(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			for _, trusted := range []string{"::ffff:127.0.0.0/104", "::ffff:127.0.0.1"} {
				var served site
				l, err := server(t, "haproxy:[tcp:0:interface=127.0.0.1]:trusted=["+trusted+"]").Listen(r, &served)
				if err != nil {
					t.Fatal(err)
				}
				w.Peer(t, l.Addr(), r).Send("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nhello")
				testworld.Turns(t, r, 20)
				if len(served.built) != 1 {
					t.Errorf("%s: %d connections", trusted, len(served.built))
				}
			}
		})
	}
}

// A place of datagrams below one of connections is a wrong argument. It is no endpoint.ErrKind, after which
// programs would look for the whole description among the places of datagrams.
func TestWrongKindBelow(t *testing.T) {
	known := std.Schemes(nil)
	server := func(description string) error { _, err := known.Server(description); return err }
	client := func(description string) error { _, err := known.Client(description); return err }
	for description, find := range map[string]func(string) error{
		"haproxy:[udp:0]":                            server,
		"haproxy:[udp:localhost:1]":                  client,
		"tls:certificates=x.pem:endpoint=[udp:0]":    server,
		"tls:localhost:1:endpoint=[udp:localhost:1]": client,
	} {
		err := find(description)
		if e, ok := errors.AsType[*endpoint.ArgumentError](err); !ok || e.Argument != "endpoint" || errors.Is(err, endpoint.ErrKind) ||
			!strings.Contains(err.Error(), "udp takes datagrams, not connections") {
			t.Errorf("%s: %v", description, err)
		}
	}
}

// GRAM-7, GRAM-17: a place without brackets, as Twisted has it, falls apart at its ':', and the error says how to write it. A place that has them,
// or needs none, is not the cause of other errors.
func TestPlaceWithoutBrackets(t *testing.T) {
	const hint = "a description with ':' must stand in brackets, as in [tcp:80]"
	for description, want := range map[string]bool{
		"haproxy:tcp:80":                         true,
		"haproxy:tcp:port=80":                    true,
		"haproxy:unix:/run/app.sock":             true,
		"haproxy:timeout=5:endpoint=tcp:80:5":    true,
		"client haproxy:tcp:localhost:80":        true,
		"client tls:localhost:443:endpoint=tcp:": true,
		"tls:certificates=x:endpoint=tcp:0:1:2":  true,
		"haproxy:[tcp:80]:5":                     false,
		`haproxy:tcp\:80:5`:                      false,
		"haproxy:[tcp:80]:timeouts=5":            false,
		"client tls:localhost:443:5":             false,
		"tcp:80:127.0.0.1:5:6":                   false,
	} {
		var err error
		if d, ok := strings.CutPrefix(description, "client "); ok {
			_, err = std.Schemes(nil).Client(d)
		} else {
			_, err = std.Schemes(nil).Server(description)
		}
		if !errors.Is(err, endpoint.ErrArgument) || strings.Contains(err.Error(), hint) != want {
			t.Errorf("%s: %v; it says how to write it: want %v", description, err, want)
		}
	}
}
