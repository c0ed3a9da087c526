package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// route is a forwarder with both of its ends in the test's hands.
type route struct {
	r    *reactor.Reactor
	far  *peers // where it leads
	addr kernel.Addr
	log  bytes.Buffer
}

// newRoute forwards to a port of its own. wrap, if not nil, may change the client.
func newRoute(t *testing.T, r *reactor.Reactor, far *peers, wrap func(endpoint.Client) endpoint.Client) *route {
	t.Helper()
	u := &route{r: r, far: far}
	to := clientOf(listen(t, r, far))
	if wrap != nil {
		to = wrap(to)
	}
	u.addr = listen(t, r, u.forwarder(to))
	return u
}

func (u *route) forwarder(to endpoint.Client) *Forwarder {
	return &Forwarder{To: to, Name: to.String(), Log: slog.New(slog.NewTextHandler(&u.log, nil))}
}

func clientOf(a kernel.Addr) endpoint.Client {
	return &std.TCPClient{Host: endpoint.Host(a.Host()), Port: a.Port()}
}

// pair connects near through the route and returns it with the far end.
func (u *route) pair(t *testing.T, near *peer) (*peer, *peer) {
	t.Helper()
	n := len(u.far.all)
	dial(t, u.r, u.addr, near)
	until(t, u.r, func() bool { return len(u.far.all) > n })
	return near, u.far.all[n]
}

// middle is the streams of the forwarder.
func (u *route) middle() (all []*reactor.Stream) {
	for s := range u.r.Streams() {
		_, in := reactor.ProtocolAs[*accepted](s.Protocol())
		_, out := reactor.ProtocolAs[*outgoing](s.Protocol())
		if in || out {
			all = append(all, s)
		}
	}
	return all
}

// empty turns until no connection is left.
func (u *route) empty(t *testing.T) {
	t.Helper()
	until(t, u.r, func() bool { return count(u.r) == 0 })
}

// Bytes go both ways; the end of one direction is passed on alone, whichever is
// first, and when both have ended everything is closed.
func TestForwardHalfClose(t *testing.T) {
	for _, farFirst := range []bool{false, true} {
		t.Run(fmt.Sprintf("farFirst=%v", farFirst), func(t *testing.T) {
			chunked(t, func(t *testing.T, w testworld.World) {
				u := newRoute(t, w.New(t, reactor.Config{}), &peers{}, nil)
				first, second := u.pair(t, &peer{})
				if farFirst {
					first, second = second, first
				}
				there, back := noise(1000), noise(700)
				first.s.Write(there)
				first.s.CloseWrite()
				until(t, u.r, func() bool { return second.ended })
				same(t, "there", second.got, there)
				if first.ended || first.err != nil {
					t.Fatal("the end of one direction ended the other")
				}
				second.s.Write(back)
				second.s.CloseWrite()
				until(t, u.r, func() bool { return first.ended })
				same(t, "back", first.got, back)
				first.s.Close()
				second.s.Close()
				u.empty(t)
			})
		})
	}
}

// RECON-9: each side is the other's producer. One that does not read holds the other back: each of
// the forwarder's streams holds no more than the high-water mark and one read (PROD-13), and nothing is
// lost when it reads again.
func TestForwardBackpressure(t *testing.T) {
	const readBuffer = 16 << 10
	for _, back := range []bool{false, true} {
		if raced && back {
			continue // the same goroutine the other way round
		}
		t.Run(fmt.Sprintf("back=%v", back), func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				r := w.New(t, reactor.Config{ReadBuffer: readBuffer})
				u := newRoute(t, r, &peers{deaf: !back}, nil)
				source, sink := u.pair(t, &peer{deaf: back})
				if back {
					source, sink = sink, source
				}
				want := noise(12 << 20)
				source.s.Write(want)
				settle(t, r)
				most := 0
				for _, s := range u.middle() {
					most = max(most, s.Buffered())
				}
				if limit := 64<<10 + readBuffer; most == 0 || most > limit {
					t.Errorf("RECON-9: the forwarder holds %d bytes, want some and at most %d", most, limit)
				}
				if source.s.Buffered() == 0 {
					t.Error("everything was taken although nobody reads")
				}
				source.s.CloseWrite()
				sink.s.ResumeProducing()
				until(t, r, func() bool { return sink.ended })
				same(t, "forwarded", sink.got, want)
			})
		})
	}
}

