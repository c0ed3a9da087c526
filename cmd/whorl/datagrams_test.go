package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
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

// gram is the end of a test.
type gram struct {
	packetBase
	got  []string
	from []kernel.Addr
}

func (g *gram) DatagramReceived(p []byte, from kernel.Addr) {
	g.got, g.from = append(g.got, string(p)), append(g.from, from)
}

// anyGram is a free UDP port of loopback, everyGram one of all IPv4 addresses.
var (
	anyGram   = kernel.UDPAddr(netip.MustParseAddr("127.0.0.1"), 0)
	everyGram = kernel.UDPAddr(netip.IPv4Unspecified(), 0)
)

// otherLoopback is an address of this host from which the system sends only if it is told to.
var otherLoopback = netip.MustParseAddr("127.0.0.2")

func listenGrams(t *testing.T, r *reactor.Reactor, a kernel.Addr, p reactor.PacketProtocol) *reactor.PacketPort {
	t.Helper()
	port, err := r.ListenPacket(a, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func dialGrams(t *testing.T, r *reactor.Reactor, a kernel.Addr) (*gram, *reactor.PacketPort) {
	t.Helper()
	g := new(gram)
	port, err := r.DialPacket(a, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g, port
}

// Each datagram comes back, empty ones and large ones too, from the address to which it was sent (RFC 862): a connected client
// gets no other.
func TestPacketEcho(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		port := listenGrams(t, r, everyGram, newPacketEcho())
		g, p := dialGrams(t, r, kernel.UDPAddr(otherLoopback, port.Local().Port()))
		want := []string{"one", "", string(noise(9000))}
		for i, text := range want {
			p.Write([]byte(text))
			until(t, r, func() bool { return len(g.got) > i })
			if g.got[i] != text {
				t.Errorf("datagram %d: sent %d bytes, got %d others", i, len(text), len(g.got[i]))
			}
		}
	})
}

// A UNIX socket gets its echo at its name. One without a name gets none, and is no failure.
func TestPacketEchoUNIX(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		dir := t.TempDir()
		srv := listenGrams(t, r, kernel.UNIXDatagramAddr(dir+"/s"), newPacketEcho())
		_, silent := dialGrams(t, r, srv.Local())
		silent.Write([]byte("nobody"))
		g := new(gram)
		p := listenGrams(t, r, kernel.UNIXDatagramAddr(dir+"/c"), g)
		p.WriteTo([]byte("hello"), srv.Local())
		until(t, r, func() bool { return len(g.got) == 1 })
		if s := srv.Stats(); g.got[0] != "hello" || s.Received != 2 || s.Sent != 1 || s.Failed+s.Dropped != 0 {
			t.Errorf("got %q; the echo has %+v", g.got, s)
		}
	})
}

// Nothing comes back (RFC 863).
func TestPacketDiscard(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		port := listenGrams(t, r, anyGram, newPacketDiscard())
		_, p := dialGrams(t, r, port.Local())
		p.Write([]byte("away"))
		until(t, r, func() bool { return port.Stats().Received == 1 })
		testworld.Turns(t, r, 2)
		if s := port.Stats(); s.Sent+s.Failed+s.Dropped+uint64(s.Queued) != 0 {
			t.Errorf("it has sent: %+v", s)
		}
	})
}

// Each datagram is answered by one of 0 to 512 characters, of different lengths, from the lines of the service (RFC 864).
func TestPacketChargen(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		f := NewChargens()
		port := listenGrams(t, r, anyGram, newPacketChargens(f, rand.New(rand.NewPCG(1, 2)))())
		g, p := dialGrams(t, r, port.Local())
		lengths := map[int]bool{}
		for i := range 50 {
			p.Write(nil)
			until(t, r, func() bool { return len(g.got) > i })
			lengths[len(g.got[i])] = true
			if len(g.got[i]) > maxChargen || !bytes.HasPrefix(f.lines, []byte(g.got[i])) {
				t.Fatalf("answer %d has %d bytes: %q", i, len(g.got[i]), g.got[i])
			}
		}
		if len(lengths) < 20 {
			t.Errorf("50 answers have %d lengths", len(lengths))
		}
	})
}

