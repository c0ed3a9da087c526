package native

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// refusesDescriptors tells whether this Linux can refuse descriptors.
func refusesDescriptors(t *testing.T) bool {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return refuseDescriptors(fd)
}

// unixPairOf returns a conn that k has accepted without Descriptors, armed as token 1, and the client's socket.
func unixPairOf(t *testing.T, k kernel.Kernel, control func(uintptr) error) (s *unixConn, client int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := k.Listen(kernel.UNIXAddr(path), &kernel.ListenOptions{StreamOptions: kernel.StreamOptions{Control: control}})
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); unix.Close(fd) })
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := k.Arm(c, 1, kernel.Readable); err != nil {
		t.Fatal(err)
	}
	return c.(*unixConn), fd
}

// reads reads from s, as often as k reports it, until that is want.
func reads(t *testing.T, k kernel.Kernel, s kernel.Conn, want string) {
	t.Helper()
	got := ""
	for len(got) < len(want) {
		reported(t, k, 1)
		p := make([]byte, 100)
		n, err := s.Read(p)
		if err != nil && err != kernel.ErrAgain {
			t.Fatal(err)
		}
		got += string(p[:n])
	}
	if got != want {
		t.Errorf("read %q, want %q", got, want)
	}
}

// sendOn sends text with a number for the writing end of a pipe, or none, and returns the error.
func sendOn(client int, text string, fds ...int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(client, []byte(text), rights, nil, 0)
}

// pipeEnds returns a pipe.
func pipeEnds(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	return p[0], p[1]
}

// A read ends at a message with a descriptor, though there is more behind it. Without Descriptors the system refuses such a message, if it
// can. Where it takes it, the conn is reported again until all was read, and the descriptor, which nobody asked for, is closed.
func TestUNIXReadPastDescriptor(t *testing.T) {
	for _, name := range Names() {
		for _, takes := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				leaktest.KeepsDescriptors(t)
				k := testKernel(t, name, Options{})
				var control func(uintptr) error
				if takes {
					control = func(fd uintptr) error { takeDescriptors(int(fd)); return nil }
				}
				s, client := unixPairOf(t, k, control)
				r, w := pipeEnds(t)
				defer unix.Close(r)
				want := "AAAABBBBCCCC"
				if err := sendOn(client, "AAAA"); err != nil {
					t.Fatal(err)
				}
				switch err := sendOn(client, "BBBB", w); {
				case !takes && refusesDescriptors(t):
					if want = "AAAACCCC"; err != unix.EPERM {
						t.Errorf("the sender of a descriptor is told %v", err)
					}
				case err != nil:
					t.Fatal(err)
				}
				if err := sendOn(client, "CCCC"); err != nil {
					t.Fatal(err)
				}
				unix.Close(w)
				reads(t, k, s, want)
				if n, err := unix.Read(r, make([]byte, 1)); n != 0 || err != nil {
					t.Errorf("the descriptor is still open somewhere: %d, %v", n, err)
				}
			})
		}
	}
}

