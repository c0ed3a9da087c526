//go:build unix

package process_test

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// ends are the descriptors of a transport, and those at their other sides. All are closed when the test ends.
type ends struct{ in, toIn, out, fromOut *os.File }

func newEnds(t *testing.T) *ends {
	t.Helper()
	var e ends
	var err1, err2 error
	e.in, e.toIn, err1 = os.Pipe()
	e.fromOut, e.out, err2 = os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range []*os.File{e.in, e.toIn, e.out, e.fromOut} {
			f.Close()
		}
	})
	return &e
}

func (e *ends) stdio(t *testing.T, r *reactor.Reactor, p reactor.Protocol, c *process.StdioConfig) *process.Standard {
	t.Helper()
	// Fd makes them block, as the descriptors of a shell do.
	s, err := process.StdioOn(r, int(e.in.Fd()), int(e.out.Fd()), p, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// blocks fails the test if one of the descriptors does not block, for anybody who has it.
func blocks(t *testing.T, files ...*os.File) {
	t.Helper()
	for _, f := range files {
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("descriptor %d has the flags %#x, %v", f.Fd(), flags, err)
		}
	}
}

// STDIO-1, STDIO-2: ConnectionMade comes inside Stdio, addresses are zero, writes go out in order, and the descriptors block
// all the time, which differs from Twisted.
func TestStdioOverPipes(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		e, p := newEnds(t), new(screen)
		p.onData = func(b []byte) { p.s.Write(b); p.s.Write([]byte("|")) }
		s := e.stdio(t, r, p, nil)
		sameEvents(t, p.events, "made")
		if s.Stream().Local() != (kernel.Addr{}) || s.Stream().Remote() != (kernel.Addr{}) {
			t.Errorf("STDIO-1: addresses %v and %v", s.Stream().Local(), s.Stream().Remote())
		}
		blocks(t, e.in, e.out)
		for _, word := range []string{"one", "two", "three"} {
			put(t, int(e.toIn.Fd()), word)
			until(t, r, p.has(word))
		}
		until(t, r, func() bool { return p.s.Buffered() == 0 })
		if got := take(t, int(e.fromOut.Fd())); got != "one|two|three|" {
			t.Errorf("STDIO-2: output %q", got)
		}
		blocks(t, e.in, e.out)
		if _, err := s.Size(); !errors.Is(err, process.ErrNoTerminal) {
			t.Errorf("Size of pipes: %v", err)
		}
		s.Restore() // nothing to do
		p.s.Close()
		until(t, r, p.lost)
		isOne(t, "lost", p.err, reactor.ErrClosed)
	})
}

// STDIO-2: pausing the transport leaves input where it is, and a registered producer is paused while the output is full.
func TestStdioProducers(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		e, p := newEnds(t), new(screen)
		s := e.stdio(t, r, p, nil)
		p.s.PauseProducing()
		put(t, int(e.toIn.Fd()), "later")
		turn(t, r, 3)
		if len(p.got) > 0 {
			t.Errorf("STDIO-2: came while paused: %q", p.got)
		}
		p.s.ResumeProducing()
		until(t, r, p.has("later"))
		var source pausing
		if err := s.Stream().RegisterProducer(&source); err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat("x", 1<<20)
		p.s.Write([]byte(text))
		if source.paused != 1 {
			t.Errorf("STDIO-2: paused %d times", source.paused)
		}
		drained := drain(t, e, len(text))
		until(t, r, func() bool { return source.resumed == 1 })
		<-drained
		p.s.Abort()
		until(t, r, p.lost)
		if source.stopped != 1 {
			t.Errorf("stopped %d times", source.stopped)
		}
	})
}

// drain reads n bytes of the output beside the test, and returns how many came.
func drain(t *testing.T, e *ends, n int) chan int {
	done := make(chan int)
	go func() {
		came, err := io.Copy(io.Discard, io.LimitReader(e.fromOut, int64(n)))
		if err != nil {
			t.Error(err)
		}
		done <- int(came)
	}()
	return done
}

// pausing counts what a consumer asks of it.
type pausing struct{ paused, resumed, stopped int }

func (p *pausing) PauseProducing()  { p.paused++ }
func (p *pausing) ResumeProducing() { p.resumed++ }
func (p *pausing) StopProducing()   { p.stopped++ }

