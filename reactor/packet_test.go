package reactor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// v6 is a free UDP port of ::1.
var v6 = kernel.UDPAddr(netip.IPv6Loopback(), 0)

// gramName is a name for a UNIX datagram socket, at which nothing is.
func gramName(t *testing.T) kernel.Addr {
	t.Helper()
	return kernel.UNIXDatagramAddr(socketName(t).Name)
}

func listenPacket(t *testing.T, r *reactor.Reactor, a kernel.Addr, g reactor.PacketProtocol, c *reactor.PacketConfig) *reactor.PacketPort {
	t.Helper()
	p, err := r.ListenPacket(a, g, c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// echoGram sends back what comes.
func echoGram() *gram {
	g := &gram{}
	g.onData = func(p []byte, from kernel.Addr) { g.t.WriteTo(p, from) }
	return g
}

// A port is bound and its protocol started when ListenPacket returns (UDP-1, UDP-4, UNIXD-2); its address has the
// number that the system chose (UDP-3), or is the path; an IPv6 literal makes an IPv6 port (UDP-2). Datagrams come
// with the sender's address (UDP-9, UNIXD-3), empty ones too (UDP-11), and answers go to it.
// Start and end are logged (UDP-8), and then the protocol and the address can be used again (UDP-6, UNIXD-4).
func TestPacketPort(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for kind, at := range map[string]kernel.Addr{"IPv4": udp(0), "IPv6": v6, "UNIX": gramName(t)} {
			var log bytes.Buffer
			r := w.New(t, reactor.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			srv := echoGram()
			logged := false
			srv.onStart = func() { logged = strings.Contains(log.String(), "starting") }
			p := listenPacket(t, r, at, srv, nil)
			if srv.started != 1 || !logged || srv.t.Local() != p.Local() || len(srv.got) != 0 {
				t.Fatalf("UDP-4, UNIXD-2: %s: started %d times, logged %v, at %v", kind, srv.started, logged, srv.t.Local())
			}
			if at.Net == kernel.UDP && (p.Local().Port() == 0 || p.Local().IP.Addr() != at.IP.Addr()) || at.Net != kernel.UDP && p.Local() != at {
				t.Errorf("UDP-1, UDP-2, UDP-3: %s: bound to %v", kind, p.Local())
			}
			if _, err := r.ListenPacket(at, srv, nil); !errors.Is(err, reactor.ErrProtocolInUse) || !errors.Is(err, reactor.ErrListen) {
				t.Errorf("UDP-7: %s: %v", kind, err)
			}
			if _, err := r.ListenPacket(p.Local(), &gram{}, nil); !errors.Is(err, kernel.ErrAddrInUse) || !errors.Is(err, reactor.ErrListen) {
				t.Errorf("UDP-1, UNIXD-1: %s: a second port at %v: %v", kind, p.Local(), err)
			}
			mine := at
			if at.Net == kernel.UNIXDatagram {
				mine = gramName(t)
			}
			cli := &gram{}
			q := listenPacket(t, r, mine, cli, nil)
			for _, text := range []string{"one", "", "three"} {
				q.WriteTo([]byte(text), p.Local())
			}
			until(t, r, func() bool { return len(cli.got) == 3 })
			if fmt.Sprintf("%q", cli.got) != `["one" "" "three"]` || srv.from[0] != q.Local() || cli.from[1] != p.Local() {
				t.Errorf("UDP-9, UDP-11, UNIXD-3: %s: got %q from %v", kind, cli.got, srv.from)
			}
			shown := fmt.Sprintf("<%s on %d>", reactor.LogPrefixOf(srv), p.Local().Port())
			closed := fmt.Sprintf("UDP Port %d Closed", p.Local().Port())
			if at.Net != kernel.UDP {
				shown, closed = fmt.Sprintf("<%s on %q>", reactor.LogPrefixOf(srv), at.Name), "UNIXGRAM Port"
			}
			if p.String() != shown {
				t.Errorf("%s: shown as %s, want %s", kind, p, shown)
			}
			stopped := 0
			p.StopListening(func(err error) { stopped++ })
			until(t, r, func() bool { return stopped == 1 })
			if shown = fmt.Sprintf("<%s (not listening)>", reactor.LogPrefixOf(srv)); p.String() != shown {
				t.Errorf("%s: shown as %s after its end, want %s", kind, p, shown)
			}
			if !strings.Contains(log.String(), closed) {
				t.Errorf("UDP-8: %s: the log is %s", kind, log.String())
			}
			again := listenPacket(t, r, p.Local(), srv, nil)
			if srv.started != 2 || again.Local() != p.Local() {
				t.Errorf("UDP-6, UNIXD-4: %s: started %d times, at %v", kind, srv.started, again.Local())
			}
			r.Close()
		}
	})
}

// refusing is a gram that hears of refusals.
type refusing struct {
	gram
	refused []string
	errs    []error
}

func (g *refusing) DatagramRefused(p []byte, to kernel.Addr, err error) {
	g.refused = append(g.refused, string(p))
	g.errs = append(g.errs, err)
}

// A connected port sends without an address, and receives from its peer alone (UDP-25, UDP-26). When nobody has the
// peer's port any more it hears of that, and stays (UDP-15, UDP-17, UDP-27).
func TestPacketConnected(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for kind, at := range map[string]kernel.Addr{"IPv4": udp(0), "IPv6": v6} {
			r := w.New(t, reactor.Config{})
			srv, other, cli := echoGram(), &gram{}, &refusing{}
			p := listenPacket(t, r, at, srv, nil)
			o := listenPacket(t, r, at, other, nil)
			q, err := r.DialPacket(p.Local(), cli, nil)
			if err != nil {
				t.Fatal(err)
			}
			if q.Remote() != p.Local() || cli.t.Remote() != p.Local() {
				t.Errorf("UDP-25: %s: the peer is %v", kind, q.Remote())
			}
			q.Write([]byte("a"))
			until(t, r, func() bool { return len(cli.got) == 1 })
			o.WriteTo([]byte("stranger"), srv.from[0])
			q.WriteTo([]byte("b"), p.Local())
			until(t, r, func() bool { return len(cli.got) == 2 })
			if fmt.Sprint(cli.got) != "[a b]" {
				t.Errorf("UDP-26: %s: got %q", kind, cli.got)
			}
			stopped := false
			p.StopListening(func(error) { stopped = true })
			until(t, r, func() bool { return stopped })
			q.Write([]byte("gone"))
			until(t, r, func() bool { return len(cli.refused) > 0 })
			if !errors.Is(cli.errs[0], kernel.ErrRefused) || len(cli.stopped) != 0 || !q.Listening() {
				t.Errorf("UDP-15, UDP-17, UDP-27: %s: refused %q with %v, stopped %v", kind, cli.refused, cli.errs, cli.stopped)
			}
			listenPacket(t, r, p.Local(), srv, nil)
			q.Write([]byte("back"))
			until(t, r, func() bool { return len(cli.got) == 3 })
			// An unconnected port hears nothing of refusals, and stays too.
			lone := &refusing{}
			l := listenPacket(t, r, at, lone, nil)
			o.StopListening(nil)
			until(t, r, func() bool { return len(other.stopped) == 1 })
			l.WriteTo([]byte("nobody"), o.Local())
			l.WriteTo([]byte("hello"), p.Local())
			until(t, r, func() bool { return len(lone.got) == 1 })
			if len(lone.refused) != 0 || len(lone.failed) != 0 || len(lone.stopped) != 0 {
				t.Errorf("UDP-15: %s: unconnected: refused %q, failed %q", kind, lone.refused, lone.failed)
			}
		}
	})
}

