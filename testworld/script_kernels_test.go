package testworld_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/testworld"
)

// A connection that was made and reset before anybody asked is, to Connected, one
// that failed with the reset, on every kernel: scripts found that they differed.
func TestConnectedAfterReset(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			k := w.Open(t)
			defer k.Close()
			l, err := k.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			c, err := k.Dial(l.Local(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			await(t, k, l, kernel.Readable)
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Abort(); err != nil {
				t.Fatal(err)
			}
			// The reset has arrived when reading finds it, but that would take it:
			// readable it becomes with the reset alone.
			await(t, k, c, kernel.Readable)
			if err := c.Connected(); !errors.Is(err, kernel.ErrReset) {
				t.Errorf("Connected: %v, want ErrReset", err)
			}
		})
	}
}

// await waits until h is ready, and disarms it.
func await(t *testing.T, k kernel.Kernel, h kernel.Handle, r kernel.Ready) {
	t.Helper()
	if err := k.Arm(h, 1, r); err != nil {
		t.Fatal(err)
	}
	ev := make([]kernel.Event, 1)
	for limit := k.Now() + testworld.Limit; ; {
		n, err := k.Wait(ev, limit)
		if err != nil || k.Now() >= limit {
			t.Fatalf("nothing is ready: %v", err)
		}
		if n > 0 && ev[0].Ready&r != 0 {
			break
		}
	}
	if err := k.Arm(h, 1, 0); err != nil {
		t.Fatal(err)
	}
}
