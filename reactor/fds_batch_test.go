//go:build unix

package reactor_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// The first descriptor in a batch removes the other one, which then gets no call.
func TestDescriptorRemovedInBatch(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		p, q, r := newPipe(t), newPipe(t), w.New(t, reactor.Config{})
		a, b := &thing{fd: p.r}, &thing{fd: q.r}
		a.onRead = func() error { r.RemoveReader(b); return nil }
		b.onRead = func() error { r.RemoveReader(a); return nil }
		p.put(t, "x")
		q.put(t, "x")
		add(t, r, a, nil)
		add(t, r, b, nil)
		testworld.Turns(t, r, 1)
		if a.reads+b.reads != 1 {
			t.Errorf("FDS-14: %d calls in a batch in which the first removes the other", a.reads+b.reads)
		}
	})
}

// Before each call the reactor looks whether it is still wanted.
func TestDescriptorRechecked(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		p, q, r := newPair(t), newPair(t), w.New(t, reactor.Config{})
		a, b := &thing{fd: p.r}, &thing{fd: q.r}
		p.put(t, "x")
		q.put(t, "x")
		a.onRead = func() error { r.RemoveWriter(a); return nil }
		add(t, r, a, a)
		testworld.Turns(t, r, 2)
		if a.reads != 2 || a.writes != 0 {
			t.Errorf("FDS-15: %d reads, %d writes; the first read removed the writer", a.reads, a.writes)
		}
		// Now each removes the other's reader, and keeps its writer.
		a.reads = 0
		a.onRead = func() error { r.RemoveReader(b); return nil }
		b.onRead = func() error { r.RemoveReader(a); return nil }
		add(t, r, nil, a)
		add(t, r, b, b)
		testworld.Turns(t, r, 1)
		if a.reads+b.reads != 1 || a.writes != 1 || b.writes != 1 {
			t.Errorf("FDS-15: %d reads, %d and %d writes", a.reads+b.reads, a.writes, b.writes)
		}
	})
}

// One number, a reader and a writer that are two objects.
func TestDescriptorTwoObjects(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		p, r := newPair(t), w.New(t, reactor.Config{})
		in, out := &thing{fd: p.r}, &thing{fd: p.r}
		add(t, r, in, out)
		p.put(t, "x")
		testworld.Turns(t, r, 2)
		if in.reads != 2 || in.writes != 0 || out.reads != 0 || out.writes != 2 {
			t.Errorf("FDS-17: reader %d+%d, writer %d+%d", in.reads, in.writes, out.reads, out.writes)
		}
		if all := len(r.Readers()) + len(r.Writers()); all != 2 {
			t.Errorf("FDS-17: %d listed", all)
		}
		in.onRead = func() error { return kernel.ErrReset }
		testworld.Turns(t, r, 2)
		if len(in.lost) != 1 || in.reads != 3 || out.lost != nil || out.writes != 3 {
			t.Errorf("FDS-17 FDS-16: the reader ended: lost %v and %v, %d reads, %d writes",
				in.lost, out.lost, in.reads, out.writes)
		}
		out.onWrite = func() error { return kernel.ErrReset }
		testworld.Turns(t, r, 2)
		if len(out.lost) != 1 || len(in.lost) != 1 || r.Stats().Sources != 0 {
			t.Errorf("FDS-17: the writer ended: lost %v and %v", in.lost, out.lost)
		}
	})
}

// A number that is closed and used again within a batch.
func TestDescriptorReusedInBatch(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		fresh, p, q := newPipe(t), newPipe(t), newPipe(t)
		r := w.New(t, reactor.Config{})
		a, b, c := &thing{fd: p.r}, &thing{fd: q.r}, &thing{}
		fresh.put(t, "x")
		p.put(t, "x")
		q.put(t, "x")
		replace := func(d *thing) func() error {
			return func() error {
				if c.fd != 0 {
					return nil
				}
				r.RemoveReader(d)
				unix.Close(d.fd)
				moveTo(t, fresh.r, d.fd)
				c.fd = d.fd
				add(t, r, c, nil)
				return nil
			}
		}
		a.onRead, b.onRead = replace(b), replace(a)
		add(t, r, a, nil)
		add(t, r, b, nil)
		testworld.Turns(t, r, 1)
		if a.reads+b.reads != 1 {
			t.Errorf("FDS-14: %d calls", a.reads+b.reads)
		}
		if c.fd == 0 || c.reads != 0 {
			t.Errorf("FDS-18 FDS-19: the new descriptor was called %d times in the batch it came in", c.reads)
		}
		testworld.Turns(t, r, 1)
		if c.reads != 1 || c.lost != nil {
			t.Errorf("FDS-19: called %d times in the next turn, lost %v", c.reads, c.lost)
		}
	})
}

