package sim_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// taker keeps what it gets.
type taker struct {
	reactor.Base
	got  string
	fds  []int
	lost error
}

func (p *taker) DataReceived(b []byte)     { p.got += string(b) }
func (p *taker) DescriptorReceived(fd int) { p.fds = append(p.fds, fd) }
func (p *taker) ConnectionLost(err error)  { p.lost = err }

// handedOver is a world in which the program "old" of a machine has passed a socket to "new", and a client on
// another machine.
type handedOver struct {
	n                *sim.Net
	old, next, there *sim.Host
	port             *reactor.Port
	served           []*taker // by old
	passer, taker    *taker   // the ends of the UNIX socket, of old and of new
}

func (w *handedOver) BuildProtocol(kernel.Addr) reactor.Protocol {
	w.served = append(w.served, new(taker))
	return w.served[len(w.served)-1]
}

// run lets time pass.
func (w *handedOver) run(t *testing.T) {
	t.Helper()
	if err := w.n.Run(time.Second); err != nil {
		t.Fatal(err)
	}
}

// do calls fn at this time, and lets time pass.
func (w *handedOver) do(t *testing.T, fn func()) {
	t.Helper()
	w.n.At(0, fn)
	w.run(t)
}

func newHandedOver(t *testing.T, seed uint64, paused bool) *handedOver {
	t.Helper()
	n := sim.New(seed)
	w := &handedOver{n: n, old: n.Host("old"), there: n.Host("there"), passer: new(taker), taker: new(taker)}
	w.next = w.old.Beside("new")
	with := kernel.StreamOptions{Descriptors: true}
	w.do(t, func() {
		var err error
		if w.port, err = w.old.Reactor.Listen(w.old.Addr(80), w, nil); err != nil {
			t.Fatal(err)
		}
		l, d := &reactor.ListenConfig{}, &reactor.DialConfig{}
		l.StreamOptions, d.StreamOptions = with, with
		if _, err := w.old.Reactor.Listen(kernel.UNIXAddr("/run/x"), reactor.One(w.passer), l); err != nil {
			t.Fatal(err)
		}
		w.next.Reactor.Dial(kernel.UNIXAddr("/run/x"), reactor.One(w.taker), d, nil)
	})
	if paused {
		w.next.Pause()
	}
	return w
}

// pass passes the socket of x from old to new.
func (w *handedOver) pass(t *testing.T, x any) {
	t.Helper()
	w.do(t, func() {
		fd, err := w.old.Reactor.DescriptorOf(x)
		if err == nil {
			sender, _ := reactor.As[reactor.DescriptorSender](w.passer.T)
			err = errors.Join(sender.SendDescriptor(fd), w.old.Reactor.CloseDescriptor(fd))
		}
		if err != nil {
			t.Fatal(err)
		}
		w.passer.T.Write([]byte("x"))
	})
}

// dial connects a client from there, and returns it with the error.
func (w *handedOver) dial(t *testing.T) (*taker, error) {
	t.Helper()
	c, failed := new(taker), errors.New("not yet")
	w.do(t, func() {
		w.there.Reactor.Dial(w.old.Addr(80), reactor.One(c), nil, func(_ reactor.Protocol, err error) { failed = err })
	})
	return c, failed
}

