//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"net"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

// A conn that goes to another kernel keeps its addresses, also link-local ones that were asked for before, and works there. The
// listener keeps its own.
func TestMoveConn(t *testing.T) {
	lo, err := net.InterfaceByIndex(1)
	if err != nil {
		t.Skip(err)
	}
	for _, name := range Names() {
		a, b := testKernel(t, name, Options{}), testKernel(t, name, Options{})
		l, err := a.Listen(kernel.TCPAddr(netip.IPv6Loopback(), 0), nil)
		if err != nil {
			t.Skip(err)
		}
		ls := l.(*listener)
		if l.Local(); ls.local == nil {
			t.Fatal("the listener does not know its address")
		}
		ls.local.scope = uint32(lo.Index) // as if it were link-local
		cli, err := a.Dial(kernel.TCPAddr(netip.IPv6Loopback(), ls.local.port), nil)
		if err != nil {
			t.Fatal(err)
		}
		testReady(t, a, l, kernel.Readable)
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s := c.(*conn)
		s.remote.scope = uint32(lo.Index)
		local, remote := c.Local(), c.Remote()
		if local.IP.Addr().Zone() != lo.Name || remote.IP.Addr().Zone() != lo.Name {
			t.Fatalf("%s: %v and %v have no zone, so this tests nothing", name, local, remote)
		}
		from, to := a.(kernel.Mover), b.(kernel.Mover)
		if err := from.GiveConn(c); err != nil {
			t.Fatal(err)
		}
		if err := to.TakeConn(c); err != nil {
			t.Fatal(err)
		}
		if c.Local() != local || c.Remote() != remote || l.Local() != local {
			t.Errorf("%s: from %v to %v, and the listener at %v; before %v and %v", name, c.Remote(), c.Local(), l.Local(), remote, local)
		}
		if err := from.GiveConn(c); err == nil {
			t.Errorf("%s: a kernel gives what another one has", name)
		}
		cli.Write([]byte("x"))
		testReady(t, b, c, kernel.Readable)
		if n, err := c.Read(make([]byte, 2)); n != 1 || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		c.Close()
		if err := from.GiveConn(cli); err != nil {
			t.Error(err)
		}
		if cli.Close(); from.GiveConn(cli) == nil {
			t.Errorf("%s: a closed conn was given", name)
		}
		l.Close()
	}
}

// A conn that a closed kernel refuses is closed on its goroutine, and so must touch nothing of the kernel that has given it.
func TestMovedToClosedKernel(t *testing.T) {
	for _, name := range Names() {
		a, b := testKernel(t, name, Options{}), testKernel(t, name, Options{})
		_, cli, c := testPair(t, a)
		if err := a.(kernel.Mover).GiveConn(c); err != nil {
			t.Fatal(err)
		}
		b.Close()
		done := make(chan error)
		go func() {
			err := b.(kernel.Mover).TakeConn(c)
			c.Abort()
			done <- err
		}()
		_, other, _ := testPair(t, a) // which makes entries in the table of a
		if err := <-done; err != kernel.ErrClosed {
			t.Errorf("%s: %v", name, err)
		}
		testReady(t, a, cli, kernel.Readable)
		cli.Close()
		other.Close()
	}
}
