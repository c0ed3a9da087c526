package handover_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/handover"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// A successor that dies before it is ready leaves the old program serving, with its connections. One that dies
// afterwards has had the sockets. The connections that it has not accepted by then are the old program's again, with all
// their bytes; those that it has accepted end with it.
func TestSuccessorDies(t *testing.T) {
	for _, c := range []struct {
		name string
		send []handover.Message // one after the other
		wait any                // the message after which it dies; nil: the connection alone
		// handed tells that the sockets are handed over, and lost that the connection that moves is gone.
		handed, lost bool
	}{
		{name: "connected"},
		{name: "hello", send: []handover.Message{handover.Hello(1, 1)}, wait: handover.MsgWelcome},
		{name: "offered", send: []handover.Message{handover.Hello(1, 1)}, wait: handover.MsgOffered},
		{name: "answered", send: []handover.Message{
			handover.Hello(1, 1), handover.Plain(handover.MsgTaken, 0), handover.Plain(handover.MsgTaken, 1),
		}, wait: handover.MsgOffered},
		{name: "ready", send: readied, wait: handover.MsgStopped, handed: true},
		{name: "connection", send: readied, wait: handover.MsgConnection, handed: true},
		{name: "rejected", send: append(readied[:len(readied):len(readied)], handover.Plain(handover.MsgRejected, 0)), wait: handover.MsgMoved, handed: true},
		{name: "accepted", send: append(readied[:len(readied):len(readied)], handover.Plain(handover.MsgAccepted, 0)), wait: handover.MsgGo, handed: true, lost: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				path := socketPath(t)
				a := newProgram(t, w, "A", path, loopback())
				a.listen()
				a.offer()
				other := w.New(t, reactor.Config{})
				until := func(done func() bool) { t.Helper(); testworld.Until(t, done, a.r, other) }
				one := call(other, a.ports[0].Addr())
				until(func() bool { return one.made && len(a.built) == 1 })
				one.T.Write([]byte("1\nunfin"))
				until(func() bool { return one.got.String() == "A:1\n" })
				x := dialRaw(other, path)
				until(func() bool { return x.made })
				dies := c.wait == nil
				x.each = func(m handover.Message) {
					if any(m.Kind()) == c.wait {
						dies = true
					}
				}
				for _, m := range c.send {
					if m.Kind() == handover.MsgAccepted || m.Kind() == handover.MsgRejected {
						until(func() bool { return x.count(handover.MsgConnection) == 1 })
					}
					x.send(m)
				}
				until(func() bool { return dies })
				x.T.Abort()
				until(func() bool { return x.lost != nil && (a.gaveUp != nil || a.handed != nil || len(c.send) == 0) })
				if c.handed != (a.handed != nil) || c.handed == a.ports[0].Listening() {
					t.Fatalf("handed over: %+v, listening: %v", a.handed, a.ports[0])
				}
				if c.lost {
					until(func() bool { return one.lost != nil })
					return
				}
				one.T.Write([]byte("ished\n"))
				until(func() bool { return one.got.String() == "A:1\nA:unfinished\n" })
				if !c.handed {
					servesOn(t, w, a, other)
				}
			})
		})
	}
}

// readied are the messages of a successor that takes everything.
var readied = []handover.Message{
	handover.Hello(1, 1), handover.Plain(handover.MsgTaken, 0), handover.Plain(handover.MsgTaken, 1), handover.Plain(handover.MsgReady),
}

// rawOffer is an old program that says what a test wants.
type rawOffer struct {
	r    *reactor.Reactor
	port *reactor.Port // whose descriptor goes with each offer
	made []*raw
}

func (o *rawOffer) BuildProtocol(kernel.Addr) reactor.Protocol {
	x := newRaw(o.r)
	o.made = append(o.made, x)
	return x
}

// offer sends the offer of a socket, without a descriptor if bare.
func (o *rawOffer) offer(x *raw, m handover.Message, bare bool) {
	if !bare {
		fd, err := o.r.DescriptorOf(o.port)
		if err != nil {
			panic(err)
		}
		x.T.(interface{ SendDescriptor(int) error }).SendDescriptor(fd)
		o.r.CloseDescriptor(fd)
	}
	x.send(m)
}