// gate is a client that connects when it is opened.
type gate struct {
	endpoint.Client
	start     func() // nil when it was called
	cancelled bool
	told      bool // that it was cancelled
}

func (g *gate) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) func() {
	cancel := func() {}
	g.start = func() {
		g.start = nil
		cancel = g.Client.Connect(r, f, done)
	}
	return func() {
		g.cancelled = true
		cancel()
		if g.start != nil {
			g.start = nil
			r.Post(func() { g.told = true; done(nil, reactor.ErrCancelled) })
		}
	}
}

// The accepted side is not read until the outgoing one is connected; then what
// had come is passed on (RECON-9).
func TestForwardPausedUntilConnected(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var g *gate
		u := newRoute(t, r, &peers{}, func(c endpoint.Client) endpoint.Client { g = &gate{Client: c}; return g })
		near := dial(t, r, u.addr, &peer{})
		near.s.Write([]byte("early"))
		near.s.CloseWrite()
		settle(t, r)
		if in := u.middle(); len(in) != 1 || in[0].Stats().In != 0 {
			t.Error("the accepted side was read before the outgoing one was connected")
		}
		g.start()
		until(t, r, func() bool { return len(u.far.all) == 1 && u.far.all[0].ended })
		same(t, "far", u.far.all[0].got, []byte("early"))
	})
}

// RECON-9: if the outgoing connection fails the accepted one is reset, and the log says
// where to it was.
func TestForwardRefused(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p, err := r.Listen(loopback, &peers{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		stopped := false
		p.StopListening(func(error) { stopped = true })
		until(t, r, func() bool { return stopped })
		u := &route{r: r}
		to := clientOf(p.Addr())
		near := dial(t, r, listen(t, r, u.forwarder(to)), &peer{})
		until(t, r, func() bool { return near.ended || near.err != nil })
		if near.ended || !errors.Is(near.err, kernel.ErrReset) {
			t.Errorf("RECON-9: the client was lost with %v, want a reset", near.err)
		}
		u.empty(t)
		for _, want := range []string{"level=WARN", "to=" + to.String(), "connection refused"} {
			if !strings.Contains(u.log.String(), want) {
				t.Errorf("the log lacks %q: %s", want, u.log.String())
			}
		}
	})
}

// An accepted side that is lost while the outgoing one connects gives that up.
func TestForwardLostWhileConnecting(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var g *gate
		u := newRoute(t, r, &peers{}, func(c endpoint.Client) endpoint.Client { g = &gate{Client: c}; return g })
		near := dial(t, r, u.addr, &peer{})
		until(t, r, func() bool { return len(u.middle()) == 1 })
		u.middle()[0].Abort()
		until(t, r, func() bool { return near.err != nil && (g.told || !g.cancelled) })
		if !g.cancelled {
			t.Error("the attempt goes on")
		}
		if u.log.Len() > 0 {
			t.Errorf("logged: %s", u.log.String())
		}
	})
}

// A reset is passed on as a reset, in either direction: nobody takes a cut stream
// for a whole one. Loss of one ends the other (RECON-9).
func TestForwardReset(t *testing.T) {
	for _, back := range []bool{false, true} {
		t.Run(fmt.Sprintf("back=%v", back), func(t *testing.T) {
			chunked(t, func(t *testing.T, w testworld.World) {
				u := newRoute(t, w.New(t, reactor.Config{}), &peers{}, nil)
				from, to := u.pair(t, &peer{})
				if back {
					from, to = to, from
				}
				from.s.Write([]byte("half a sent"))
				until(t, u.r, func() bool { return len(to.got) > 0 })
				from.s.Abort()
				until(t, u.r, func() bool { return to.err != nil })
				if to.ended || !errors.Is(to.err, kernel.ErrReset) {
					t.Errorf("the other side ended with %v, want a reset", to.err)
				}
				u.empty(t)
			})
		})
	}
}