// forwarding is a forwarder to an echo that tells clients apart, and its clients.
type forwarding struct {
	t    *testing.T
	w    testworld.World
	r    *reactor.Reactor
	f    *PacketForwarder
	port *reactor.PacketPort
	log  bytes.Buffer
}

func forwardGrams(t *testing.T, w testworld.World, to string, f *PacketForwarder) *forwarding {
	t.Helper()
	v := &forwarding{t: t, w: w, f: f, r: w.New(t, reactor.Config{})}
	e, err := std.Schemes(nil).PacketClient(to)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&v.log, nil))
	f.To, f.Name, f.Log, f.Access = e, to, log, &accessLog{to: log, level: slog.LevelInfo}
	return v
}

func (v *forwarding) open(a kernel.Addr) { v.port = listenGrams(v.t, v.r, a, v.f) }

// asked has a new client ask, and waits for the echo.
func (v *forwarding) asked(text string) (*gram, *reactor.PacketPort) {
	v.t.Helper()
	to := v.port.Local().IP.Addr()
	if to.IsUnspecified() {
		to = otherLoopback // a connected client takes an answer from there alone
	}
	g, p := dialGrams(v.t, v.r, kernel.UDPAddr(to, v.port.Local().Port()))
	v.again(g, p, text)
	return g, p
}

func (v *forwarding) again(g *gram, p *reactor.PacketPort, text string) {
	v.t.Helper()
	n := len(g.got)
	p.Write([]byte(text))
	until(v.t, v.r, func() bool { return len(g.got) > n })
	if g.got[n] != text {
		v.t.Errorf("asked %q, got %q", text, g.got[n])
	}
}

// Answers go to the client that has asked, from the address that it has asked at. Sessions end when the place does.
func TestForwardDatagrams(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		v := forwardGrams(t, w, "udp:127.0.0.1:1", &PacketForwarder{Idle: time.Hour, Most: 10})
		echo := listenGrams(t, v.r, anyGram, newPacketEcho())
		v.f.To = &std.UDPClient{Host: "127.0.0.1", Port: echo.Local().Port()}
		v.open(everyGram)
		a, pa := v.asked("a")
		b, pb := v.asked("b")
		v.again(a, pa, "a again")
		v.again(b, pb, "b again")
		if len(v.f.sessions) != 2 || v.f.recent.Len() != 2 || len(a.got) != 2 || len(b.got) != 2 {
			t.Errorf("%d sessions; got %q and %q", len(v.f.sessions), a.got, b.got)
		}
		before := v.r.Stats().Sources
		stopped := false
		v.port.StopListening(func(error) { stopped = true })
		until(t, v.r, func() bool { return stopped })
		testworld.Turns(t, v.r, 3)
		if n := v.r.Stats().Sources; n != before-3 || len(v.f.sessions) != 0 || len(v.r.DelayedCalls()) != 0 {
			t.Errorf("%d sources of %d, %d sessions and %d delayed calls are left", n, before, len(v.f.sessions), len(v.r.DelayedCalls()))
		}
		line := fmt.Sprintf(`msg="session ended" peer=%s backend=%s in=8 out=8`, pa.Local(), echo.Local())
		if got := v.log.String(); strings.Count(got, "session ended") != 2 || !strings.Contains(got, line) && !pa.Local().IP.Addr().IsUnspecified() {
			t.Errorf("no %s in:\n%s", line, got)
		}
	})
}

