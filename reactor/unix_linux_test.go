package reactor_test

import (
	"errors"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// A UNIX peer may end its reading alone. Our write fails, and what it sends later is delivered
// (TCP-67).
func TestUNIXPeerReadsNoMore(t *testing.T) {
	natives(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		at := socketName(t)
		var srv end
		if _, err := r.Listen(at, one(&srv), nil); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: at.Name}); err != nil {
			t.Fatal(err)
		}
		until(t, r, func() bool { return srv.s != nil })
		unix.Shutdown(fd, unix.SHUT_RD)
		srv.s.Write([]byte("x"))
		testworld.Turns(t, r, 5)
		if srv.err != nil {
			t.Fatalf("TCP-67: lost with %v while the peer may send", srv.err)
		}
		unix.Write(fd, []byte("an answer"))
		unix.Close(fd)
		until(t, r, func() bool { return srv.err != nil })
		if string(srv.got) != "an answer" || !errors.Is(srv.err, kernel.ErrBroken) {
			t.Errorf("TCP-67: got %q, lost with %v", srv.got, srv.err)
		}
	})
}