// A side that had sent everything before it was lost did so for good: the other
// still gets all of it, and a clean end.
func TestForwardResetAfterTheEnd(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		u := newRoute(t, w.New(t, reactor.Config{}), &peers{deaf: true}, nil)
		near, far := u.pair(t, &peer{})
		// As much as makes the forwarder keep a little that it cannot send yet.
		var in, out *reactor.Stream
		var joined *reactor.Joined
		for _, s := range u.middle() {
			if p, ok := reactor.ProtocolAs[*accepted](s.Protocol()); ok {
				in, joined = s, p.pair.joined
			} else {
				out = s
			}
		}
		all := noise(24 << 20)
		n := 0
		for out.Buffered() == 0 && n < len(all) {
			near.s.Write(all[n : n+32<<10])
			n += 32 << 10
			until(t, u.r, func() bool { return in.Stats().In == uint64(n) })
		}
		want := all[:n]
		near.s.CloseWrite()
		until(t, u.r, func() bool { return joined.Stats().EndedA })
		if out.Buffered() == 0 {
			t.Fatal("there is nothing left to deliver")
		}
		near.s.Abort()
		until(t, u.r, func() bool { return near.err != nil })
		far.s.Write([]byte("nobody will read this")) // the forwarder finds out
		until(t, u.r, func() bool { return in.Protocol() == nil })
		far.s.ResumeProducing()
		until(t, u.r, func() bool { return far.ended || far.err != nil })
		if far.err != nil {
			t.Fatalf("lost with %v", far.err)
		}
		same(t, "far", far.got, want)
		far.s.Close()
		u.empty(t)
	})
}

// PROD-19: a pair on which nothing passes is reset, and the log says why, with the counts.
func TestForwardIdle(t *testing.T) {
	for _, half := range []bool{false, true} {
		worlds(t, func(t *testing.T, w testworld.World) {
			r := w.New(t, reactor.Config{})
			u := &route{r: r, far: &peers{}}
			f := u.forwarder(clientOf(listen(t, r, u.far)))
			f.Access = &accessLog{to: f.Log, level: slog.LevelInfo}
			want := "nothing passed for too long\""
			if f.Idle = 40 * time.Millisecond; half {
				f.Idle, f.HalfClosed = limit(0), 40*time.Millisecond
				want = "nothing passed for too long after one direction had ended"
			}
			u.addr = listen(t, r, f)
			near, far := u.pair(t, &peer{})
			near.s.Write([]byte("hello"))
			if half {
				near.s.CloseWrite()
			}
			until(t, r, func() bool { return near.err != nil })
			// An end that has read the end of the stream finds out when it writes.
			until(t, r, func() bool { far.s.Write([]byte("x")); return far.err != nil })
			if string(far.got) != "hello" || !errors.Is(near.err, kernel.ErrReset) || !errors.Is(far.err, reactor.ErrLost) {
				t.Errorf("PROD-19: got %q, lost with %v and %v", far.got, near.err, far.err)
			}
			u.empty(t)
			for _, part := range []string{`msg="connection ended" peer=127.0.0.1:`, " backend=127.0.0.1:", " in=5 out=0 duration=", want} {
				if !strings.Contains(u.log.String(), part) {
					t.Errorf("the log lacks %q: %s", part, u.log.String())
				}
			}
		})
	}
}

// Many pairs at a time do not mix.
func TestForwardMany(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		to := clientOf(listen(t, r, reactor.Each[Echo]()))
		u := &route{r: r}
		a := listen(t, r, u.forwarder(to))
		var all []*peer
		for i := range 100 {
			p := dial(t, r, a, &peer{})
			fmt.Fprintf(p.s, "I am %d", i)
			p.s.CloseWrite()
			all = append(all, p)
		}
		for i, p := range all {
			until(t, r, func() bool { return p.ended })
			if want := fmt.Sprintf("I am %d", i); string(p.got) != want {
				t.Errorf("got %q, want %q", p.got, want)
			}
			p.s.Close()
		}
		u.empty(t)
	})
}

