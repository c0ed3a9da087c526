//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

// A listener that has left its file does not remove it, nor the lock file. The one that owns them then does. It does not get the
// lock of another process, and then does not own the file either.
func TestFileOwner(t *testing.T) {
	k, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	path := filepath.Join(t.TempDir(), "s")
	there := func(want bool) {
		t.Helper()
		for _, f := range []string{path, path + ".lock"} {
			if _, err := os.Lstat(f); errors.Is(err, fs.ErrNotExist) == want {
				t.Errorf("%s: %v, want it there: %v", f, err, want)
			}
		}
	}
	l, err := k.Listen(kernel.UNIXAddr(path), &kernel.ListenOptions{UNIX: kernel.UNIXOptions{Lock: true}})
	if err != nil {
		t.Fatal(err)
	}
	d, _ := kernel.As[kernel.Descriptors](k)
	fd, err := d.DescriptorOf(l)
	if err != nil {
		t.Fatal(err)
	}
	defer d.CloseDescriptor(fd)
	adopt := func() (kernel.Listener, kernel.FileOwner) {
		t.Helper()
		a, _ := kernel.As[kernel.Adopter](k)
		m, err := a.AdoptListener(fd, nil)
		if err != nil {
			t.Fatal(err)
		}
		o, _ := kernel.ListenerAs[kernel.FileOwner](m)
		return m, o
	}
	first, _ := kernel.ListenerAs[kernel.FileOwner](l)
	first.LeaveFile()
	l.Close()
	there(true)
	m, o := adopt()
	if err := o.OwnFile(true, os.Getppid()); !errors.Is(err, kernel.ErrLocked) {
		t.Errorf("the lock of another: %v", err)
	}
	m.Close()
	there(true)
	m, o = adopt()
	if err := o.OwnFile(true, os.Getpid()); err != nil {
		t.Error(err)
	}
	m.Close()
	there(false)
	m, o = adopt()
	if err := o.OwnFile(false, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	m.Close()
}
