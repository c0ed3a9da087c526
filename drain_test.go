package whorl

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// After Stop nobody is accepted, connections go on, and when the last has ended by itself
// the server has ended: long before the grace is over.
func TestDrainLetsConnectionsEnd(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		v := serve(t, w, Config{Grace: time.Hour}, reactor.Each[echo](), anywhere, anywhere)
		a, b := v.peer(), v.peer()
		v.has("listening on tcp 127.0.0.1:", "addr="+v.open[1].Addr().String())
		began := v.r.Now()
		if err := v.r.Stop(); err != nil {
			t.Fatal(err)
		}
		testworld.Turns(t, v.r, 2)
		v.has(`no longer listening" connections=2 grace=1h0m0s`)
		v.echoed(a)
		for _, l := range v.open {
			if _, err := w.Connect(t, l.Addr(), v.r); !errors.Is(err, kernel.ErrRefused) {
				t.Errorf("connecting while it drains: %v, want a refusal", err)
			}
		}
		a.Close()
		v.echoed(b)
		if v.stopped {
			t.Fatal("it has not waited for the second connection")
		}
		b.Close()
		v.ended()
		v.lacks("aborting")
		v.has("msg=stopped")
		if took := v.r.Now() - began; took > testworld.Limit {
			t.Errorf("it took %v", took)
		}
	})
}

// Without connections there is nothing to wait for.
func TestDrainNobody(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		v := serve(t, w, Config{}, reactor.Each[echo](), anywhere)
		v.r.Stop()
		for i := 0; i < 3 && !v.stopped; i++ {
			testworld.Turns(t, v.r, 1)
		}
		if !v.stopped {
			t.Error("it waits")
		}
		v.has(`connections=0 grace=10s`)
	})
}

// What has not ended after the grace is aborted, not before and not much later.
func TestDrainGraceIsOver(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const grace = 100 * time.Millisecond
		v := serve(t, w, Config{Grace: grace}, reactor.Each[echo](), anywhere)
		a, b := v.peer(), v.peer()
		began := v.r.Now()
		v.r.Stop()
		v.ended()
		took := v.r.Now() - began
		if took < grace || w.Simulated() && took > grace+20*time.Millisecond {
			t.Errorf("it took %v, want the grace, %v", took, grace)
		}
		for _, p := range []*testworld.Peer{a, b} {
			if _, err := p.Rest(); !errors.Is(err, kernel.ErrReset) {
				t.Errorf("the peer saw %v, want a reset", err)
			}
		}
		v.has(`level=WARN msg="aborting connections that have not finished" connections=2 because="the time for it is over"`)
	})
}

// A negative grace aborts at once, and asks nobody.
func TestDrainWithoutGrace(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		p := new(polite)
		v := serve(t, w, Config{Grace: -1}, &list{all: []reactor.Protocol{p}}, anywhere)
		peer := v.peer()
		v.r.Stop()
		v.ended()
		if _, err := peer.Rest(); !errors.Is(err, kernel.ErrReset) || p.lost != reactor.ErrAborted || p.drained != 0 {
			t.Errorf("the peer saw %v, the protocol %v, and was drained %d times", err, p.lost, p.drained)
		}
		v.has(`connections=1 because="there is no time for it"`)
	})
}

// A Drainer is told once, also through wrappers; one that does not end at once has the
// grace, and others go on.
func TestDrainTellsDrainersOnce(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		quick, slow := new(polite), &polite{onDrain: func() {}}
		f := &list{all: []reactor.Protocol{&shell{&shell{quick}}, slow, new(echo)}}
		v := serve(t, w, Config{Grace: 100 * time.Millisecond}, f, anywhere)
		a, b, c := v.peer(), v.peer(), v.peer()
		v.r.Stop()
		if got, err := a.Rest(); string(got) != "bye" || err != io.EOF {
			t.Errorf("the drained peer got %q and %v, want bye", got, err)
		}
		if quick.lost != reactor.ErrClosed {
			t.Errorf("the drained protocol was lost with %v", quick.lost)
		}
		v.echoed(b)
		v.echoed(c)
		v.ended()
		if quick.drained != 1 || slow.drained != 1 {
			t.Errorf("drained %d and %d times, want once each", quick.drained, slow.drained)
		}
		v.has(`connections=2 because="the time for it is over"`)
	})
}

// A joined pair goes on, and its former protocols are not told (PROD-20).
func TestDrainTellsNoJoinedPair(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		a, b := new(polite), new(polite)
		v := serve(t, w, Config{Grace: time.Hour}, &list{all: []reactor.Protocol{a, b}}, anywhere)
		pa, pb := v.peer(), v.peer()
		if _, err := reactor.Join(a.T, b.T, nil); err != nil {
			t.Fatal(err)
		}
		v.r.Stop()
		testworld.Turns(t, v.r, 5)
		v.has("no longer listening")
		pa.Send("still here")
		pb.Expect("still here")
		pa.Close()
		pb.Close()
		v.ended()
		if a.drained != 0 || b.drained != 0 {
			t.Errorf("PROD-20: drained %d and %d times", a.drained, b.drained)
		}
		v.lacks("aborting")
	})
}

