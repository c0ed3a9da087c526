package native

import (
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// lingers makes close wait until the peer has taken everything, or for 10 s.
func lingers(fd uintptr) error {
	return unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 10})
}

// pairOf connects to l, and accepts.
func pairOf(t *testing.T, k kernel.Kernel, l kernel.Listener, o *kernel.DialOptions) (c, s *conn) {
	t.Helper()
	d, err := k.Dial(l.Local(), o)
	if err != nil {
		t.Fatal(err)
	}
	testReady(t, k, d, kernel.Writable)
	if err := d.Connected(); err != nil {
		t.Fatal(err)
	}
	testReady(t, k, l, kernel.Readable)
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Abort(); a.Abort() })
	return d.(*conn), a.(*conn)
}

// listenWith listens on loopback.
func listenWith(t *testing.T, k kernel.Kernel, o kernel.StreamOptions) kernel.Listener {
	t.Helper()
	l, err := k.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), &kernel.ListenOptions{StreamOptions: o})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A close that waits, because the program has set SO_LINGER, leaves the only P to other goroutines: here to the one that the close
// waits for. Without SO_LINGER the scheduler need not be told.
func TestCloseThatLingers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for name, pair := range map[string]func(k kernel.Kernel) (closes, peer *conn){
		"a listener's Control": func(k kernel.Kernel) (*conn, *conn) {
			c, s := pairOf(t, k, listenWith(t, k, kernel.StreamOptions{Control: lingers}), nil)
			return s, c
		},
		"the Control of a dial": func(k kernel.Kernel) (*conn, *conn) {
			return pairOf(t, k, listenWith(t, k, kernel.StreamOptions{}), &kernel.DialOptions{StreamOptions: kernel.StreamOptions{Control: lingers}})
		},
		"a number from DescriptorOf": func(k kernel.Kernel) (*conn, *conn) {
			c, s := pairOf(t, k, listenWith(t, k, kernel.StreamOptions{}), nil)
			fd, err := k.(kernel.Descriptors).DescriptorOf(s)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if err := lingers(uintptr(fd)); err != nil {
				t.Fatal(err)
			}
			return s, c
		},
		"an adopted listener": func(k kernel.Kernel) (*conn, *conn) {
			from := testKernel(t, "", Options{})
			l := listenWith(t, from, kernel.StreamOptions{Control: lingers})
			own, err := k.(kernel.Adopter).AdoptListener(int(l.(*listener).fd), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { own.Close() })
			c, s := pairOf(t, k, own, nil)
			return s, c
		},
		"another loop's listener": func(k kernel.Kernel) (*conn, *conn) {
			from := testKernel(t, "", Options{})
			c, s := pairOf(t, from, listenWith(t, from, kernel.StreamOptions{Control: lingers}), nil)
			if err := from.(kernel.Mover).GiveConn(s); err != nil {
				t.Fatal(err)
			}
			if err := k.(kernel.Mover).TakeConn(s); err != nil {
				t.Fatal(err)
			}
			return s, c
		},
	} {
		s, peer := pair(testKernel(t, "", Options{}))
		for err := error(nil); err == nil; {
			_, err = s.Write(make([]byte, 1<<20))
		}
		var ran atomic.Bool
		over := make(chan struct{})
		go func(fd int) {
			defer close(over)
			for buf := make([]byte, 1<<20); ; {
				if n, err := unix.Read(fd, buf); n == 0 || err != nil && err != unix.EAGAIN {
					return
				}
				ran.Store(true)
				runtime.Gosched()
			}
		}(int(peer.fd))
		if err := s.Close(); err != nil || !ran.Load() {
			t.Errorf("%s: no other goroutine ran during the close, which returned %v", name, err)
		}
		<-over
	}
}