// What a client sends while the place is being looked up is kept, up to a limit, in order.
func TestForwardDatagramsWait(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		v := forwardGrams(t, w, "udp:127.0.0.1:1", &PacketForwarder{Idle: time.Hour, Most: 10})
		sink := new(gram)
		to := listenGrams(t, v.r, anyGram, sink)
		late := &lateClient{PacketClient: &std.UDPClient{Host: "127.0.0.1", Port: to.Local().Port()}}
		v.f.To = late
		v.open(anyGram)
		_, p := dialGrams(t, v.r, v.port.Local())
		const size = 16<<10 - waitingOverhead
		room := sessionWaiting / (size + waitingOverhead)
		for i := range room + 3 {
			fmt.Fprintf(writer{p}, "%*d", size, i)
		}
		until(t, v.r, func() bool { return v.port.Stats().Received == uint64(room+3) })
		late.begin()
		until(t, v.r, func() bool { return len(sink.got) >= room })
		testworld.Turns(t, v.r, 3)
		if len(sink.got) != room || strings.TrimSpace(sink.got[0]) != "0" || strings.TrimSpace(sink.got[room-1]) != fmt.Sprint(room-1) {
			t.Errorf("got %d datagrams, want %d, in order", len(sink.got), room)
		}
	})
}

// UDP-28: trains go through the forwarder, both ways, and also those that wait for the place.
func TestForwardTrains(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		v := forwardGrams(t, w, "udp:127.0.0.1:1", &PacketForwarder{Idle: time.Hour, Most: 10})
		echo := listenGrams(t, v.r, anyGram, newPacketEcho())
		late := &lateClient{PacketClient: &std.UDPClient{Host: "127.0.0.1", Port: echo.Local().Port()}}
		v.f.To = late
		v.open(anyGram)
		g, p := dialGrams(t, v.r, v.port.Local())
		var want []string
		for i := range 6 {
			train := kernel.Packet{Data: noise(50*(30+i) - i), Segment: 30 + i}
			for _, one := range train.AppendDatagrams(nil) {
				want = append(want, string(one.Data))
			}
			if n, err := p.WritePackets([]kernel.Packet{train}); n != 1 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			until(t, v.r, func() bool { return v.port.Stats().Received == uint64(len(want)) })
			if i == 1 {
				late.begin()
			}
		}
		until(t, v.r, func() bool { return len(g.got) == len(want) })
		if !slices.Equal(g.got, want) {
			t.Error("UDP-28: other datagrams came back, or in another order")
		}
		if st := v.port.Stats(); st.Sent != uint64(len(want)) || st.Failed+st.Dropped != 0 {
			t.Errorf("UDP-28: %+v", st)
		}
	})
}

// lateClient connects when it is told to.
type lateClient struct {
	endpoint.PacketClient
	begin func()
}

func (l *lateClient) ConnectPacket(r *reactor.Reactor, p reactor.PacketProtocol, done func(*reactor.PacketPort, error)) (cancel func()) {
	l.begin = func() { l.PacketClient.ConnectPacket(r, p, done) }
	return func() {}
}

// writer sends each Write.
type writer struct{ p *reactor.PacketPort }

func (w writer) Write(p []byte) (int, error) { return len(p), w.p.Write(p) }

// A session on which nothing passes ends, and the next datagram of its client begins another.
func TestForwardDatagramsIdle(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		v := forwardGrams(t, w, "udp:127.0.0.1:1", &PacketForwarder{Idle: 60 * time.Millisecond, Most: 10})
		echo := listenGrams(t, v.r, anyGram, newPacketEcho())
		v.f.To = &std.UDPClient{Host: "127.0.0.1", Port: echo.Local().Port()}
		v.open(anyGram)
		g, p := v.asked("one")
		until(t, v.r, func() bool { return len(v.f.sessions) == 0 })
		if !strings.Contains(v.log.String(), reactor.ErrIdle.Error()) {
			t.Errorf("the log has no reason:\n%s", v.log.String())
		}
		v.again(g, p, "two")
		if v.f.made != 2 {
			t.Errorf("%d sessions were made", v.f.made)
		}
	})
}

