package socks

import (
	"bytes"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

type echo struct{ reactor.Base }

func (e *echo) DataReceived(p []byte) { e.T.Write(p) }

// names is a resolver that knows three names.
type names struct{}

func (names) Resolve(r *reactor.Reactor, name string, done func([]netip.Addr, error)) (cancel func()) {
	var call *reactor.DelayedCall
	switch name {
	case "here":
		call = r.CallLater(0, func() { done([]netip.Addr{v4}, nil) })
	case "nowhere":
		call = r.CallLater(0, func() { done(nil, reactor.ErrUnknownHost) })
	default: // silent
		return func() {}
	}
	return func() { call.Cancel() }
}

var (
	v4 = netip.MustParseAddr("127.0.0.1")
	v6 = netip.MustParseAddr("::1")
)

func port(n uint16) string { return string([]byte{byte(n >> 8), byte(n)}) }

func ask(a kernel.Addr) string {
	switch {
	case a.Name != "":
		return "\x05\x01\x00\x03" + string([]byte{byte(len(a.Name))}) + a.Name + port(a.Port())
	case a.IP.Addr().Is6():
		return "\x05\x01\x00\x04" + string(a.IP.Addr().AsSlice()) + port(a.Port())
	}
	return "\x05\x01\x00\x01" + string(a.IP.Addr().AsSlice()) + port(a.Port())
}

func listen(t *testing.T, r *reactor.Reactor, ip netip.Addr, f reactor.Factory) *reactor.Port {
	t.Helper()
	p, err := r.Listen(kernel.TCPAddr(ip, 0), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// answer expects the answer to a request, and returns its code.
func answer(t *testing.T, p *testworld.Peer) byte {
	t.Helper()
	head := make([]byte, 4)
	if _, err := io.ReadFull(p, head); err != nil {
		t.Fatal(err)
	}
	rest := 4 + 2
	if head[3] == ipv6 {
		rest = 16 + 2
	}
	if _, err := io.ReadFull(p, make([]byte, rest)); err != nil {
		t.Fatal(err)
	}
	return head[1]
}

// A request of each kind reaches its destination, with what the client sends behind it at once.
func TestConnect(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{Resolver: names{}})
			to, to6 := listen(t, r, v4, reactor.Each[echo]()), listen(t, r, v6, reactor.Each[echo]())
			var log bytes.Buffer
			proxy := &Proxy{Logger: slog.New(slog.NewTextHandler(&log, nil))}
			at := listen(t, r, v4, proxy).Addr()
			for _, a := range []kernel.Addr{to.Addr(), to6.Addr(), kernel.HostAddr("here", to.Addr().Port())} {
				log.Reset()
				proxy.Check = nil
				c := w.Peer(t, at, r)
				c.Send("\x05\x02\x02\x00" + ask(a) + "hello")
				c.Expect("\x05\x00")
				if code := answer(t, c); code != succeeded {
					t.Fatalf("%v: reply %d", a, code)
				}
				c.Expect("hello")
				c.CloseWrite()
				if rest, err := c.Rest(); len(rest) > 0 || err != io.EOF {
					t.Errorf("%q and %v after the end", rest, err)
				}
				testworld.Until(t, func() bool { return log.Len() > 0 }, r)
				if !strings.Contains(log.String(), "up=5 down=5") || !strings.Contains(log.String(), "err=<nil>") {
					t.Error(log.String())
				}

				proxy.Check = func(u, p string) bool { return u == "ann" && p == "" }
				c = w.Peer(t, at, r)
				c.Send("\x05\x01\x02" + "\x01\x03ann\x00" + ask(a) + "hello")
				c.Expect("\x05\x02" + "\x01\x00")
				if code := answer(t, c); code != succeeded {
					t.Fatalf("%v: reply %d", a, code)
				}
				c.Expect("hello")
				c.Close()
			}
			testworld.Until(t, func() bool { return r.Stats().Connections == 0 }, r)
		})
	}
}