// A predecessor that dies or breaks the rules before the successor is ready has it fail, with the step in the error. If it dies
// or hangs afterwards, the successor serves. If it says that it serves on, the successor does not.
func TestPredecessorDies(t *testing.T) {
	type act func(o *rawOffer, x *raw)
	say := func(all ...handover.Message) act { return func(_ *rawOffer, x *raw) { x.send(all...) } }
	offer := func(n int, at *kernel.Addr, bare bool) act {
		return func(o *rawOffer, x *raw) { o.offer(x, handover.OfferOf(n, *at), bare) }
	}
	var at kernel.Addr
	dies := func(_ *rawOffer, x *raw) { x.T.Abort() }
	silent := func(*rawOffer, *raw) {}
	welcome, offered := say(handover.Plain(handover.MsgWelcome, 1, 1)), say(handover.Plain(handover.MsgOffered))
	ready := func(o *rawOffer, x *raw) {
		x.each = func(m handover.Message) {
			if m.Kind() == handover.MsgReady {
				x.send(handover.Plain(handover.MsgStopped))
			}
		}
	}
	for _, c := range []struct {
		name string
		acts []act
		last act // when the successor is ready, if it gets so far
		want error
		step handover.Step
		// serves tells that the successor serves.
		serves bool
	}{
		{name: "dies at once", acts: []act{dies}, want: handover.ErrGone, step: handover.StepHello},
		{name: "silent", acts: []act{silent}, want: handover.ErrTimeout, step: handover.StepHello},
		{name: "silent after the welcome", acts: []act{welcome}, want: handover.ErrTimeout, step: handover.StepOffer},
		{name: "other version", acts: []act{say(handover.Plain(handover.MsgWelcome, 2, 1))}, want: handover.ErrVersion, step: handover.StepHello},
		{name: "dies in the offer", acts: []act{welcome, offer(0, &at, false), dies}, want: handover.ErrGone, step: handover.StepOffer},
		{name: "offers in disorder", acts: []act{welcome, offer(1, &at, false)}, want: handover.ErrProtocol, step: handover.StepOffer},
		{name: "no descriptor", acts: []act{welcome, offer(0, &at, true)}, want: handover.ErrProtocol, step: handover.StepOffer},
		{name: "stops too early", acts: []act{welcome, say(handover.Plain(handover.MsgStopped))}, want: handover.ErrProtocol, step: handover.StepOffer},
		{name: "refuses", acts: []act{welcome, offer(0, &at, false), say(handover.Plain(handover.MsgRefuse))}, want: handover.ErrRefused, step: handover.StepOffer},
		{name: "dies when ready", acts: []act{welcome, offer(0, &at, false), offered}, last: dies, want: handover.ErrGone, step: handover.StepStop, serves: true},
		{name: "silent when ready", acts: []act{welcome, offer(0, &at, false), offered}, last: silent, want: handover.ErrTimeout, step: handover.StepStop, serves: true},
		{name: "serves on", acts: []act{welcome, offer(0, &at, false), offered}, last: say(handover.Plain(handover.MsgRefuse)), want: handover.ErrRefused, step: handover.StepStop},
		{name: "dies when it has stopped", acts: []act{welcome, offer(0, &at, false), offered}, last: func(o *rawOffer, x *raw) { ready(o, x); x.send(handover.Plain(handover.MsgStopped)); x.T.Close() }, want: handover.ErrGone, step: handover.StepMove, serves: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				path := socketPath(t)
				old := w.New(t, reactor.Config{})
				port, err := old.Listen(loopback(), reactor.One(newRaw(old)), nil)
				if err != nil {
					t.Fatal(err)
				}
				at = port.Addr()
				o := &rawOffer{r: old, port: port}
				cfg := &reactor.ListenConfig{}
				cfg.Descriptors = true
				control, err := old.Listen(kernel.UNIXAddr(path), o, cfg)
				if err != nil {
					t.Fatal(err)
				}
				b := newProgram(t, w, "B", path, at)
				b.cfg.Timeout = 5 * time.Second
				if errors.Is(c.want, handover.ErrTimeout) {
					b.cfg.Timeout = 200 * time.Millisecond
				}
				isReady := false
				b.cfg.Offered = func(x *handover.Taking) { b.listen(); x.Ready(); isReady = true }
				until := func(done func() bool) { t.Helper(); testworld.Until(t, done, old, b.r) }
				b.take()
				until(func() bool { return len(o.made) == 1 && o.made[0].made })
				for _, act := range c.acts {
					act(o, o.made[0])
					testworld.Turns(t, old, 3) // what it has sent comes before its death
					testworld.Turns(t, b.r, 3)
				}
				if c.last != nil {
					until(func() bool { return isReady && o.made[0].count(handover.MsgReady) == 1 })
					control.LeaveSocket(nil) // a dead program has none
					if c.serves {
						port.LeaveSocket(nil)
					}
					c.last(o, o.made[0])
				}
				until(func() bool { return b.failed != nil || b.done })
				err = b.failed
				if c.serves {
					err = b.err
				}
				var e *handover.Error
				if !errors.Is(err, c.want) || !errors.As(err, &e) || e.Step != c.step || c.serves != (b.failed == nil) {
					t.Errorf("%v, %v; want %v at step %s", b.failed, b.err, c.want, c.step)
				}
				if !c.serves {
					for _, p := range b.ports {
						p.LeaveSocket(nil)
					}
					return
				}
				one := call(old, at)
				until(func() bool { return one.made })
				one.T.Write([]byte("x\n"))
				until(func() bool { return one.got.String() == "B:x\n" })
			})
		})
	}
}

