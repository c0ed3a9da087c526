package service_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
	"github.com/whorl-go/whorl/service"
	"github.com/whorl-go/whorl/sim"
)

// pair is a world of a server host and a client on another.
type pair struct {
	t        *testing.T
	n        *sim.Net
	srv, cli *sim.Host
	place    *place
	client   *service.Client
	port     *reactor.Port
	said     []string // states of the client, with the time of each
	made     int      // protocols that the client's factory has built
	refuses  bool     // the factory builds nothing
	log      records
	cause    error // of the last state that had one
}

// waits is a policy that waits n+1 seconds before retry n.
type waits struct{ most int }

func (w waits) Delay(n int, _ retry.Source) (time.Duration, bool) {
	return time.Duration(n+1) * time.Second, w.most == 0 || n < w.most
}

func newPair(t *testing.T, c service.ClientConfig) *pair {
	p := &pair{t: t, n: sim.New(1)}
	t.Cleanup(func() { p.n.Close() })
	p.n.Options.Latency = sim.Latency{Min: 10 * time.Millisecond, Max: 10 * time.Millisecond}
	p.n.Config.Logger = p.log.logger()
	p.srv, p.cli = p.n.Host("srv"), p.n.Host("cli")
	p.place = &place{Addr: p.srv.Addr(7)}
	if c.Policy == nil {
		c.Policy = waits{}
	}
	c.Changed = func(s service.ClientState, err error) {
		p.said = append(p.said, fmt.Sprintf("%v %v", p.n.Now().Round(time.Second/2), s))
		if err != nil {
			p.cause = err
		}
	}
	p.client = service.NewClient(p.cli.Reactor, p.place, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
		if p.refuses {
			return nil
		}
		p.made++
		return new(silent)
	}), &c)
	return p
}

func (p *pair) listen() {
	port, err := p.srv.Reactor.Listen(p.srv.Addr(7), reactor.Each[silent](), nil)
	if err != nil {
		p.t.Error(err)
	}
	p.port = port
}

// hangUp ends the connections of the server.
func (p *pair) hangUp() {
	for c := range p.srv.Reactor.Streams() {
		c.Abort()
	}
}

// run lets the world run until the end. steps are what happens at which second.
func (p *pair) run(end time.Duration, steps map[time.Duration]func()) {
	p.t.Helper()
	for at, step := range steps {
		p.n.At(at, step)
	}
	if err := p.n.Run(end - p.n.Now()); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) want(what string, want ...string) {
	p.t.Helper()
	if !slices.Equal(p.said, want) {
		p.t.Errorf("%s:\n%q, want\n%q", what, p.said, want)
	}
}

// SVC-19: a start makes one attempt to connect. Starting twice is logged and does nothing.
func TestClientStart(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	p.listen()
	p.run(5*s, map[time.Duration]func(){
		1 * s: func() { p.client.Start(); p.client.Start() },
		2 * s: func() { p.client.Start() },
	})
	p.want("SVC-19", "1s connecting", "1s preparing", "1s connected")
	twice := 0
	for _, l := range p.log.all {
		if strings.Contains(l, "a client was started twice") {
			twice++
		}
	}
	if twice != 2 || p.made != 1 {
		t.Errorf("SVC-19: logged %d times, %d connections", twice, p.made)
	}
}

// SVC-20: after the n-th failure in a row it waits as long as the policy says for n. A success begins the count anew. After a loss it waits as for the
// first failure. A factory that builds nothing is a failure.
func TestClientRetries(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	p.run(60*s, map[time.Duration]func(){
		0: func() { p.client.Start() },
		5 * s: func() { // tries at 0, 1, 3, 6
			p.listen()
		},
		10 * s: p.hangUp,
		11 * s: func() {
			if !errors.Is(p.cause, kernel.ErrReset) {
				t.Error("the cause of the loss:", p.cause)
			}
		},
		20 * s: func() {
			p.refuses = true
			p.hangUp()
		},
		22*s + s/2: func() {
			if p.client.Failures() != 2 {
				t.Errorf("SVC-20: %d failures", p.client.Failures())
			}
			p.refuses = false
		},
	})
	p.want("SVC-20",
		"0s connecting", "0s waiting", "1s connecting", "1s waiting", "3s connecting", "3s waiting",
		"6s connecting", "6s preparing", "6s connected",
		"10s waiting", "11s connecting", "11s preparing", "11s connected",
		"20s waiting", "21s connecting", "21s waiting", "23s connecting", "23s preparing", "23s connected")
	if p.client.Failures() != 0 || p.client.Connected() == nil {
		t.Errorf("SVC-20: %d failures", p.client.Failures())
	}
}

