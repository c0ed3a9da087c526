package native

import (
	"errors"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// passingPair is a socket of the test, and the conn of ours that it is connected to.
func passingPair(t *testing.T, control func(uintptr) error) (fd int, c kernel.Conn, p kernel.Passing) {
	t.Helper()
	k := openFirst(t)
	l, err := k.Listen(kernel.UNIXAddr(filepath.Join(t.TempDir(), "s")), &kernel.ListenOptions{StreamOptions: kernel.StreamOptions{Descriptors: true, Control: control}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	fd = socketFor(t, unix.AF_UNIX, unix.SOCK_STREAM)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: l.Local().Name}); err != nil {
		t.Fatal(err)
	}
	if c, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	p, _ = kernel.ConnAs[kernel.Passing](c)
	return fd, c, p
}

// What comes is close-on-exec, and without Descriptors a conn is as large as ever (FDP-6).
func TestPassingFlags(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	const size = 136 // before there were descriptors
	if n := unsafe.Sizeof(unixConn{}); n > size {
		t.Errorf("a unixConn has %d bytes", n)
	}
	fd, c, p := passingPair(t, nil)
	if err := unix.Sendmsg(fd, []byte("x"), unix.UnixRights(fd, fd), nil, 0); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	got := p.TakeDescriptors()
	if len(got) != 2 {
		t.Fatalf("got %v", got)
	}
	for _, fd := range got {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("FDP-6: flags %#x, %v", flags, err)
		}
		unix.Close(fd)
	}
}

// Control messages of another kind are skipped and counted, and descriptors beside them arrive (FDP-5).
func TestPassingSkips(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	fd, c, p := passingPair(t, func(fd uintptr) error { return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	if err := unix.Sendmsg(fd, []byte("x"), unix.UnixRights(fd), nil, 0); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	got := p.TakeDescriptors()
	if n, again := p.Skipped(), p.Skipped(); len(got) != 1 || n != 1 || again != 0 {
		t.Errorf("FDP-5: %d descriptors, %d skipped, then %d", len(got), n, again)
	}
	unix.Close(got[0])
}

// A message that loses descriptors because the process has no number left is counted, and its bytes arrive.
func TestPassingDropped(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	fd, c, p := passingPair(t, nil)
	if err := unix.Sendmsg(fd, []byte("x"), unix.UnixRights(fd, fd, fd), nil, 0); err != nil {
		t.Fatal(err)
	}
	next, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(next)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = uint64(next) + 1
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	n, readErr := c.Read(make([]byte, 9))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	got := p.TakeDescriptors()
	if n != 1 || readErr != nil || len(got) > 2 || p.Dropped() != 1 || p.Dropped() != 0 {
		t.Errorf("%d bytes, %v, %d descriptors", n, readErr, len(got))
	}
	for _, fd := range got {
		unix.Close(fd)
	}
}

// An adopted conn passes descriptors if it is told to; a TCP socket is refused, and not changed.
func TestPassingAdopted(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	k := openFirst(t)
	a, _ := kernel.As[kernel.Adopter](k)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	with := &kernel.StreamOptions{Descriptors: true}
	c, err := a.AdoptConn(pair[0], with)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := kernel.ConnAs[kernel.Passing](c)
	if !ok {
		t.Fatalf("a %T is no Passing", c)
	}
	if n, err := p.WriteDescriptors([]byte("x"), []int{pair[0]}); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := c.(kernel.Adopted).GiveBack(); err != nil {
		t.Error(err)
	}
	if _, err := unix.Write(pair[0], []byte("x")); err != nil {
		t.Errorf("ADOPT-13: GiveBack ended the connection: %v", err)
	}
	if c, err = a.AdoptConn(pair[0], with); err != nil {
		t.Fatal(err)
	}
	c.Abort()
	if _, err := unix.Write(pair[0], []byte("x")); err != unix.EPIPE {
		t.Errorf("ADOPT-13: Abort left the connection: %v", err)
	}
	listening := socketFor(t, unix.AF_INET, unix.SOCK_STREAM)
	if err := unix.Listen(listening, 1); err != nil {
		t.Fatal(err)
	}
	_, err = a.AdoptListener(listening, &kernel.ListenOptions{StreamOptions: *with})
	if o, ok := errors.AsType[*kernel.OptionError](err); !ok || o.Option != "Descriptors" {
		t.Errorf("adopting a TCP listener with Descriptors: %v", err)
	}
	if flags, err := unix.FcntlInt(uintptr(listening), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("ADOPT-16: refused, and changed: flags %#x, %v", flags, err)
	}
}

// FuzzControl: control messages of any content are read as package unix reads them, and those that it refuses as
// far as they are whole.
func FuzzControl(f *testing.F) {
	cut := unix.UnixRights(5, 6, 7)
	f.Add([]byte{})
	f.Add(unix.UnixRights(3))
	f.Add(cut[:len(cut)-6])
	f.Add(append(unix.UnixCredentials(&unix.Ucred{Pid: 1}), unix.UnixRights(1, 2, 3)...))
	f.Add(append(unix.UnixRights(1, 2, 3), make([]byte, 16)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := slices.Clone(b)
		got, others := rights(b, nil)
		if !slices.Equal(b, before) {
			t.Fatal("the bytes were changed")
		}
		if 4*len(got)+unix.SizeofCmsghdr*others > len(b) {
			t.Fatalf("%d bytes have %d descriptors and %d other messages", len(b), len(got), others)
		}
		all, err := unix.ParseSocketControlMessage(slices.Clone(b))
		if err != nil {
			return
		}
		var want []int
		rest := 0
		for _, m := range all {
			if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_RIGHTS {
				rest++
				continue
			}
			m.Data = m.Data[:len(m.Data)/4*4] // package unix panics otherwise
			fds, _ := unix.ParseUnixRights(&m)
			want = append(want, fds...)
		}
		if !slices.Equal(got, want) || others != rest {
			t.Errorf("got %v and %d others, package unix says %v and %d", got, others, want, rest)
		}
	})
}