// When there are as many sessions as may be, the one that has been silent longest gives way, but not if it was in use a moment
// ago: then the new client is not served.
func TestForwardDatagramsCrowded(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		v := forwardGrams(t, w, "udp:127.0.0.1:1", &PacketForwarder{Idle: time.Hour, Most: 2, Quiet: time.Hour})
		echo := listenGrams(t, v.r, anyGram, newPacketEcho())
		v.f.To = &std.UDPClient{Host: "127.0.0.1", Port: echo.Local().Port()}
		v.open(anyGram)
		a, pa := v.asked("a")
		v.asked("b")
		v.again(a, pa, "a again")
		c, pc := dialGrams(t, v.r, v.port.Local())
		pc.Write([]byte("c"))
		until(t, v.r, func() bool { return strings.Contains(v.log.String(), "no room for a new client") })
		if len(c.got) != 0 || len(v.f.sessions) != 2 || v.f.made != 2 {
			t.Errorf("a third client got %q; %d sessions", c.got, len(v.f.sessions))
		}
		v.f.Quiet = 0
		v.again(c, pc, "c again")
		if n := strings.Count(v.log.String(), errCrowded.Error()); n != 1 || len(v.f.sessions) != 2 {
			t.Errorf("%d sessions have given way, %d are there", n, len(v.f.sessions))
		}
		v.again(a, pa, "a for the third time")
		if v.f.made != 3 {
			t.Errorf("%d sessions were made: a has lost its own, which was used after that of b", v.f.made)
		}
	})
}

// Answers of a UNIX socket come back, because each session binds a path of its own; a place that cannot be connected to is
// logged, and the client may try again.
func TestForwardDatagramsUNIX(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		dir := t.TempDir()
		v := forwardGrams(t, w, "unixgram:"+dir+"/s:bindAddress="+dir+"/c", &PacketForwarder{Idle: time.Hour, Most: 10})
		v.open(anyGram)
		g, p := dialGrams(t, v.r, v.port.Local())
		p.Write([]byte("too soon"))
		until(t, v.r, func() bool { return strings.Contains(v.log.String(), "cannot pass a datagram on") })
		echo := new(gramEcho)
		listenGrams(t, v.r, kernel.UNIXDatagramAddr(dir+"/s"), echo)
		listenGrams(t, v.r, kernel.UNIXDatagramAddr(dir+"/c.2"), new(gram)) // somebody has the next path, and the one after that
		listenGrams(t, v.r, kernel.UNIXDatagramAddr(dir+"/c.3"), new(gram))
		v.again(g, p, "hello")
		v.asked("from another")
		if fmt.Sprint(echo.from[0].Name, " ", echo.from[1].Name) != dir+"/c.4 "+dir+"/c.5" {
			t.Errorf("the sessions are %v", echo.from)
		}
	})
}

// gramEcho is an echo that notes who asks.
type gramEcho struct{ gram }

func (e *gramEcho) DatagramReceived(p []byte, from kernel.Addr) {
	e.gram.DatagramReceived(p, from)
	e.t.WriteTo(p, from)
}

// tunnelTo runs a packetTunnel to a until it is over.
func tunnelTo(t *testing.T, w testworld.World, r *reactor.Reactor, a kernel.Addr, in io.Reader, out io.Writer, set func(*packetTunnel)) error {
	t.Helper()
	u := newPacketTunnel(r, in, out)
	u.size, u.wait = 1200, 50*time.Millisecond
	set(u)
	over, failed := 0, error(nil)
	u.over = func(err error) { over, failed = over+1, err }
	port, err := r.DialPacket(a, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	until(t, r, func() bool { return over > 0 })
	port.StopListening(nil)
	testworld.Turns(t, r, 3)
	if over != 1 {
		t.Errorf("it was over %d times", over)
	}
	return failed
}

// The input is sent in pieces, or in lines, and what comes back is written; it ends when nothing has come for a while.
func TestPacketTunnel(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, c := range []struct {
			in    string
			size  int
			lines bool
			want  []string
		}{
			{strings.Repeat("x", 2500), 1200, false, []string{strings.Repeat("x", 1200), strings.Repeat("x", 1200), strings.Repeat("x", 100)}},
			{strings.Repeat("x", 2400), 1200, false, []string{strings.Repeat("x", 1200), strings.Repeat("x", 1200)}},
			{"one\ntwo\n\nlast", 1200, true, []string{"one\n", "two\n", "\n", "last"}},
			{"one\ntwo\n", 3, false, []string{"one", "\ntw", "o\n"}},
			{"", 1200, false, nil},
		} {
			r := w.New(t, reactor.Config{})
			echo := new(gramEcho)
			port := listenGrams(t, r, anyGram, echo)
			var out bytes.Buffer
			err := tunnelTo(t, w, r, port.Local(), strings.NewReader(c.in), &out, func(u *packetTunnel) { u.size, u.lines = c.size, c.lines })
			if err != nil || fmt.Sprintf("%q", echo.got) != fmt.Sprintf("%q", c.want) || out.String() != c.in {
				t.Errorf("%.20q: %v; sent %d datagrams, want %d, and %d bytes came back", c.in, err, len(echo.got), len(c.want), out.Len())
			}
			r.Close()
		}
	})
}