// What was written before the end is read, and then the end.
func TestDescriptorHangUp(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for range 50 {
			p := newPipe(t)
			got := ""
			d := &halfThing{thing: thing{fd: p.r, onRead: reading(p.r, 4, &got)}}
			p.put(t, "last words")
			closeFD(&p.w)
			add(t, r, d, nil)
			until(t, r, func() bool { return d.readLost != nil || d.lost != nil })
			// FDS-20: hang-up with data is a read. FDS-23: and again until the end.
			if got != "last words" {
				t.Fatalf("FDS-20 FDS-23: got %q", got)
			}
			if len(d.readLost) != 1 || d.readLost[0] != io.EOF || d.lost != nil {
				t.Fatalf("FDS-21: read lost %v, lost %v", d.readLost, d.lost)
			}
			closeFD(&p.r)
		}
		// FDS-21: hang-up alone, while waiting.
		p := newPipe(t)
		got := ""
		d := &halfThing{thing: thing{fd: p.r, onRead: reading(p.r, 4, &got)}}
		add(t, r, d, nil)
		testworld.Turns(t, r, 2)
		if d.reads != 0 {
			t.Fatal("read of an empty pipe")
		}
		closeFD(&p.w)
		until(t, r, func() bool { return d.readLost != nil })
		if d.reads != 1 || d.readLost[0] != io.EOF {
			t.Errorf("FDS-21: %d reads, read lost %v", d.reads, d.readLost)
		}
		if r.Stats().Sources != 0 {
			t.Error("FDS-9: a reader alone is forgotten at its end")
		}
	})
}

// The reader of a pipe goes while we write to it: DoWrite finds out.
func TestDescriptorDeadWriteEnd(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		p, r := newPipe(t), w.New(t, reactor.Config{})
		out := &thing{fd: p.w}
		out.onWrite = func() error {
			_, err := unix.Write(p.w, make([]byte, 4096))
			if err == unix.EAGAIN {
				return nil
			}
			return err
		}
		add(t, r, nil, out)
		for writes := -1; writes != out.writes; { // fill it
			writes = out.writes
			testworld.Turns(t, r, 1)
		}
		closeFD(&p.r)
		until(t, r, func() bool { return out.lost != nil })
		// FDS-22: DoWrite is called, on every kernel, as FDS-24 says.
		if len(out.lost) != 1 || out.lost[0] != unix.EPIPE {
			t.Errorf("FDS-22 FDS-24: lost %v", out.lost)
		}
	})
}