// A connection that is lost between the beginning and its turn is not drained: nothing is
// called after ConnectionLost.
func TestDrainNotAfterTheLoss(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		p := new(polite)
		p.onDrain = func() {
			if p.lost != nil {
				t.Errorf("drained after the loss: %v", p.lost)
			}
		}
		v := serve(t, w, Config{}, &list{all: []reactor.Protocol{p}}, anywhere)
		v.peer().Close()
		v.r.Stop()
		v.ended()
		if p.lost != io.EOF {
			t.Errorf("lost with %v", p.lost)
		}
	})
}

// A Drain that panics is the end of its connection, and of no other.
func TestDrainPanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var panics []*reactor.PanicError
		c := Config{Grace: time.Hour}
		c.Reactor.Panicked = func(e *reactor.PanicError) { panics = append(panics, e) }
		bad, good := &polite{onDrain: func() { panic("no") }}, new(polite)
		v := serve(t, w, c, &list{all: []reactor.Protocol{bad, good, new(echo)}}, anywhere)
		a, b, other := v.peer(), v.peer(), v.peer()
		v.r.Stop()
		if _, err := a.Rest(); !errors.Is(err, kernel.ErrReset) {
			t.Errorf("the peer of the one that panicked saw %v, want a reset", err)
		}
		if got, err := b.Rest(); string(got) != "bye" || err != io.EOF {
			t.Errorf("the next peer got %q and %v, want bye", got, err)
		}
		v.echoed(other)
		other.Close()
		v.ended()
		if len(panics) != 1 || panics[0].Value != "no" {
			t.Errorf("panics: %v", panics)
		}
	})
}

// A second signal aborts what is left, whether draining has begun or not; a signal is the
// second if something else has stopped the server.
func TestDrainIsHurried(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		t.Parallel() // most of the time is waiting
		for name, x := range map[string]struct {
			say     func(v *served)
			because string
		}{
			"while draining": {func(v *served) {
				v.r.Post(func() { v.signals.Caught(syscall.SIGTERM) })
				testworld.Turns(t, v.r, 3)
				v.has("connections=1 grace=1h0m0s", `msg="caught a signal" signal=terminated`)
				v.lacks("aborting")
				v.apart()
				v.r.Post(func() { v.signals.Caught(os.Interrupt) })
			}, "a second signal"},
			"before draining": {func(v *served) {
				v.r.Post(func() {
					v.signals.Caught(syscall.SIGTERM)
					v.signals.Last -= program.SignalTwins
					v.signals.Caught(syscall.SIGTERM)
				})
			}, "a second signal"},
			"after Stop": {func(v *served) {
				v.r.Stop()
				testworld.Turns(t, v.r, 3)
				v.r.Post(func() { v.signals.Caught(syscall.SIGTERM) })
			}, "a signal"},
		} {
			t.Run(name, func(t *testing.T) {
				v := serve(t, w, Config{Grace: time.Hour}, reactor.Each[echo](), anywhere)
				p := v.peer()
				began := v.r.Now()
				x.say(v)
				v.ended()
				if _, err := p.Rest(); !errors.Is(err, kernel.ErrReset) {
					t.Errorf("the peer saw %v, want a reset", err)
				}
				v.has(`connections=1 because="` + x.because + `"`)
				if took := v.r.Now() - began; took > testworld.Limit {
					t.Errorf("it took %v", took)
				}
			})
		}
	})
}

// Signals come through the kernel, so that a simulated program has them too. Those that
// are not asked for are not taken.
func TestDrainOnSimulatedSignals(t *testing.T) {
	for name, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			v := serve(t, w, Config{Grace: time.Hour}, reactor.Each[echo](), anywhere)
			p := v.peer()
			host := w.Net().Host("localhost")
			host.Signal(syscall.SIGALRM)
			host.Signal(syscall.SIGPIPE)
			v.echoed(p)
			v.lacks("signal")
			host.Signal(syscall.SIGTERM)
			v.echoed(p)
			testworld.Turns(t, v.r, 1)
			v.has("no longer listening")
			v.lacks("aborting")
			v.apart()
			host.Signal(os.Interrupt)
			v.ended()
			v.has(`because="a second signal"`)
		})
		t.Run(name+"/none", func(t *testing.T) {
			v := serve(t, w, Config{Signals: []os.Signal{}, Grace: -1}, reactor.Each[echo](), anywhere)
			w.Net().Host("localhost").Signal(syscall.SIGTERM)
			v.echoed(v.peer())
			v.lacks("signal")
			v.r.Stop()
			v.ended()
		})
	}
}

