package std_test

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

var loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// listenLocal opens a place of a set whose servers listen on loopback.
func listenLocal(t *testing.T, r *reactor.Reactor, description string, f reactor.Factory) (endpoint.Listener, error) {
	t.Helper()
	e, err := std.Schemes(&std.Options{Loopback: true}).Server(description)
	if err != nil {
		t.Fatal(err)
	}
	return e.Listen(r, f)
}

// EP-20: without an interface such a set listens on loopback alone, on one port of both families;
// with one it listens there.
func TestLoopback(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("localhost", "localhost")
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			for description, want := range map[string][]string{
				"tcp:0":                     {"127.0.0.1", "::1"},
				describe("tls", "0", both):  {"127.0.0.1", "::1"},
				describe("ssl", "0", both):  {"127.0.0.1", "::1"},
				"tcp4:0":                    {"127.0.0.1"},
				"tcp6:0":                    {"::1"},
				"tcp:0:interface=127.0.0.1": {"127.0.0.1"},
				"tcp:0:interface=0.0.0.0":   {"0.0.0.0"},
				"tcp:0:interface=[::]":      {"::"},
				"tcp6:0:interface=[::]":     {"::"},
			} {
				f := new(listeningSite)
				l, err := listenLocal(t, r, description, f)
				if err != nil {
					t.Errorf("EP-20: %s: %v", description, err)
					continue
				}
				var got []string
				for _, a := range endpoint.Addrs(l) {
					if got = append(got, a.Host()); a.Port() != l.Addr().Port() || a.Port() == 0 {
						t.Errorf("EP-20: %s listens on %v and %v", description, l.Addr(), a)
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("EP-20: %s listens on %v, want %v", description, got, want)
				}
				calls := 0
				l.StopListening(func(err error) {
					if calls++; err != nil {
						t.Error(err)
					}
				})
				until(t, r, func() bool { return calls > 0 })
				testworld.Turns(t, r, 2)
				if calls != 1 || fmt.Sprint(f.log) != "[start stop]" {
					t.Errorf("EP-20: %s: done was called %d times, the factory %v", description, calls, f.log)
				}
			}
		})
	}
}

// EP-20: clients of both families are served.
func TestLoopbackServesBoth(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			served := new(sites)
			l, err := listenLocal(t, r, "tcp:0", served)
			if err != nil {
				t.Fatal(err)
			}
			for i, host := range []string{"127.0.0.1", "[::1]"} {
				var got result
				client(t, fmt.Sprintf("tcp:%s:%d", host, l.Addr().Port())).Connect(r, new(site), got.done)
				until(t, r, func() bool { return got.calls > 0 && (got.err != nil || len(served.built) > i) })
				if got.err != nil {
					t.Errorf("EP-20: %s: %v", host, got.err)
				}
			}
		})
	}
}

// EP-20: on a machine that lacks a family the other serves alone, and one that lacks both serves nobody.
func TestLoopbackWithoutAFamily(t *testing.T) {
	both := []kernel.Addr{kernel.TCPAddr(loopback4, 0), kernel.TCPAddr(netip.IPv6Loopback(), 0)}
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			for _, lacks := range []error{kernel.ErrAddrUnavailable, kernel.ErrUnsupported,
				&kernel.SysError{Op: kernel.OpSocket, Kind: kernel.ErrPermission, Errno: syscall.EACCES}} {
				for i, gone := range both {
					faults := new(testworld.Faults)
					r := testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{})
					faults.Listen = func(a kernel.Addr) error {
						if a.IP.Addr() == gone.IP.Addr() {
							return lacks
						}
						return nil
					}
					l, err := listenLocal(t, r, "tcp:0", new(site))
					if err != nil {
						t.Fatalf("EP-20: without %v: %v", gone, err)
					}
					if all := endpoint.Addrs(l); len(all) != 1 || all[0].IP.Addr() != both[1-i].IP.Addr() || r.Stats().Sources != 1 {
						t.Errorf("EP-20: without %v it listens on %v", gone, all)
					}
					faults.Listen = func(kernel.Addr) error { return lacks }
					if l, err := listenLocal(t, r, "tcp:0", new(site)); !errors.Is(err, lacks) || !errors.Is(err, reactor.ErrListen) {
						t.Errorf("EP-20: without both: %v, %v", l, err)
					}
				}
			}
		})
	}
}

// EP-20: a port that is taken in one family is an error, and the other family's is given back.
func TestLoopbackTaken(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			port := listen(t, r, "tcp:0:interface=[::1]", new(site)).Addr().Port()
			l, err := listenLocal(t, r, fmt.Sprintf("tcp:%d", port), new(site))
			if !errors.Is(err, kernel.ErrAddrInUse) || !errors.Is(err, reactor.ErrListen) {
				t.Fatalf("EP-20: %v, %v", l, err)
			}
			testworld.Turns(t, r, 3)
			listen(t, r, fmt.Sprintf("tcp:%d:interface=127.0.0.1", port), new(site))
		})
	}
}

// EP-21: the limits of a place on both families hold for both together, and endpoint.Ports has its
// ports.
func TestLoopbackSharesLimits(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			served := new(site)
			l, err := listenLocal(t, r, "tcp:0:maxconnections=1", served)
			if err != nil {
				t.Fatal(err)
			}
			ports := endpoint.Ports(l)
			if len(ports) != 2 {
				t.Fatalf("EP-21: %d ports", len(ports))
			}
			w.Peer(t, ports[0].Addr(), r)
			until(t, r, func() bool { return len(served.built) == 1 })
			w.Peer(t, ports[1].Addr(), r)
			testworld.Turns(t, r, 5)
			if s := ports[1].Stats(); s.Accepted != 0 || s.WaitedFull != 1 {
				t.Errorf("EP-21: the second port of a place with one connection has %+v", s)
			}
			served.built[0].T.Abort()
			until(t, r, func() bool { return len(served.built) == 2 })
			if n := ports[1].Stats().Open; n != 1 {
				t.Errorf("EP-21: %d connections of the second port", n)
			}
		})
	}
}

// EP-21: a place with one port has that one, and a place that shows none has none.
func TestPortsOfOne(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			l := listen(t, w.New(t, reactor.Config{}), "tcp:0:interface=127.0.0.1", new(site))
			if ports := endpoint.Ports(l); len(ports) != 1 || ports[0] != l {
				t.Errorf("EP-21: the ports are %v", ports)
			}
			if ports := endpoint.Ports(struct{ endpoint.Listener }{l}); ports != nil {
				t.Errorf("EP-21: the ports of a wrapper are %v", ports)
			}
		})
	}
}
