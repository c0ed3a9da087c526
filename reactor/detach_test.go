package reactor_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// numbered is chunked for kernels whose sockets have numbers.
func numbered(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	chunked(t, func(t *testing.T, w testworld.World) {
		k := w.Open(t)
		_, ok := kernel.As[kernel.Descriptors](k)
		k.Close()
		if !ok {
			t.Skip("no descriptors")
		}
		body(t, w)
	})
}

// A connection goes from one reactor to another: its peer gets every byte once, those that were unsent first, and
// its input that was not read comes to the new protocol. The old one is told, and its producer stopped.
func TestDetach(t *testing.T) {
	numbered(t, func(t *testing.T, w testworld.World) {
		for _, unix := range []bool{false, true} {
			a, b := w.New(t, reactor.Config{}), w.New(t, reactor.Config{})
			both := func(done func() bool) { t.Helper(); testworld.Until(t, done, a, b) }
			at := loopback
			if unix {
				at = socketName(t)
			}
			var old, again, cli end
			port, err := a.Listen(at, one(&old), nil)
			if err != nil {
				t.Fatal(err)
			}
			b.Dial(port.Addr(), one(&cli), nil, nil)
			both(func() bool { return old.s != nil && cli.s != nil })
			cli.s.PauseProducing()
			stops := &stopCounter{}
			old.s.RegisterProducer(stops)
			text := bytes.Repeat([]byte("0123456789abcdef"), (4<<20)/16)
			if bulk(w, len(text)) < len(text) {
				text = text[:256] // in small pieces, each of which takes a turn
			}
			old.s.PauseProducing()
			old.s.Write(text)
			cli.s.Write([]byte("unread"))
			testworld.Turns(t, a, 3)
			testworld.Turns(t, b, 3)
			testworld.Turns(t, a, 3)

			peer, sent := old.s.Remote(), int(old.s.Stats().Sent)
			fd, unsent, err := old.s.Detach()
			if err != nil || len(unsent) == 0 || sent+len(unsent) != len(text) {
				t.Fatalf("Detach: %d, %d bytes unsent and %d sent of %d, %v", fd, len(unsent), sent, len(text), err)
			}
			if _, err := old.s.Write([]byte("late")); !errors.Is(err, reactor.ErrClosed) || old.err != nil {
				t.Errorf("Write: %v; lost with %v in the call", err, old.err)
			}
			if _, _, err := old.s.Detach(); !errors.Is(err, reactor.ErrNotDetachable) {
				t.Errorf("a second Detach: %v", err)
			}
			both(func() bool { return old.err != nil })
			if old.err != reactor.ErrDetached || len(old.got) > 0 || stops.n != 1 || port.Stats().Open != 0 {
				t.Errorf("lost with %v, got %q, producer stopped %d times, %d open", old.err, old.got, stops.n, port.Stats().Open)
			}
			if err := port.Reactor().CloseDescriptor(-1); err == nil {
				t.Error("-1 was closed")
			}
			to := b
			if w.Simulated() {
				to = a // numbers are of one program there
			}
			adoptFrom(t, a, to, fd, &again, unsent)
			if again.s.Remote() != peer {
				t.Errorf("from %v, not %v", again.s.Remote(), peer)
			}
			cli.s.ResumeProducing()
			both(func() bool { return len(cli.got) == len(text)+5 && string(again.got) == "unread" })
			if !bytes.Equal(cli.got, append(text, "again"...)) {
				t.Error("the peer got other bytes")
			}
			again.s.Close()
			both(func() bool { return cli.err != nil })
			if cli.err != io.EOF {
				t.Errorf("the peer sees %v", cli.err)
			}
		}
	})
}

// adoptFrom makes a stream of r of fd, which is a number of from. Its protocol writes "again".
func adoptFrom(t *testing.T, from, r *reactor.Reactor, fd int, e *end, unsent []byte) {
	t.Helper()
	e.onMade = func() { e.s.Write([]byte("again")) }
	own := fd
	if _, err := r.AdoptConnection(own, one(e), &reactor.AdoptConfig{Unsent: unsent}); err != nil {
		t.Fatal(err)
	}
	if err := from.CloseDescriptor(fd); err != nil {
		t.Error(err)
	}
}

