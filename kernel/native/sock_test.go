//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(shortAddr{}); n != 24 {
		t.Errorf("a shortAddr has %d bytes", n)
	}
	if n := unsafe.Sizeof(conn{}); n > 48 {
		t.Errorf("a sock has %d bytes", n)
	}
}

// testPair returns a listener of k and both ends of a connection.
func testPair(t *testing.T, k kernel.Kernel) (l *listener, c, s *conn) {
	t.Helper()
	ls, err := k.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := k.Dial(ls.Local(), nil)
	if err != nil {
		t.Fatal(err)
	}
	testReady(t, k, cs, kernel.Writable)
	if err := cs.Connected(); err != nil {
		t.Fatal(err)
	}
	testReady(t, k, ls, kernel.Readable)
	as, err := ls.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ls.Close(); cs.Abort(); as.Abort() })
	return ls.(*listener), cs.(*conn), as.(*conn)
}

func testReady(t *testing.T, k kernel.Kernel, h kernel.Handle, r kernel.Ready) {
	t.Helper()
	const tok = 4711
	if err := k.Arm(h, tok, r); err != nil {
		t.Fatal(err)
	}
	ev := make([]kernel.Event, 8)
	for {
		n, err := k.Wait(ev, kernel.Forever)
		if err != nil {
			t.Fatal(err)
		}
		if n == 1 && ev[0] == (kernel.Event{Token: tok, Ready: r}) {
			break
		}
	}
	if err := k.Arm(h, tok, 0); err != nil {
		t.Fatal(err)
	}
}

// testKernel opens a kernel for one test.
func testKernel(t *testing.T, name string, o Options) kernel.Kernel {
	t.Helper()
	k, err := OpenWith(name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// flags fails unless fd is close-on-exec and, if nonblock is set, non-blocking.
func flags(t *testing.T, what string, fd int, nonblock bool) {
	t.Helper()
	f, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || f&unix.FD_CLOEXEC == 0 {
		t.Errorf("%s is not close-on-exec (X-4): %#x, %v", what, f, err)
	}
	f, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if nonblock && (err != nil || f&unix.O_NONBLOCK == 0) {
		t.Errorf("%s blocks (X-4): %#x, %v", what, f, err)
	}
}

// TestFlags: every descriptor is non-blocking and close-on-exec. So is the waker's
// (WAKE-2).
func TestFlags(t *testing.T) {
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		l, c, s := testPair(t, k)
		flags(t, "listening sock", int(l.fd), true)
		flags(t, "dialled sock", int(c.fd), true)
		flags(t, "accepted sock", int(s.fd), true)
		b := l.b
		flags(t, "waker", b.waker.r, true) // WAKE-2
		flags(t, "waker", b.waker.w, true) // WAKE-2
		if err := b.Reserve(); err != nil {
			t.Fatal(err)
		}
		flags(t, "reserve", b.reserved, false)
		ownFlags(t, k)
	}
}

// TestWriteBounded: one call sends at most 256 KiB (TCP-53).
func TestWriteBounded(t *testing.T) {
	const maxSend = 256 << 10
	k := testKernel(t, "", Options{})
	_, c, _ := testPair(t, k)
	if err := unix.SetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<20); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Write(make([]byte, 4<<20)); err != nil || n > maxSend {
		t.Errorf("Write: %d, %v; at most %d", n, err, maxSend)
	}
	bufs := [][]byte{make([]byte, maxSend-1), make([]byte, 4<<20), make([]byte, 1)}
	for {
		n, err := c.Writev(bufs)
		if err == kernel.ErrAgain {
			break
		}
		if err != nil || n > maxSend {
			t.Fatalf("Writev: %d, %v; at most %d", n, err, maxSend)
		}
	}
}