// Stop in Stopped, for a predecessor that has died, ends the listening: Done is not called.
func TestStopInStopped(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		a := newProgram(t, w, "A", socketPath(t), loopback())
		a.listen()
		a.offer()
		b := newProgram(t, w, "B", a.path, a.ports[0].Addr())
		var stopped, done int
		handover.Take(b.r, a.path, handover.TakeConfig{
			Offered: func(x *handover.Taking) {
				b.listen()
				x.Ready()
				for c := range a.r.Streams() {
					c.Abort()
				}
			},
			Failed: func(err error) { t.Error(err) },
			Stopped: func(x *handover.Taking, err error) {
				stopped++
				x.Stop()
				b.taking = x
				b.offer()
			},
			Done: func(error) { done++ },
		})
		testworld.Until(t, func() bool { return stopped > 0 }, a.r, b.r)
		testworld.Turns(t, b.r, 5)
		if stopped != 1 || done != 0 {
			t.Errorf("Stopped was called %d times, Done %d times", stopped, done)
		}
		for _, p := range b.ports {
			p.LeaveSocket(nil)
		}
	})
}

// Stop while connections come loses none: those that were accepted are served here, the others stay with the predecessor. Done is not called.
func TestStopWhileMoving(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, at := range []int{1, 3, 70} { // within the first window, and after it
			a := newProgram(t, w, "A", socketPath(t), loopback())
			a.listen()
			a.offer()
			b := newProgram(t, w, "B", a.path, a.ports[0].Addr())
			clients := w.New(t, reactor.Config{})
			until := func(done func() bool) { t.Helper(); testworld.Until(t, done, a.r, b.r, clients) }
			var callers []*caller
			for range 100 {
				callers = append(callers, call(clients, a.ports[0].Addr()))
			}
			until(func() bool { return len(a.built) == len(callers) })
			b.onResume = func() {
				if b.resumed == at {
					b.taking.Stop()
				}
			}
			b.take()
			until(func() bool { return a.handed != nil })
			for _, c := range callers {
				c.T.Write([]byte("x\n"))
			}
			until(func() bool {
				for _, c := range callers {
					if c.lost == nil && c.got.Len() < 4 {
						return false
					}
				}
				return true
			})
			here, there := 0, 0
			for i, c := range callers {
				switch c.got.String() {
				case "A:x\n":
					there++
				case "B:x\n":
					here++
				default:
					t.Errorf("client %d got %q and %v", i, c.got.String(), c.lost)
				}
			}
			if here < at-1 || here > b.resumed || there == 0 || b.done { // at the first, Stop in Resume leaves nothing under way
				t.Errorf("stopped at %d: %d of %d are served here, %d there; done: %v", at, here, b.resumed, there, b.done)
			}
			for _, p := range []*program{a, b} {
				for _, port := range p.ports {
					port.LeaveSocket(nil)
				}
				for s := range p.r.Streams() {
					s.Abort()
				}
			}
			testworld.Turns(t, clients, 3)
			testworld.Turns(t, a.r, 3)
			testworld.Turns(t, b.r, 3)
		}
	})
}