// STDIO-3, STDIO-10: Close right after a large write sends everything. Afterwards the descriptors are open, block, and work for
// ordinary writes, in order.
func TestStdioClose(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		e, p := newEnds(t), new(screen)
		e.stdio(t, r, p, nil)
		text := strings.Repeat("0123456789", 100_000)
		done := make(chan string)
		go func() {
			b, err := io.ReadAll(e.fromOut)
			if err != nil {
				t.Error(err)
			}
			done <- string(b)
		}()
		p.s.Write([]byte(text))
		p.s.Close()
		until(t, r, p.lost)
		isOne(t, "STDIO-3: lost", p.err, reactor.ErrClosed)
		blocks(t, e.in, e.out)
		put(t, int(e.out.Fd()), "ordinary")
		e.out.Close()
		if got := <-done; got != text+"ordinary" {
			t.Errorf("STDIO-10: %d bytes arrived, not %d", len(got), len(text)+8)
		}
		put(t, int(e.toIn.Fd()), "mine")
		if got := take(t, int(e.in.Fd())); got != "mine" {
			t.Errorf("STDIO-10: read %q", got)
		}
	})
}

// STDIO-4: when the reader of the output has gone, the transport is lost though the input is open and nothing is written.
func TestStdioReaderGone(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		for _, when := range []string{"before", "later", "paused", "closing"} {
			e, p := newEnds(t), new(screen)
			if when == "before" {
				e.fromOut.Close()
			}
			s := e.stdio(t, r, p, nil)
			put(t, int(e.toIn.Fd()), "x")
			switch when {
			case "paused":
				s.Stream().PauseProducing()
			case "closing":
				p.s.Write(make([]byte, 1<<20))
				p.s.Close()
			}
			turn(t, r, 1)
			e.fromOut.Close()
			if kernel.LimitsOf(r.Kernel()).NoFailed {
				p.s.Write([]byte("who reads?"))
			}
			until(t, r, p.lost)
			isOne(t, "STDIO-4: lost, "+when, p.err, kernel.ErrBroken)
		}
	})
}

// STDIO-5: the end of the input ends the transport when what is pending was sent, and is ReadConnectionLost for a
// HalfCloseListener, which may go on writing.
func TestStdioInputEnds(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		text := strings.Repeat("0123456789", 20_000)
		e, p := newEnds(t), new(screen)
		e.stdio(t, r, p, nil)
		p.s.Write([]byte(text))
		put(t, int(e.toIn.Fd()), "last")
		e.toIn.Close()
		until(t, r, p.has("last"))
		c := drain(t, e, len(text))
		until(t, r, p.lost)
		isOne(t, "STDIO-5: lost", p.err, io.EOF)
		if n := <-c; n != len(text) {
			t.Errorf("STDIO-5: %d bytes of %d were sent", n, len(text))
		}
		e, h := newEnds(t), new(halfScreen)
		e.stdio(t, r, h, nil)
		e.toIn.Close()
		until(t, r, func() bool { return len(h.events) == 2 })
		sameEvents(t, h.events, "made", "read lost") // STDIO-5
		c = drain(t, e, len(text))
		h.s.Write([]byte(text))
		until(t, r, func() bool { return h.s.Buffered() == 0 })
		if n := <-c; n != len(text) {
			t.Errorf("STDIO-5: %d bytes of %d were sent after the end of the input", n, len(text))
		}
		h.s.Close()
		until(t, r, h.lost)
		sameEvents(t, h.events, "made", "read lost", "lost")
	})
}

