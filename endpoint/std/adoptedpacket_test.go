//go:build linux

package std_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// gramFD is a descriptor of a datagram socket at a, connected to peer unless that is nil.
func gramFD(t *testing.T, peer net.Addr) (fd int, at kernel.Addr) {
	t.Helper()
	local := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	c, err := net.ListenUDP("udp4", local)
	if peer != nil {
		c, err = net.DialUDP("udp4", local, peer.(*net.UDPAddr))
	}
	if err != nil {
		t.Fatal(err)
	}
	ip := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return inherited(t, c), kernel.UDPAddr(ip.Addr().Unmap(), ip.Port())
}

// EP-30: an inherited datagram socket serves, and one that is connected is a client; the original is closed, and the place works
// once.
func TestFDDatagrams(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			fd, at := gramFD(t, nil)
			place := packetServer(t, fmt.Sprintf("fd:%d", fd))
			srv := &gram{echo: true}
			port, err := place.ListenPacket(r, srv)
			if err != nil || port.Addr() != at || isOpen(fd) || place.String() != fmt.Sprintf("fd:%d", fd) {
				t.Fatalf("EP-30: %v at %v; the original is open: %v", err, port, isOpen(fd))
			}
			if _, err := place.ListenPacket(r, new(gram)); !errors.Is(err, std.ErrUsed) || !errors.Is(err, reactor.ErrListen) {
				t.Errorf("EP-30: a second time: %v", err)
			}
			own, from := gramFD(t, net.UDPAddrFromAddrPort(at.IP))
			e := packetClient(t, fmt.Sprintf("fd:%d", own))
			cli, got := new(gram), packetResult{}
			e.ConnectPacket(r, cli, got.done)
			if got.calls != 0 {
				t.Error("EP-23: done was called inside ConnectPacket")
			}
			until(t, r, func() bool { return got.calls > 0 })
			if got.err != nil || got.port.Addr() != from || got.port.Remote() != at || isOpen(own) {
				t.Fatalf("EP-30: %v, %v; the original is open: %v", got.port, got.err, isOpen(own))
			}
			got.port.Write([]byte("hello"))
			until(t, r, func() bool { return len(cli.got) == 1 })
			if cli.got[0] != "hello" || srv.from[0] != from {
				t.Errorf("got %q from %v", cli.got, srv.from)
			}
			var again packetResult
			e.ConnectPacket(r, new(gram), again.done)
			until(t, r, func() bool { return again.calls > 0 })
			if !errors.Is(again.err, std.ErrUsed) || !errors.Is(again.err, reactor.ErrConnect) {
				t.Errorf("EP-30: a second time: %v", again.err)
			}
		})
	}
}

// EP-25, EP-30: a socket of the other kind is refused with the description; a client without a peer, later. The original stays
// open then, and a cancel leaves it open too (EP-24).
func TestFDDatagramsFail(t *testing.T) {
	known := std.Schemes(nil)
	grams, _ := gramFD(t, nil)
	defer unix.Close(grams)
	stream, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(stream)
	of := func(fd int) string { return fmt.Sprintf("fd:%d", fd) }
	_, err1 := known.Server(of(grams))
	_, err2 := known.Client(of(grams))
	_, err3 := known.PacketServer(of(stream))
	_, err4 := known.PacketClient(of(stream))
	for i, err := range []error{err1, err2, err3, err4} {
		want := fmt.Sprintf("descriptor %d takes datagrams, not connections", grams)
		if i > 1 {
			want = fmt.Sprintf("descriptor %d takes connections, not datagrams", stream)
		}
		if !errors.Is(err, endpoint.ErrKind) || !isArgument(err, "number") || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("EP-25: %v, want %s", err, want)
		}
	}
	for _, text := range []string{"fd:-1", "fd:x", "fd:"} {
		_, err1 := known.PacketServer(text)
		_, err2 := known.PacketClient(text)
		if !isArgument(err1, "number") || !isArgument(err2, "number") {
			t.Errorf("%s: %v, %v", text, err1, err2)
		}
	}
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			g, got := new(gram), packetResult{}
			packetClient(t, of(grams)).ConnectPacket(r, g, got.done)
			until(t, r, func() bool { return got.calls > 0 })
			if !errors.Is(got.err, kernel.ErrNotConnected) || !errors.Is(got.err, reactor.ErrConnect) || g.started != 0 || !isOpen(grams) {
				t.Errorf("EP-30: %v; started %d times, open %v", got.err, g.started, isOpen(grams))
			}
			got = packetResult{}
			packetClient(t, of(grams)).ConnectPacket(r, g, got.done)()
			until(t, r, func() bool { return got.calls > 0 })
			if !errors.Is(got.err, reactor.ErrCancelled) || !isOpen(grams) {
				t.Errorf("EP-24: %v, open %v", got.err, isOpen(grams))
			}
			if _, err := (&std.FDPacketServer{FD: stream}).ListenPacket(r, g); !errors.Is(err, endpoint.ErrKind) || !errors.Is(err, reactor.ErrListen) {
				t.Errorf("EP-25: by the struct alone: %v", err)
			}
			e := packetServer(t, "fd:99999")
			if _, err := e.ListenPacket(r, g); !errors.Is(err, kernel.ErrBadDescriptor) || g.started != 0 {
				t.Errorf("EP-30: a number that is not open: %v", err)
			}
		})
	}
}

// EP-30: which socket a service manager has passed for datagrams is said as GRAM-16 has it. The tool's script systemd.txt has some passed.
func TestSystemdDatagrams(t *testing.T) {
	for text, argument := range map[string]string{
		"systemd:domain=INET":                   "index",
		"systemd:domain=INET:index=0":           "index",
		"systemd:domain=INET:name=dns":          "name",
		"systemd:domain=INET:index=0:name=http": "name",
		"systemd:domain=INET4:index=0":          "domain",
	} {
		if _, err := std.Schemes(nil).PacketServer(text); !isArgument(err, argument) {
			t.Errorf("EP-30: %s: %v, want an error about %s", text, err, argument)
		}
	}
	if e := (&std.SystemdPacketServer{Domain: "INET", Name: "dns"}); e.String() != "systemd:domain=INET:name=dns" {
		t.Error(e)
	}
	r := newTLSReactor(t, reactor.Config{})
	if _, err := (&std.SystemdPacketServer{Name: "dns"}).ListenPacket(r, new(gram)); !errors.Is(err, reactor.ErrListen) {
		t.Errorf("EP-30: what was not passed: %v", err)
	}
}
