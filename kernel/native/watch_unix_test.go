//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// TestWatchedAgain: a watched descriptor that does not block says ErrAgain when it is empty, and when it is
// full. Nothing has moved then.
func TestWatchedAgain(t *testing.T) {
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		var p [2]int
		if err := unix.Pipe(p[:]); err != nil {
			t.Fatal(err)
		}
		for _, fd := range p {
			defer unix.Close(fd)
			if err := unix.SetNonblock(fd, true); err != nil {
				t.Fatal(err)
			}
		}
		w, err := k.(kernel.Watcher).Watch(p[0], p[1])
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if n, err := w.Read(make([]byte, 10)); n != 0 || err != kernel.ErrAgain {
			t.Errorf("%s: Read of an empty pipe: %d, %v", name, n, err)
		}
		sent := 0
		for err == nil && sent < 16<<20 {
			var n int
			n, err = w.Write(make([]byte, 100<<10))
			sent += n
		}
		if err != kernel.ErrAgain || sent == 0 {
			t.Errorf("%s: Write to a full pipe: %v after %d bytes", name, err, sent)
		}
		got := 0
		for err = nil; err == nil; {
			var n int
			n, err = w.Read(make([]byte, 64<<10))
			got += n
		}
		if err != kernel.ErrAgain || got != sent {
			t.Errorf("%s: %d bytes came of %d: %v", name, got, sent, err)
		}
	}
}
