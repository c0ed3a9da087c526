//go:build unix

package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// pipe is both ends of a pipe, non-blocking. An end that is closed is -1.
type pipe struct{ r, w int }

func newPipe(t *testing.T) *pipe {
	t.Helper()
	var fd [2]int
	if err := unix.Pipe(fd[:]); err != nil {
		t.Fatal(err)
	}
	return ends(t, fd)
}

// newPair is two connected sockets: both ends can be read and written.
func newPair(t *testing.T) *pipe {
	t.Helper()
	fd, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	return ends(t, fd)
}

func ends(t *testing.T, fd [2]int) *pipe {
	t.Helper()
	p := &pipe{fd[0], fd[1]}
	t.Cleanup(func() { closeFD(&p.r); closeFD(&p.w) })
	for _, n := range fd {
		unix.CloseOnExec(n)
		if err := unix.SetNonblock(n, true); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func closeFD(fd *int) {
	if *fd >= 0 {
		unix.Close(*fd)
		*fd = -1
	}
}

func (p *pipe) put(t *testing.T, text string) {
	t.Helper()
	if n, err := unix.Write(p.w, []byte(text)); n != len(text) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
}

// moveTo makes fd a second number of from's file; fd must be free.
func moveTo(t *testing.T, from, fd int) {
	t.Helper()
	if got, err := unix.FcntlInt(uintptr(from), unix.F_DUPFD_CLOEXEC, fd); got != fd || err != nil {
		t.Fatalf("dup to %d: %d, %v", fd, got, err)
	}
}

// thing is a descriptor that counts what happens to it.
type thing struct {
	fd            int
	asked         int // calls of Fileno
	reads, writes int
	lost          []error
	onFileno      func()
	onRead        func() error
	onWrite       func() error
	onLost        func()
}

func (d *thing) Fileno() int {
	d.asked++
	if d.onFileno != nil {
		d.onFileno()
	}
	return d.fd
}

func (d *thing) DoRead() error {
	d.reads++
	if d.onRead != nil {
		return d.onRead()
	}
	return nil
}

func (d *thing) DoWrite() error {
	d.writes++
	if d.onWrite != nil {
		return d.onWrite()
	}
	return nil
}

func (d *thing) ConnectionLost(err error) {
	d.lost = append(d.lost, err)
	if d.onLost != nil {
		d.onLost()
	}
}

// halfThing outlives the end of its input.
type halfThing struct {
	thing
	readLost   []error
	onReadLost func()
}

func (d *halfThing) ReadConnectionLost(err error) {
	d.readLost = append(d.readLost, err)
	if d.onReadLost != nil {
		d.onReadLost()
	}
}

// reading is a DoRead that appends to got, at most size bytes at a time.
func reading(fd, size int, got *string) func() error {
	buf := make([]byte, size)
	return func() error {
		n, err := unix.Read(fd, buf)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			return nil
		case err != nil:
			return err
		case n == 0:
			return io.EOF
		}
		*got += string(buf[:n])
		return nil
	}
}

func add(t *testing.T, r *reactor.Reactor, reader reactor.ReadDescriptor, writer reactor.WriteDescriptor) {
	t.Helper()
	if reader != nil {
		if err := r.AddReader(reader); err != nil {
			t.Fatal(err)
		}
	}
	if writer != nil {
		if err := r.AddWriter(writer); err != nil {
			t.Fatal(err)
		}
	}
}

// Readiness is reported again in every turn until the descriptor is removed.
func TestDescriptorReady(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		p, r := newPipe(t), w.New(t, reactor.Config{})
		in, out := &thing{fd: p.r}, &thing{fd: p.w}
		add(t, r, in, out)
		add(t, r, in, out) // FDS-3: twice is once
		testworld.Turns(t, r, 3)
		if in.reads != 0 || out.writes != 3 {
			t.Errorf("FDS-1: %d reads of an empty pipe, %d writes in 3 turns", in.reads, out.writes)
		}
		p.put(t, "x")
		testworld.Turns(t, r, 3)
		if in.reads != 3 || out.writes != 6 {
			t.Errorf("FDS-1 FDS-3: %d reads in 3 turns, %d writes in 6", in.reads, out.writes)
		}
		asked := in.asked + out.asked
		r.RemoveReader(in)
		r.RemoveWriter(out)
		r.RemoveReader(in) // FDS-3: what is not there is ignored
		r.RemoveWriter(out)
		r.RemoveReader(&thing{fd: p.r})
		r.RemoveWriter(&thing{fd: -1})
		testworld.Turns(t, r, 3)
		if in.reads != 3 || out.writes != 6 {
			t.Error("FDS-2: called after its removal, with data waiting")
		}
		if in.asked+out.asked != asked {
			t.Error("FDS-6: Fileno was called after the removal")
		}
		if in.lost != nil || out.lost != nil || r.Stats().Sources != 0 {
			t.Error("FDS-3: a removal is no loss, and leaves nothing behind")
		}
	})
}