// A policy that gives up stops the client, and whoever waits hears why, and so does who asks later, until Stop or the next Start.
func TestClientGivesUp(t *testing.T) {
	p := newPair(t, service.ClientConfig{Policy: waits{most: 2}})
	d := p.client.WhenConnected(0)
	p.run(20*s, map[time.Duration]func(){0: func() { p.client.Start() }})
	if !errors.Is(failure(d), kernel.ErrRefused) || p.client.State() != service.ClientStopped {
		t.Error(failure(d), p.client.State())
	}
	p.want("given up", "0s connecting", "0s waiting", "1s connecting", "1s waiting", "3s connecting", "3s stopped")
	if err := failure(p.client.WhenConnected(0)); !errors.Is(err, kernel.ErrRefused) {
		t.Error("asked after that:", err)
	}
	p.client.Stop()
	if err := failure(p.client.WhenConnected(0)); err != reactor.ErrCancelled {
		t.Error("stopped after that:", err)
	}
	p.client.Start()
	if err := failure(p.client.WhenConnected(0)); err != errPending {
		t.Error("started again:", err)
	}
}

// SVC-21: waiting for a connection gives the protocol at once if there is one, and else when there is. It fails when the service stops, or has stopped, and with the
// error of the k-th failure in a row.
func TestWhenConnected(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	before, third, given := p.client.WhenConnected(0), p.client.WhenConnected(3), p.client.WhenConnected(0)
	given.Cancel()
	p.run(5*s, map[time.Duration]func(){
		0: func() { p.client.Start() },
		2 * s: func() {
			if failure(third) != errPending {
				t.Error("SVC-21: before the third failure:", failure(third))
			}
		},
		3*s + s/2: func() {
			if !errors.Is(failure(third), kernel.ErrRefused) || failure(before) != errPending {
				t.Error("SVC-21: after the third failure:", failure(third), failure(before))
			}
			p.listen()
		},
	})
	p.run(10*s, nil)
	o, ok := before.Outcome()
	if _, mine := o.Value.(*silent); !ok || !mine || o.Value != p.client.Connected() {
		t.Errorf("SVC-21, SVC-25: %v", o)
	}
	if o, ok := p.client.WhenConnected(1).Outcome(); !ok || o.Value != p.client.Connected() {
		t.Error("SVC-21: at once:", o)
	}
	p.run(12*s, map[time.Duration]func(){10 * s: p.hangUp})
	var waits *deferred.Deferred[reactor.Protocol]
	p.run(14*s, map[time.Duration]func(){
		12 * s: func() {
			p.port.StopListening(nil)
			p.hangUp()
		},
		13 * s: func() {
			waits = p.client.WhenConnected(0)
			p.client.Stop()
		},
	})
	if failure(waits) != reactor.ErrCancelled || failure(p.client.WhenConnected(0)) != reactor.ErrCancelled {
		t.Error("SVC-21: stopped:", failure(waits))
	}
}

// SVC-22: a stop gives up an attempt; drops a wait, and is over at once; closes a connection, and is over after ConnectionLost. Two stops while closing are both
// answered.
func TestClientStop(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	if p.client.Stop() != nil {
		t.Error("SVC-22: a stop of one that does not run is not over")
	}
	p.run(10*s, map[time.Duration]func(){
		1 * s: func() {
			p.client.Start()
			if p.client.Stop() != nil || p.client.State() != service.ClientStopped {
				t.Error("SVC-22: connecting:", p.client.State())
			}
		},
		2 * s: func() { p.client.Start() },
		2*s + s/2: func() {
			if p.client.State() != service.ClientWaiting || p.client.Stop() != nil || p.client.State() != service.ClientStopped {
				t.Error("SVC-22: waiting:", p.client.State())
			}
		},
		4 * s: func() { p.listen(); p.client.Start() },
		6 * s: func() {
			q := p.client.Connected().(*silent)
			one, two := p.client.Stop(), p.client.Stop()
			if failure(one) != errPending || failure(two) != errPending || p.client.State() != service.ClientClosing {
				t.Error("SVC-22: closing:", failure(one), p.client.State())
			}
			one.Done(func(service.None, error) {
				if p.client.State() != service.ClientStopped || !q.lost {
					t.Error("SVC-22: it is over before the loss:", p.client.State())
				}
			})
			p.cli.Reactor.CallLater(2*s, func() {
				if failure(one) != nil || failure(two) != nil || p.client.Stop() != nil {
					t.Error("SVC-22: closed:", failure(one), failure(two))
				}
			})
		},
	})
	p.want("SVC-22", "1s connecting", "1s stopped", "2s connecting", "2s waiting", "2.5s stopped",
		"4s connecting", "4s preparing", "4s connected", "6s closing", "6s stopped")
	if p.cli.Reactor.Stats().Connections != 0 || p.made != 1 {
		t.Errorf("SVC-22: %d connections were made", p.made)
	}
}

