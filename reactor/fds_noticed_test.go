//go:build unix

package reactor_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// When the reader or the writer of a descriptor goes, the kernel reports nothing of its
// direction any more. Otherwise the loop would never sleep.
func TestDescriptorRemovedIsNotWaitedFor(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		for name, remove := range map[string]func(r *reactor.Reactor, d *thing){
			"RemoveWriter, nothing to read": func(r *reactor.Reactor, d *thing) { r.RemoveWriter(d) },
			"RemoveReader, no room":         func(r *reactor.Reactor, d *thing) { r.RemoveReader(d) },
		} {
			p, r := newPair(t), w.New(t, reactor.Config{})
			d := &thing{fd: p.r}
			add(t, r, d, d)
			if name == "RemoveReader, no room" {
				fill(t, p.r)
				p.put(t, "x")
			}
			testworld.Turns(t, r, 1)
			if d.reads+d.writes != 1 {
				t.Fatalf("%s: %d reads and %d writes before it", name, d.reads, d.writes)
			}
			remove(r, d)
			before := r.Stats().Events
			testworld.Turns(t, r, 3)
			if n := r.Stats().Events - before; n != 0 {
				t.Errorf("FDS-28: %s: %d events in 3 turns", name, n)
			}
		}
	})
}

// fill writes to fd until there is no room.
func fill(t *testing.T, fd int) {
	t.Helper()
	buf := make([]byte, 64<<10)
	for {
		if _, err := unix.Write(fd, buf); err == unix.EAGAIN {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A handler that removes its own descriptor, and returns nil, has the last word about it.
func TestDescriptorRemovesItself(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		p, q, r := newPair(t), newPair(t), w.New(t, reactor.Config{})
		in, out := &thing{fd: p.r}, &thing{fd: q.r}
		asked := -1
		in.onRead = func() error {
			r.RemoveReader(in)
			closeFD(&p.r)
			in.fd, asked = -1, in.asked
			return nil
		}
		p.put(t, "x")
		add(t, r, in, nil)
		testworld.Turns(t, r, 2)
		if in.reads != 1 || in.asked != asked {
			t.Errorf("FDS-6: Fileno was called %d times after DoRead had removed the descriptor, in %d reads", in.asked-asked, in.reads)
		}
		out.onWrite = func() error {
			r.RemoveWriter(out)
			closeFD(&q.r)
			out.fd, asked = -1, out.asked
			return nil
		}
		add(t, r, nil, out)
		testworld.Turns(t, r, 2)
		if out.writes != 1 || out.asked != asked {
			t.Errorf("FDS-6: Fileno was called %d times after DoWrite had removed the descriptor, in %d writes", out.asked-asked, out.writes)
		}
		if in.lost != nil || out.lost != nil {
			t.Errorf("FDS-3: a removal is no loss: %v, %v", in.lost, out.lost)
		}
	})
}

// watcher is a Watcher that counts the conns that it has given out and that are not closed.
type watcher struct {
	kernel.Kernel
	kernel.Watcher
	open int
}

func (k *watcher) Unwrap() kernel.Kernel { return k.Kernel }

func (k *watcher) Watch(in, out int) (kernel.Conn, error) {
	c, err := k.Watcher.Watch(in, out)
	if err != nil {
		return nil, err
	}
	k.open++
	return &watchedConn{c, k}, nil
}

func (k *watcher) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	if c, ok := h.(*watchedConn); ok {
		h = c.Conn
	}
	return k.Kernel.Arm(h, token, r)
}

type watchedConn struct {
	kernel.Conn
	k *watcher
}

func (c *watchedConn) Unwrap() kernel.Conn { return c.Conn }

func (c *watchedConn) Close() error { c.k.open--; return c.Conn.Close() }

// However a descriptor comes to be watched no longer, the kernel hears that its conn is closed, once.
func TestDescriptorConnIsClosed(t *testing.T) {
	nativeWorlds(t, "real descriptors", func(t *testing.T, w testworld.World) {
		for name, end := range map[string]func(r *reactor.Reactor, d *thing){
			"RemoveReader and RemoveWriter": func(r *reactor.Reactor, d *thing) { r.RemoveReader(d); r.RemoveWriter(d) },
			"RemoveAll":                     func(r *reactor.Reactor, d *thing) { r.RemoveAll() },
			"an error of DoWrite": func(r *reactor.Reactor, d *thing) {
				d.onWrite = func() error { return errors.New("no more") }
				testworld.Turns(t, r, 1)
			},
			"the end of the reactor": func(r *reactor.Reactor, d *thing) { r.Close() },
		} {
			below := w.Open(t)
			k := &watcher{Kernel: below, Watcher: must(kernel.As[kernel.Watcher](below))}
			r := testworld.New(t, k, reactor.Config{})
			d := &thing{fd: newPair(t).r}
			add(t, r, d, d)
			testworld.Turns(t, r, 1)
			if k.open != 1 {
				t.Fatalf("%s: %d conns for a descriptor", name, k.open)
			}
			if end(r, d); k.open != 0 {
				t.Errorf("%s: %d conns are not closed", name, k.open)
			}
		}
	})
}
