package std_test

import (
	"errors"
	"io"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// proto notes what happens to it.
type proto struct {
	reactor.Base
	made int
	got  string
	lost error
}

func (p *proto) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	p.made++
}
func (p *proto) DataReceived(b []byte)    { p.got += string(b) }
func (p *proto) ConnectionLost(err error) { p.lost = err }

// site makes protos and keeps them.
type site struct{ built []*proto }

func (s *site) BuildProtocol(kernel.Addr) reactor.Protocol {
	s.built = append(s.built, new(proto))
	return s.built[len(s.built)-1]
}

// result is what done of a Connect was called with.
type result struct {
	calls int
	p     reactor.Protocol
	err   error
}

func (r *result) done(p reactor.Protocol, err error) {
	r.calls++
	r.p, r.err = p, err
}

func server(t *testing.T, description string) endpoint.Server {
	t.Helper()
	e, err := std.Schemes(nil).Server(description)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func client(t *testing.T, description string) endpoint.Client {
	t.Helper()
	e, err := std.Schemes(nil).Client(description)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func listen(t *testing.T, r *reactor.Reactor, description string, f reactor.Factory) *reactor.Port {
	t.Helper()
	p, err := server(t, description).Listen(r, f)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*reactor.Port)
}

// until turns r, never for long at a time because what is posted may be all there
// is to wait for, until done is true.
func until(t *testing.T, r *reactor.Reactor, done func() bool) {
	t.Helper()
	for end := r.Now() + 20*time.Second; !done(); {
		if r.Now() > end {
			t.Fatalf("nothing came of it: %+v", r.Stats())
		}
		if err := r.Turn(time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// at is the description of a client of port.
func at(scheme string, p endpoint.Listener) string {
	d := endpoint.Description{Scheme: scheme, Args: []endpoint.Argument{{Value: p.Addr().Host()}, {Name: "port", Value: portOf(p)}}}
	return d.String()
}

func portOf(p endpoint.Listener) string {
	return strconv.Itoa(int(p.Addr().Port()))
}

// EP-2, EP-7, EP-8: a port listens, a client connects, done gets the factory's own
// protocol, connected; data and its end go through, however they are cut.
func TestListenAndConnect(t *testing.T) {
	for name, w := range testworld.Chunked() {
		for _, c := range []struct{ listen, connect string }{
			{"tcp:0:interface=127.0.0.1", "tcp"},
			{"TCP4:0:127.0.0.1", "Tcp4"},
			{"tcp:0:interface=[::1]", "tcp"},
			{"tcp6:0:10:[::1]", "tcp6"}, // GRAM-23: there is one
		} {
			t.Run(name+"/"+c.listen, func(t *testing.T) {
				r := w.New(t, reactor.Config{})
				var served, mine site
				port := listen(t, r, c.listen, &served) // EP-8
				if !port.Listening() || port.Addr().Port() == 0 {
					t.Fatalf("listening %v on %v", port.Listening(), port.Addr())
				}
				var got result
				var madeBefore int
				client(t, at(c.connect, port)).Connect(r, &mine, func(p reactor.Protocol, err error) {
					if err == nil {
						madeBefore = p.(*proto).made
					}
					got.done(p, err)
				})
				if got.calls != 0 {
					t.Fatal("EP-1: done was called inside Connect")
				}
				until(t, r, func() bool { return got.calls > 0 && len(served.built) == 1 })
				if got.err != nil || len(mine.built) != 1 || got.p != reactor.Protocol(mine.built[0]) {
					t.Fatalf("EP-2: done got %v, %v; the factory built %v", got.p, got.err, mine.built)
				}
				if madeBefore != 1 {
					t.Fatal("EP-2: done came before ConnectionMade")
				}
				here, there := mine.built[0], served.built[0]
				if here.T.Remote() != port.Addr() {
					t.Errorf("connected to %v, not %v", here.T.Remote(), port.Addr())
				}
				here.T.Write([]byte("hello"))
				there.T.Write([]byte("welcome"))
				until(t, r, func() bool { return there.got == "hello" && here.got == "welcome" })
				there.T.Close()
				until(t, r, func() bool { return here.lost != nil && there.lost != nil })
				if here.lost != io.EOF || there.lost != reactor.ErrClosed || got.calls != 1 {
					t.Errorf("EP-7: lost %v and %v, %d results", here.lost, there.lost, got.calls)
				}
			})
		}
	}
}

// halfProto wants to hear of the end of one direction.
type halfProto struct {
	proto
	readLost int
}

func (p *halfProto) ReadConnectionLost()  { p.readLost++ }
func (p *halfProto) WriteConnectionLost() {}

// EP-7: what a protocol may also be is not hidden. EP-9: ConnectProtocol connects
// the one that it was given.
func TestConnectProtocol(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			var served site
			port := listen(t, r, "tcp:0:interface=127.0.0.1", &served)
			p := new(halfProto)
			var got result
			endpoint.ConnectProtocol(client(t, at("tcp", port)), r, p, got.done)
			until(t, r, func() bool { return got.calls > 0 && len(served.built) == 1 })
			if got.err != nil || got.p != reactor.Protocol(p) || p.made != 1 {
				t.Fatalf("EP-9: %v, %v, made %d times", got.p, got.err, p.made)
			}
			served.built[0].T.CloseWrite()
			until(t, r, func() bool { return p.readLost > 0 || p.lost != nil })
			if p.readLost != 1 || p.lost != nil {
				t.Fatalf("EP-7: end of one direction: told %d times, lost %v", p.readLost, p.lost)
			}
			p.T.Close()
			until(t, r, func() bool { return served.built[0].lost != nil })
		})
	}
}

// GRAM-10, GRAM-11: without an interface tcp is every IPv4 address and tcp6 every
// IPv6 address.
func TestDefaultInterface(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			for description, host := range map[string]string{
				"tcp:0": "0.0.0.0", "tcp:0:": "0.0.0.0", "tcp4:0": "0.0.0.0", "tcp6:0": "::", "tcp:0:interface=[::]": "::",
			} {
				if got := listen(t, r, description, new(site)).Addr().Host(); got != host {
					t.Errorf("%s listens on %s; want %s", description, got, host)
				}
			}
		})
	}
}

