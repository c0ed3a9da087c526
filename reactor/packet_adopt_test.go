//go:build linux

package reactor_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// An adopted datagram port is a port, at the socket's address (ADOPT-1, ADOPT-2, ADOPT-7, ADOPT-8), on a duplicate
// (ADOPT-4). When it has stopped, the socket receives through the caller's descriptor (ADOPT-6), and another port can adopt
// that. A stream is refused (ADOPT-17).
func TestAdoptPacketPort(t *testing.T) {
	natives(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for _, network := range []string{"udp4", "udp6", "unixgram"} {
			where := map[string]string{"udp4": "127.0.0.1:0", "udp6": "[::1]:0", "unixgram": socketName(t).Name}[network]
			c, err := net.ListenPacket(network, where)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fd := foreign(t, c.(interface{ File() (*os.File, error) }))
			for round := range 2 {
				srv, cli := echoGram(), &gram{}
				p, err := r.AdoptPacketPort(fd, srv, nil)
				if err != nil {
					t.Fatalf("ADOPT-1, ADOPT-2: %s: %v", network, err)
				}
				if p.Addr().String() != c.LocalAddr().String() || srv.started != 1 {
					t.Errorf("ADOPT-7: %s: %v, want %v", network, p.Addr(), c.LocalAddr())
				}
				mine := udp(0)
				if network == "udp6" {
					mine = v6
				} else if network == "unixgram" {
					mine = gramName(t)
				}
				q := listenPacket(t, r, mine, cli, nil)
				q.WriteTo([]byte("hello"), p.Addr())
				until(t, r, func() bool { return len(cli.got) == 1 })
				stopped := false
				p.StopListening(func(err error) { stopped = err == nil })
				until(t, r, func() bool { return stopped })
				if len(srv.stopped) != 1 || srv.got[0] != "hello" {
					t.Errorf("ADOPT-6, ADOPT-8: %s: round %d: %q, stopped %v", network, round, srv.got, srv.stopped)
				}
				again, err := r.DescriptorOf(q)
				if err != nil {
					t.Fatal(err)
				}
				if err := r.CloseDescriptor(again); err != nil {
					t.Error(err)
				}
				q.StopListening(nil)
			}
		}
		fd, _ := foreignListener(t, "tcp4")
		g := &gram{}
		if _, err := r.AdoptPacketPort(fd, g, nil); !errors.Is(err, kernel.ErrUnsupported) || !errors.Is(err, reactor.ErrListen) || g.started != 0 {
			t.Errorf("ADOPT-17: a stream: %v", err)
		}
	})
}

// An adopted socket that was not bound has no port before its first datagram, and keeps it after its end.
func TestAdoptUnboundPacketPort(t *testing.T) {
	natives(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv := &gram{}
		at := listenPacket(t, r, udp(0), srv, nil).Local()
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		p, err := r.AdoptPacketPort(fd, &gram{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if p.Local().Port() != 0 {
			t.Errorf("at %v before the first datagram", p.Local())
		}
		p.WriteTo([]byte("x"), at)
		until(t, r, func() bool { return len(srv.got) == 1 })
		if p.Local().Port() == 0 || p.Local().Port() != srv.from[0].Port() {
			t.Errorf("at %v, and the datagram is from %v", p.Local(), srv.from[0])
		}
		stopped := false
		p.StopListening(func(error) { stopped = true })
		until(t, r, func() bool { return stopped })
		if p.Local().Port() != srv.from[0].Port() {
			t.Errorf("at %v after the end", p.Local())
		}
	})
}

// A datagram port is handed to another reactor by its number, also in simulation. While both have the socket each datagram is one's, and
// when the first has stopped, nothing that came is lost (ADOPT-4, ADOPT-6).
func TestPacketPortPassedOn(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for kind, at := range map[string]kernel.Addr{"UDP": udp(0), "UNIX": gramName(t)} {
			r, cli := w.New(t, reactor.Config{}), &gram{}
			old, next := &gram{}, &gram{}
			p := listenPacket(t, r, at, old, nil)
			q, err := r.DialPacket(p.Local(), cli, nil)
			if err != nil {
				t.Fatal(err)
			}
			fd, err := r.DescriptorOf(p)
			if err != nil {
				t.Fatal(err)
			}
			p.PauseProducing()
			turns(r, 2)
			for i := range 5 {
				q.Write([]byte(fmt.Sprint(i)))
			}
			turns(r, 2)
			n, err := r.AdoptPacketPort(fd, next, nil)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if err := r.CloseDescriptor(fd); err != nil {
				t.Error(err)
			}
			until(t, r, func() bool { return len(next.got) == 5 })
			if n.Local() != p.Local() || len(old.got) != 0 {
				t.Errorf("ADOPT-7: %s: at %v, want %v; the old one got %q", kind, n.Local(), p.Local(), old.got)
			}
			n.PauseProducing()
			turns(r, 2)
			q.Write([]byte("between")) // waits in the system
			turns(r, 2)
			p.StopListening(nil)
			until(t, r, func() bool { return len(old.stopped) == 1 })
			n.ResumeProducing()
			until(t, r, func() bool { return len(next.got) == 6 })
			if len(next.stopped) != 0 || p.Stats().Discarded != 0 {
				t.Errorf("ADOPT-6: %s: stopped %v, %+v", kind, next.stopped, p.Stats())
			}
			n.StopListening(nil)
			q.StopListening(nil)
			until(t, r, func() bool { return len(next.stopped)+len(cli.stopped) == 2 })
		}
	})
}