// One bad descriptor does not spoil the others.
func TestDescriptorClosedBehindBack(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		p, q, r := newPipe(t), newPipe(t), w.New(t, reactor.Config{})
		got, none := "", ""
		bad, good := &thing{fd: p.r, onRead: reading(p.r, 4, &none)}, &thing{fd: q.r, onRead: reading(q.r, 4, &got)}
		add(t, r, bad, nil)
		add(t, r, good, nil)
		closeFD(&p.r)
		q.put(t, "x")
		if testworld.Turns(t, r, 1); got != "x" {
			t.Error("FDS-25: the good one was not served in the same turn")
		}
		if w.Name() == "epoll" {
			// FDS-30: epoll does not see it. Its owner may still remove it (FDS-29).
			if bad.reads != 0 || len(r.Readers()) != 2 {
				t.Errorf("FDS-30: %d reads, %d readers", bad.reads, len(r.Readers()))
			}
		} else if len(bad.lost) != 1 || bad.lost[0] != unix.EBADF {
			t.Errorf("FDS-25 FDS-27: lost %v", bad.lost)
		}
		bad.fd = -1
		asked := bad.asked
		r.RemoveReader(bad)
		if bad.asked != asked || len(r.Readers()) != 1 || good.lost != nil {
			t.Errorf("FDS-29: after the removal %d readers are left, the good one lost %v", len(r.Readers()), good.lost)
		}
		q.put(t, "y")
		if testworld.Turns(t, r, 1); got != "xy" || len(bad.lost) > 1 {
			t.Errorf("FDS-29: after the removal the good one has read %q, the bad one lost %v", got, bad.lost)
		}
		for _, fd := range []int{-1, p.w + 1000} {
			if err := r.AddReader(&thing{fd: fd}); !errors.Is(err, kernel.ErrBadDescriptor) {
				t.Errorf("FDS-31 FDS-25: adding descriptor %d: %v", fd, err)
			}
			if err := r.AddWriter(&thing{fd: fd}); !errors.Is(err, kernel.ErrBadDescriptor) {
				t.Errorf("FDS-31 FDS-25: adding descriptor %d: %v", fd, err)
			}
		}
		if len(r.Readers()) != 1 || len(r.Writers()) != 0 || r.Stats().Sources != 1 {
			t.Error("FDS-28: a failed addition left something behind")
		}
		// FDS-25: select has no room for high numbers.
		high := 1500
		moveTo(t, q.r, high)
		defer unix.Close(high)
		d := &thing{fd: high}
		err := r.AddReader(d)
		if w.Name() == "select" {
			if !errors.Is(err, kernel.ErrUnsupported) {
				t.Errorf("FDS-25: adding descriptor %d: %v", high, err)
			}
		} else if err != nil {
			t.Error(err)
		}
		r.RemoveReader(d)
	})
}

// A number that is closed without being removed, and then used again.
func TestDescriptorNumberReused(t *testing.T) {
	for name, duplicate := range map[string]bool{"closed": false, "closed, a duplicate lives on": true} {
		t.Run(name, func(t *testing.T) {
			nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
				old, fresh := newPair(t), newPair(t)
				r := w.New(t, reactor.Config{})
				a, b := &thing{fd: old.r}, &thing{fd: old.r}
				add(t, r, a, a)
				testworld.Turns(t, r, 1)
				a.writes = 0
				if duplicate {
					dup, err := unix.Dup(old.r)
					if err != nil {
						t.Fatal(err)
					}
					defer unix.Close(dup)
				}
				unix.Close(old.r)
				moveTo(t, fresh.r, old.r)
				add(t, r, b, b)
				if len(a.lost) != 1 || a.lost[0] != reactor.ErrDescriptorGone {
					t.Fatalf("FDS-30: the old owner lost %v", a.lost)
				}
				if duplicate {
					old.put(t, "x")
				}
				testworld.Turns(t, r, 40)
				if a.reads+a.writes != 0 || b.reads != 0 || b.writes != 40 {
					t.Errorf("FDS-30: old %d+%d, new %d+%d", a.reads, a.writes, b.reads, b.writes)
				}
				fresh.put(t, "x")
				testworld.Turns(t, r, 1)
				if b.reads != 1 || b.lost != nil {
					t.Errorf("FDS-30: %d reads, lost %v", b.reads, b.lost)
				}
			})
		})
	}
}

// A wait ends when it should, not before and without spinning; whether descriptors are
// watched or connections.
func TestDescriptorsDoNotSpoilTimeouts(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		if w.Simulated() {
			connect(t, r, new(end), new(end))
		} else {
			add(t, r, &thing{fd: newPipe(t).r}, nil)
		}
		turns := r.Stats().Turns
		at, due := time.Duration(0), r.Now()+1500*time.Microsecond
		r.CallLater(1500*time.Microsecond, func() { at = r.Now() })
		for at == 0 {
			if err := r.Turn(-1); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.Stats().Turns - turns; at < due || n > 5 {
			t.Errorf("FDS-27: called %v before its time, after %d turns", due-at, n)
		}
	})
}

