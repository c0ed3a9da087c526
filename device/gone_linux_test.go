package device_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// usedAgain closes the number fd behind the back of its owner, and has a port of r get it.
func usedAgain(t *testing.T, r *reactor.Reactor, fd int) {
	t.Helper()
	listen := func() {
		_, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return new(end) }), nil)
		do(t, err)
	}
	listen() // the first has the reactor keep a descriptor in reserve, which may get the number too
	for {    // so that fd is the lowest that is free
		n, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		do(t, err)
		if n > fd {
			unix.Close(n)
			break
		}
		t.Cleanup(func() { unix.Close(n) })
	}
	unix.Close(fd)
	listen()
}

// listens fails unless the number fd is that of a port still.
func listens(t *testing.T, fd int) {
	t.Helper()
	if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || v != 1 {
		t.Errorf("the port's number is closed: %d, %v", v, err)
	}
}

// Somebody closes the descriptor of inotify, and a port gets its number. The Notifier ends, and the port stays open.
func TestNotifierNumberGone(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		var lost []error
		n, err := device.NewNotifier(r, device.NotifierConfig{Lost: func(err error) { lost = append(lost, err) }})
		do(t, err)
		fd := n.Number()
		usedAgain(t, r, fd)
		listens(t, fd)
		testworld.Until(t, func() bool { return len(lost) > 0 }, r)
		if !errors.Is(lost[0], reactor.ErrDescriptorGone) {
			t.Errorf("lost %v", lost)
		}
		listens(t, fd)
		r.Close()
	})
}

// The same with a serial port. Its stream ends.
func TestSerialNumberGone(t *testing.T) {
	for _, aborts := range []bool{false, true} {
		worlds(t, func(t *testing.T, r *reactor.Reactor) {
			path, _ := line(t, "EXEC:cat")
			leaktest.KeepsDescriptors(t)
			s, e := attach(t, r, path, device.SerialConfig{})
			e.T.Write([]byte("x"))
			testworld.Until(t, func() bool { return len(e.got) > 0 }, r)
			fd := s.Number()
			usedAgain(t, r, fd)
			if aborts {
				e.T.Abort()
			}
			testworld.Until(t, func() bool { return len(e.lost) > 0 }, r)
			testworld.Turns(t, r, 3)
			listens(t, fd)
			if _, err := s.Config(); err != kernel.ErrClosed {
				t.Errorf("after the end: %v", err)
			}
			r.Close()
		})
	}
}

// The same with a network device.
func TestTunnelNumberGone(t *testing.T) {
	islanders(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		x := new(packets)
		tun, err := device.OpenTunnel(r, x, device.TunnelConfig{})
		do(t, err)
		fd := tun.Number()
		usedAgain(t, r, fd)
		testworld.Until(t, func() bool { return len(x.lost) > 0 }, r)
		if !errors.Is(x.lost[0], reactor.ErrDescriptorGone) {
			t.Errorf("lost %v", x.lost)
		}
		listens(t, fd)
		r.Close()
	})
}