// SVC-23: a start while it is stopping connects again only when the old connection is gone. A stop in that state works.
func TestClientRestart(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	p.listen()
	p.run(10*s, map[time.Duration]func(){
		1 * s: func() { p.client.Start() },
		2 * s: func() {
			stop := p.client.Stop()
			p.client.Start()
			w := p.client.WhenConnected(0)
			if p.client.State() != service.ClientRestarting || p.place.listens != 0 || p.made != 1 {
				t.Error("SVC-23:", p.client.State())
			}
			p.cli.Reactor.CallLater(s, func() {
				if failure(stop) != nil || failure(w) != nil || p.made != 2 || p.client.State() != service.ClientConnected {
					t.Error("SVC-23:", failure(stop), failure(w), p.client.State())
				}
			})
		},
		4 * s: func() {
			p.client.Stop()
			p.client.Start()
			stop := p.client.Stop()
			if p.client.State() != service.ClientClosing {
				t.Error("SVC-23:", p.client.State())
			}
			p.cli.Reactor.CallLater(s, func() {
				if failure(stop) != nil || p.client.State() != service.ClientStopped || p.made != 2 {
					t.Error("SVC-23: stopped:", failure(stop), p.client.State())
				}
			})
		},
	})
}

// SVC-24: a preparation that ends, or is given up because the client stops in Prepare, is given up once, and the client forgets it.
func TestClientForgetsPreparation(t *testing.T) {
	for _, stops := range []bool{true, false} {
		var p *pair
		var held weak.Pointer[deferred.Deferred[service.None]]
		cancelled := 0
		p = newPair(t, service.ClientConfig{Prepare: func(reactor.Protocol) *deferred.Deferred[service.None] {
			d := deferred.New(p.cli.Reactor, func(*deferred.Deferred[service.None]) { cancelled++ })
			held = weak.Make(d)
			if stops {
				p.client.Stop()
			} else {
				p.cli.Reactor.CallLater(s, func() { held.Value().Succeed(service.None{}) })
			}
			return d
		}})
		p.listen()
		p.run(3*s, map[time.Duration]func(){0: func() { p.client.Start() }})
		want, gaveUp := service.ClientConnected, 0
		if stops {
			want, gaveUp = service.ClientStopped, 1
		}
		if p.client.State() != want || cancelled != gaveUp {
			t.Errorf("SVC-24: %v, given up %d times", p.client.State(), cancelled)
		}
		if runtime.GC(); held.Value() != nil {
			t.Errorf("SVC-24: %v: the client still has the result of Prepare", want)
		}
		runtime.KeepAlive(p)
	}
}

