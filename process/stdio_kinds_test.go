//go:build unix

package process_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"golang.org/x/sys/unix"
)

// socketPair returns two stream sockets that block, as files.
func socketPair(t *testing.T) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b = os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// A socket is input and output, as a server of inetd has it. It blocks for others all the time.
func TestStdioSocket(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		ours, theirs := socketPair(t)
		p := new(halfScreen)
		p.onData = func(b []byte) { p.s.Write(b) }
		p.onReadLost = func() { p.s.CloseWrite() }
		if _, err := process.StdioOn(r, int(ours.Fd()), int(ours.Fd()), p, nil); err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat("0123456789", 100_000)
		fd, got := int(theirs.Fd()), make(chan string)
		go func() {
			b, err := io.ReadAll(theirs)
			if err != nil {
				t.Error(err)
			}
			got <- string(b)
		}()
		go func() {
			if _, err := theirs.WriteString(text); err != nil {
				t.Error(err)
			}
			unix.Shutdown(fd, unix.SHUT_WR)
		}()
		until(t, r, p.lost)
		sameEvents(t, p.events, "made", "read lost", "write lost", "lost")
		isOne(t, "lost", p.err, io.EOF)
		if s := <-got; s != text {
			t.Errorf("%d bytes came back, not %d", len(s), len(text))
		}
		blocks(t, ours)
	})
}

// Sockets apart: the loss of the output's peer does not need a write to be noticed.
func TestStdioSocketsApart(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		in, toIn := socketPair(t)
		out, fromOut := socketPair(t)
		p := new(halfScreen)
		if _, err := process.StdioOn(r, int(in.Fd()), int(out.Fd()), p, nil); err != nil {
			t.Fatal(err)
		}
		p.s.Write([]byte("unread, so that the close is a reset"))
		until(t, r, func() bool { return p.s.Buffered() == 0 })
		fromOut.Close()
		if kernel.LimitsOf(r.Kernel()).NoFailed {
			p.s.Write([]byte("x"))
		} else {
			put(t, int(toIn.Fd()), "x")
		}
		p.onData = func([]byte) { p.s.Write([]byte("y")) }
		until(t, r, func() bool { return len(p.events) == 2 })
		sameEvents(t, p.events, "made", "write lost")
		toIn.Close()
		until(t, r, p.lost)
	})
}

// The null device is an input that has ended and an output that takes everything. So is what the runtime puts in the place of
// standard streams that are closed.
func TestStdioNull(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		p := new(screen)
		p.onMade = func() { p.s.Write([]byte(strings.Repeat("x", 1<<20))) }
		if _, err := process.StdioOn(r, int(null.Fd()), int(null.Fd()), p, nil); err != nil {
			t.Fatal(err)
		}
		until(t, r, p.lost)
		isOne(t, "lost", p.err, io.EOF)
	})
}

// Descriptors that are closed, and others that cannot be what they should, are errors, and nothing is left.
func TestStdioErrors(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		e := newEnds(t)
		in, out := int(e.in.Fd()), int(e.out.Fd())
		e.fromOut.Fd()
		for _, pair := range [][2]int{{-1, out}, {in, -1}, {in, 1 << 20}} {
			_, err := process.StdioOn(r, pair[0], pair[1], new(screen), nil)
			isOne(t, "a closed descriptor", err, kernel.ErrBadDescriptor)
		}
		_, err := process.StdioOn(r, in, out, new(screen), &process.StdioConfig{Raw: true})
		isOne(t, "Raw of a pipe", err, process.ErrNoTerminal)
		_, err = process.StdioOn(r, in, out, new(screen), &process.StdioConfig{StreamConfig: reactor.StreamConfig{LowWater: -1}, CloseAtEnd: true})
		isOne(t, "bad marks", err, reactor.ErrMarks)
		put(t, out, "x")
		if got := take(t, int(e.fromOut.Fd())); got != "x" {
			t.Errorf("after the errors: %q", got)
		}
		// The wrong way round: the first read says so.
		p := new(screen)
		if _, err := process.StdioOn(r, int(e.toIn.Fd()), out, p, nil); err != nil {
			t.Fatal(err)
		}
		e.in.Close()
		until(t, r, p.lost)
		isOne(t, "reading what is for writing", p.err, kernel.ErrBadDescriptor)
	})
}