// EP-8: a port that cannot be opened is an error; EP-1: also when the Go API was
// used wrongly.
func TestListenFails(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			first := listen(t, r, "tcp:0:interface=127.0.0.1", new(site))
			second := &std.TCPServer{Port: first.Addr().Port(), Interface: netip.MustParseAddr("127.0.0.1")}
			p, err := second.Listen(r, new(site))
			if p != nil || !errors.Is(err, reactor.ErrListen) || !errors.Is(err, kernel.ErrAddrInUse) {
				t.Errorf("EP-8: %v, %v", p, err)
			}
			mixed := &std.TCP6Server{Interface: netip.MustParseAddr("127.0.0.1")}
			p, err = mixed.Listen(r, new(site))
			if p != nil || !errors.Is(err, reactor.ErrListen) || !errors.Is(err, endpoint.ErrArgument) {
				t.Errorf("EP-1: %v, %v", p, err)
			}
		})
	}
}

// EP-5: the error of a connection that is refused is that of Dial.
func TestConnectRefused(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			port := listen(t, r, "tcp:0:interface=127.0.0.1", new(site))
			stopped := false
			port.StopListening(func(error) { stopped = true })
			until(t, r, func() bool { return stopped })

			var got, plain result
			var f site
			client(t, at("tcp", port)).Connect(r, &f, got.done)
			r.Dial(port.Addr(), &f, nil, plain.done)
			until(t, r, func() bool { return got.calls > 0 && plain.calls > 0 })
			if !errors.Is(got.err, reactor.ErrConnect) || !errors.Is(got.err, kernel.ErrRefused) || got.p != nil {
				t.Errorf("EP-5: %v, %v", got.p, got.err)
			}
			if got.err.Error() != plain.err.Error() {
				t.Errorf("EP-5: %v; Dial says %v", got.err, plain.err)
			}
			if len(f.built) != 0 || len(r.DelayedCalls()) != 0 {
				t.Errorf("%d protocols, %d delayed calls left", len(f.built), len(r.DelayedCalls()))
			}
		})
	}
}

