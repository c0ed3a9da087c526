//go:build unix

package reactor_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// second is another type with a descriptor.
type second struct{ thing }

// DESC-43: a second reader or writer of a number is refused, in words that name both, and the
// first one goes on.
func TestDescriptorWatchedTwice(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		r, p := w.New(t, reactor.Config{}), newPair(t)
		a, b := &thing{fd: p.r}, &second{thing{fd: p.r}}
		add(t, r, a, a)
		for role, err := range map[string]error{"reader": r.AddReader(b), "writer": r.AddWriter(b)} {
			e, ok := errors.AsType[*reactor.WatchedError](err)
			if !ok || !errors.Is(err, reactor.ErrWatched) || errors.Is(err, reactor.ErrLost) {
				t.Fatalf("DESC-43: a second %s: %v", role, err)
			}
			if e.FD != p.r || e.Role != role || e.Watched != reactor.FileDescriptor(a) || e.Refused != reactor.FileDescriptor(b) {
				t.Errorf("DESC-43: a second %s: %+v", role, e)
			}
			for _, word := range []string{role, "*reactor_test.thing", "*reactor_test.second"} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("DESC-43: %q does not name %s", err, word)
				}
			}
		}
		p.put(t, "x")
		until(t, r, func() bool { return a.reads > 0 && a.writes > 0 })
		if b.reads+b.writes != 0 || a.lost != nil || b.lost != nil {
			t.Errorf("DESC-43: the refused one is called %d times; lost %v, %v", b.reads+b.writes, a.lost, b.lost)
		}
		r.RemoveReader(a)
		if err := r.AddReader(b); err != nil {
			t.Errorf("DESC-43: after the first was removed: %v", err)
		}
		until(t, r, func() bool { return b.reads > 0 })
	})
}

// DESC-43: an object whose Fileno says that it is closed, or panics, makes way.
func TestDescriptorMakesWay(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		for name, gone := range map[string]func(*thing){
			"closed": func(d *thing) { d.fd = -1 },
			"panics": func(d *thing) { d.onFileno = func() { panic("closed") } },
		} {
			r, p := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) {}}), newPair(t)
			a, b := &thing{fd: p.r}, &second{thing{fd: p.r}}
			add(t, r, a, nil)
			gone(a)
			if err := r.AddReader(b); err != nil {
				t.Errorf("DESC-43: %s: %v", name, err)
			}
			p.put(t, "x")
			until(t, r, func() bool { return b.reads > 0 })
			if !slices.Equal(a.lost, []error{reactor.ErrDescriptorGone}) || a.reads != 0 || b.lost != nil {
				t.Errorf("DESC-43: %s: the old one lost %v after %d reads, the new one %v", name, a.lost, a.reads, b.lost)
			}
		}
	})
}

// wrongHalf is no HalfCloseDescriptor, though it looks like one.
type wrongHalf struct{ thing }

func (*wrongHalf) ReadConnectionLost() {}

// DESC-45: a descriptor whose ReadConnectionLost would not be called.
func TestOptionalDescriptorMethods(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		var log journal
		d := &wrongHalf{thing{fd: newPair(t).r}}
		for reactors := 1; reactors <= 2; reactors++ { // each is told once
			r := w.New(t, reactor.Config{Logger: slog.New(&log)})
			for range 2 {
				if err := r.AddReader(d); err != nil {
					t.Fatal(err)
				}
				r.RemoveReader(d)
			}
			want := "has ReadConnectionLost(), not ReadConnectionLost(error)"
			if n := len(log.with("WARN", "*reactor_test.wrongHalf", "reactor.HalfCloseDescriptor", want)); n != reactors {
				t.Errorf("DESC-45: %d records of %d reactors: %q", n, reactors, log.lines)
			}
		}
	})
}

// FDS-1, FDS-3: an object that has closed its descriptor and opened another one, and is added again without having been
// removed, is what it was at the new one, whatever its number is. Who shared the former descriptor is told that it has gone.
func TestDescriptorReopened(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		for _, sameNumber := range []bool{false, true} {
			for _, inRead := range []bool{false, true} {
				r, old := w.New(t, reactor.Config{}), newPair(t)
				a, other := &thing{fd: old.r}, &thing{fd: old.r}
				add(t, r, a, nil)
				add(t, r, nil, other)
				fresh := newPair(t)
				added := false
				reopen := func() error {
					if added {
						return nil
					}
					added = true
					closeFD(&old.r)
					if sameNumber {
						moveTo(t, fresh.r, a.fd)
						old.r = a.fd
					} else {
						a.fd = fresh.r
					}
					if err := r.AddReader(a); err != nil {
						t.Fatal(err)
					}
					return nil
				}
				if inRead {
					a.onRead = reopen
					old.put(t, "x")
					until(t, r, func() bool { return added })
				} else {
					reopen()
				}
				before := a.reads
				fresh.put(t, "x")
				until(t, r, func() bool { return a.reads > before })
				if a.lost != nil || !slices.Equal(other.lost, []error{reactor.ErrDescriptorGone}) {
					t.Errorf("same number %v, in DoRead %v: lost %v, the other one %v", sameNumber, inRead, a.lost, other.lost)
				}
				if len(r.Readers()) != 1 || len(r.Writers()) != 0 {
					t.Errorf("same number %v, in DoRead %v: %d readers, %d writers", sameNumber, inRead, len(r.Readers()), len(r.Writers()))
				}
				add(t, r, nil, a)
				until(t, r, func() bool { return a.writes > 0 })
				r.RemoveReader(a)
				r.RemoveWriter(a)
				if n := r.Stats().Sources; n != 0 {
					t.Errorf("same number %v, in DoRead %v: %d sources are left", sameNumber, inRead, n)
				}
			}
		}
	})
}

// FDS-1: both roles go on at the new descriptor, though only one is added again.
func TestDescriptorReopenedKeepsRoles(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		r, old, fresh := w.New(t, reactor.Config{}), newPair(t), newPair(t)
		a := &thing{fd: old.r}
		add(t, r, a, a)
		closeFD(&old.r)
		a.fd = fresh.r
		add(t, r, nil, a)
		fresh.put(t, "x")
		until(t, r, func() bool { return a.reads > 0 && a.writes > 0 })
		if a.lost != nil {
			t.Error(a.lost)
		}
	})
}

// FDS-8: an object that is removed and added again by its own DoRead, which then returns an error, has ended.
func TestDescriptorAddedAgainEnds(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		r, p := w.New(t, reactor.Config{}), newPair(t)
		failed := errors.New("failed")
		a := &thing{fd: p.r}
		a.onRead = func() error {
			r.RemoveReader(a)
			if err := r.AddReader(a); err != nil {
				t.Error(err)
			}
			return failed
		}
		add(t, r, a, nil)
		p.put(t, "x")
		testworld.Turns(t, r, 5)
		if !slices.Equal(a.lost, []error{failed}) || a.reads != 1 || len(r.Readers()) != 0 {
			t.Errorf("FDS-8: lost %v after %d reads, %d readers are left", a.lost, a.reads, len(r.Readers()))
		}
	})
}
