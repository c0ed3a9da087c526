package flow_test

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

const lineHeader = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"

// PROXY-1, PROXY-2, PROXY-4, PROXY-5, PROXY-6: whatever the pieces are, ConnectionMade comes first and sees the proxy, then the
// addresses are those of the header, if it has any, and what is behind it is delivered.
func TestReadProxy(t *testing.T) {
	headers := goodHeaders()
	texts := make([]string, 0, len(headers))
	for text := range headers {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for _, text := range texts {
			h, a := headers[text], new(app)
			var seen flow.ProxyHeader
			a.made = func(t reactor.Transport) { t.Write([]byte("hello")) }
			port := listen(t, r, flow.ReadProxy(reactor.One(&seeing{a, &seen}), nil))
			p := w.Peer(t, port.Addr(), r)
			p.Expect("hello") // PROXY-5: made without the header
			p.Send(text + "behind")
			testworld.Until(t, func() bool { return a.got == "behind" }, r)
			want := ends{p.Remote(), p.Local()}
			if a.first != want.remote {
				t.Errorf("PROXY-5: %q: Remote is %v in ConnectionMade, want %v", text, a.first, want.remote)
			}
			if h.Known() {
				want = ends{h.Destination, h.Source}
			}
			if got := (ends{a.local, a.remote}); got != want {
				t.Errorf("%q: the ends are %v, want %v", text, got, want)
			}
			if !sameHeader(seen, h) {
				t.Errorf("%q: told of %+v", text, seen)
			}
			p.Send("more")
			p.Close()
			testworld.Until(t, a.lost, r)
			if a.got != "behindmore" || a.err != io.EOF || a.T.Remote() != want.remote {
				t.Errorf("got %q, lost for %v, Remote is %v", a.got, a.err, a.T.Remote())
			}
			port.StopListening(nil)
		}
	})
}

type ends struct{ local, remote kernel.Addr }

// seeing is an app that keeps the header.
type seeing struct {
	*app
	seen *flow.ProxyHeader
}

func (s *seeing) ProxyHeaderReceived(h *flow.ProxyHeader) {
	*s.seen = *h
	s.seen.Extensions = slices.Clone(h.Extensions)
}

// Unwrap is the app.
func (s *seeing) Unwrap() reactor.Protocol { return s.app }

// PROXY-3, PROXY-6: a bad header, or one that is cut off, resets the connection; nothing is delivered, and the loss says what it was.
func TestReadProxyBad(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for _, half := range []bool{false, true} {
			for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", strings.Replace(lineHeader, "4711", "99999", 1) + "behind",
				signature + "\x21\x41\x00\x00behind", lineHeader[:20], "", "PROXY UNKNOWN " + strings.Repeat("x", 200)} {
				a := new(app)
				p := reactor.Protocol(a)
				if half {
					p = listening{a}
				}
				port := listen(t, r, flow.ReadProxy(reactor.One(p), nil))
				peer := w.Peer(t, port.Addr(), r)
				peer.Write([]byte(text)) // the reset may come before all is written
				peer.CloseWrite()
				testworld.Until(t, a.lost, r)
				op, _ := errors.AsType[*reactor.OpError](a.err)
				if !errors.Is(a.err, flow.ErrProxyHeader) || op == nil || op.Remote != peer.Local() {
					t.Errorf("%q, half %v: lost for %v", text, half, a.err)
				}
				if a.got != "" || len(a.events) != 2 {
					t.Errorf("%q, half %v: %q was delivered, %v", text, half, a.got, a.events)
				}
				port.StopListening(nil)
			}
		}
	})
}

// A header that does not come in time, or not as a whole, is ErrProxyTimeout, and the time is that of Timeout.
func TestReadProxyTimeout(t *testing.T) {
	r := virtual(t, reactor.Config{})
	srv, cli := new(app), new(app)
	pair(t, r, flow.ReadProxy(reactor.One(srv), nil), reactor.One(cli))
	began := r.Now()
	cli.T.Write([]byte(lineHeader[:30]))
	until(t, r, srv.lost)
	if took := r.Now() - began; took < 9900*time.Millisecond || took > 10*time.Second+time.Millisecond || !errors.Is(srv.err, flow.ErrProxyTimeout) || !errors.Is(srv.err, flow.ErrProxyHeader) {
		t.Errorf("lost after %v for %v", took, srv.err)
	}

	srv, cli = new(app), new(app)
	pair(t, r, flow.ReadProxy(reactor.One(srv), &flow.ReadProxyOptions{Timeout: -1}), reactor.One(cli))
	pass(t, r, time.Minute)
	cli.T.Write([]byte(lineHeader + "x"))
	until(t, r, func() bool { return srv.got == "x" })
}

// An optional header may be missing: what begins none is input, and so is the beginning of one at the end or when the time is over.
func TestReadProxyOptional(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		o := &flow.ReadProxyOptions{Optional: true, Timeout: 20 * time.Millisecond}
		for _, text := range []string{"GET / HTTP/1.1\r\n", "PROX", "\r\n\r\nx", "PROXYS", "P"} {
			for _, half := range []bool{false, true} {
				a := new(app)
				p := reactor.Protocol(a)
				if half {
					p = listening{a}
				}
				port := listen(t, r, flow.ReadProxy(reactor.One(p), o))
				peer := w.Peer(t, port.Addr(), r)
				peer.Send(text)
				if half {
					peer.CloseWrite()
					testworld.Until(t, func() bool { return len(a.events) == 2 }, r)
					if want := "read lost, after " + text; a.events[1] != want {
						t.Errorf("%v, want %s", a.events, want)
					}
					a.T.Close()
				} else {
					testworld.Until(t, func() bool { return a.got == text }, r) // at the latest when the time is over
					peer.Close()
				}
				testworld.Until(t, a.lost, r)
				if a.got != text || a.remote != peer.Local() {
					t.Errorf("half %v: got %q, want %q, from %v", half, a.got, text, a.remote)
				}
				port.StopListening(nil)
			}
		}
		a := new(app)
		port := listen(t, r, flow.ReadProxy(reactor.One(a), o))
		w.Peer(t, port.Addr(), r).Send("PROXY nonsense\r\n")
		testworld.Until(t, a.lost, r)
		if !errors.Is(a.err, flow.ErrProxyHeader) || a.got != "" {
			t.Errorf("lost for %v, got %q", a.err, a.got)
		}
		port.StopListening(nil)
	})
}