// A failure of the kernel changes nothing.
func TestDescriptorArmFails(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		var f testworld.Faults
		p := newPair(t)
		log := testworld.NewLog(t)
		log.Expect("arming a descriptor")
		r := testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{Logger: log.Logger()})
		fail := func(kernel.Ready) error { return kernel.ErrNoResources }
		d, other := &thing{fd: p.r}, &thing{fd: p.r}
		f.Arm = fail
		if err := r.AddReader(d); !errors.Is(err, kernel.ErrNoResources) || errors.Is(err, reactor.ErrLost) {
			t.Errorf("FDS-28 FDS-31: %v", err)
		}
		if len(r.Readers()) != 0 || r.Stats().Sources != 0 {
			t.Error("FDS-28: a failed AddReader left something behind")
		}
		f.Arm = nil
		add(t, r, nil, d)
		f.Arm = fail
		if err := r.AddReader(d); !errors.Is(err, kernel.ErrNoResources) {
			t.Errorf("FDS-28 FDS-31: %v", err)
		}
		if err := r.AddReader(other); !errors.Is(err, kernel.ErrNoResources) {
			t.Errorf("FDS-28 FDS-31: %v", err)
		}
		f.Arm = nil
		p.put(t, "x")
		testworld.Turns(t, r, 2)
		if d.reads+other.reads != 0 || d.writes != 2 || len(r.Readers()) != 0 || len(r.Writers()) != 1 {
			t.Errorf("FDS-28: after a failed AddReader %d reads, %d writes", d.reads+other.reads, d.writes)
		}
		add(t, r, d, nil)
		testworld.Turns(t, r, 1)
		if d.reads != 1 || d.writes != 3 || d.lost != nil {
			t.Errorf("FDS-28: %d reads, %d writes, lost %v", d.reads, d.writes, d.lost)
		}
	})
}

// Regular files are always ready.
func TestDescriptorRegularFiles(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var files [2]*os.File
		text := strings.Repeat("regular", 300)
		for i := range files {
			name := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			file, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			files[i] = file
		}
		in, out := &thing{fd: int(files[0].Fd())}, &thing{fd: int(files[1].Fd())}
		add(t, r, in, out)
		add(t, r, out, nil)
		r.RemoveReader(&thing{fd: in.fd}) // FDS-32: unknown
		testworld.Turns(t, r, 4)
		if in.reads != 4 || out.reads != 4 || out.writes != 4 || in.writes != 0 {
			t.Errorf("FDS-31 FDS-32: in 4 turns %d and %d reads, %d writes", in.reads, out.reads, out.writes)
		}
		if len(r.Readers()) != 2 || len(r.Writers()) != 1 || len(r.DelayedCalls()) != 0 {
			t.Error("FDS-4 FDS-32: a regular file is listed like any other, and needs no timer")
		}
		if all := r.RemoveAll(); len(all) != 2 {
			t.Errorf("FDS-5 FDS-32: RemoveAll returned %v", all)
		}
		testworld.Turns(t, r, 2)
		if in.reads != 4 || out.writes != 4 {
			t.Error("FDS-5 FDS-32: called after RemoveAll")
		}
		got := ""
		in.onRead = reading(in.fd, 1000, &got)
		out.onWrite = func() error {
			if _, err := unix.Write(out.fd, []byte("!")); err != nil {
				return err
			}
			return io.EOF
		}
		out.onLost = func() {
			if b, err := os.ReadFile(files[1].Name()); err != nil || string(b) != text+"!" {
				t.Errorf("FDS-33: at the loss the file holds %d bytes, %v", len(b), err)
			}
		}
		add(t, r, in, out)
		until(t, r, func() bool { return in.lost != nil && out.lost != nil })
		if got != text || len(in.lost) != 1 || in.lost[0] != io.EOF || len(out.lost) != 1 {
			t.Errorf("FDS-32 FDS-33: read %d bytes, lost %v and %v", len(got), in.lost, out.lost)
		}
	})
}

// titled is a descriptor with a name of its own for logs.
type titled struct{ thing }

func (*titled) LogPrefix() string { return "tape" }

// DESC-36: a panic of a descriptor is told under its LogPrefix.
func TestNameOfDescriptor(t *testing.T) {
	nativeWorlds(t, "descriptors of the system", func(t *testing.T, w testworld.World) {
		var told []string
		r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { told = append(told, e.In) }})
		p := newPipe(t)
		d := &titled{thing{fd: p.r, onRead: func() error { panic("torn") }}}
		if err := r.AddReader(d); err != nil {
			t.Fatal(err)
		}
		p.put(t, "x")
		until(t, r, func() bool { return len(d.lost) == 1 })
		if len(told) != 1 || told[0] != "tape" {
			t.Errorf("DESC-36: the panic was told of %q", told)
		}
	})
}