type stopCounter struct{ n int }

func (*stopCounter) PauseProducing()  {}
func (*stopCounter) ResumeProducing() {}
func (s *stopCounter) StopProducing() { s.n++ }

// layered is a protocol that has a layer above.
type layered struct{ end }

func (l *layered) Above() reactor.Transport { return l.s }

// A connection that is ending, half-closed, joined or below a layer is not detached, and goes on.
func TestDetachRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(s, peer *reactor.Stream)
	}{
		{"closing", func(s, _ *reactor.Stream) { s.Write([]byte("x")); s.Close() }},
		{"aborted", func(s, _ *reactor.Stream) { s.Abort() }},
		{"write side closed", func(s, _ *reactor.Stream) { s.CloseWrite() }},
		{"peer ended", func(_, peer *reactor.Stream) { peer.CloseWrite() }},
		{"retired", func(s, _ *reactor.Stream) { s.Retire() }},
		{"layer", func(s, _ *reactor.Stream) { s.SwitchProtocol(&layered{end{s: s}}) }},
		{"joined", func(s, peer *reactor.Stream) { reactor.Join(s, peer, nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			numbered(t, func(t *testing.T, w testworld.World) {
				if w.Chunk() != 0 {
					t.Skip("it transfers nothing")
				}
				r := w.New(t, reactor.Config{})
				var srv, cli halfEnd
				connect(t, r, &srv, &cli)
				c.act(srv.s, cli.s)
				if c.name == "peer ended" {
					until(t, r, func() bool { return len(srv.events) > 1 })
				}
				fd, unsent, err := srv.s.Detach()
				if fd != -1 || unsent != nil || !errors.Is(err, reactor.ErrNotDetachable) || !errors.Is(srv.s.Detachable(), reactor.ErrNotDetachable) {
					t.Errorf("%d, %q, %v", fd, unsent, err)
				}
				if testworld.Turns(t, r, 3); errors.Is(srv.err, reactor.ErrDetached) {
					t.Error("it was detached")
				}
			})
		})
	}
}

// A callback may detach its connection, and panic afterwards: the connection lives on.
func TestDetachInCallback(t *testing.T) {
	numbered(t, func(t *testing.T, w testworld.World) {
		if w.Chunk() != 0 {
			t.Skip("it transfers little")
		}
		for _, panics := range []bool{false, true} {
			r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
			var old, again, cli end
			fd, unsent := -1, []byte(nil)
			old.onData = func([]byte) {
				old.s.Write([]byte("kept "))
				var err error
				if fd, unsent, err = old.s.Detach(); err != nil {
					t.Error(err)
				}
				if panics {
					panic("planted")
				}
			}
			connect(t, r, &old, &cli)
			cli.s.Write([]byte("one"))
			until(t, r, func() bool { return old.err != nil })
			if old.err != reactor.ErrDetached {
				t.Errorf("lost with %v", old.err)
			}
			cli.s.Write([]byte("two"))
			testworld.Turns(t, r, 5)
			adoptFrom(t, r, r, fd, &again, unsent)
			until(t, r, func() bool { return string(cli.got) == "kept again" && string(again.got) == "two" })
			if string(old.got) != "one" {
				t.Errorf("the old protocol got %q", old.got)
			}
		}
	})
}