// STDIO-6, STDIO-11: a HalfCloseListener is told of the loss of the output, at a write or without one, and goes on reading. A
// producer is stopped, one that comes later too. The loss of both is the end.
func TestStdioOutputLost(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		for _, writing := range []bool{true, false} {
			if !writing && kernel.LimitsOf(r.Kernel()).NoFailed {
				continue
			}
			e, p := newEnds(t), new(halfScreen)
			s := e.stdio(t, r, p, nil)
			var before, after pausing
			if err := s.Stream().RegisterProducer(&before); err != nil {
				t.Fatal(err)
			}
			e.fromOut.Close()
			if writing {
				p.s.Write([]byte("x"))
			}
			until(t, r, func() bool { return len(p.events) == 2 })
			sameEvents(t, p.events, "made", "write lost") // STDIO-6
			if err := s.Stream().RegisterProducer(&after); err != nil || before.stopped != 1 || after.stopped != 1 {
				t.Errorf("STDIO-11: stopped %d and %d times, %v", before.stopped, after.stopped, err)
			}
			if _, err := p.s.Write([]byte("y")); !errors.Is(err, reactor.ErrWriteClosed) {
				t.Errorf("a write to an output that is lost: %v", err)
			}
			put(t, int(e.toIn.Fd()), "still")
			until(t, r, p.has("still"))
			turns := r.Stats().Turns
			put(t, int(e.toIn.Fd()), "here")
			until(t, r, p.has("stillhere"))
			if n := r.Stats().Turns - turns; n > 20 {
				t.Errorf("%d turns for one read: the loop does not sleep", n)
			}
			e.toIn.Close()
			until(t, r, p.lost)
			sameEvents(t, p.events, "made", "write lost", "read lost", "lost") // STDIO-6
			isOne(t, "STDIO-6: lost", p.err, io.EOF)
		}
	})
}

// PROD-21: what comes for an output that is lost is dropped, so that the end of the other side is noticed. What comes from the input is passed on.
func TestStdioJoinedOutputLost(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		srv := new(screen)
		port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.One(srv), nil)
		if err != nil {
			t.Fatal(err)
		}
		client := new(halfScreen)
		r.Dial(port.Addr(), reactor.One(client), nil, nil)
		until(t, r, func() bool { return srv.s != nil && client.s != nil })
		e := newEnds(t)
		s := e.stdio(t, r, new(halfScreen), nil)
		var res *reactor.JoinResult
		if _, err := reactor.Join(srv.s, s.Stream(), &reactor.JoinConfig{HalfClosed: 50 * time.Millisecond, Done: func(x reactor.JoinResult) { res = &x }}); err != nil {
			t.Fatal(err)
		}
		e.fromOut.Close()
		for n := range 3 { // the first may be what finds the loss
			_, _ = client.s.Write([]byte("nobody reads this"))
			put(t, int(e.toIn.Fd()), "x")
			until(t, r, func() bool { return len(client.got) > n })
		}
		if res != nil {
			t.Fatalf("it has ended: %v", res.Err)
		}
		_ = client.s.CloseWrite()
		until(t, r, func() bool { return res != nil && client.lost() })
		if !errors.Is(res.Err, kernel.ErrBroken) {
			t.Errorf("PROD-21: %v", res.Err)
		}
	})
}

// STDIO-6: CloseWrite shows the reader the end when all is sent. The number of the descriptor stays taken.
func TestStdioCloseWrite(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		e, p := newEnds(t), new(halfScreen)
		e.stdio(t, r, p, nil)
		text := strings.Repeat("0123456789", 50_000)
		n := -1
		go func() {
			b, err := io.ReadAll(e.fromOut)
			if err != nil {
				t.Error(err)
			}
			r.Post(func() { n = len(b) })
		}()
		p.s.Write([]byte(text))
		p.s.CloseWrite()
		until(t, r, func() bool { return n >= 0 })
		if n != len(text) {
			t.Errorf("STDIO-6: %d bytes before the end, not %d", n, len(text))
		}
		sameEvents(t, p.events, "made", "write lost")
		if _, err := e.out.Write([]byte("nobody reads this")); err != nil {
			t.Errorf("an ordinary write after CloseWrite: %v", err)
		}
		put(t, int(e.toIn.Fd()), "on")
		until(t, r, p.has("on"))
		e.toIn.Close()
		until(t, r, p.lost)
		isOne(t, "STDIO-6: lost", p.err, io.EOF)
	})
}

// With CloseAtEnd both descriptors are closed at the end, and their numbers stay taken.
func TestStdioCloseAtEnd(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		e, p := newEnds(t), new(screen)
		e.stdio(t, r, p, &process.StdioConfig{CloseAtEnd: true})
		p.s.Write([]byte("bye"))
		p.s.Close()
		until(t, r, p.lost)
		if b, err := io.ReadAll(e.fromOut); string(b) != "bye" || err != nil {
			t.Errorf("the reader got %q, %v", b, err)
		}
		if _, err := unix.Write(int(e.toIn.Fd()), []byte("x")); err != unix.EPIPE {
			t.Errorf("writing to a closed input: %v", err)
		}
		if n, err := unix.Read(int(e.in.Fd()), make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("the null device has %d, %v", n, err)
		}
	})
}