// A dialled conn refuses descriptors too. A conn that would pass them is told.
func TestUNIXDialRefusesDescriptors(t *testing.T) {
	if !refusesDescriptors(t) {
		t.Skip("Linux before 6.16 drops them")
	}
	k := testKernel(t, "", Options{})
	path := filepath.Join(t.TempDir(), "s")
	l, err := listenAt(t, k, path, kernel.UNIXOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := k.Dial(kernel.UNIXAddr(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := sendOn(int(s.(*unixConn).fd), "x", int(s.(*unixConn).fd)); err != unix.EPERM {
		t.Errorf("the sender of a descriptor is told %v", err)
	}
	d, err := k.Dial(kernel.UNIXAddr(path), &kernel.DialOptions{StreamOptions: kernel.StreamOptions{Descriptors: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p, _ := kernel.ConnAs[kernel.Passing](d)
	n, err := p.WriteDescriptors([]byte("x"), []int{int(s.(*unixConn).fd)})
	if n != 0 || !errors.Is(err, kernel.ErrPermission) || !strings.Contains(err.Error(), "the peer takes no descriptors") {
		t.Errorf("WriteDescriptors: %d, %v", n, err)
	}
}

// Whoever adopts a socket with Descriptors gets them, though its former owner did without: also of a client that came before, and of one that
// is connected already.
func TestUNIXAdoptedTakesDescriptors(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	old, k := testKernel(t, "", Options{}), testKernel(t, "", Options{})
	path := filepath.Join(t.TempDir(), "s")
	l, err := listenAt(t, old, path, kernel.UNIXOptions{})
	if err != nil {
		t.Fatal(err)
	}
	connect := func() int {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	clients := []int{connect(), connect()}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]kernel.Conn, 3)
	if conns[0], err = k.(kernel.Adopter).AdoptConn(int(c.(*unixConn).fd), &kernel.StreamOptions{Descriptors: true}); err != nil {
		t.Fatal(err)
	}
	_ = c.(*unixConn).sock.Close()
	next, err := k.(kernel.Adopter).AdoptListener(int(l.(*unixListener).fd), &kernel.ListenOptions{StreamOptions: kernel.StreamOptions{Descriptors: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	clients = append(clients, connect())
	send := func(i int) {
		if err := sendOn(clients[i], "x", clients[i]); err != nil {
			t.Fatalf("client %d cannot send a descriptor: %v", i, err)
		}
	}
	send(2) // before it is accepted
	for i := range conns {
		if i > 0 {
			if conns[i], err = next.Accept(); err != nil {
				t.Fatal(err)
			}
		}
		defer conns[i].Close()
		if i < 2 {
			send(i)
		}
		p, _ := kernel.ConnAs[kernel.Passing](conns[i])
		n, err := conns[i].Read(make([]byte, 9))
		got := p.TakeDescriptors()
		if n != 1 || err != nil || len(got) != 1 {
			t.Errorf("client %d: read %d with %v, %v", i, n, got, err)
		}
		for _, fd := range got {
			unix.Close(fd)
		}
	}
}

// A UNIX stream to which no descriptors can come is watched by edges. Urgent data ends a read too, and so may messages that the program has asked for by
// a number that DescriptorOf gave it: what is behind them is reported.
func TestUNIXEdges(t *testing.T) {
	if !refusesDescriptors(t) {
		t.Skip("Linux before 6.16 drops descriptors, so all are watched by levels")
	}
	k := testEpoll(t, WaitBlock)
	s, client := unixPairOf(t, k, nil)
	byEdge := func() bool { return interest(&s.sock, 1, kernel.Readable).Events&unix.EPOLLET != 0 }
	if !byEdge() {
		t.Fatal("it is not watched by edges")
	}
	for range 3 {
		_ = sendOn(client, "abc")
		reads(t, k, s, "abc")
		k.rearmEdges()
		if n, errno := k.peek(8); n != 0 || errno != 0 {
			t.Errorf("a short read left it ready: %d, %v", n, errno)
		}
	}
	_ = sendOn(client, "abc")
	if err := unix.Sendto(client, []byte("!"), unix.MSG_OOB, nil); err != nil {
		t.Fatal(err)
	}
	_ = sendOn(client, "def")
	reads(t, k, s, "abcdef")
	if n, err := s.Read(make([]byte, 9)); err != kernel.ErrAgain {
		t.Fatal(n, err)
	}
	k.rearmEdges()

	fd, err := k.DescriptorOf(s)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	takeDescriptors(fd)
	if byEdge() {
		t.Error("it is watched by edges though the program may have asked for more")
	}
	for _, err := range []error{sendOn(client, "AAAA"), sendOn(client, "BBBB", fd), sendOn(client, "CCCC")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	reads(t, k, s, "AAAABBBBCCCC")
	if later, _ := unixPairOf(t, k, nil); later.is(stream) {
		t.Error("a later one is watched by edges")
	}
}