// A connected UNIX port sends and receives without addresses; answers reach it only if it has bound a path
// (UNIXD-6, UNIXD-8). A path that nobody has fails at once (UNIXD-7), and later with each write, and the port stays.
func TestPacketUNIXConnected(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv := echoGram()
		p := listenPacket(t, r, gramName(t), srv, nil)
		nameless, named := &gram{}, &gram{}
		q, err := r.DialPacket(p.Local(), nameless, nil)
		if err != nil {
			t.Fatal(err)
		}
		mine := gramName(t)
		n, err := r.DialPacket(p.Local(), named, &reactor.PacketConfig{Bind: mine})
		if err != nil {
			t.Fatal(err)
		}
		q.Write([]byte("nameless"))
		n.Write([]byte("named"))
		until(t, r, func() bool {
			return len(named.got) == 1 && len(srv.failed) == 1 || len(srv.got) == 2 && len(named.got) == 1
		})
		if srv.from[0] != (kernel.Addr{}) || srv.from[1] != mine || n.Remote() != p.Local() || n.Local() != mine {
			t.Errorf("UNIXD-3, UNIXD-6, UNIXD-8: from %v, connected to %v", srv.from, n.Remote())
		}
		late := &gram{}
		if _, err := r.DialPacket(gramName(t), late, nil); !errors.Is(err, os.ErrNotExist) || !errors.Is(err, reactor.ErrConnect) || late.started != 0 {
			t.Errorf("UNIXD-7: %v, started %d times", err, late.started)
		}
		p.StopListening(nil)
		until(t, r, func() bool { return len(srv.stopped) == 1 })
		n.Write([]byte("gone"))
		until(t, r, func() bool { return len(named.failed) == 1 })
		if !errors.Is(named.failures[0], kernel.ErrRefused) || len(named.stopped) != 0 {
			t.Errorf("UNIXD-7: %v, stopped %v", named.failures, named.stopped)
		}
	})
}