// SVC-24: a preparation is run for each connection, after ConnectionMade. Who waits for a connection waits for it. If it fails, that counts as a failed attempt, and the
// connection is closed.
func TestClientPrepare(t *testing.T) {
	var p *pair
	var outcomes []error
	prepared := 0
	cancelled := 0
	p = newPair(t, service.ClientConfig{Prepare: func(q reactor.Protocol) *deferred.Deferred[service.None] {
		if q.(*silent).T == nil {
			t.Error("SVC-24: before ConnectionMade")
		}
		prepared++
		d := deferred.New(p.cli.Reactor, func(*deferred.Deferred[service.None]) { cancelled++ })
		if len(outcomes) > 0 {
			err := outcomes[0]
			outcomes = outcomes[1:]
			p.cli.Reactor.CallLater(s, func() { d.Give(service.None{}, err) })
		}
		return d
	}})
	p.listen()
	outcomes = []error{errTest, nil}
	first, any := p.client.WhenConnected(1), p.client.WhenConnected(0)
	p.run(10*s, map[time.Duration]func(){
		0: func() { p.client.Start() },
		s / 2: func() {
			if failure(any) != errPending || p.client.State() != service.ClientPreparing || p.client.Connected() != nil {
				t.Error("SVC-24: it is connected before it is prepared")
			}
		},
		1*s + s/2: func() {
			if failure(first) != errTest || failure(any) != errPending || p.cli.Reactor.Stats().Connections != 0 {
				t.Error("SVC-24: a failed preparation:", failure(first), failure(any))
			}
		},
		4 * s: func() {
			if failure(any) != nil || prepared != 2 {
				t.Error("SVC-24: prepared:", failure(any), prepared)
			}
			p.hangUp() // and then lost while it is prepared
		},
		6 * s: p.hangUp,
		9 * s: func() {
			if p.client.State() != service.ClientPreparing {
				t.Error(p.client.State())
			}
			p.client.Stop()
		},
	})
	p.want("SVC-24", "0s connecting", "0s preparing", "1s rejecting", "1s waiting", "2s connecting", "2s preparing", "3s connected",
		"4s waiting", "5s connecting", "5s preparing", "6s rejecting", "6s waiting", "8s connecting", "8s preparing", "9s closing", "9s stopped")
	if prepared != 4 || cancelled != 2 || p.cli.Reactor.Stats().Connections != 0 {
		t.Errorf("SVC-24: prepared %d times, given up %d times", prepared, cancelled)
	}
}

// halves is a protocol with an optional interface.
type halves struct {
	silent
	readLost int
}

func (h *halves) ReadConnectionLost()  { h.readLost++ }
func (h *halves) WriteConnectionLost() {}

// watched is a factory with one.
type watched struct {
	h                *halves
	started, stopped int
}

func (w *watched) BuildProtocol(kernel.Addr) reactor.Protocol { return w.h }
func (w *watched) StartFactory() error                        { w.started++; return nil }
func (w *watched) StopFactory() error                         { w.stopped++; return nil }
func (w *watched) LogPrefix() string                          { return "watched" }

// SVC-25: the protocol that the reactor sees is one around the user's. It hides no optional interface and forwards start and stop of the factory.
func TestClientWrapper(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	p.listen()
	w := &watched{h: new(halves)}
	c := service.NewClient(p.cli.Reactor, p.place, w, &service.ClientConfig{Policy: waits{most: 1}})
	sv := service.Named(p.cli.Reactor, "c", c)
	p.run(5*s, map[time.Duration]func(){
		0: func() { sv.Start() },
		1 * s: func() {
			if w.started != 1 || w.stopped != 0 || c.Connected() != reactor.Protocol(w.h) || !sv.Running() {
				t.Errorf("SVC-25: started %d, stopped %d", w.started, w.stopped)
			}
			for conn := range p.srv.Reactor.Streams() {
				conn.CloseWrite()
			}
		},
		2 * s: func() {
			if w.h.readLost != 1 || c.State() != service.ClientConnected {
				t.Errorf("SVC-25: %d half-closes, %v", w.h.readLost, c.State())
			}
			sv.Stop()
		},
	})
	if w.started != 1 || w.stopped != 1 || sv.State() != service.Stopped {
		t.Errorf("SVC-25: started %d, stopped %d, %v", w.started, w.stopped, sv.State())
	}
	panics(t, func() { service.NewClient(p.cli.Reactor, nil, w, nil) })
}

// A connection whose protocol was exchanged is lost for the client as well.
func TestClientSwitched(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	p.listen()
	p.run(5*s, map[time.Duration]func(){
		0: func() { p.client.Start() },
		1 * s: func() {
			sw, ok := reactor.As[reactor.Switcher](p.client.Connected().(*silent).T)
			if !ok {
				t.Fatal("no Switcher")
			}
			if _, err := sw.SwitchProtocol(new(silent)); err != nil {
				t.Fatal(err)
			}
		},
		2 * s: p.hangUp,
	})
	p.want("exchanged", "0s connecting", "0s preparing", "0s connected", "2s waiting", "3s connecting", "3s preparing", "3s connected")
}

// A stop whose limit has passed aborts the connection.
func TestClientStopLimit(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	p.listen()
	c := service.NewCollection(p.cli.Reactor, "c")
	c.StopLimit = 2 * s
	c.Add(service.Named(p.cli.Reactor, "client", p.client))
	var stop *deferred.Deferred[service.None]
	p.run(20*s, map[time.Duration]func(){
		0: func() { c.Start() },
		1 * s: func() {
			p.n.Partition("srv", "cli")
			p.client.Connected().(*silent).T.Write(make([]byte, 8<<20)) // more than the kernel takes
			stop = c.Stop()
		},
	})
	if !errors.Is(failure(stop), service.ErrStopLimit) || p.client.State() != service.ClientStopped || p.cli.Reactor.Stats().Connections != 0 {
		t.Error(failure(stop), p.client.State())
	}
	p.want("limit", "0s connecting", "0s preparing", "0s connected", "1s closing", "3s stopped")
}