// Two signals within 300 ms count as one, also of two kinds; a third one after that is the second
// that counts.
func TestDrainSignalTwins(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		t.Parallel() // most of the time is waiting
		v := serve(t, w, Config{Grace: time.Hour}, reactor.Each[echo](), anywhere)
		p := v.peer()
		v.r.Post(func() { v.signals.Caught(os.Interrupt) })
		v.echoed(p)
		v.r.Post(func() {
			v.signals.Last = v.r.Now() - program.SignalTwins/2 // however long the echo took
			v.signals.Caught(os.Interrupt)
			v.signals.Caught(syscall.SIGTERM)
		})
		v.echoed(p)
		testworld.Turns(t, v.r, 3)
		v.has("no longer listening", `msg="caught a signal again, which counts as the one before" signal=terminated`)
		v.lacks("aborting")
		v.apart()
		v.r.Post(func() { v.signals.Caught(syscall.SIGTERM) })
		v.ended()
		v.has(`because="a second signal"`)
	})
}

// A signal that was too long ago to have a twin is no reason to take signals after the end, as a
// server has ended that drained for a while.
func TestSignalsAreGivenBackAtTheEnd(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		t.Parallel() // most of the time is waiting
		v := serve(t, w, Config{Grace: time.Hour}, reactor.Each[echo](), anywhere)
		p := v.peer()
		back := 0
		release := v.signals.Release
		v.signals.Release = func() { back++; release() }
		v.r.Post(func() { v.signals.Caught(os.Interrupt) })
		v.echoed(p)
		v.apart()
		p.Close()
		v.ended()
		v.close(func() {})
		if back != 1 {
			t.Errorf("at the end signals were given back %d times, want once", back)
		}
	})
}

// dialler is an echo that has a connection of its own for each client, as a forwarder has.
type dialler struct {
	echo
	to  kernel.Addr
	own *echo
}

func (p *dialler) ConnectionMade(t reactor.Transport) {
	p.echo.ConnectionMade(t)
	p.own = new(echo)
	t.Reactor().Dial(p.to, reactor.One(p.own), nil, nil)
}

// The log counts clients, not the connections that the program has made for them. The drain waits
// for these all the same, and says so if no client is left.
func TestDrainCountsClients(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		t.Parallel() // most of the time is waiting
		far := w.New(t, reactor.Config{})
		port, err := far.Listen(kernel.TCPAddr(loopback(), 0), reactor.Each[echo](), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, gone := range []bool{false, true} {
			p := &dialler{to: port.Addr()}
			v := serve(t, w, Config{Grace: 100 * time.Millisecond}, &list{all: []reactor.Protocol{p}}, anywhere)
			peer := v.peer()
			testworld.Until(t, func() bool { return p.own.T != nil }, far, v.r)
			v.r.Stop()
			testworld.Turns(t, v.r, 3)
			v.has(`no longer listening" connections=1 `)
			want := `msg="aborting connections that have not finished" connections=1 because="the time for it is over"`
			if gone {
				peer.Close()
				want = `msg="aborting connections that have not finished" connections=0 because="the time for it is over" outgoing=1`
			}
			testworld.Until(t, func() bool { return v.stopped }, far, v.r)
			v.has(want)
		}
	})
}

// redial connects again when its connection is lost, while the reactor lets it.
type redial struct {
	echo
	to    kernel.Addr
	dials *int
}

func (p *redial) ConnectionLost(error) {
	if *p.dials++; *p.dials < 4 {
		p.T.Reactor().Dial(p.to, reactor.One(p), nil, nil)
	}
}

// Connections that are made after the rest was aborted are aborted as well: a server that
// connects again at every loss does not keep itself alive.
func TestDrainAbortsLatecomers(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		far := w.New(t, reactor.Config{})
		port, err := far.Listen(kernel.TCPAddr(loopback(), 0), reactor.Each[echo](), nil)
		if err != nil {
			t.Fatal(err)
		}
		dials := 0
		p := &redial{to: port.Addr(), dials: &dials}
		v := serve(t, w, Config{Grace: -1}, &list{all: []reactor.Protocol{p}}, anywhere)
		v.peer()
		v.r.Stop()
		testworld.Until(t, func() bool { return v.stopped }, far, v.r)
		if dials < 2 {
			t.Errorf("%d losses: nothing was made after the abort", dials)
		}
	})
}

// An error of StopFactory is the server's, with the place. The factory serves two places
// and is stopped once.
func TestServerReportsStopFactory(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		f := &list{stopErr: errors.New("the disk is full")}
		v := serve(t, w, Config{}, f, anywhere, "tcp4:0:interface=127.0.0.1")
		if f.started != 1 {
			t.Fatalf("started %d times", f.started)
		}
		v.r.Stop()
		v.until(func() bool { return v.stopped })
		err := v.result(nil)
		e, ok := errors.AsType[*PlaceError](err)
		if !ok || e.Place != "tcp4:0:interface=127.0.0.1" || !errors.Is(err, f.stopErr) || f.started != 0 {
			t.Errorf("the result is %v", err)
		}
		v.lacks("msg=stopped")
	})
}