// Broadcasting must be allowed (UDP-24). A datagram that is too long is refused (UDP-21, UNIXD-5), and the longest
// possible one arrives.
func TestPacketRefusedBySystem(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		g, srv := &gram{}, &gram{}
		p := listenPacket(t, r, udp(0), g, nil)
		q := listenPacket(t, r, udp(0), srv, nil)
		p.WriteTo([]byte("x"), kernel.UDPAddr(netip.AddrFrom4([4]byte{255, 255, 255, 255}), 9))
		until(t, r, func() bool { return len(g.failed) == 1 })
		if !errors.Is(g.failures[0], kernel.ErrPermission) {
			t.Errorf("UDP-24: %v", g.failures)
		}
		s := must(kernel.PacketAs[kernel.PacketSettings](p.Conn()))
		if on, err := s.Broadcast(); on || err != nil {
			t.Errorf("UDP-24: broadcast %v by default, %v", on, err)
		}
		if err := s.SetBroadcast(true); err != nil {
			t.Error(err)
		}
		if on, err := s.Broadcast(); !on || err != nil {
			t.Errorf("UDP-24: broadcast %v after it was allowed, %v", on, err)
		}
		p.WriteTo(make([]byte, kernel.MaxDatagram), q.Local())
		until(t, r, func() bool { return len(srv.got) == 1 })
		if len(srv.got[0]) != kernel.MaxDatagram {
			t.Errorf("%d bytes arrived", len(srv.got[0]))
		}
		u, long := &gram{}, gramName(t)
		listenPacket(t, r, long, &gram{}, nil)
		listenPacket(t, r, kernel.UNIXDatagramAddr(""), u, nil)
		u.t.WriteTo(make([]byte, 8<<20), long)
		until(t, r, func() bool { return len(u.failed) == 1 })
		if !errors.Is(u.failures[0], kernel.ErrMessageSize) {
			t.Errorf("UNIXD-5: %v", u.failures)
		}
	})
}

// A sender that is faster than the receiver loses nothing over UNIX: what the receiver has no room for waits
// (UNIXD-5).
func TestPacketUNIXSlowReceiver(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, connected := range []bool{false, true} {
			r := w.New(t, reactor.Config{})
			srv, cli := &gram{}, &gram{}
			at := gramName(t)
			p := listenPacket(t, r, at, srv, nil)
			var q *reactor.PacketPort
			to := at
			if connected {
				var err error
				if q, err = r.DialPacket(at, cli, nil); err != nil {
					t.Fatal(err)
				}
				to = kernel.Addr{}
			} else {
				q = listenPacket(t, r, kernel.UNIXDatagramAddr(""), cli, nil)
			}
			p.PauseProducing()
			const n = 500
			for i := range n {
				if err := q.WriteTo([]byte(fmt.Sprint(i)), to); err != nil {
					t.Fatal(err)
				}
			}
			turns(r, 3)
			if q.Stats().Queued == 0 || len(srv.got) != 0 {
				t.Fatalf("connected %v: %+v", connected, q.Stats())
			}
			p.ResumeProducing()
			until(t, r, func() bool { return len(srv.got) == n })
			for i, text := range srv.got {
				if text != fmt.Sprint(i) {
					t.Fatalf("UNIXD-5: connected %v: datagram %d is %q", connected, i, text)
				}
			}
			if st := q.Stats(); st.Sent != n || st.Queued != 0 || st.Waited == 0 || len(cli.failed) != 0 {
				t.Errorf("connected %v: %+v, failed %q", connected, st, cli.failed)
			}
		}
	})
}