// tardy is a place that tells of its connections a second late.
type tardy struct{ *place }

func (p tardy) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) func() {
	return p.place.Connect(r, f, func(q reactor.Protocol, err error) {
		r.CallLater(s, func() { done(q, err) })
	})
}

// A connection that is lost before the place has told of it is a failed attempt.
func TestClientLostEarly(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	p.listen()
	c := service.NewClient(p.cli.Reactor, tardy{p.place}, reactor.Each[silent](), &service.ClientConfig{Policy: waits{}})
	d := c.WhenConnected(1)
	p.run(5*s, map[time.Duration]func(){
		0:     func() { c.Start() },
		s / 2: p.hangUp,
		1*s + s/2: func() {
			if !errors.Is(failure(d), kernel.ErrReset) || c.State() != service.ClientWaiting {
				t.Error(failure(d), c.State())
			}
		},
	})
	if c.State() != service.ClientConnected {
		t.Error(c.State())
	}
}

// SVC-22: a stop inside ConnectionMade, and one in the factory, close the connection. The first is over after ConnectionLost.
func TestClientStopInside(t *testing.T) {
	for _, at := range []string{"BuildProtocol", "ConnectionMade", "a place that goes on"} {
		p := newPair(t, service.ClientConfig{})
		p.listen()
		proto := new(stopper)
		var c *service.Client
		var end *deferred.Deferred[service.None]
		f := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			if at == "BuildProtocol" {
				c.Stop()
			}
			return proto
		})
		c = service.NewClient(p.cli.Reactor, &stubborn{p.place, at == "a place that goes on"}, f, nil)
		proto.made = func() {
			if at == "ConnectionMade" {
				if end = c.Stop(); end == nil || failure(end) != errPending || c.State() != service.ClientClosing {
					t.Error("SVC-22: it does not wait for ConnectionLost", c.State())
				}
			}
		}
		p.run(10*s, map[time.Duration]func(){0: func() {
			if c.Start(); at == "a place that goes on" {
				c.Stop()
			}
		}})
		if proto.lost == (at == "BuildProtocol") || p.cli.Reactor.Stats().Connections != 0 || c.State() != service.ClientStopped || end != nil && failure(end) != nil {
			t.Errorf("SVC-22: in %s: lost: %v, %v", at, proto.lost, c.State())
		}
		// It can be started again.
		proto.made = func() {}
		p.run(15*s, map[time.Duration]func(){12 * s: func() { at = ""; c.Start() }})
		if c.State() != service.ClientConnected {
			t.Error("SVC-22: started again:", c.State())
		}
	}
}

// stubborn is a place whose attempts go on after they were given up, if it is set.
type stubborn struct {
	*place
	set bool
}

func (p *stubborn) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) func() {
	cancel := p.place.Connect(r, f, done)
	if p.set {
		return func() {}
	}
	return cancel
}

type stopper struct {
	reactor.Base
	made func()
	lost bool
}

func (p *stopper) ConnectionMade(t reactor.Transport) { p.Base.ConnectionMade(t); p.made() }
func (p *stopper) ConnectionLost(error)               { p.lost = true }
func (p *stopper) DataReceived([]byte)                {}

// SVC-21: a stop before the first start is a stop too: who waits hears of it, and who asks afterwards does not wait, until a start.
func TestStopBeforeStart(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	pool := service.NewPool(p.cli.Reactor, p.place, reactor.Each[silent](), nil)
	before, lease := p.client.WhenConnected(0), pool.Acquire()
	p.client.Stop()
	pool.Stop()
	after, nextLease := p.client.WhenConnected(0), pool.Acquire()
	for i, err := range []error{failure(before), failure(lease), failure(after), failure(nextLease)} {
		if err != reactor.ErrCancelled {
			t.Errorf("SVC-21: %d: %v", i, err)
		}
	}
	p.client.Start()
	pool.Start()
	if w, l := p.client.WhenConnected(0), pool.Acquire(); failure(w) != errPending || failure(l) != errPending {
		t.Errorf("SVC-21: after a start: %v, %v", failure(w), failure(l))
	}
}
