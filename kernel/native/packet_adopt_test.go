//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// boundUDP is a blocking UDP socket of the test at a free port of ip, and its address.
func boundUDP(t *testing.T, ip netip.Addr) (int, unix.Sockaddr) {
	t.Helper()
	p, _ := shortIP(kernel.OpListen, kernel.UDPAddr(ip, 0), ip, -1)
	fd := socketFor(t, familyOf(kernel.UDPAddr(ip, 0)), unix.SOCK_DGRAM)
	if err := unix.Bind(fd, p.sockaddr()); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, sa
}

// boundUnixgram is one at a path.
func boundUnixgram(t *testing.T, path string) (int, unix.Sockaddr) {
	t.Helper()
	fd, sa := socketFor(t, unix.AF_UNIX, unix.SOCK_DGRAM), &unix.SockaddrUnix{Name: path}
	if err := unix.Bind(fd, sa); err != nil {
		t.Fatal(err)
	}
	return fd, sa
}

// gets waits for one datagram.
func gets(t *testing.T, k kernel.Kernel, c kernel.PacketConn) kernel.Packet {
	t.Helper()
	if err := k.Arm(c, 3, kernel.Readable); err != nil {
		t.Fatal(err)
	}
	defer k.Arm(c, 3, 0)
	ev := make([]kernel.Event, 4)
	for until := k.Now() + 10*time.Second; ; {
		if p, err := c.ReadPackets(); err == nil {
			return p[0]
		} else if err != kernel.ErrAgain {
			t.Fatal(err)
		}
		if _, err := k.Wait(ev, until); err != nil || k.Now() > until {
			t.Fatal("nothing came", err)
		}
	}
}

// Datagram sockets of each family are adopted (ADOPT-1, ADOPT-2), connected or not. The caller closes the descriptor at once, or
// keeps it: then the socket goes on receiving there (ADOPT-4, ADOPT-6).
func TestPacketAdopt(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	for _, name := range Names() {
		for what, bind := range map[string]func(*testing.T) (int, unix.Sockaddr){
			"IPv4": func(t *testing.T) (int, unix.Sockaddr) { return boundUDP(t, netip.AddrFrom4([4]byte{127, 0, 0, 1})) },
			"IPv6": func(t *testing.T) (int, unix.Sockaddr) { return boundUDP(t, netip.IPv6Loopback()) },
			"UNIX": func(t *testing.T) (int, unix.Sockaddr) { return boundUnixgram(t, filepath.Join(t.TempDir(), "s")) },
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				k := testKernel(t, name, Options{})
				a, _ := kernel.As[kernel.Adopter](k)
				fd, at := bind(t)
				peer, from := bind(t)
				for _, connected := range []bool{false, true} {
					if connected {
						if err := unix.Connect(fd, from); err != nil {
							t.Fatal(err)
						}
					}
					own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
					if err != nil {
						t.Fatal(err)
					}
					c, err := a.AdoptPacketConn(own, nil)
					unix.Close(own) // ADOPT-4
					if err != nil {
						t.Fatalf("ADOPT-1, ADOPT-2: %v", err)
					}
					if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); flags&unix.O_NONBLOCK == 0 {
						t.Error("ADOPT-14: the socket blocks")
					}
					want := packetAddr(at)
					if c.Local() != want {
						t.Errorf("ADOPT-7: Local is %v, want %v", c.Local(), want)
					}
					to := packetAddr(from)
					if connected && c.Remote() != to || !connected && !c.Remote().IsZero() {
						t.Errorf("connected %v: Remote is %v", connected, c.Remote())
					}
					if connected {
						to = kernel.Addr{}
					}
					if n, err := c.WritePackets([]kernel.Packet{{Data: []byte("out"), Peer: to}}); n != 1 || err != nil {
						t.Errorf("ADOPT-1: sent %d, %v", n, err)
					}
					buf := make([]byte, 9)
					if n, _, err := unix.Recvfrom(peer, buf, 0); n != 3 || err != nil {
						t.Errorf("ADOPT-1: the peer got %q, %v", buf[:max(n, 0)], err)
					}
					send := func(text string) {
						t.Helper()
						if err := unix.Sendto(peer, []byte(text), 0, at); err != nil {
							t.Fatal(err)
						}
					}
					send("in")
					if p := gets(t, k, c); string(p.Data) != "in" || p.Peer != packetAddr(from) {
						t.Errorf("ADOPT-1: got %q from %v", p.Data, p.Peer)
					}
					if err := c.Close(); err != nil {
						t.Error(err)
					}
					send("after") // ADOPT-6, ADOPT-15: the socket and its file are there
					if n, _, err := unix.Recvfrom(fd, buf, 0); n != 5 || err != nil {
						t.Errorf("ADOPT-6: the caller got %q, %v", buf[:max(n, 0)], err)
					}
				}
			})
		}
	}
}

func packetAddr(sa unix.Sockaddr) kernel.Addr {
	if at, ok := sa.(*unix.SockaddrUnix); ok {
		return kernel.UNIXDatagramAddr(nameOf(at))
	}
	p := shortAddrFrom(sa)
	return asUDP(p.addr(nil, -1))
}

