//go:build unix

package reactor_test

import (
	"slices"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// heir is what gets the number of a descriptor that its owner closed without a word.
type heir struct {
	name string
	// take has the heir get the number, which lose gives up. check looks at the heir when
	// the old owner has been told.
	take  func(lose func())
	check func()
}

// heirs returns all kinds of heirs of old.
func heirs(t *testing.T, r *reactor.Reactor, old int, armed kernel.Ready) []heir {
	t.Helper()
	accepted, dialled, clients := new(sum), new(end), []int(nil)
	var losing func()
	port := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
		if losing != nil {
			losing()
			losing = nil
			return nil
		}
		return accepted
	}), nil)
	arrived := func() { until(t, r, func() bool { return accepted.n == 8 }) }
	fresh, b := newPair(t), &thing{fd: old}
	return []heir{
		{"accepted", func(lose func()) {
			losing = lose // in the batch in which the second client is accepted
			clients = []int{dialRaw(t, port.Addr()), dialRaw(t, port.Addr())}
			unix.Write(clients[1], counting(8))
		}, arrived},
		{"dialled", func(lose func()) {
			r.Dial(port.Addr(), one(dialled), nil, nil)
			lose()
		}, func() {
			until(t, r, func() bool { return dialled.s != nil })
			dialled.s.Write(counting(8))
			arrived()
		}},
		{"listener", func(lose func()) {
			lose()
			listen(t, r, &service{}, nil)
		}, func() {}},
		{"watched", func(lose func()) {
			lose()
			moveTo(t, fresh.r, old)
			watchFor(t, r, b, armed)
		}, func() {
			before := b.reads
			fresh.put(t, "x")
			testworld.Turns(t, r, 1)
			if want := before + int(armed&kernel.Readable); b.reads != want || b.lost != nil {
				t.Errorf("%d reads of the new descriptor, want %d; lost %v", b.reads, want, b.lost)
			}
			r.RemoveReader(b)
			r.RemoveWriter(b)
			unix.Close(old)
		}},
	}
}

// dialRaw is a socket that is connected to a.
func dialRaw(t *testing.T, a kernel.Addr) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.IP.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// fillBelow makes fd the number that the system gives out next when fd is closed.
func fillBelow(t *testing.T, fd int) {
	t.Helper()
	for {
		n, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if n > fd {
			unix.Close(n)
			return
		}
		t.Cleanup(func() { unix.Close(n) })
	}
}

// FDS-30: the owner of a watched descriptor closes it without a word, and its number is given
// out again. The owner is told at once, and is not called for what its number is now.
func TestDescriptorNumberGivenOut(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		for i, name := range []string{"accepted", "dialled", "listener", "watched"} {
			for _, armed := range []kernel.Ready{kernel.Readable, kernel.Writable, kernel.Readable | kernel.Writable} {
				for _, waited := range []bool{false, true} {
					t.Run(name+" "+armed.String()+map[bool]string{true: " waited"}[waited], func(t *testing.T) {
						testGivenOut(t, w, i, armed, waited)
					})
				}
			}
		}
	})
}

func testGivenOut(t *testing.T, w testworld.World, which int, armed kernel.Ready, waited bool) {
	r := w.New(t, reactor.Config{})
	old := newPair(t)
	a := &thing{fd: old.r}
	h := heirs(t, r, old.r, armed)[which]
	watchFor(t, r, a, armed)
	if waited {
		testworld.Turns(t, r, 2)
	}
	h.take(func() {
		fillBelow(t, old.r)
		unix.Close(old.r)
		old.r = -1
		a.reads, a.writes = 0, 0
	})
	until(t, r, func() bool { return a.lost != nil })
	if !slices.Equal(a.lost, []error{reactor.ErrDescriptorGone}) || a.reads+a.writes != 0 {
		t.Errorf("FDS-30: the old owner lost %v after %d reads and %d writes", a.lost, a.reads, a.writes)
	}
	h.check()
	testworld.Turns(t, r, 3)
	events := r.Stats().Events
	testworld.Turns(t, r, 3)
	if n := r.Stats().Events - events; n != 0 || len(a.lost) != 1 || a.reads+a.writes != 0 {
		t.Errorf("FDS-30: %d events with nothing to do, the old owner lost %v", n, a.lost)
	}
}

func watchFor(t *testing.T, r *reactor.Reactor, d *thing, armed kernel.Ready) {
	t.Helper()
	if armed&kernel.Readable != 0 {
		add(t, r, d, nil)
	}
	if armed&kernel.Writable != 0 {
		add(t, r, nil, d)
	}
}

// FDS-30: the reserve gets the number when the port begins to listen, or takes it back.
func TestDescriptorNumberReserved(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		for _, armed := range []kernel.Ready{kernel.Readable, kernel.Writable, kernel.Readable | kernel.Writable} {
			r, old := w.New(t, reactor.Config{}), newPair(t)
			a := &thing{fd: old.r}
			watchFor(t, r, a, armed)
			fillBelow(t, old.r)
			unix.Close(old.r)
			old.r = -1
			listen(t, r, &service{}, nil)
			testworld.Turns(t, r, 1)
			if !slices.Equal(a.lost, []error{reactor.ErrDescriptorGone}) || a.reads+a.writes != 0 {
				t.Errorf("FDS-30: the old owner lost %v after %d reads and %d writes", a.lost, a.reads, a.writes)
			}
		}
	})
}

// FDS-30: the number is given away between the two handlers of one event.
func TestDescriptorNumberGivenOutInHandler(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		listen(t, r, &service{}, nil) // the reserve is held
		p := newPair(t)
		in, out := &thing{fd: p.r}, &thing{fd: p.r}
		in.onRead = func() error {
			fillBelow(t, p.r)
			unix.Close(p.r)
			p.r = -1
			listen(t, r, &service{}, nil)
			return nil
		}
		add(t, r, in, out)
		p.put(t, "x")
		testworld.Turns(t, r, 1)
		for _, d := range []*thing{in, out} {
			if !slices.Equal(d.lost, []error{reactor.ErrDescriptorGone}) {
				t.Errorf("FDS-30: lost %v", d.lost)
			}
		}
		if in.reads != 1 || out.writes != 0 || len(r.Readers())+len(r.Writers()) != 0 {
			t.Errorf("FDS-30: %d reads, %d writes", in.reads, out.writes)
		}
	})
}

// FDS-30: the number of a reader comes back with another object as its writer, or the reverse.
// Nobody but the owner has seen it close.
func TestDescriptorNumberInOtherDirection(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		for _, armed := range []kernel.Ready{kernel.Readable, kernel.Writable} {
			r, old, fresh := w.New(t, reactor.Config{}), newPair(t), newPair(t)
			a, b := &thing{fd: old.r}, &thing{fd: old.r}
			watchFor(t, r, a, armed)
			testworld.Turns(t, r, 1)
			a.reads, a.writes = 0, 0
			unix.Close(old.r)
			moveTo(t, fresh.r, old.r)
			watchFor(t, r, b, (kernel.Readable|kernel.Writable)&^armed)
			fresh.put(t, "x")
			testworld.Turns(t, r, 3)
			if !slices.Equal(a.lost, []error{reactor.ErrDescriptorGone}) || a.reads+a.writes != 0 {
				t.Errorf("FDS-30: the old owner lost %v after %d reads and %d writes", a.lost, a.reads, a.writes)
			}
			if b.reads+b.writes != 3 || b.lost != nil {
				t.Errorf("FDS-30: the new one has %d reads and %d writes, lost %v", b.reads, b.writes, b.lost)
			}
		}
	})
}
