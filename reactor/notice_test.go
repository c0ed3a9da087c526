package reactor_test

import (
	"errors"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// listener notes what it hears of a handle.
type listener struct {
	came   int
	lost   []error
	onCame func()
}

func (l *listener) NoticeCame() {
	l.came++
	if l.onCame != nil {
		l.onCame()
	}
}

func (l *listener) NoticeLost(err error) { l.lost = append(l.lost, err) }
func (l *listener) LogPrefix() string    { return "the listener" }

// A notice comes in each turn until Stop, and the handle stays the caller's.
func TestAwait(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		a, b := rawPair(t, r)
		defer a.Close()
		defer b.Close()
		l := new(listener)
		n, err := r.Await(a, l)
		if err != nil {
			t.Fatal(err)
		}
		testworld.Turns(t, r, 3)
		if l.came != 0 {
			t.Fatal("a notice of nothing")
		}
		if _, err := b.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		until(t, r, func() bool { return l.came == 3 })
		n.Pause()
		testworld.Turns(t, r, 3)
		if l.came != 3 {
			t.Errorf("in a pause it came %d times", l.came-3)
		}
		n.Resume()
		until(t, r, func() bool { return l.came > 3 })
		l.came = 3
		n.Stop()
		n.Pause()
		n.Resume() // not after the end
		testworld.Turns(t, r, 3)
		if l.came != 3 || l.lost != nil {
			t.Errorf("after Stop it came %d times, lost %v", l.came, l.lost)
		}
		if c, err := a.Read(make([]byte, 9)); c != 1 || err != nil {
			t.Errorf("the handle: %d, %v", c, err)
		}
		if got := r.Stats().Sources; got != 0 {
			t.Errorf("%d sources", got)
		}
	})
}

// A panic ends the notice, and so does the reactor's end; each tells why. Afterwards there is none.
func TestAwaitLost(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var panicked *reactor.PanicError
		r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { panicked = e }})
		a, b := rawPair(t, r)
		defer a.Close()
		defer b.Close()
		l := &listener{onCame: func() { panic("of the test") }}
		if _, err := r.Await(a, l); err != nil {
			t.Fatal(err)
		}
		b.Write([]byte("x"))
		until(t, r, func() bool { return len(l.lost) == 1 })
		if l.lost[0] != error(panicked) || panicked.In != "the listener" || l.came != 1 {
			t.Errorf("lost with %v; the panic is %v", l.lost, panicked)
		}
		c, d := rawPair(t, r)
		defer c.Close()
		defer d.Close()
		l = new(listener)
		n, err := r.Await(c, l)
		if err != nil {
			t.Fatal(err)
		}
		var late error
		l.onCame = func() { t.Error("it came") }
		n.Pause() // the reactor's end is told in a pause too
		before, during := true, false
		r.AddTrigger(reactor.Before, reactor.Shutdown, func() { before = r.Ending() })
		r.AddTrigger(reactor.During, reactor.Shutdown, func() { _, late = r.Await(d, l); during = r.Ending() })
		r.Close()
		if before || !during || !r.Ending() {
			t.Errorf("Ending in the phases Before, During and afterwards: %v, %v, %v", before, during, r.Ending())
		}
		if len(l.lost) != 1 || l.lost[0] != reactor.ErrStopped {
			t.Errorf("lost with %v", l.lost)
		}
		n.Stop()
		if op, ok := errors.AsType[*reactor.OpError](late); !ok || op.Op != "watch" || !errors.Is(late, reactor.ErrStopped) {
			t.Errorf("Await at the end: %v", late)
		}
	})
}

// A handle that cannot be armed takes no place.
func TestAwaitRefused(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		a, b := rawPair(t, r)
		defer b.Close()
		a.Close()
		if n, err := r.Await(a, new(listener)); n != nil || !errors.Is(err, kernel.ErrClosed) {
			t.Errorf("%v, %v", n, err)
		}
		if n, err := r.Await(alien{}, new(listener)); n != nil || err == nil {
			t.Errorf("%v, %v", n, err)
		}
		if got := r.Stats().Sources; got != 0 {
			t.Errorf("%d sources", got)
		}
	})
}

// alien is a handle of no kernel.
type alien struct{}

func (alien) Close() error       { return nil }
func (alien) Local() kernel.Addr { return kernel.Addr{} }

// Guard reports a panic by its name, and returns it.
func TestGuard(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var panicked *reactor.PanicError
		r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { panicked = e }})
		called := false
		if e := r.Guard("who", func() { called = true }); e != nil || !called || panicked != nil {
			t.Errorf("without a panic: %v", e)
		}
		if e := r.Guard(new(listener), func() { panic(7) }); e == nil || e != panicked || e.In != "the listener" || e.Value != 7 { // DESC-36
			t.Errorf("%v", e)
		}
	})
}
