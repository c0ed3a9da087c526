package handover_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/handover"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// natives runs body on every kernel of this machine.
func natives(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) { body(t, w) })
	}
}

// mute is a Mover that does not answer once it has said its state, as the contract wants.
type mute struct {
	liner
	moved bool
	long  bool // its state is too long
}

func (l *mute) Handover() ([]byte, error) {
	if l.moved = true; l.long {
		return make([]byte, handover.MaxState+1), nil
	}
	return l.rest, nil
}

func (l *mute) DataReceived(p []byte) {
	if !l.moved {
		l.liner.DataReceived(p)
	}
}

// muteFactory resumes with the protocols of its program.
type muteFactory struct {
	*program
	long bool
	made []*mute
}

func (f *muteFactory) BuildProtocol(kernel.Addr) reactor.Protocol {
	m := &mute{liner: liner{p: f.program}, long: f.long}
	f.made = append(f.made, m)
	return m
}

func (f *muteFactory) Resume(state []byte, peer kernel.Addr) (reactor.Protocol, error) {
	if f.long {
		state = nil
	}
	return f.program.Resume(state, peer)
}

// served is a program A with a port of f's, a client that is connected to it, and a raw successor that has taken the port and
// is ready.
func served(t *testing.T, w testworld.World, a *program, f *muteFactory) (clients *reactor.Reactor, one *caller, x *raw) {
	t.Helper()
	clients = w.New(t, reactor.Config{})
	port, err := a.r.Listen(loopback(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.ports = append(a.ports, port)
	a.offer()
	one = call(clients, port.Addr())
	testworld.Until(t, func() bool { return one.made && len(f.made) == 1 }, a.r, clients)
	x = dialRaw(clients, a.path)
	testworld.Until(t, func() bool { return x.made }, a.r, clients)
	x.send(handover.Hello(1, 1))
	testworld.Until(t, func() bool { return x.count(handover.MsgOffered) > 0 }, a.r, clients)
	x.send(handover.Plain(handover.MsgTaken, 0), handover.Plain(handover.MsgTaken, 1), handover.Plain(handover.MsgReady))
	return clients, one, x
}

// Without free descriptors a connection stays, is not asked for its state, and is served on.
func TestNoNumberLeft(t *testing.T) {
	natives(t, func(t *testing.T, w testworld.World) {
		for free := range 3 {
			a := newProgram(t, w, "A", socketPath(t))
			f := &muteFactory{program: a}
			clients, one, x := served(t, w, a, f)
			clients.Turn(time.Millisecond)
			done := testworld.Crowd(t, free)
			testworld.Until(t, func() bool { return a.handed != nil || f.made[0].moved }, a.r)
			done()
			if free < 2 {
				if f.made[0].moved || f.made[0].lost != nil {
					t.Errorf("%d free: asked for its state: %v, lost with %v", free, f.made[0].moved, f.made[0].lost)
				}
				one.T.Write([]byte("still\n"))
				testworld.Until(t, func() bool { return one.got.Len() > 0 || one.lost != nil }, a.r, clients)
				if one.got.String() != "A:still\n" {
					t.Errorf("%d free: the client got %q, lost with %v", free, one.got.String(), one.lost)
				}
			} else if !f.made[0].moved {
				t.Error("two are enough, and it does not move")
			}
			x.T.Close()
			a.r.Close()
		}
	})
}

// A connection whose output grows beyond the limit while it says its state stays, with a protocol that is made
// of that state.
func TestStateSaidInVain(t *testing.T) {
	natives(t, func(t *testing.T, w testworld.World) {
		a := newProgram(t, w, "A", socketPath(t))
		f := &muteFactory{program: a, long: true}
		clients, one, x := served(t, w, a, f)
		testworld.Until(t, func() bool { return a.handed != nil }, a.r, clients)
		if f.made[0].lost != nil || a.handed.Moved != 0 || a.resumed != 1 {
			t.Errorf("lost with %v, %d moved, %d resumed", f.made[0].lost, a.handed.Moved, a.resumed)
		}
		one.T.Write([]byte("again\n"))
		testworld.Until(t, func() bool { return one.got.Len() > 0 || one.lost != nil }, a.r, clients)
		if one.got.String() != "A:again\n" {
			t.Errorf("the client got %.40q, lost with %v", one.got.String(), one.lost)
		}
		x.T.Close()
	})
}

// A descriptor that is lost on its way ends the hand-over: the next one would be taken for it.
func TestLostDescriptor(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		path := socketPath(t)
		a := newProgram(t, w, "A", path, loopback())
		b := newProgram(t, w, "B", path)
		a.listen()
		a.offer()
		b.cfg.Offered = func(x *handover.Taking) { x.DescriptorsLost(1) }
		b.take()
		testworld.Until(t, func() bool { return b.failed != nil }, a.r, b.r)
		if !errors.Is(b.failed, handover.ErrProtocol) || !a.ports[0].Listening() {
			t.Errorf("failed with %v, the old program listens: %v", b.failed, a.ports[0].Listening())
		}
	})
}

// GiveUp before there is a connection ends the hand-over, also if the old program is silent.
func TestGiveUpAtOnce(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		path := socketPath(t)
		r := w.New(t, reactor.Config{})
		if _, err := r.Listen(kernel.UNIXAddr(path), reactor.Each[silent](), nil); err != nil {
			t.Fatal(err)
		}
		var failed error
		x := handover.Take(r, path, handover.TakeConfig{Timeout: -1, Offered: func(*handover.Taking) {}, Failed: func(err error) { failed = err }})
		x.GiveUp(io.ErrUnexpectedEOF)
		testworld.Until(t, func() bool { return failed != nil }, r)
		if !errors.Is(failed, io.ErrUnexpectedEOF) || !errors.Is(failed, handover.ErrGivenUp) {
			t.Error(failed)
		}
	})
}

// silent says nothing.
type silent struct{ reactor.Base }

func (*silent) DataReceived([]byte) {}

// A socket whose place could not be opened stays with the old program, though Ready was called.
func TestPlaceThatFails(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		path := socketPath(t)
		a := newProgram(t, w, "A", path, loopback())
		b := newProgram(t, w, "B", path)
		clients := w.New(t, reactor.Config{})
		a.listen()
		a.offer()
		b.cfg.Offered = func(x *handover.Taking) {
			if _, err := b.r.Listen(a.at[0], badFactory{b}, nil); err == nil || len(x.Unused()) != 1 {
				t.Errorf("Listen: %v; unused %v", err, x.Unused())
			}
			x.Ready()
		}
		b.take()
		testworld.Until(t, func() bool { return b.stopped && a.handed != nil }, a.r, b.r, clients)
		if len(a.handed.Taken) != 0 || len(a.handed.Unknown) != 1 || !a.ports[0].Listening() {
			t.Errorf("taken %v, unknown %v, listens %v", a.handed.Taken, a.handed.Unknown, a.ports[0].Listening())
		}
		c := call(clients, a.ports[0].Addr())
		testworld.Until(t, func() bool { return c.made || c.lost != nil }, a.r, b.r, clients)
		if !c.made {
			t.Errorf("a client is refused: %v", c.lost)
		}
	})
}

// badFactory cannot be started.
type badFactory struct{ *program }

func (badFactory) StartFactory() error { return errors.New("no database") }
func (badFactory) StopFactory() error  { return nil }