// A kernel that has nothing to watch descriptors with says so, and goes on.
func TestDescriptorsUnsupported(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := testworld.New(t, struct{ kernel.Kernel }{w.Open(t)}, reactor.Config{})
		d := &thing{fd: 0}
		if err := r.AddReader(d); !errors.Is(err, kernel.ErrUnsupported) {
			t.Errorf("AddReader: %v", err)
		}
		if err := r.AddWriter(d); !errors.Is(err, kernel.ErrUnsupported) {
			t.Errorf("AddWriter: %v", err)
		}
		r.RemoveReader(d)
		testworld.Turns(t, r, 2)
		if d.lost != nil || len(r.Readers())+len(r.Writers()) != 0 || r.Stats().Sources != 0 {
			t.Errorf("lost %v, %+v", d.lost, r.Stats())
		}
	})
}

// Removed before there was anything to read.
func TestDescriptorRemovedBefore(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		p, r := newPipe(t), w.New(t, reactor.Config{})
		in, out := &thing{fd: p.r}, &thing{fd: p.w}
		add(t, r, in, out)
		r.RemoveReader(in)
		r.RemoveWriter(out)
		p.put(t, "x")
		testworld.Turns(t, r, 3)
		if in.reads+out.writes != 0 {
			t.Error("FDS-2: called although it was removed before the event")
		}
	})
}

func TestDescriptorLists(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		p, q, r := newPair(t), newPipe(t), w.New(t, reactor.Config{})
		srv, cli := &end{}, &end{}
		port, _ := connect(t, r, srv, cli)
		both, in := &thing{fd: p.r}, &thing{fd: q.r}
		add(t, r, both, both)
		add(t, r, in, nil)
		if got := r.Readers(); !slices.Equal(got, []reactor.ReadDescriptor{both, in}) {
			t.Errorf("FDS-4: readers %v", got)
		}
		if got := r.Writers(); !slices.Equal(got, []reactor.WriteDescriptor{both}) {
			t.Errorf("FDS-4: writers %v", got)
		}
		r.RemoveReader(both)
		if len(r.Readers()) != 1 || len(r.Writers()) != 1 {
			t.Error("FDS-4: the lists do not follow a removal")
		}
		add(t, r, both, nil)
		r.RemoveWriter(both)
		if len(r.Readers()) != 2 || len(r.Writers()) != 0 {
			t.Error("FDS-4: the lists do not follow the removal of a writer")
		}
		add(t, r, nil, both)
		p.put(t, "x")
		q.put(t, "x")
		all := r.RemoveAll()
		if !slices.Equal(all, []reactor.FileDescriptor{both, in}) {
			t.Errorf("FDS-5: RemoveAll returned %v", all)
		}
		asked := both.asked + in.asked
		testworld.Turns(t, r, 3)
		if both.reads+both.writes+in.reads != 0 || both.lost != nil || in.lost != nil {
			t.Error("FDS-5: an event or a loss after RemoveAll")
		}
		if both.asked+in.asked != asked {
			t.Error("FDS-6: Fileno after RemoveAll")
		}
		if len(r.Readers())+len(r.Writers()) != 0 {
			t.Error("FDS-5: descriptors are still listed")
		}
		// FDS-5: what the kernel wakes itself by is not removed, nor are connections and ports.
		woken := false
		go r.Post(func() { woken = true })
		until(t, r, func() bool { return woken })
		cli.s.Write([]byte("still"))
		w.Peer(t, port.Addr(), r)
		until(t, r, func() bool { return srv.err != nil || string(srv.got) == "still" && r.Stats().Accepted == 2 })
		if srv.err != nil || cli.err != nil || !port.Listening() {
			t.Errorf("FDS-5: after RemoveAll a connection is lost with %v and %v, the port listens: %v", srv.err, cli.err, port.Listening())
		}
	})
}