// A listening socket that one program has passed to another of its machine goes on when the first is killed: no client is
// refused, whoever waits in its queue included (FDP-6, ADOPT-4). It ends with its last number.
func TestListenerPassed(t *testing.T) {
	for seed := range uint64(20) {
		w := newHandedOver(t, seed, false)
		w.pass(t, w.port)
		if len(w.taker.fds) != 1 {
			t.Fatalf("FDP-6: %d descriptors came", len(w.taker.fds))
		}
		w.old.Pause() // so that the next client waits in the queue
		waiting, err := w.dial(t)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		w.old.Kill()
		late, err := w.dial(t)
		if err != nil {
			t.Fatalf("seed %d: when the first program is killed: %v", seed, err)
		}
		served := len(w.served)
		var port *reactor.Port
		w.do(t, func() {
			if port, err = w.next.Reactor.AdoptPort(w.taker.fds[0], w, nil); err == nil {
				err = w.next.Reactor.CloseDescriptor(w.taker.fds[0])
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(w.served)-served != 2 {
			t.Errorf("FDP-6: seed %d: %d of 2 clients that waited were accepted", seed, len(w.served)-served)
		}
		w.do(t, func() {
			for _, p := range w.served[served:] {
				p.T.Write([]byte("welcome"))
			}
		})
		if waiting.got != "welcome" || late.got != "welcome" {
			t.Errorf("seed %d: got %q and %q", seed, waiting.got, late.got)
		}
		w.do(t, func() { port.StopListening(nil) })
		if _, err := w.dial(t); !errors.Is(err, kernel.ErrRefused) {
			t.Errorf("seed %d: when the last handle is closed: %v", seed, err)
		}
		if err := w.n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A client that waits in the queue of a socket that two programs have belongs to the one that accepts it, and lives on when
// the other is killed (ADOPT-4).
func TestAcceptedByOther(t *testing.T) {
	for seed := range uint64(20) {
		w := newHandedOver(t, seed, false)
		w.pass(t, w.port)
		w.old.Pause()
		c, err := w.dial(t)
		if err != nil {
			t.Fatal(err)
		}
		w.do(t, func() {
			if _, err := w.next.Reactor.AdoptPort(w.taker.fds[0], w, nil); err != nil {
				t.Error(err)
			}
		})
		if len(w.served) != 1 {
			t.Fatalf("ADOPT-4: seed %d: %d accepted", seed, len(w.served))
		}
		w.old.Kill()
		w.do(t, func() { w.served[0].T.Write([]byte("hello")) })
		if c.got != "hello" || c.lost != nil {
			t.Errorf("ADOPT-4: seed %d: got %q, lost with %v", seed, c.got, c.lost)
		}
		w.next.Kill()
		w.run(t)
		if c.lost == nil {
			t.Errorf("seed %d: it outlives both programs", seed)
		}
		if err := w.n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// An established connection goes over to another program with what is unread, and its peer notices nothing when the
// first program is killed (ADOPT-1).
func TestConnectionPassed(t *testing.T) {
	for seed := range uint64(20) {
		w := newHandedOver(t, seed, false)
		c, err := w.dial(t)
		if err != nil {
			t.Fatal(err)
		}
		p := w.served[0]
		w.do(t, func() { p.T.PauseProducing() })
		w.do(t, func() { c.T.Write([]byte("unread ")) })
		w.pass(t, p.T)
		w.old.Kill()
		w.run(t)
		adopted := new(taker)
		w.do(t, func() {
			if _, err = w.next.Reactor.AdoptConnection(w.taker.fds[0], reactor.One(adopted), nil); err == nil {
				err = w.next.Reactor.CloseDescriptor(w.taker.fds[0])
			}
			c.T.Write([]byte("and more"))
		})
		if err != nil {
			t.Fatal(err)
		}
		w.do(t, func() { adopted.T.Write([]byte("hello")) })
		if adopted.got != "unread and more" || c.got != "hello" || c.lost != nil {
			t.Errorf("ADOPT-1: seed %d: the program got %q, the client %q, lost %v", seed, adopted.got, c.got, c.lost)
		}
		w.do(t, func() { adopted.T.Close() })
		if c.lost != io.EOF {
			t.Errorf("seed %d: lost with %v", seed, c.lost)
		}
		if err := w.n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A message that nobody has read holds the socket. When its reader is killed, or the machine crashes, the socket ends.
func TestMessageHoldsSocket(t *testing.T) {
	for what, end := range map[string]func(w *handedOver){
		"killed":  func(w *handedOver) { w.next.Kill() },
		"crashed": func(w *handedOver) { w.next.Crash(); w.old.Restart() },
	} {
		for seed := range uint64(20) {
			w := newHandedOver(t, seed, true)
			w.pass(t, w.port)
			w.old.Kill()
			if _, err := w.dial(t); err != nil {
				t.Errorf("FDP-6: %s, seed %d: in a message that nobody has read: %v", what, seed, err)
			}
			end(w)
			if !w.old.Up() || !w.next.Up() {
				t.Error("a restart leaves a program down")
			}
			if _, err := w.dial(t); !errors.Is(err, kernel.ErrRefused) {
				t.Errorf("%s, seed %d: afterwards: %v", what, seed, err)
			}
			if err := w.n.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// Programs of a machine have one address and one set of ports. What one binds, the other cannot; each can be killed
// apart, and a crash is that of both.
func TestBeside(t *testing.T) {
	n := sim.New(1)
	a := n.Host("a")
	b := a.Beside("b")
	if a.Beside("b") != b || n.Host("b") != b || b.Beside("a") != a || a.Addr(1) != b.Addr(1) {
		t.Error("a program beside another is another")
	}
	listen := func(h *sim.Host) error {
		_, err := h.Reactor.Listen(h.Addr(80), reactor.One(new(taker)), nil)
		return err
	}
	var errs []error
	n.At(0, func() { errs = append(errs, listen(a), listen(b)) })
	n.At(time.Second, func() { a.Kill() })
	n.At(2*time.Second, func() { errs = append(errs, listen(b), listen(a)) })
	n.At(3*time.Second, func() { a.Crash() })
	if err := n.Run(4 * time.Second); err != nil {
		t.Fatal(err)
	}
	if errs[0] != nil || !errors.Is(errs[1], kernel.ErrAddrInUse) || errs[2] != nil || !errors.Is(errs[3], kernel.ErrAddrInUse) {
		t.Errorf("%v", errs)
	}
	if a.Up() || b.Up() {
		t.Error("a crash of a machine leaves a program")
	}
}
