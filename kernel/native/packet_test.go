//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// packetAt opens a UNIX datagram socket.
func packetAt(t *testing.T, k kernel.Kernel, path string, o kernel.UNIXOptions) (kernel.PacketConn, error) {
	t.Helper()
	p, ok := kernel.As[kernel.Packets](k)
	if !ok {
		t.Fatal("no kernel.Packets")
	}
	c, err := p.ListenPacket(kernel.UNIXDatagramAddr(path), &kernel.PacketOptions{UNIX: o})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// UNIXD-1: the file has exactly the mode that was asked for, 0666 without one, whatever the umask.
func TestPacketMode(t *testing.T) {
	k := openFirst(t)
	group := ""
	if os.Getuid() == 0 {
		group = "0"
	}
	testModes(t, func(path string, mode fs.FileMode) (kernel.Handle, error) {
		return packetAt(t, k, path, kernel.UNIXOptions{Mode: mode, Group: group})
	})
}

// A file that a dead process has left is taken over with a lock, and not without (UNIX-10). Close removes only the
// socket's own file (UNIXD-4).
func TestPacketTakeover(t *testing.T) {
	k := openFirst(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	leave(t, path, deadPID(t))
	if _, err := packetAt(t, k, path, kernel.UNIXOptions{}); !errors.Is(err, kernel.ErrAddrInUse) {
		t.Errorf("UNIXD-1: without a lock: %v", err)
	}
	c, err := packetAt(t, k, path, kernel.UNIXOptions{Lock: true})
	if err != nil {
		t.Fatalf("UNIX-10: %v", err)
	}
	if err := os.Rename(path, path+".mine"); err != nil {
		t.Fatal(err)
	}
	other, err := packetAt(t, k, path, kernel.UNIXOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("UNIXD-4: another socket's file was removed: %v", err)
	}
	if _, err := os.Lstat(path + ".lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock is left: %v", err)
	}
	other.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("UNIXD-4: the file is left: %v", err)
	}
}

// testDatagrams is a bound datagram socket that the test has.
func testDatagrams(t *testing.T, family int, sa unix.Sockaddr) int {
	t.Helper()
	fd := socketFor(t, family, unix.SOCK_DGRAM)
	if err := unix.Bind(fd, sa); err != nil {
		t.Fatal(err)
	}
	return fd
}

// What is no datagram socket of UDP or UNIX is refused, before anything was changed (ADOPT-2, ADOPT-3, ADOPT-16, ADOPT-17).
func TestAdoptPacketRefusals(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	k := openFirst(t)
	a, _ := kernel.As[kernel.Adopter](k)
	stream := socketFor(t, unix.AF_INET, unix.SOCK_STREAM)
	udp := testDatagrams(t, unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	local := testDatagrams(t, unix.AF_UNIX, &unix.SockaddrUnix{Name: filepath.Join(t.TempDir(), "s")})
	for what, x := range map[string]struct {
		fd int
		o  kernel.PacketOptions
		is error // nil: an OptionError
	}{
		"negative":            {-1, kernel.PacketOptions{}, kernel.ErrBadDescriptor},
		"not open":            {1 << 20, kernel.PacketOptions{}, kernel.ErrBadDescriptor},
		"pipe":                {pipeFor(t), kernel.PacketOptions{}, kernel.ErrUnsupported},
		"stream":              {stream, kernel.PacketOptions{}, kernel.ErrUnsupported},
		"ReusePort":           {udp, kernel.PacketOptions{ReusePort: true}, nil},
		"Shared":              {udp, kernel.PacketOptions{Shared: true}, nil},
		"UNIX":                {local, kernel.PacketOptions{UNIX: kernel.UNIXOptions{Mode: 0o600}}, nil},
		"RecvBuffer":          {udp, kernel.PacketOptions{RecvBuffer: -1}, nil},
		"Broadcast of a UNIX": {local, kernel.PacketOptions{Broadcast: true}, nil},
	} {
		c, err := a.AdoptPacketConn(x.fd, &x.o)
		var refused *kernel.AdoptError
		option := &kernel.OptionError{}
		switch {
		case c != nil:
			t.Errorf("ADOPT-17: %s: %T", what, c)
		case x.is != nil && (!errors.Is(err, x.is) || !errors.As(err, &refused) || refused.FD != x.fd):
			t.Errorf("ADOPT-17: %s: %v, want %v of descriptor %d", what, err, x.is, x.fd)
		case x.is == nil && !errors.As(err, &option):
			t.Errorf("ADOPT-16: %s: %v, want an OptionError", what, err)
		}
	}
	if c, err := a.AdoptConn(udp, nil); c != nil || !errors.Is(err, kernel.ErrUnsupported) {
		t.Errorf("ADOPT-17: datagrams as a stream: %v", err)
	}
	for _, fd := range []int{stream, udp, local} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("ADOPT-17: refused, and changed: flags %#x, %v", flags, err)
		}
	}
	failing := errors.New("of the test")
	c, err := a.AdoptPacketConn(udp, &kernel.PacketOptions{Control: func(uintptr) error { return failing }})
	if c != nil || !errors.Is(err, failing) {
		t.Errorf("ADOPT-16: %v, %v", c, err)
	}
	k.Close()
	if c, err := a.AdoptPacketConn(udp, nil); c != nil || !errors.Is(err, kernel.ErrClosed) {
		t.Errorf("closed kernel: %v, %v", c, err)
	}
}