// STDIO-3: an end closes nothing whose number the owner has closed before, or has given to another file, also after the loss of the output. Nothing
// stays open in its place.
func TestStdioClosedByOwner(t *testing.T) {
	for _, c := range []*process.StdioConfig{nil, {CloseAtEnd: true}} {
		onKernels(t, func(t *testing.T, r *reactor.Reactor) {
			leaktest.KeepsDescriptors(t)
			for _, reused := range []bool{false, true} {
				e, p := newEnds(t), new(halfScreen)
				stranger := int(newEnds(t).in.Fd())
				e.stdio(t, r, p, c)
				fds := []int{int(e.in.Fd()), int(e.out.Fd())}
				e.fromOut.Close()
				p.s.Write([]byte("x")) // select notices the loss by this
				until(t, r, func() bool { return len(p.events) == 2 })
				turn(t, r, 2)
				e.in.Close()
				e.out.Close()
				for _, fd := range fds {
					if !reused {
						continue
					}
					if err := unix.Dup2(stranger, fd); err != nil {
						t.Fatal(err)
					}
					defer unix.Close(fd)
				}
				open := leaktest.Descriptors()
				p.s.Abort()
				until(t, r, p.lost)
				if n := leaktest.Descriptors(); n > open {
					t.Errorf("STDIO-3: %d descriptors are open, not %d", n, open)
				}
				for _, fd := range fds {
					if reused && inode(t, fd) != inode(t, stranger) {
						t.Errorf("STDIO-3: descriptor %d was given to another file", fd)
					}
				}
			}
		})
	}
}

func inode(t *testing.T, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return uint64(st.Ino)
}

// STDIO-7: a panic in a callback of half-close is told, and ends the transport.
func TestStdioPanics(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			for _, reading := range []bool{true, false} {
				told := 0
				r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { told++ }})
				e, p := newEnds(t), new(halfScreen)
				p.onReadLost = func() { panic("reading") }
				p.onWriteLost = func() { panic("writing") }
				e.stdio(t, r, p, nil)
				if reading {
					e.toIn.Close()
				} else {
					p.s.CloseWrite()
				}
				until(t, r, p.lost)
				if _, ok := errors.AsType[*reactor.PanicError](p.err); !ok || told != 1 {
					t.Errorf("STDIO-7: lost with %v, told %d times", p.err, told)
				}
				blocks(t, e.in, e.out)
			}
		})
	}
}

// STDIO-8, STDIO-9: files are an input and an output like others, though epoll refuses them, and no reader is missed.
func TestStdioFiles(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		text := strings.Repeat("0123456789", 100_000)
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "in"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		in, err1 := os.Open(filepath.Join(dir, "in"))
		out, err2 := os.OpenFile(filepath.Join(dir, "out"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		defer out.Close()
		p := new(halfScreen)
		p.onData = func(b []byte) { p.s.Write(b) }
		p.onReadLost = func() { p.s.Close() }
		if _, err := process.StdioOn(r, int(in.Fd()), int(out.Fd()), p, nil); err != nil {
			t.Fatal(err)
		}
		until(t, r, p.lost)
		sameEvents(t, p.events, "made", "read lost", "lost")
		if got, err := os.ReadFile(out.Name()); string(got) != text || err != nil {
			t.Errorf("STDIO-8: %d bytes were written, not %d, %v", len(got), len(text), err)
		}
		d := &fileReader{f: in}
		if err := r.AddReader(d); err != nil {
			t.Fatal(err)
		}
		if all := r.Readers(); len(all) != 1 || all[0] != reactor.ReadDescriptor(d) {
			t.Errorf("STDIO-9: listed are %v", all)
		}
		until(t, r, func() bool { return d.reads >= 3 })
		if all := r.RemoveAll(); len(all) != 1 || len(r.Readers()) != 0 {
			t.Errorf("STDIO-9: removed %v", all)
		}
	})
}

// fileReader is a foreign descriptor of a file.
type fileReader struct {
	f     *os.File
	reads int
}

func (d *fileReader) Fileno() int          { return int(d.f.Fd()) }
func (d *fileReader) DoRead() error        { d.reads++; return nil }
func (d *fileReader) ConnectionLost(error) {}