// A connection that is adopted for a port counts there, and Port names it.
func TestAdoptForPort(t *testing.T) {
	numbered(t, func(t *testing.T, w testworld.World) {
		if w.Chunk() != 0 {
			t.Skip("it transfers nothing")
		}
		r, other := w.New(t, reactor.Config{}), w.New(t, reactor.Config{})
		var srv, cli, again end
		p, _ := connect(t, r, &srv, &cli)
		if srv.s.Port() != p || cli.s.Port() != nil || p.Requested() != loopback || p.Factory() == nil {
			t.Errorf("ports %v and %v, requested %v", srv.s.Port(), cli.s.Port(), p.Requested())
		}
		fd, _, err := srv.s.Detach()
		if err != nil {
			t.Fatal(err)
		}
		until(t, r, func() bool { return srv.err != nil })
		q := listen(t, other, one(new(end)), nil)
		if _, err := r.AdoptConnection(fd, one(&again), &reactor.AdoptConfig{Port: q}); err == nil {
			t.Error("a port of another reactor was taken")
		}
		s, err := r.AdoptConnection(fd, one(&again), &reactor.AdoptConfig{Port: p})
		if err != nil {
			t.Fatal(err)
		}
		r.CloseDescriptor(fd)
		if s.Port() != p || !s.Accepted() || p.Stats().Open != 1 {
			t.Errorf("port %v, accepted %v, %d open", s.Port(), s.Accepted(), p.Stats().Open)
		}
		s.Close()
		until(t, r, func() bool { return again.err != nil && p.Stats().Open == 0 })
	})
}

// Two ports have one socket. When one leaves it, clients that wait in its queue are served by the other. Listen
// finds the socket by Inherit; when the port is stopped and started again, it asks again.
func TestInheritAndLeave(t *testing.T) {
	numbered(t, func(t *testing.T, w testworld.World) {
		if w.Chunk() != 0 || w.Simulated() {
			t.Skip("it transfers nothing, and package handover does it with simulated programs")
		}
		for _, at := range []kernel.Addr{loopback, socketName(t)} {
			a, b := w.New(t, reactor.Config{}), w.New(t, reactor.Config{})
			until := func(done func() bool) { t.Helper(); testworld.Until(t, done, a, b) }
			o := &reactor.ListenConfig{}
			o.Backlog = 8
			if at.Net == kernel.UNIX {
				o.UNIX = kernel.UNIXOptions{Mode: 0o600, Lock: true}
			}
			stopped := 0
			f := &lifeFactory{build: func(kernel.Addr) reactor.Protocol { return new(end) }}
			p, err := a.Listen(at, f, o)
			if err != nil {
				t.Fatal(err)
			}
			asked := 0
			var has any
			b.Inherit(func(a2 kernel.Addr) *reactor.Inherited {
				if asked++; a2 != at || asked > 1 {
					return nil
				}
				fd, err := a.DescriptorOf(p)
				if err != nil {
					t.Fatal(err)
				}
				return &reactor.Inherited{FD: fd, Opened: func(port any) { has = port }}
			})
			var srv end
			q, err := b.Listen(at, one(&srv), o)
			if err != nil || q.Addr() != p.Addr() || has != any(q) {
				t.Fatalf("%v, %v, opened %v", q, err, has)
			}
			q.PauseAccepting()
			p.PauseAccepting()
			var cli end
			a.Dial(p.Addr(), one(&cli), nil, nil)
			until(func() bool { return cli.s != nil }) // it waits in the queue
			p.LeaveSocket(func(err error) { stopped++ })
			if p.Listening() {
				t.Error("it listens after LeaveSocket")
			}
			until(func() bool { return stopped == 1 })
			if cli.err != nil || srv.s != nil || p.Stats().Accepted != 0 {
				t.Errorf("the client that waits: %v; accepted %d", cli.err, p.Stats().Accepted)
			}
			q.OwnFile(0) // a holder that is not the one: the lock stays
			q.ResumeAccepting()
			until(func() bool { return srv.s != nil })
			p.LeaveSocket(func(error) { stopped++ })
			q.StopListening(func(error) { stopped++ })
			until(func() bool { return stopped == 3 })
			if at.Net == kernel.TCP {
				if err := q.StartListening(); err != nil || asked != 2 {
					t.Errorf("again: %v, asked %d times", err, asked)
				}
			}
		}
	})
}