// listeningSite is a factory that is everything a factory can be.
type listeningSite struct {
	site
	log []string
}

func (s *listeningSite) StartFactory() error { s.log = append(s.log, "start"); return nil }
func (s *listeningSite) StopFactory() error  { s.log = append(s.log, "stop"); return nil }
func (s *listeningSite) StartedConnecting(*reactor.Connector) {
	s.log = append(s.log, "connecting")
}
func (s *listeningSite) ConnectionFailed(*reactor.Connector, error) { s.log = append(s.log, "failed") }
func (s *listeningSite) ConnectionEnded(*reactor.Connector, error)  { s.log = append(s.log, "ended") }

// EP-3: the factory is started and stopped, also around an attempt that fails, its
// uses counted together, and hears nothing of connectors.
func TestFactoryIsStartedAndStopped(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			var served site
			port := listen(t, r, "tcp:0:interface=127.0.0.1", &served)
			f := new(listeningSite)
			var one, two, bad result
			client(t, at("tcp", port)).Connect(r, f, one.done)
			client(t, at("tcp", port)).Connect(r, f, two.done)
			until(t, r, func() bool { return one.calls+two.calls == 2 && len(served.built) == 2 })
			if one.err != nil || two.err != nil || len(f.log) != 1 || f.log[0] != "start" {
				t.Fatalf("EP-3: %v, %v, %q", one.err, two.err, f.log)
			}
			for _, p := range served.built {
				p.T.Close()
			}
			until(t, r, func() bool { return len(f.log) > 1 })
			if len(f.log) != 2 || f.log[1] != "stop" || f.built[0].lost != io.EOF || f.built[1].lost != io.EOF {
				t.Fatalf("EP-3: %q, lost %v, %v", f.log, f.built[0].lost, f.built[1].lost)
			}
			stopped := false
			port.StopListening(func(error) { stopped = true })
			until(t, r, func() bool { return stopped })
			client(t, at("tcp", port)).Connect(r, f, bad.done)
			until(t, r, func() bool { return bad.calls > 0 && len(f.log) > 3 })
			if !errors.Is(bad.err, kernel.ErrRefused) || len(f.log) != 4 || f.log[2] != "start" || f.log[3] != "stop" {
				t.Errorf("EP-3: %v, %q", bad.err, f.log)
			}
		})
	}
}

// EP-4: a factory that builds nothing, or panics, makes the connect fail and the
// connection go.
func TestFactoryRefuses(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			panics := 0
			r := w.New(t, reactor.Config{
				Panicked: func(*reactor.PanicError) { panics++ },
			})
			boom := errors.New("boom")
			asked := 0
			for _, c := range []struct {
				name  string
				build func(kernel.Addr) reactor.Protocol
				want  error
			}{
				{"nil", func(kernel.Addr) reactor.Protocol { asked++; return nil }, reactor.ErrNoProtocol},
				{"panic", func(kernel.Addr) reactor.Protocol { asked++; panic(boom) }, boom},
			} {
				var served site
				port := listen(t, r, "tcp:0:interface=127.0.0.1", &served)
				asked = 0
				var got result
				client(t, at("tcp", port)).Connect(r, reactor.FactoryFunc(c.build), got.done)
				until(t, r, func() bool {
					return got.calls > 0 && len(served.built) == 1 && served.built[0].lost != nil
				})
				if got.p != nil || !errors.Is(got.err, c.want) || got.calls != 1 || asked != 1 {
					t.Errorf("EP-4: %s: %v, %v after asking %d times", c.name, got.p, got.err, asked)
				}
				if e, ok := errors.AsType[*reactor.PanicError](got.err); ok != (c.want == boom) || ok && e.Value != boom {
					t.Errorf("EP-4: %s: %v", c.name, got.err)
				}
			}
			if panics != 1 {
				t.Errorf("%d panics were reported", panics)
			}
		})
	}
}

