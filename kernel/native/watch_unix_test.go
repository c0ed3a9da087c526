//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// TestWatchNumberZero: the descriptor 0 is one like any other.
func TestWatchNumberZero(t *testing.T) {
	input, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(input)
	defer replace(t, 0, input)
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		var p [2]int
		if err := unix.Pipe(p[:]); err != nil {
			t.Fatal(err)
		}
		replace(t, 0, p[0])
		unix.Close(p[0])
		defer unix.Close(p[1])
		w, err := k.(kernel.Watcher).Watch(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := unix.Write(p[1], []byte("x")); err != nil {
				t.Fatal(err)
			}
			testReady(t, k, w, kernel.Readable) // it is disarmed then
			if n, err := w.Read(make([]byte, 10)); n != 1 || err != nil {
				t.Errorf("%s: Read: %d, %v", name, n, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// replace makes the number fd another descriptor of what from is.
func replace(t *testing.T, fd, from int) {
	t.Helper()
	if err := unix.Dup2(from, fd); err != nil {
		t.Fatal(err)
	}
}

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