// The descriptions of forward have nodelay, unless they say otherwise.
func TestForwardNoDelay(t *testing.T) {
	for _, x := range []struct {
		suffix string
		want   bool
	}{{"", true}, {":nodelay=no", false}} {
		worlds(t, func(t *testing.T, w testworld.World) {
			r := w.New(t, reactor.Config{})
			known := new(globals).schemes(terminal{err: io.Discard}, kernel.StreamOptions{})
			far := &peers{}
			to, err := known.Client(fmt.Sprintf("tcp:127.0.0.1:%d%s", listen(t, r, far).Port(), x.suffix))
			if err != nil {
				t.Fatal(err)
			}
			at, err := known.Server("tcp:0:interface=127.0.0.1" + x.suffix)
			if err != nil {
				t.Fatal(err)
			}
			u := &route{r: r, far: far}
			port, err := at.Listen(r, u.forwarder(to))
			if err != nil {
				t.Fatal(err)
			}
			u.addr = port.Addr()
			u.pair(t, &peer{})
			for _, s := range u.middle() {
				if on, err := s.NoDelay(); err != nil || on != x.want {
					t.Errorf("%q: nodelay is %v (%v) on %v", x.suffix, on, err, s)
				}
			}
		})
	}
}

// PROXY-1, PROXY-2: with a header the far end hears who the client is, and everything behind it, both ways.
func TestForwardProxyHeader(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		for version := 1; version <= 2; version++ {
			u := newRoute(t, w.New(t, reactor.Config{}), &peers{}, nil)
			f := u.forwarder(clientOf(listen(t, u.r, u.far)))
			f.Proxy = version
			u.addr = listen(t, u.r, f)
			near, end := u.pair(t, &peer{})
			there, back := noise(300), noise(200)
			near.s.Write(there)
			size := 0
			var h flow.ProxyHeader
			until(t, u.r, func() bool {
				var err error
				if h, size, err = flow.ParseProxyHeader(end.got); err != nil {
					t.Fatal(err)
				}
				return size > 0 && len(end.got) == size+len(there)
			})
			same(t, "there", end.got[size:], there)
			if h.Version != version || h.Source != near.s.Local() || h.Destination != near.s.Remote() {
				t.Errorf("version %d: the far end sees %+v, want %v to %v", version, h, near.s.Local(), near.s.Remote())
			}
			end.s.Write(back)
			until(t, u.r, func() bool { return len(near.got) == len(back) })
			same(t, "back", near.got, back)
			near.s.Abort()
			u.empty(t)
		}
	})
}

// PROXY-5: behind a proxy, the place is connected when the header has said who the client is, so that the header that is passed on says it
// too, however late and in whatever pieces it comes; without a header, when that is certain.
func TestForwardProxyBehindProxy(t *testing.T) {
	client := kernel.TCPAddr(netip.MustParseAddr("192.0.2.7"), 4711)
	chunked(t, func(t *testing.T, w testworld.World) {
		for _, silent := range []bool{false, true} {
			u := newRoute(t, w.New(t, reactor.Config{}), &peers{}, nil)
			f := u.forwarder(clientOf(listen(t, u.r, u.far)))
			f.Proxy = 2
			o := &flow.ReadProxyOptions{Optional: silent}
			if silent {
				o.Timeout = 50 * time.Millisecond
			}
			u.addr = listen(t, u.r, flow.ReadProxy(f, o))
			near := &peer{}
			dial(t, u.r, u.addr, near)
			want := near.s.Local()
			if !silent {
				testworld.Turns(t, u.r, 20)
				if n := len(u.far.all); n != 0 {
					t.Errorf("%d connections before the header", n)
				}
				near.s.Write([]byte("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nbehind"))
				want = client
			}
			until(t, u.r, func() bool { return len(u.far.all) == 1 })
			end := u.far.all[0]
			if silent {
				near.s.Write([]byte("behind"))
			}
			var h flow.ProxyHeader
			until(t, u.r, func() bool {
				n := 0
				if h, n, _ = flow.ParseProxyHeader(end.got); n == 0 {
					return false
				}
				return string(end.got[n:]) == "behind"
			})
			if h.Source != want {
				t.Errorf("silent %v: the far end sees %v, want %v", silent, h.Source, want)
			}
			near.s.Abort()
			u.empty(t)
		}
	})
}