// TestFailuresLeakNothing: a Listen or Dial that fails closes what it opened.
func TestFailuresLeakNothing(t *testing.T) {
	k := testKernel(t, "", Options{})
	l, _, _ := testPair(t, k)
	highest := func() int {
		fd, err := unix.Dup(0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		return fd
	}
	before := highest()
	doc := kernel.TCPAddr(netip.AddrFrom4([4]byte{192, 0, 2, 77}), 0)
	for range 3 {
		for _, try := range []func() (kernel.Handle, error){
			func() (kernel.Handle, error) { return k.Listen(l.Local(), nil) },
			func() (kernel.Handle, error) { return k.Listen(doc, nil) },
			func() (kernel.Handle, error) { return k.Listen(kernel.Addr{}, nil) },
			func() (kernel.Handle, error) { return k.Dial(l.Local(), &kernel.DialOptions{Bind: doc}) },
			func() (kernel.Handle, error) { return k.Dial(l.Local(), &kernel.DialOptions{Bind: l.Local()}) },
			func() (kernel.Handle, error) {
				return k.Dial(l.Local(), &kernel.DialOptions{Bind: kernel.TCPAddr(netip.IPv6Loopback(), 0)})
			},
		} {
			if s, err := try(); s != nil || err == nil {
				t.Fatalf("it works: %v, %v", s, err)
			}
			if now := highest(); now != before {
				t.Fatalf("descriptor %d was free before and is not (X-5)", before)
			}
		}
	}
	_, err := k.Dial(l.Local(), &kernel.DialOptions{Bind: doc})
	if e, ok := errors.AsType[*kernel.SysError](err); !ok || e.Op != kernel.OpBind {
		t.Errorf("Dial from a foreign address: %v", err)
	}
}

// TestCloseOnce: a second Close does not close the number, which somebody else may have
// by then.
func TestCloseOnce(t *testing.T) {
	k := testKernel(t, "", Options{})
	_, c, _ := testPair(t, k)
	fd := int(c.fd)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	if p[0] != fd && p[1] != fd {
		t.Fatalf("number %d was not given out again", fd)
	}
	c.Close()
	c.Abort()
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		t.Errorf("a second Close closed another's descriptor (X-5): %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); err != kernel.ErrClosed {
		t.Errorf("Read after Close: %v", err)
	}
	if _, err := c.Write(make([]byte, 1)); err != kernel.ErrClosed {
		t.Errorf("Write after Close: %v", err)
	}
}

// TestZones: a scope becomes the name of its interface, and the name the scope (ADDR-7).
func TestZones(t *testing.T) {
	all, err := net.Interfaces()
	if err != nil || len(all) == 0 {
		t.Fatalf("no interfaces: %v", err)
	}
	ip, b := netip.MustParseAddr("fe80::1"), new(base)
	for _, i := range all {
		a := kernel.TCPAddr(ip.WithZone(i.Name), 80)
		p, err := shortAddrOf(kernel.OpConnect, a, -1)
		if err != nil || p.scope != uint32(i.Index) {
			t.Errorf("%v has scope %d: %v", a, p.scope, err)
		}
		if got := p.addr(b, -1); got != a || got.Host() != "fe80::1%"+i.Name {
			t.Errorf("%v came back as %v (ADDR-7)", a, got)
		}
	}
	a := kernel.TCPAddr(ip.WithZone("4000000000"), 80) // no such interface
	if p, err := shortAddrOf(kernel.OpConnect, a, -1); err != nil || p.addr(b, -1) != a {
		t.Errorf("%v came back as %v, %v", a, p.addr(b, -1), err)
	}
	if _, err := shortAddrOf(kernel.OpConnect, kernel.TCPAddr(ip.WithZone("no such interface"), 80), -1); err == nil {
		t.Error("a zone that does not exist was accepted")
	}
	mapped := netip.MustParseAddr("::ffff:127.0.0.1")
	if p, err := shortAddrOf(kernel.OpConnect, kernel.TCPAddr(mapped, 80), -1); err != nil || p.addr(b, -1).IP.Addr() != mapped.Unmap() {
		t.Errorf("%v became %v, %v", mapped, p.addr(b, -1), err)
	}
}

// TestLinkLocal: both ends of a connection between link-local addresses name the
// interface (ADDR-7). A machine without such an address has only TestZones.
func TestLinkLocal(t *testing.T) {
	addr, ok := linkLocal(t)
	if !ok {
		t.Log("no link-local address here")
		return
	}
	k := testKernel(t, "", Options{})
	l, err := k.Listen(kernel.TCPAddr(addr, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := k.Dial(l.Local(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	testReady(t, k, c, kernel.Writable)
	testReady(t, k, l, kernel.Readable)
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Abort()
	for _, a := range []kernel.Addr{l.Local(), c.Local(), c.Remote(), s.Local(), s.Remote()} {
		if a.IP.Addr() != addr {
			t.Errorf("%v is not on %v (ADDR-7)", a, addr)
		}
	}
}

func linkLocal(t *testing.T) (netip.Addr, bool) {
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
				return p.Addr().WithZone(i.Name), true
			}
		}
	}
	return netip.Addr{}, false
}

// TestAllocs: nothing is allocated per read, write, arm or wait.
func TestAllocs(t *testing.T) {
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		t.Run(name, func(t *testing.T) { allocs(t, k) })
	}
}

func allocs(t *testing.T, k kernel.Kernel) {
	_, c, s := testPair(t, k)
	ev := make([]kernel.Event, 8)
	buf := make([]byte, 100)
	vec := [][]byte{buf[:10], buf[10:]}
	var cs, ss kernel.Conn = c, s
	ms := []struct {
		name string
		do   func()
	}{
		{"round trip", func() {
			k.Arm(ss, 1, kernel.Readable)
			cs.Write(buf)
			k.Wait(ev, kernel.Forever)
			ss.Read(buf)
			k.Arm(ss, 1, kernel.Writable)
			cs.(kernel.Vectors).Writev(vec)
			k.Wait(ev, k.Now()+1e9)
			k.Arm(ss, 1, kernel.Readable)
			k.Wait(ev, 0)
			for n, err := ss.Read(buf); n > 0 && err == nil; {
				n, err = ss.Read(buf)
			}
		}},
		{"timeout", func() { k.Wait(ev, k.Now()+20e3) }},
		{"wake", func() { k.Wake(); k.Wait(ev, kernel.Forever) }},
		{"again", func() { ss.Read(buf); cs.Connected() }},
	}
	runtime.GC()
	for _, m := range ms {
		if n := testing.AllocsPerRun(200, m.do); n != 0 {
			t.Errorf("%s: %v allocations", m.name, n)
		}
	}
}

// TestForeignSock: a kernel arms only its own handles.
func TestForeignSock(t *testing.T) {
	a, b := testKernel(t, "", Options{}), testKernel(t, "", Options{})
	_, c, _ := testPair(t, a)
	if err := b.Arm(c, 1, kernel.Readable); !errors.Is(err, kernel.ErrUnsupported) {
		t.Errorf("Arm of another kernel's sock: %v", err)
	}
}

// The number 0 is a descriptor as every other: a program may have closed its standard input. TCP and
// UNIX conns with that number connect, say how they are, tell who they are, read, write, and close it.
func TestDescriptorZero(t *testing.T) {
	standard, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	restore := func() {
		unix.Close(0)
		if n, err := unix.FcntlInt(uintptr(standard), unix.F_DUPFD, 0); n != 0 || err != nil {
			t.Fatal(n, err)
		}
	}
	defer func() { restore(); unix.Close(standard) }()
	for _, name := range Names() {
		k, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for network, at := range map[string]kernel.Addr{
			"TCP":  kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0),
			"UNIX": kernel.UNIXAddr(t.TempDir() + "/s"),
		} {
			l, err := k.Listen(at, nil)
			if err != nil {
				t.Fatal(err)
			}
			unix.Close(0)
			c, err := k.Dial(l.Local(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Getsockname(0); err != nil {
				t.Fatalf("%s: %s: descriptor 0 is no socket: %v", name, network, err)
			}
			testReady(t, k, c, kernel.Writable)
			for what, err := range map[string]error{"Connected": c.Connected(), "Connected again": c.Connected()} {
				if err != nil {
					t.Errorf("%s: %s: %s: %v", name, network, what, err)
				}
			}
			if network == "TCP" && c.Local().IP.Port() == 0 {
				t.Errorf("%s: no local address: %v", name, c.Local())
			}
			if who, ok := c.(interface {
				Credentials() (kernel.Credentials, error)
			}); ok && network == "UNIX" {
				if _, err := who.Credentials(); err != nil && !errors.Is(err, kernel.ErrUnsupported) {
					t.Errorf("%s: credentials: %v", name, err)
				}
			}
			testReady(t, k, l, kernel.Readable)
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if n, err := c.Write([]byte("x")); n != 1 || err != nil {
				t.Errorf("%s: %s: Write: %d, %v", name, network, n, err)
			}
			if n, err := s.Write([]byte("y")); n != 1 || err != nil {
				t.Errorf("%s: %s: Write of the server: %d, %v", name, network, n, err)
			}
			testReady(t, k, c, kernel.Readable)
			if n, err := c.Read(make([]byte, 9)); n != 1 || err != nil {
				t.Errorf("%s: %s: Read: %d, %v", name, network, n, err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Errorf("%s: %s: CloseWrite: %v", name, network, err)
			}
			if err := c.Close(); err != nil {
				t.Errorf("%s: %s: Close: %v", name, network, err)
			}
			if _, err := unix.FcntlInt(0, unix.F_GETFD, 0); err != unix.EBADF {
				t.Errorf("%s: %s: descriptor 0 after Close: %v", name, network, err)
			}
			s.Close()
			l.Close()
			restore() // the next listener does not take 0
		}
		k.Close()
	}
}
