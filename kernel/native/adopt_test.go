//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// socketFor opens a socket that the test has.
func socketFor(t *testing.T, family, kind int) int {
	t.Helper()
	fd, err := unix.Socket(family, kind, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// pipeFor is the reading end of a pipe that the test has.
func pipeFor(t *testing.T) int {
	t.Helper()
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p[0]
}

// What cannot be adopted is refused with the kind of reason, before anything was changed (ADOPT-2,
// ADOPT-16, ADOPT-17): the socket is still blocking, and no duplicate is open.
func TestAdoptRefusals(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	k := openFirst(t)
	a, ok := kernel.As[kernel.Adopter](k)
	if !ok {
		t.Fatal("no Adopter")
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	stream := socketFor(t, unix.AF_INET, unix.SOCK_STREAM)
	listening := socketFor(t, unix.AF_INET, unix.SOCK_STREAM)
	if err := unix.Listen(listening, 1); err != nil {
		t.Fatal(err)
	}
	connected := socketFor(t, unix.AF_INET, unix.SOCK_STREAM)
	if at, err := unix.Getsockname(listening); err != nil || unix.Connect(connected, at) != nil {
		t.Fatal("no connection", err)
	}
	conn := func(fd int) (kernel.Handle, error) { return a.AdoptConn(fd, nil) }
	listener := func(fd int) (kernel.Handle, error) { return a.AdoptListener(fd, nil) }
	badOption := &kernel.OptionError{}
	for what, c := range map[string]struct {
		adopt func(fd int) (kernel.Handle, error)
		fd    int
		is    error
	}{
		"connection: negative":      {conn, -1, kernel.ErrBadDescriptor},
		"connection: not open":      {conn, 1 << 20, kernel.ErrBadDescriptor},
		"connection: pipe":          {conn, pipeFor(t), kernel.ErrUnsupported},
		"connection: datagrams":     {conn, pair[0], kernel.ErrUnsupported},
		"connection: not connected": {conn, stream, kernel.ErrNotConnected},
		"connection: listening":     {conn, listening, kernel.ErrNotConnected},
		"listener: negative":        {listener, -1, kernel.ErrBadDescriptor},
		"listener: not open":        {listener, 1 << 20, kernel.ErrBadDescriptor},
		"listener: pipe":            {listener, pipeFor(t), kernel.ErrUnsupported},
		"listener: datagrams":       {listener, pair[0], kernel.ErrUnsupported},
		"listener: not listening":   {listener, stream, kernel.ErrNotListening},
		"connection: option": {func(fd int) (kernel.Handle, error) {
			return a.AdoptConn(fd, &kernel.StreamOptions{SendBuffer: -1})
		}, pair[0], nil},
		"connection: an option of UNIX": {func(fd int) (kernel.Handle, error) {
			return a.AdoptConn(fd, &kernel.StreamOptions{Descriptors: true})
		}, connected, nil},
		"listener: an option of UNIX": {func(fd int) (kernel.Handle, error) {
			return a.AdoptListener(fd, &kernel.ListenOptions{StreamOptions: kernel.StreamOptions{Descriptors: true}})
		}, listening, nil},
		"listener: option": {func(fd int) (kernel.Handle, error) {
			return a.AdoptListener(fd, &kernel.ListenOptions{Backlog: 1})
		}, listening, nil},
	} {
		h, err := c.adopt(c.fd)
		var refused *kernel.AdoptError
		switch {
		case h != nil:
			t.Errorf("ADOPT-17: %s: %T", what, h)
		case c.is != nil && (!errors.Is(err, c.is) || !errors.As(err, &refused) || refused.FD != c.fd):
			t.Errorf("ADOPT-17: %s: %v, want %v of descriptor %d", what, err, c.is, c.fd)
		case c.is == nil && !errors.As(err, &badOption):
			t.Errorf("ADOPT-16: %s: %v, want an OptionError", what, err)
		}
	}
	for _, fd := range []int{stream, listening, connected, pair[0]} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("ADOPT-17: refused, and changed: flags %#x, %v", flags, err)
		}
	}
}

// A kernel that was closed adopts nothing.
func TestAdoptAfterClose(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	k, err := Open(Names()[0])
	if err != nil {
		t.Fatal(err)
	}
	a, _ := kernel.As[kernel.Adopter](k)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	listening := socketFor(t, unix.AF_INET, unix.SOCK_STREAM)
	if err := unix.Listen(listening, 1); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := a.AdoptConn(pair[0], nil); c != nil || !errors.Is(err, kernel.ErrClosed) {
		t.Errorf("connection: %v, %v", c, err)
	}
	if l, err := a.AdoptListener(listening, nil); l != nil || !errors.Is(err, kernel.ErrClosed) {
		t.Errorf("listener: %v, %v", l, err)
	}
}

// A conn that was given back leaves the connection to the other descriptor of the socket; a conn that
// was closed ends it for both (ADOPT-13).
func TestAdoptGiveBack(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	k := openFirst(t)
	a, _ := kernel.As[kernel.Adopter](k)
	there, err := k.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { there.Close() })
	tcp := func() (mine, theirs int) {
		mine = socketFor(t, unix.AF_INET, unix.SOCK_STREAM)
		at := there.Local().IP
		if err := unix.Connect(mine, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}); err != nil {
			t.Fatal(err)
		}
		theirs, _, err := unix.Accept(int(there.(*listener).fd))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(theirs) })
		return mine, theirs
	}
	local := func() (mine, theirs int) {
		p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
		return p[0], p[1]
	}
	for family, pair := range map[string]func() (int, int){"TCP": tcp, "UNIX": local} {
		mine, theirs := pair()
		c, err := a.AdoptConn(mine, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.(kernel.Adopted).GiveBack(); err != nil {
			t.Errorf("%s: GiveBack: %v", family, err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, kernel.ErrClosed) {
			t.Errorf("%s: a conn that was given back reads: %v", family, err)
		}
		if _, err := unix.Write(mine, []byte("x")); err != nil {
			t.Errorf("ADOPT-13: %s: GiveBack ended the connection: %v", family, err)
		}
		if c, err = a.AdoptConn(mine, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s: Close: %v", family, err)
		}
		buf := make([]byte, 2)
		if err := unix.SetNonblock(theirs, false); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(theirs, buf); n != 1 || err != nil {
			t.Errorf("%s: read %d, %v", family, n, err)
		}
		if n, err := unix.Read(theirs, buf); n != 0 || err != nil {
			t.Errorf("ADOPT-13: %s: Close left the connection: %d, %v", family, n, err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s: second Close: %v", family, err)
		}
	}
}