// EP-6: cancel makes done come later, with ErrCancelled and the destination, and no
// connection stays. Afterwards, and after a result, it does nothing.
func TestCancel(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{Resolver: &hosts{names: map[string]string{"a.example": "127.0.0.1"}}})
			var served site
			port := listen(t, r, "tcp:0:interface=127.0.0.1", &served)
			for _, host := range []string{"127.0.0.1", "a.example"} {
				var got result
				var f site
				c := client(t, "tcp:"+host+":"+portOf(port))
				cancel := c.Connect(r, &f, got.done)
				cancel()
				cancel()
				if got.calls != 0 {
					t.Fatal("EP-6: done was called inside cancel")
				}
				until(t, r, func() bool { return got.calls > 0 })
				testworld.Turns(t, r, 10)
				cancel()
				testworld.Turns(t, r, 3)
				op, ok := errors.AsType[*reactor.OpError](got.err)
				if got.calls != 1 || got.p != nil || !ok || !errors.Is(got.err, reactor.ErrCancelled) || !errors.Is(got.err, reactor.ErrConnect) {
					t.Fatalf("EP-6: %d results, the last %v, %v", got.calls, got.p, got.err)
				}
				if op.Remote.Host() != host || op.Remote.Port() != port.Addr().Port() {
					t.Errorf("EP-6: the error is about %v", op.Remote)
				}
				if len(f.built) != 0 || len(r.DelayedCalls()) != 0 || r.Stats().Sources != 1 {
					t.Errorf("EP-6: %d protocols, %d delayed calls, %d sources left", len(f.built), len(r.DelayedCalls()), r.Stats().Sources)
				}

				// After success it does nothing.
				got = result{}
				cancel = c.Connect(r, &f, got.done)
				until(t, r, func() bool { return got.calls > 0 })
				cancel()
				testworld.Turns(t, r, 10)
				if got.calls != 1 || got.err != nil || f.built[0].lost != nil {
					t.Fatalf("EP-6: cancel after the result: %d results, %v, lost %v", got.calls, got.err, f.built[0].lost)
				}
				f.built[0].T.Close()
				until(t, r, func() bool { return f.built[0].lost != nil })
			}
		})
	}
}

// EP-6: cancel while the protocol is being connected still cancels, and the
// connection is closed.
func TestCancelInConnectionMade(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			var served site
			port := listen(t, r, "tcp:0:interface=127.0.0.1", &served)
			var got result
			p := new(made)
			p.do = endpoint.ConnectProtocol(client(t, at("tcp", port)), r, p, got.done)
			until(t, r, func() bool { return got.calls > 0 && p.lost != nil })
			testworld.Turns(t, r, 3)
			if got.calls != 1 || got.p != nil || !errors.Is(got.err, reactor.ErrCancelled) || p.lost != reactor.ErrClosed {
				t.Errorf("%d results, %v, %v; lost %v", got.calls, got.p, got.err, p.lost)
			}
		})
	}
}

// made does something when it is connected.
type made struct {
	proto
	do func()
}

func (p *made) ConnectionMade(t reactor.Transport) {
	p.proto.ConnectionMade(t)
	p.do()
}

// HOST-1: a name in another script is normalised and encoded; one that cannot be
// encoded makes a description, and Connect, fail with an error that names it.
func TestHostInAnotherScript(t *testing.T) {
	for _, host := range []string{"b\u00fccher.example", "bu\u0308cher.example", "BU\u0308CHER.example", "ｂücher。example"} {
		c, err := std.Schemes(nil).Client("tcp:" + host + ":80")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.(*std.TCPClient).Host; got != "xn--bcher-kva.example" {
			t.Errorf("%q became %q", host, got)
		}
	}
	const wrong = "a\u2260b.example"
	_, err := std.Schemes(nil).Client("tcp:" + wrong + ":80")
	if e, ok := errors.AsType[*certs.NameError](err); !ok || e.Name != wrong || !errors.Is(err, endpoint.ErrArgument) {
		t.Errorf("a description: %v", err)
	}
	var got result
	p := newPlan(t, nil, nil)
	(&std.TCPClient{Host: wrong, Port: 80}).Connect(p.Reactor, nil, got.done)
	if err := p.Turn(0); err != nil {
		t.Fatal(err)
	}
	if e, ok := errors.AsType[*certs.NameError](got.err); !ok || e.Name != wrong || !errors.Is(got.err, reactor.ErrConnect) {
		t.Errorf("connect: %v", got.err)
	}
}