// A pause does not hold the header back, but what is behind it, also what came with it. Nothing is delivered inside
// ResumeProducing.
func TestReadProxyPaused(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		a := new(app)
		a.made = func(t reactor.Transport) { a.T.PauseProducing() }
		port := listen(t, r, flow.ReadProxy(reactor.One(a), nil))
		p := w.Peer(t, port.Addr(), r)
		p.Send(lineHeader + "behind")
		p.CloseWrite()
		testworld.Until(t, func() bool { return a.T != nil && a.T.Remote() == tcp("192.0.2.7:4711") }, r)
		testworld.Turns(t, r, 20)
		if a.got != "" {
			t.Errorf("%q was delivered while paused", a.got)
		}
		a.T.ResumeProducing()
		if a.got != "" {
			t.Errorf("%q was delivered inside ResumeProducing", a.got)
		}
		testworld.Until(t, a.lost, r)
		if a.got != "behind" || a.err != io.EOF {
			t.Errorf("got %q, lost for %v", a.got, a.err)
		}
	})
}

// Proxies that are not trusted are refused, or let in without a header.
func TestReadProxyTrusted(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		built := 0
		a := new(app)
		f := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { built++; return a })
		o := &flow.ReadProxyOptions{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
		port := listen(t, r, flow.ReadProxy(f, o))
		p := w.Peer(t, port.Addr(), r)
		if _, err := p.Rest(); built != 0 {
			t.Errorf("%d protocols were built, %v", built, err)
		}
		o.Direct = true
		port = listen(t, r, flow.ReadProxy(f, o))
		p = w.Peer(t, port.Addr(), r)
		p.Send(lineHeader)
		testworld.Until(t, func() bool { return a.got == lineHeader }, r)
		if a.remote != p.Local() {
			t.Errorf("Remote is %v", a.remote)
		}
		p.Close()
		testworld.Until(t, a.lost, r)

		*a, built = app{}, 0
		o.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8")}
		port = listen(t, r, flow.ReadProxy(f, o))
		p = w.Peer(t, port.Addr(), r)
		p.Send(lineHeader + "x")
		testworld.Until(t, func() bool { return a.got == "x" }, r)
		p.Close()
		testworld.Until(t, a.lost, r)
	})
}

// POL-3: if the inner factory builds nothing, nothing is built.
func TestProxyNothingBuilt(t *testing.T) {
	none := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return nil })
	if p := flow.ReadProxy(none, nil).BuildProtocol(loopback()); p != nil {
		t.Errorf("ReadProxy: %v", p)
	}
	if p := flow.SendProxy(none, nil).BuildProtocol(loopback()); p != nil {
		t.Errorf("SendProxy: %v", p)
	}
}

// PROXY-1, PROXY-2: what SendProxy writes is what ReadProxy reads, and stands before what the protocol writes.
func TestSendProxy(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for _, version := range []int{0, 1, 2} {
			for _, h := range []flow.ProxyHeader{{}, {Source: tcp("[2001:db8::7]:1"), Destination: tcp("[2001:db8::8]:2")}} {
				srv, cli := new(app), new(app)
				cli.made = func(t reactor.Transport) { t.Write([]byte("input")) }
				port := listen(t, r, flow.ReadProxy(reactor.One(srv), nil))
				o := &flow.SendProxyOptions{Version: version}
				if h.Known() {
					o.Header = func(reactor.Transport) flow.ProxyHeader { return h }
				}
				r.Dial(port.Addr(), flow.SendProxy(reactor.One(cli), o), nil, nil)
				testworld.Until(t, func() bool { return srv.got == "input" }, r)
				want := cli.T.Local()
				if h.Known() {
					want = h.Source
				}
				if srv.remote != want {
					t.Errorf("version %d: Remote is %v, want %v", version, srv.remote, want)
				}
				srv.T.Close()
				testworld.Until(t, func() bool { return srv.lost() && cli.lost() }, r)
				port.StopListening(nil)
			}
		}
	})
}

// A header that cannot be written sends nothing.
func TestSendProxyBad(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv, cli := new(app), new(app)
		cli.made = func(t reactor.Transport) { t.Write([]byte("input")) }
		port := listen(t, r, reactor.One(srv))
		r.Dial(port.Addr(), flow.SendProxy(reactor.One(cli), &flow.SendProxyOptions{Header: func(reactor.Transport) flow.ProxyHeader {
			return flow.ProxyHeader{Source: tcp("192.0.2.1:1")}
		}}), nil, nil)
		testworld.Until(t, func() bool { return srv.lost() && cli.lost() }, r)
		if !errors.Is(cli.err, flow.ErrProxyHeader) || srv.got != "" {
			t.Errorf("lost for %v; the server got %q", cli.err, srv.got)
		}
	})
}