// What a handler returns decides.
func TestDescriptorResults(t *testing.T) {
	broken := errors.New("broken")
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for name, c := range map[string]struct {
			read, write error
			gone        bool // after DoRead
			goneWriting bool // after DoWrite
			lost        error
		}{
			"read fails (FDS-8)":              {read: broken, lost: broken},
			"write fails (FDS-8)":             {write: broken, lost: broken},
			"clean end (FDS-8)":               {read: io.EOF, lost: io.EOF},
			"end while writing (FDS-8)":       {write: io.EOF, lost: io.EOF},
			"gone after the handler (FDS-7)":  {gone: true, lost: reactor.ErrDescriptorGone},
			"gone after DoWrite (FDS-7)":      {goneWriting: true, lost: reactor.ErrDescriptorGone},
			"nothing happened, twice (FDS-8)": {},
		} {
			p := newPair(t)
			d := &thing{fd: p.r}
			d.onRead = func() error {
				if c.gone {
					d.fd = -1
				}
				return c.read
			}
			d.onWrite = func() error {
				if c.goneWriting {
					d.fd = -1
				}
				return c.write
			}
			d.onLost = func() {
				if len(r.Readers())+len(r.Writers()) != 0 {
					t.Errorf("%s: told before the reactor had forgotten it", name)
				}
			}
			p.put(t, "x")
			add(t, r, d, d)
			testworld.Turns(t, r, 2)
			if c.lost == nil {
				if d.lost != nil || d.reads != 2 || d.writes != 2 {
					t.Errorf("%s: %d reads, %d writes, lost %v", name, d.reads, d.writes, d.lost)
				}
				r.RemoveAll()
				continue
			}
			if len(d.lost) != 1 || d.lost[0] != c.lost || len(r.Readers())+len(r.Writers()) != 0 {
				t.Errorf("%s: lost %v", name, d.lost)
			}
			if (c.read != nil || c.gone) && d.writes != 0 {
				t.Errorf("%s: FDS-16: DoWrite after a DoRead that ended it", name)
			}
			if d.reads > 1 {
				t.Errorf("%s: %d reads", name, d.reads)
			}
		}
	})
	if !errors.Is(reactor.ErrDescriptorGone, reactor.ErrLost) {
		t.Error("FDS-7: ErrDescriptorGone is not a loss")
	}
}

// The end of the input ends only the reading of a HalfCloseDescriptor.
func TestDescriptorHalfClose(t *testing.T) {
	for name, c := range map[string]struct {
		result error
		write  bool
		half   bool
	}{
		"end (FDS-9)":                 {result: io.EOF, half: true},
		"end while writing (FDS-9)":   {result: io.EOF, write: true},
		"kind of an end (FDS-10)":     {result: fmt.Errorf("so to speak: %w", io.EOF)},
		"another error (FDS-9)":       {result: io.ErrUnexpectedEOF},
		"no end but a failed (FDS-9)": {result: kernel.ErrReset},
	} {
		t.Run(name, func(t *testing.T) {
			nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
				p, r := newPair(t), w.New(t, reactor.Config{})
				d := &halfThing{thing: thing{fd: p.r}}
				if c.write {
					d.onWrite = func() error { return c.result }
				} else {
					d.onRead = func() error { return c.result }
				}
				p.put(t, "x")
				add(t, r, d, d)
				testworld.Turns(t, r, 3)
				if c.half {
					if len(d.readLost) != 1 || d.readLost[0] != io.EOF || d.lost != nil || d.reads != 1 {
						t.Errorf("FDS-9: read lost %v, lost %v after %d reads", d.readLost, d.lost, d.reads)
					}
					// It ended in the first turn, before DoWrite (FDS-16).
					if len(r.Readers()) != 0 || len(r.Writers()) != 1 || d.writes != 2 {
						t.Errorf("FDS-9 FDS-16: %d readers, %d writers, %d writes", len(r.Readers()), len(r.Writers()), d.writes)
					}
					return
				}
				if d.readLost != nil || len(d.lost) != 1 || d.lost[0] != c.result || r.Stats().Sources != 0 {
					t.Errorf("read lost %v, lost %v", d.readLost, d.lost)
				}
			})
		})
	}
}