// What cannot be done is answered with the reason.
func TestReplies(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			fault := new(testworld.Faults)
			r := testworld.New(t, fault.Wrap(w.Open(t)), reactor.Config{Resolver: names{}})
			proxy := &Proxy{Dial: reactor.DialConfig{Timeout: 20 * time.Millisecond}}
			at := listen(t, r, v4, proxy).Addr()
			closed := listen(t, r, v4, reactor.Each[echo]())
			closed.StopListening(nil)
			testworld.Until(t, func() bool { return !closed.Listening() }, r)
			tries := []struct {
				what string
				send string
				code byte
				err  error // of the kernel
			}{
				{"refused", ask(closed.Addr()), connectionRefused, nil},
				{"unknown", ask(kernel.HostAddr("nowhere", 7)), hostUnreachable, nil},
				{"silent", ask(kernel.HostAddr("silent", 7)), ttlExpired, nil},
				{"no network", ask(closed.Addr()), networkUnreachable, &kernel.SysError{Kind: kernel.ErrNoRoute, Errno: syscall.ENETUNREACH}},
				{"no host", ask(closed.Addr()), hostUnreachable, &kernel.SysError{Kind: kernel.ErrNoRoute, Errno: syscall.EHOSTUNREACH}},
				{"port 0", ask(kernel.TCPAddr(v4, 0)), generalFailure, nil},
				{"no name", "\x05\x01\x00\x03\x00\x00\x07", addressUnknown, nil},
				{"bind", "\x05\x02\x00\x01", commandUnknown, nil},
				{"kind", "\x05\x01\x00\x02", addressUnknown, nil},
			}
			for _, try := range tries {
				fault.Dial = func(kernel.Addr) error { return try.err }
				c := w.Peer(t, at, r)
				c.Send("\x05\x01\x00" + try.send)
				c.Expect("\x05\x00")
				if code := answer(t, c); code != try.code {
					t.Errorf("%s: reply %d, want %d", try.what, code, try.code)
				}
				if rest, err := c.Rest(); len(rest) > 0 || err != io.EOF {
					t.Errorf("%s: %q and %v after the reply", try.what, rest, err)
				}
			}
		})
	}
}

// Who does not authenticate, or speaks something else, gets the answer for that, and the end.
func TestRefuses(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			at := listen(t, r, v4, &Proxy{Check: func(u, p string) bool { return false }}).Addr()
			for send, want := range map[string]string{
				"\x04\x01":                    "",
				"GET / HTTP/1.0\r\n\r\n":      "",
				"\x05\x00":                    "\x05\xff",
				"\x05\x01\x00":                "\x05\xff",
				"\x05\x01\x02\x05\x00":        "\x05\x02",
				"\x05\x01\x02\x01\x01a\x02pw": "\x05\x02\x01\x01",
			} {
				c := w.Peer(t, at, r)
				c.Send(send)
				if got, err := c.Rest(); string(got) != want || err != io.EOF {
					t.Errorf("%q: got %q and %v, want %q", send, got, err, want)
				}
			}
		})
	}
}

// A client that does not say what it wants, and a tunnel in which nothing passes, end.
func TestLimits(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			to := listen(t, r, v4, reactor.Each[echo]())
			at := listen(t, r, v4, &Proxy{Handshake: 20 * time.Millisecond, Idle: 50 * time.Millisecond}).Addr()
			c := w.Peer(t, at, r)
			c.Send("\x05\x01\x00\x05")
			c.Expect("\x05\x00")
			if got, err := c.Rest(); len(got) > 0 || err == io.EOF {
				t.Errorf("slow: %q and %v, want a reset", got, err)
			}
			c = w.Peer(t, at, r)
			c.Send("\x05\x01\x00" + ask(to.Addr()))
			c.Expect("\x05\x00")
			answer(t, c)
			if got, err := c.Rest(); len(got) > 0 || err == io.EOF {
				t.Errorf("idle: %q and %v, want a reset", got, err)
			}
		})
	}
}

// A client that goes while its destination is dialled takes the attempt along.
func TestClientGoes(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			if w.Name() == "select" {
				t.Skip("select does not notice a reset while reading is paused")
			}
			r := w.New(t, reactor.Config{Resolver: names{}})
			var log bytes.Buffer
			at := listen(t, r, v4, &Proxy{Logger: slog.New(slog.NewTextHandler(&log, nil))}).Addr()
			c := w.Peer(t, at, r)
			c.Send("\x05\x01\x00" + ask(kernel.HostAddr("silent", 7)))
			c.Expect("\x05\x00")
			testworld.Until(t, func() bool { return r.Stats().Sources == 3 }, r) // a port, a connection, a connector
			c.Abort()
			testworld.Until(t, func() bool { return r.Stats().Sources == 1 }, r)
			if !strings.Contains(log.String(), "to=silent:7") {
				t.Error(log.String())
			}
		})
	}
}