// A socket pair has no names, and is adopted as connected. The file of an adopted socket keeps its mode and stays (ADOPT-15).
func TestPacketAdoptUnixgram(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	k := openFirst(t)
	a, _ := kernel.As[kernel.Adopter](k)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	c, err := a.AdoptPacketConn(pair[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Remote().IsZero() {
		t.Error("ADOPT-7: it is not connected")
	}
	if n, err := c.WritePackets([]kernel.Packet{{Data: []byte("x")}}); n != 1 || err != nil {
		t.Errorf("ADOPT-1: %d, %v", n, err)
	}
	c.Close()
	path := filepath.Join(t.TempDir(), "s")
	fd, _ := boundUnixgram(t, path)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if c, err = a.AdoptPacketConn(fd, nil); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("ADOPT-15: %v, %v", info, err)
	}
}

// What is no datagram socket that could be used is refused, with the kind of reason, and not changed (ADOPT-2, ADOPT-3, ADOPT-5,
// ADOPT-16, ADOPT-17). An option that cannot be is refused too, and one that can is set.
func TestPacketAdoptRefusals(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	k := openFirst(t)
	a, _ := kernel.As[kernel.Adopter](k)
	stream := socketFor(t, unix.AF_INET, unix.SOCK_STREAM)
	unbound := socketFor(t, unix.AF_INET, unix.SOCK_DGRAM)
	local, _ := boundUnixgram(t, filepath.Join(t.TempDir(), "s"))
	udp, _ := boundUDP(t, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	for what, c := range map[string]struct {
		fd int
		o  *kernel.PacketOptions
		is error
	}{
		"negative":          {-1, nil, kernel.ErrBadDescriptor},
		"not open":          {1 << 20, nil, kernel.ErrBadDescriptor},
		"pipe":              {pipeFor(t), nil, kernel.ErrUnsupported},
		"stream":            {stream, nil, kernel.ErrUnsupported},
		"not bound":         {unbound, nil, kernel.ErrNotBound},
		"UNIX, Broadcast":   {local, &kernel.PacketOptions{Broadcast: true}, kernel.ErrInvalidOption},
		"UDP, Shared":       {udp, &kernel.PacketOptions{Shared: true}, kernel.ErrInvalidOption},
		"UDP, ReusePort":    {udp, &kernel.PacketOptions{ReusePort: true}, kernel.ErrInvalidOption},
		"UDP, SendBuffer":   {udp, &kernel.PacketOptions{SendBuffer: -1}, kernel.ErrInvalidOption},
		"UDP, mode of file": {udp, &kernel.PacketOptions{UNIX: kernel.UNIXOptions{Mode: 0o600}}, kernel.ErrInvalidOption},
	} {
		c2, err := a.AdoptPacketConn(c.fd, c.o)
		var refused *kernel.AdoptError
		if c2 != nil || !errors.Is(err, c.is) || c.o == nil && (!errors.As(err, &refused) || refused.FD != c.fd) {
			t.Errorf("ADOPT-17: %s: %v, %v, want %v of %d", what, c2, err, c.is, c.fd)
		}
	}
	for _, fd := range []int{stream, unbound, local, udp} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("ADOPT-17: refused, and changed: flags %#x, %v", flags, err)
		}
	}
	failing := errors.New("of the test")
	c, err := a.AdoptPacketConn(udp, &kernel.PacketOptions{Control: func(uintptr) error { return failing }})
	if c != nil || !errors.Is(err, failing) {
		t.Errorf("ADOPT-16: %v, %v", c, err)
	}
	if c, err = a.AdoptPacketConn(udp, &kernel.PacketOptions{Broadcast: true}); err != nil {
		t.Fatal(err)
	}
	if v, err := unix.GetsockoptInt(udp, unix.SOL_SOCKET, unix.SO_BROADCAST); v == 0 || err != nil {
		t.Errorf("ADOPT-8: Broadcast is %d, %v", v, err)
	}
	c.Close()
}

// A closed kernel adopts nothing, and leaves no duplicate (ADOPT-16).
func TestPacketAdoptAfterClose(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	udp, _ := boundUDP(t, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	for _, name := range Names() {
		k, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		k.Close()
		a, _ := kernel.As[kernel.Adopter](k)
		if c, err := a.AdoptPacketConn(udp, nil); c != nil || !errors.Is(err, kernel.ErrClosed) {
			t.Errorf("ADOPT-16: %v, %v", c, err)
		}
	}
}

// A closed duplicate is forgotten, although the socket is open elsewhere and has something to read: the next socket with its number
// and its token is not taken for it (ADOPT-6).
func TestPacketAdoptForgotten(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		a, _ := kernel.As[kernel.Adopter](k)
		busy, at := boundUDP(t, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		idle, _ := boundUDP(t, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		if err := unix.Sendto(idle, []byte("x"), 0, at); err != nil {
			t.Fatal(err)
		}
		ev := make([]kernel.Event, 4)
		for i, fd := range []int{busy, idle} {
			c, err := a.AdoptPacketConn(fd, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := k.Arm(c, 5, kernel.Readable); err != nil {
				t.Fatal(err)
			}
			n, err := k.Wait(ev, k.Now()+5*time.Millisecond)
			if want := 1 - i; n != want || err != nil {
				t.Errorf("ADOPT-6: %s: %d events, %v, want %d", name, n, err, want)
			}
			if i == 0 {
				c.Close()
			}
		}
	}
}