// The end of a named pipe is found also if its writer had gone before.
func TestStdioNamedPipe(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		path := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0) // Open waits for a writer otherwise
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(in)
		if err := unix.SetNonblock(in, false); err != nil {
			t.Fatal(err)
		}
		w, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteString("before"); err != nil {
			t.Fatal(err)
		}
		w.Close()
		e, p := newEnds(t), new(screen)
		if _, err := process.StdioOn(r, in, int(e.out.Fd()), p, nil); err != nil {
			t.Fatal(err)
		}
		until(t, r, p.lost)
		isOne(t, "lost", p.err, io.EOF)
		if string(p.got) != "before" {
			t.Errorf("came: %q", p.got)
		}
	})
}

// CloseWrite of a named pipe that is input and output by one number leaves the input.
func TestStdioOneNumber(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		path := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		p := new(halfScreen)
		if _, err := process.StdioOn(r, fd, fd, p, nil); err != nil {
			t.Fatal(err)
		}
		p.s.CloseWrite()
		turn(t, r, 3)
		w, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if _, err := w.WriteString("still"); err != nil {
			t.Fatal(err)
		}
		until(t, r, p.has("still"))
		p.s.Close()
		until(t, r, p.lost)
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Error(err)
		}
		if n, err := unix.Read(fd, make([]byte, 1)); err != unix.EAGAIN {
			t.Errorf("after the end the number gives %d, %v", n, err)
		}
	})
}

// Both sides of a pseudo-terminal serve, and are not made non-blocking. A master is read without ever blocking, and ends where
// Linux says EIO.
func TestStdioTerminals(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		pty := openPTY(t, process.Size{Columns: 90, Rows: 30})
		master := pty.Master()
		if err := unix.SetNonblock(master, false); err != nil {
			t.Fatal(err)
		}
		play, program := new(screen), new(screen)
		m, err := process.StdioOn(r, master, master, play, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := process.StdioOn(r, pty.Slave(), pty.Slave(), program, &process.StdioConfig{Raw: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []*process.Standard{m, s} {
			if size, err := x.Size(); size != (process.Size{Columns: 90, Rows: 30}) || err != nil {
				t.Errorf("Size: %v, %v", size, err)
			}
		}
		text := strings.Repeat("0123456789\n\x03\x1a", 5_000)
		play.s.Write([]byte(text))
		program.s.Write([]byte(text))
		until(t, r, func() bool { return len(play.got) >= len(text) && len(program.got) >= len(text) })
		if string(play.got) != text || string(program.got) != text {
			t.Error("raw mode has changed bytes")
		}
		for _, fd := range []int{master, pty.Slave()} {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
				t.Errorf("descriptor %d does not block: %#x, %v", fd, flags, err)
			}
		}
		program.s.Close()
		until(t, r, program.lost)
		play.got = nil
		play.s.Write([]byte("cooked"))
		until(t, r, play.has("cooked")) // the echo is back
		pty.CloseSlave()
		until(t, r, play.lost)
		isOne(t, "lost", play.err, io.EOF)
	})
}

// Two loops that share a pipe, as input, get each byte once and do not block each other.
func TestStdioSharedInput(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		e := newEnds(t)
		other, err := unix.Dup(int(e.in.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(other)
		a, b := new(screen), new(screen)
		e.stdio(t, r, a, nil)
		if _, err := process.StdioOn(r, other, int(e.out.Fd()), b, nil); err != nil && !errors.Is(err, kernel.ErrBadDescriptor) {
			t.Fatal(err)
		}
		for range 50 {
			put(t, int(e.toIn.Fd()), "x")
			n := len(a.got) + len(b.got)
			until(t, r, func() bool { return len(a.got)+len(b.got) > n })
		}
		a.s.Abort()
		until(t, r, a.lost)
	})
}