// When the peer is fixed while datagrams wait for it, they are sent, and what is written later comes behind them (UDP-25).
func TestPacketConnectWhileWaiting(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv, cli := &gram{}, &gram{}
		p := listenPacket(t, r, gramName(t), srv, nil)
		q := listenPacket(t, r, kernel.UNIXDatagramAddr(""), cli, nil)
		p.PauseProducing()
		for i := range 50 {
			q.WriteTo([]byte(fmt.Sprint(i)), p.Local())
		}
		turns(r, 3)
		if err := q.Connect(p.Local()); err != nil || q.Stats().Queued == 0 {
			t.Fatalf("%v, %+v", err, q.Stats())
		}
		q.Write([]byte("50"))
		p.ResumeProducing()
		until(t, r, func() bool { return len(srv.got)+len(cli.failed) >= 51 })
		for i, text := range srv.got {
			if text != fmt.Sprint(i) {
				t.Fatalf("datagram %d is %q", i, text)
			}
		}
		if len(cli.failed) > 0 {
			t.Errorf("failed %q with %v", cli.failed, cli.failures[0])
		}
	})
}

// What comes after StopListening and before the end is counted as discarded, on every kernel (UDP-14).
func TestPacketCountsTheLast(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv, cli := &gram{}, &gram{}
		p := listenPacket(t, r, gramName(t), srv, nil)
		q, err := r.DialPacket(p.Local(), cli, nil)
		if err != nil {
			t.Fatal(err)
		}
		srv.onData = func([]byte, kernel.Addr) {
			p.StopListening(nil)
			for range 3 {
				q.Conn().WritePackets([]kernel.Packet{{Data: []byte("late")}})
			}
		}
		q.Write([]byte("first"))
		until(t, r, func() bool { return len(srv.stopped) == 1 })
		if st := p.Stats(); st.Received != 1 || st.Discarded != 3 {
			t.Errorf("UDP-14: %+v", st)
		}
	})
}

// A log that is sent as datagrams by the port itself loses nothing of what the port writes (UDP-22).
func TestPacketLogsItself(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		h := &gramHandler{}
		r := w.New(t, reactor.Config{Logger: slog.New(h)})
		srv := &gram{}
		p := listenPacket(t, r, udp(0), srv, nil)
		plain := &plainGram{}
		q := listenPacket(t, r, udp(0), plain, nil)
		h.write = func() { q.WriteTo([]byte("log"), p.Local()) }
		q.WriteTo([]byte("x"), kernel.UDPAddr(netip.AddrFrom4([4]byte{255, 255, 255, 255}), 9)) // refused, and logged
		until(t, r, func() bool { return len(srv.got) == 1 })
		if st := q.Stats(); st.Sent != 1 || st.Failed != 1 || srv.got[0] != "log" {
			t.Errorf("UDP-22: %+v, got %q", st, srv.got)
		}
	})
}

// plainGram hears of no failures, so they are logged.
type plainGram struct{}

func (plainGram) StartProtocol(reactor.PacketTransport) {}
func (plainGram) DatagramReceived([]byte, kernel.Addr)  {}
func (plainGram) StopProtocol(error)                    {}

// gramHandler calls write for each warning.
type gramHandler struct{ write func() }

func (h *gramHandler) Enabled(_ context.Context, l slog.Level) bool { return l == slog.LevelWarn }
func (h *gramHandler) WithAttrs([]slog.Attr) slog.Handler           { return h }
func (h *gramHandler) WithGroup(string) slog.Handler                { return h }

func (h *gramHandler) Handle(_ context.Context, rec slog.Record) error {
	if strings.Contains(rec.Message, "datagram") {
		h.write()
	}
	return nil
}
