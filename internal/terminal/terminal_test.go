//go:build unix

package terminal_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/internal/terminal"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

func open(t *testing.T, s terminal.Size) terminal.Pair {
	t.Helper()
	p, err := terminal.Open(s)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p.Master); unix.Close(p.Slave) })
	return p
}

// A pair is two terminals of one size. The master does not block, the slave does, both are close-on-exec, and the name is the slave's.
func TestOpen(t *testing.T) {
	want := terminal.Size{Rows: 24, Columns: 80, XPixels: 1, YPixels: 2}
	p := open(t, want)
	for _, fd := range []int{p.Master, p.Slave} {
		got, err := terminal.SizeOf(fd)
		if !terminal.Is(fd) || got != want || err != nil {
			t.Errorf("%d: terminal %v, size %v, %v", fd, terminal.Is(fd), got, err)
		}
		if terminal.IsMaster(fd) != (fd == p.Master) {
			t.Errorf("%d: master %v", fd, terminal.IsMaster(fd))
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 != (fd == p.Master) {
			t.Errorf("%d: flags %#x, %v", fd, flags, err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%d: not close-on-exec: %v", fd, err)
		}
	}
	var named, slave unix.Stat_t
	if err := errors.Join(unix.Stat(p.Name, &named), unix.Fstat(p.Slave, &slave)); err != nil || named.Rdev != slave.Rdev {
		t.Errorf("%s is another terminal: %v", p.Name, err)
	}
}

// Raw mode passes bytes on as they are, and setting the former mode undoes it.
func TestMode(t *testing.T) {
	p := open(t, terminal.Size{})
	before, err := terminal.ModeOf(p.Slave)
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Raw().Set(p.Slave); err != nil {
		t.Fatal(err)
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, way := range [][2]int{{p.Master, p.Slave}, {p.Slave, p.Master}} {
		if n, err := unix.Write(way[0], all); n != len(all) || err != nil {
			t.Fatalf("write: %d, %v", n, err)
		}
		var got []byte
		for len(got) < len(all) {
			buf := make([]byte, 512)
			n, err := unix.Read(way[1], buf)
			if err != nil && err != unix.EAGAIN {
				t.Fatal(err)
			}
			got = append(got, buf[:max(n, 0)]...)
		}
		if string(got) != string(all) {
			t.Errorf("bytes changed on the way: %q", got)
		}
	}
	if now, err := terminal.ModeOf(p.Slave); now != before.Raw() || err != nil {
		t.Errorf("the mode is %v, %v", now, err)
	}
	if err := before.Set(p.Slave); err != nil {
		t.Fatal(err)
	}
	if now, err := terminal.ModeOf(p.Slave); now != before || err != nil {
		t.Errorf("the mode is not the former one: %v", err)
	}
}

// What is no terminal is ENOTTY, with the name of the call.
func TestNoTerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fd := int(r.Fd())
	_, size := terminal.SizeOf(fd)
	_, mode := terminal.ModeOf(fd)
	_, foreground := terminal.Foreground(fd)
	for _, err := range []error{size, mode, foreground, terminal.SetSize(fd, terminal.Size{}), terminal.SetForeground(fd, 1), terminal.Mode{}.Set(fd)} {
		e, ok := errors.AsType[*terminal.Error](err)
		if !ok || e.Call == "" || !errors.Is(err, syscall.ENOTTY) {
			t.Errorf("error %v", err)
		}
	}
	if terminal.Is(fd) || terminal.IsMaster(fd) || terminal.InBackground(fd) {
		t.Error("a pipe is a terminal")
	}
}