// Each answer that comes after the end of the input starts the wait again.
func TestPacketTunnelWaitsAgain(t *testing.T) {
	for name, w := range testworld.Worlds() {
		if name != "sim" {
			continue // the time is the reactor's on every kernel
		}
		r := w.New(t, reactor.Config{})
		late := &lateEcho{}
		port := listenGrams(t, r, anyGram, late)
		var out bytes.Buffer
		err := tunnelTo(t, w, r, port.Local(), strings.NewReader("x"), &out, func(u *packetTunnel) { u.wait = 50 * time.Millisecond })
		if err != nil || out.String() != "xxxx" {
			t.Errorf("%v, got %q, want the four answers that came 30 ms apart", err, out.String())
		}
	}
}

// An output that is behind makes nobody give up waiting: what came meanwhile, and is with the system, is written when the
// output goes on.
func TestPacketTunnelSlowOutput(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		port := listenGrams(t, r, anyGram, new(manyEcho))
		out := &gated{gate: make(chan bool)}
		r.CallLater(200*time.Millisecond, func() { close(out.gate) })
		err := tunnelTo(t, w, r, port.Local(), strings.NewReader(strings.Repeat("x", 1000)), out, func(u *packetTunnel) { u.wait = 50 * time.Millisecond })
		if err != nil || out.n != 1000*answers {
			t.Errorf("%v, %d bytes written, want %d", err, out.n, 1000*answers)
		}
	})
}

// A tunnel whose loop stands still for longer than it waits, as after Ctrl-Z, writes what has come meanwhile.
func TestPacketTunnelLate(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		near, far := w.New(t, reactor.Config{}), w.New(t, reactor.Config{})
		asked := new(gram)
		there := listenGrams(t, far, anyGram, asked)
		var out bytes.Buffer
		in, input := io.Pipe()
		u := newPacketTunnel(near, in, &out)
		u.size, u.wait = 1200, 50*time.Millisecond
		over := false
		u.over = func(err error) {
			if over = true; err != nil {
				t.Error(err)
			}
		}
		port, err := near.DialPacket(there.Local(), u, nil)
		if err != nil {
			t.Fatal(err)
		}
		go input.Write([]byte("x"))
		testworld.Until(t, func() bool { return len(asked.got) == 1 }, near, far)
		input.Close()
		until(t, near, func() bool { return u.ended })
		if err := there.WriteTo([]byte("answer"), port.Local()); err != nil {
			t.Fatal(err)
		}
		late := false
		far.CallLater(2*u.wait, func() { late = true })
		until(t, far, func() bool { return late })
		testworld.Until(t, func() bool { return over }, near, far)
		if out.String() != "answer" {
			t.Errorf("%q was written", out.String())
		}
	})
}

// manyEcho answers more at once than an output has room for.
type manyEcho struct{ packetBase }

const answers = 3 * stdioBuffer / 1000

