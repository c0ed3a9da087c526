//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// A closed listener and a conn that was given back are forgotten, although the socket is open elsewhere and ready: the next
// one with the number and the token is not taken for them (ADOPT-6, ADOPT-13).
func TestAdoptForgotten(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		a, _ := kernel.As[kernel.Adopter](k)
		var listening [2]int // the first has a client
		for i := range listening {
			listening[i] = socketFor(t, unix.AF_INET, unix.SOCK_STREAM)
			if err := unix.Bind(listening[i], &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
				t.Fatal(err)
			}
			if err := unix.Listen(listening[i], 5); err != nil {
				t.Fatal(err)
			}
		}
		at, err := unix.Getsockname(listening[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(socketFor(t, unix.AF_INET, unix.SOCK_STREAM), at); err != nil {
			t.Fatal(err)
		}
		var pairs [2][2]int // the first has input
		for i := range pairs {
			if pairs[i], err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(pairs[i][0]); unix.Close(pairs[i][1]) })
		}
		if _, err := unix.Write(pairs[0][1], []byte("x")); err != nil {
			t.Fatal(err)
		}
		listener := func(i int) (kernel.Handle, error) { return a.AdoptListener(listening[i], nil) }
		conn := func(i int) (kernel.Handle, error) { return a.AdoptConn(pairs[i][0], nil) }
		for what, adopt := range map[string]func(int) (kernel.Handle, error){"ADOPT-6: listener": listener, "ADOPT-13: conn": conn} {
			ev := make([]kernel.Event, 4)
			for i := range 2 {
				h, err := adopt(i)
				if err != nil {
					t.Fatal(err)
				}
				if err := k.Arm(h, 5, kernel.Readable); err != nil {
					t.Fatal(err)
				}
				if n, err := k.Wait(ev, k.Now()+5*time.Millisecond); n != 1-i || err != nil {
					t.Errorf("%s: %s: %d events, %v, want %d", what, name, n, err, 1-i)
				}
				if c, ok := h.(kernel.Adopted); ok {
					c.GiveBack()
				} else {
					h.Close()
				}
			}
		}
	}
}