// An adopted socket sends and receives. Close closes only the duplicate: the socket goes on receiving for the caller's
// descriptor (ADOPT-6), one datagram at a time, and its file stays (ADOPT-15).
func TestAdoptPacket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, name := range Names() {
		for what, open := range map[string]func() (int, kernel.Addr){
			"UDP": func() (int, kernel.Addr) {
				fd := testDatagrams(t, unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
				sa, err := unix.Getsockname(fd)
				if err != nil {
					t.Fatal(err)
				}
				return fd, kernel.UDPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), shortAddrFrom(sa).port)
			},
			"UNIX": func() (int, kernel.Addr) {
				os.Remove(path)
				return testDatagrams(t, unix.AF_UNIX, &unix.SockaddrUnix{Name: path}), kernel.UNIXDatagramAddr(path)
			},
		} {
			k := testKernel(t, name, Options{})
			fd, at := open()
			a, _ := kernel.As[kernel.Adopter](k)
			c, err := a.AdoptPacketConn(fd, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.Local() != at || !c.Remote().IsZero() { // ADOPT-7
				t.Errorf("%s: ADOPT-7: %v to %v, want %v", what, c.Local(), c.Remote(), at)
			}
			p, _ := kernel.As[kernel.Packets](k)
			from := at
			if from.Name == "" {
				from.IP = netip.AddrPortFrom(from.IP.Addr(), 0)
			} else {
				from.Name = filepath.Join(t.TempDir(), "d")
			}
			d, err := p.ListenPacket(from, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			send := func() {
				t.Helper()
				if n, err := d.WritePackets([]kernel.Packet{{Data: []byte("one"), Peer: at}, {Data: []byte("two"), Peer: at}}); n != 2 || err != nil {
					t.Fatalf("%d, %v", n, err)
				}
			}
			send()
			testReady(t, k, c, kernel.Readable)
			for got := 0; got < 2; {
				p, err := c.ReadPackets()
				if err != nil || p[0].Peer != d.Local() {
					t.Fatalf("%s: ADOPT-8: %v, %v", what, p, err)
				}
				got += len(p)
			}
			send()
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"one", "two"} {
				buf := make([]byte, 100)
				if n, _, err := unix.Recvfrom(fd, buf, 0); err != nil || string(buf[:n]) != want {
					t.Errorf("%s: ADOPT-6: the caller reads %q, %v; want %q", what, buf[:max(n, 0)], err, want)
				}
			}
			if _, err := os.Lstat(path); what == "UNIX" && err != nil {
				t.Errorf("ADOPT-15: the file is gone: %v", err)
			}
		}
	}
}

// A socket that was connected when it was adopted has its peer, and hears of refusals.
func TestAdoptPacketConnected(t *testing.T) {
	k := openFirst(t)
	a, _ := kernel.As[kernel.Adopter](k)
	p, _ := kernel.As[kernel.Packets](k)
	d, err := p.ListenPacket(kernel.UDPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	fd := socketFor(t, unix.AF_INET, unix.SOCK_DGRAM)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(d.Local().Port())}); err != nil {
		t.Fatal(err)
	}
	c, err := a.AdoptPacketConn(fd, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if c.Remote() != d.Local() {
		t.Errorf("ADOPT-7: Remote is %v, want %v", c.Remote(), d.Local())
	}
	d.Close()
	if n, err := c.WritePackets([]kernel.Packet{{Data: []byte("x")}}); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	testReady(t, k, c, kernel.Readable)
	if q, err := c.ReadPackets(); err != nil || len(q) != 1 || !errors.Is(q[0].Err, kernel.ErrRefused) || runtime.GOOS == "linux" && string(q[0].Data) != "x" {
		t.Errorf("UDP-27: %v, %v", q, err)
	}
}