// A panic in a handler, or in Fileno after it, ends that descriptor alone.
func TestDescriptorPanics(t *testing.T) {
	for name, boom := range map[string]func(d *halfThing){
		"DoRead":  func(d *halfThing) { d.onRead = func() error { panic("boom") } },
		"DoWrite": func(d *halfThing) { d.onWrite = func() error { panic("boom") } },
		"Fileno": func(d *halfThing) {
			d.onRead = func() error { d.onFileno = func() { panic("boom") }; return nil }
		},
		"ConnectionLost": func(d *halfThing) {
			d.onWrite = func() error { return kernel.ErrBroken }
			d.onLost = func() { panic("boom") }
		},
		"ReadConnectionLost": func(d *halfThing) {
			d.onRead = func() error { return io.EOF }
			d.onReadLost = func() { panic("boom") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
				var panics []*reactor.PanicError
				var log journal
				p, q := newPair(t), newPair(t)
				r := w.New(t, reactor.Config{Logger: slog.New(&log), Panicked: func(e *reactor.PanicError) { panics = append(panics, e) }})
				d, other := &halfThing{thing: thing{fd: p.r}}, &thing{fd: q.r}
				boom(d)
				p.put(t, "x")
				q.put(t, "x")
				add(t, r, d, d)
				add(t, r, other, nil)
				testworld.Turns(t, r, 3)
				if len(panics) != 1 || panics[0].Value != "boom" {
					t.Fatalf("FDS-11: panics %v", panics)
				}
				// FDS-12: both the error and the log name what was called.
				if panics[0].In != "halfThing" || len(log.with("ERROR panic", "in=halfThing", "value=boom")) != 1 {
					t.Errorf("FDS-11 FDS-12: panic in %q, log %.200q", panics[0].In, log.lines)
				}
				if other.reads != 3 || other.lost != nil {
					t.Errorf("FDS-11: the other descriptor was called %d times in 3 turns", other.reads)
				}
				switch name {
				case "ReadConnectionLost":
					if len(d.readLost) != 1 || d.lost != nil || len(r.Writers()) != 1 {
						t.Errorf("FDS-11: read lost %v, lost %v", d.readLost, d.lost)
					}
				case "ConnectionLost":
					if len(d.lost) != 1 || d.lost[0] != kernel.ErrBroken {
						t.Errorf("FDS-11: lost %v", d.lost)
					}
				default:
					if len(d.lost) != 1 || d.lost[0] != error(panics[0]) || len(r.Writers()) != 0 {
						t.Errorf("FDS-11: lost %v", d.lost)
					}
				}
			})
		})
	}
}

func TestDescriptorsWhenStopping(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		p, q, r := newPair(t), newPipe(t), w.New(t, reactor.Config{})
		both, out, removed := &thing{fd: p.r}, &thing{fd: q.w}, &thing{fd: q.r}
		add(t, r, both, both)
		add(t, r, removed, out)
		r.RemoveReader(removed)
		r.CallWhenRunning(func() { r.Stop() })
		if err := r.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		// FDS-13: each is told once. One that removed itself is not told.
		for name, d := range map[string]*thing{"both": both, "out": out} {
			if len(d.lost) != 1 || d.lost[0] != reactor.ErrStopped {
				t.Errorf("FDS-13: %s: lost %v", name, d.lost)
			}
		}
		if removed.lost != nil {
			t.Errorf("FDS-13: one that was removed is told %v", removed.lost)
		}
	})
}
