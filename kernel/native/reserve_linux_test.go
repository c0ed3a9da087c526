package native

import (
	"net/netip"
	"runtime"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// Somebody closes the reserve, and a listener gets its number. The reserve that is given up then is not the listener.
func TestReserveGone(t *testing.T) {
	for _, name := range Names() {
		leaktest.KeepsDescriptors(t)
		b := openWith(t, name)
		if err := b.Reserve(); err != nil {
			t.Fatal(err)
		}
		fd := b.reserved
		unix.Close(fd)
		h, err := b.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := int(h.(*listener).fd); got != fd {
			t.Fatalf("%s: the number %d was not used again, but %d", name, fd, got)
		}
		if b.Release() {
			t.Errorf("%s: there was a reserve to give up", name)
		}
		if err := isOpen(fd); err != nil {
			t.Errorf("%s: the listener is closed: %v", name, err)
		}
		if err := b.Reserve(); err != nil || b.reserved == fd || !b.Release() {
			t.Errorf("%s: another reserve: %v", name, err)
		}
		h.Close()
	}
}

// TCP-22: a port needs no null device, and a UNIX socket no /proc: a server listens in a chroot that has nothing.
func TestListenInBareChroot(t *testing.T) {
	dir := t.TempDir()
	var kernels []*base
	for _, name := range Names() {
		kernels = append(kernels, openWith(t, name))
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // which ends with the goroutine, because it stays locked
		done <- inBareChroot(t, dir, kernels)
	}()
	if err := <-done; err == unix.EPERM {
		t.Skip("it needs privileges")
	} else if err != nil {
		t.Error(err)
	}
}

// inBareChroot has the kernels listen on a thread whose root is dir.
func inBareChroot(t *testing.T, dir string, kernels []*base) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	if err := unix.Chroot(dir); err != nil {
		return err
	}
	for _, b := range kernels {
		if err := b.Reserve(); err != nil || b.reserved < 0 || !b.Release() {
			t.Errorf("TCP-22: %s: %v", b.Name(), err)
		}
		if err := isOpen(b.waker.r); err != nil {
			t.Errorf("%s: the waker is gone: %v", b.Name(), err)
		}
		h, err := b.Listen(kernel.UNIXAddr("/"+b.Name()), nil) // which sets a mode
		if err != nil {
			t.Errorf("UNIX: %s: %v", b.Name(), err)
			continue
		}
		h.Close()
	}
	return nil
}