func (e *manyEcho) DatagramReceived(p []byte, from kernel.Addr) {
	text := bytes.Clone(p)
	e.t.Reactor().CallLater(20*time.Millisecond, func() { // the input has ended by then
		for range answers {
			e.t.WriteTo(text, from)
		}
	})
}

// gated writes nothing before its gate is open.
type gated struct {
	gate chan bool
	n    int
}

func (g *gated) Write(p []byte) (int, error) {
	<-g.gate
	g.n += len(p)
	return len(p), nil
}

// lateEcho answers four times, 30 ms apart, and a fifth time much later.
type lateEcho struct{ packetBase }

func (e *lateEcho) DatagramReceived(p []byte, from kernel.Addr) {
	text := bytes.Clone(p)
	for _, after := range []time.Duration{1, 2, 3, 4, 20} {
		e.t.Reactor().CallLater(after*30*time.Millisecond, func() { e.t.WriteTo(text, from) })
	}
}

// It goes no faster than the system takes datagrams, so that a slow receiver on this host loses none.
func TestPacketTunnelHoldsBack(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		slow := new(gram)
		port := listenGrams(t, r, kernel.UNIXDatagramAddr(t.TempDir()+"/s"), slow)
		port.PauseProducing()
		r.CallLater(20*time.Millisecond, port.ResumeProducing)
		data := noise(4 << 20)
		if err := tunnelTo(t, w, r, port.Local(), bytes.NewReader(data), io.Discard, func(*packetTunnel) {}); err != nil {
			t.Fatal(err)
		}
		until(t, r, func() bool { return len(strings.Join(slow.got, "")) >= len(data) })
		same(t, "what has come", []byte(strings.Join(slow.got, "")), data)
	})
}

// It fails if nobody is there, if the input does, if the output does, and if a line is too long for a datagram.
func TestPacketTunnelFails(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		port := listenGrams(t, r, anyGram, newPacketEcho())
		gone := listenGrams(t, r, anyGram, new(gram))
		gone.StopListening(nil)
		testworld.Turns(t, r, 3)
		broken := errors.New("broken")
		long := func(u *packetTunnel) { u.lines = true; u.wait = time.Hour }
		patient := func(u *packetTunnel) { u.wait = time.Hour }
		for what, c := range map[string]struct {
			to   kernel.Addr
			in   io.Reader
			out  io.Writer
			set  func(*packetTunnel)
			says string
		}{
			"nobody":    {gone.Local(), strings.NewReader("hello"), io.Discard, patient, "connection refused"},
			"the input": {port.Local(), io.MultiReader(strings.NewReader("hello"), failing{broken}), io.Discard, patient, "standard input: broken"},
			"output":    {port.Local(), strings.NewReader("hello"), failing{broken}, patient, "standard output: broken"},
			"long line": {port.Local(), strings.NewReader(strings.Repeat("x", 70000)), io.Discard, long, "a line has more than 65507 bytes"},
		} {
			err := tunnelTo(t, w, r, c.to, c.in, c.out, c.set)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want %q", what, err, c.says)
			}
		}
	})
}

// failing fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// What is sent to a group is echoed from an address of the host: a group cannot be a sender.
func TestPacketEchoGroup(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		e := &std.UDPServer{Interface: netip.IPv4Unspecified(), Multicast: std.Multicast{Groups: "239.255.77.3@127.0.0.1"}}
		port, err := e.ListenPacket(r, newPacketEcho())
		if err != nil {
			t.Fatal(err)
		}
		g := new(gram)
		p := listenGrams(t, r, anyGram, g)
		if m, err := p.Multicast(); err != nil || m.SetMulticastInterface("127.0.0.1") != nil {
			t.Fatal(err)
		}
		p.WriteTo([]byte("all"), kernel.UDPAddr(netip.MustParseAddr("239.255.77.3"), port.Local().Port()))
		until(t, r, func() bool { return len(g.got) == 1 })
		if g.got[0] != "all" || g.from[0].IP.Addr().IsMulticast() {
			t.Errorf("got %q from %v", g.got, g.from)
		}
	})
}
