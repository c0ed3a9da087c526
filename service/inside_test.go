package service_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
	"github.com/whorl-go/whorl/service"
)

// SVC-22: a stop in Changed, when the connection was lost during its preparation, ends the client. It does not connect again.
func TestClientStopWhenRejected(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	p.listen()
	var c *service.Client
	var end *deferred.Deferred[service.None]
	c = service.NewClient(p.cli.Reactor, p.place, reactor.Each[silent](), &service.ClientConfig{
		Policy: waits{},
		Prepare: func(reactor.Protocol) *deferred.Deferred[service.None] {
			return deferred.New[service.None](p.cli.Reactor, nil)
		},
		Changed: func(s service.ClientState, err error) {
			if s == service.ClientRejecting {
				end = c.Stop()
			}
		},
	})
	w := c.WhenConnected(0)
	p.run(10*s, map[time.Duration]func(){0: func() { c.Start() }, s: p.hangUp})
	if c.State() != service.ClientStopped || end == nil || failure(end) != nil || failure(w) != reactor.ErrCancelled {
		t.Fatalf("SVC-22: %v, waiting: %v", c.State(), failure(w))
	}
}

// SVC-22: a stop inside StartFactory of an attempt gives it up. A start after it there makes another one, which a later stop gives up too.
func TestClientStopInStartFactory(t *testing.T) {
	for _, again := range []bool{false, true} {
		p := newPair(t, service.ClientConfig{})
		p.listen()
		f := &starting{}
		c := service.NewClient(p.cli.Reactor, p.place, f, nil)
		f.started = func() {
			f.started = nil
			c.Stop()
			if again {
				c.Start()
			}
		}
		p.run(10*s, map[time.Duration]func(){0: func() {
			c.Start()
			if again {
				c.Stop()
			}
		}})
		if c.State() != service.ClientStopped || f.built != 0 || f.uses != 0 {
			t.Errorf("SVC-22: again %v: %v, %d connections were made, the factory has %d uses", again, c.State(), f.built, f.uses)
		}
	}
}

// starting is a factory that calls a function when it is started.
type starting struct {
	started     func()
	built, uses int
}

func (f *starting) BuildProtocol(kernel.Addr) reactor.Protocol { f.built++; return new(silent) }
func (f *starting) LogPrefix() string                          { return "starting" }
func (f *starting) StopFactory() error                         { f.uses--; return nil }
func (f *starting) StartFactory() error {
	f.uses++
	if fn := f.started; fn != nil {
		fn()
	}
	return nil
}

// SVC-13: a stop inside StartFactory gives the attempt up.
func TestConnectionStopInStartFactory(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	p.listen()
	f := &starting{}
	c := service.NewConnection(p.cli.Reactor, p.place, f)
	f.started = func() { c.Stop() }
	p.run(10*s, map[time.Duration]func(){0: func() { c.Start() }})
	if f.built != 0 || f.uses != 0 {
		t.Errorf("SVC-13: %d connections were made, the factory has %d uses", f.built, f.uses)
	}
}

// SVC-22: a policy may stop the client, instead of giving up.
func TestClientStopInPolicy(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	policy := &stopping{}
	var states []service.ClientState
	c := service.NewClient(p.cli.Reactor, p.place, reactor.Each[silent](), &service.ClientConfig{
		Policy: policy, Changed: func(s service.ClientState, _ error) { states = append(states, s) },
	})
	policy.fn = func() { c.Stop() }
	w := c.WhenConnected(0)
	p.run(10*s, map[time.Duration]func(){0: func() { c.Start() }})
	if c.State() != service.ClientStopped || failure(w) != reactor.ErrCancelled {
		t.Errorf("SVC-22: refused: %v, waiting: %v, states %v", c.State(), failure(w), states)
	}
	p.listen()
	p.run(30*s, map[time.Duration]func(){11 * s: func() { c.Start() }, 15 * s: p.hangUp})
	if c.State() != service.ClientStopped || len(states) != 6 {
		t.Errorf("SVC-22: lost: %v, states %v", c.State(), states)
	}
}

// stopping is a policy that calls a function.
type stopping struct{ fn func() }

func (p *stopping) Delay(int, retry.Source) (time.Duration, bool) { p.fn(); return s, true }

// SVC-21: who begins to wait in Changed does not hear of what has happened before.
func TestWhenConnectedInChanged(t *testing.T) {
	for _, at := range []service.ClientState{service.ClientWaiting, service.ClientStopped} {
		p := newPair(t, service.ClientConfig{})
		var c *service.Client
		var later *deferred.Deferred[reactor.Protocol]
		policy := waits{}
		if at == service.ClientStopped {
			policy.most = -1
		}
		c = service.NewClient(p.cli.Reactor, p.place, reactor.Each[silent](), &service.ClientConfig{
			Policy: policy,
			Changed: func(s service.ClientState, err error) {
				if s == at && later == nil {
					c.Start()
					later = c.WhenConnected(1)
					p.listen()
				}
			},
		})
		first := c.WhenConnected(1)
		p.run(5*s, map[time.Duration]func(){0: func() { c.Start() }})
		if !errors.Is(failure(first), kernel.ErrRefused) || later == nil || failure(later) != nil {
			t.Errorf("SVC-21: in %v: before: %v, in Changed: %v", at, failure(first), failure(later))
		}
	}
}

// leaseholder is a protocol that calls a function at its end, as one does that fails the requests it has not answered.
type leaseholder struct {
	silent
	end func()
}

func (p *leaseholder) ConnectionLost(err error) {
	if p.end != nil {
		p.end()
	}
}

// A connection that is lost is lent to nobody, although it is given back, or another one is asked for, in its ConnectionLost.
func TestPoolReleaseInConnectionLost(t *testing.T) {
	for _, at := range []string{"Release with one waiting", "Acquire", "Release in Changed"} {
		w := newPair(t, service.ClientConfig{})
		w.listen()
		made := 0
		var one *service.Lease
		var next *deferred.Deferred[*service.Lease]
		cfg := &service.PoolConfig{Size: 1}
		cfg.Policy = waits{}
		cfg.Changed = func(s service.ClientState, _ error) {
			if at == "Release in Changed" && s == service.ClientWaiting {
				one.Release()
			}
		}
		var p *service.Pool
		p = service.NewPool(w.cli.Reactor, w.place, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			made++
			x := new(leaseholder)
			if made == 1 {
				x.end = func() {
					switch at {
					case "Release with one waiting":
						one.Release()
					case "Acquire":
						next = p.Acquire()
					}
				}
			}
			return x
		}), cfg)
		w.run(s, map[time.Duration]func(){0: func() { p.Start() }})
		if at != "Acquire" {
			o, _ := p.Acquire().Outcome()
			one, next = o.Value, p.Acquire()
		}
		w.run(2*s, map[time.Duration]func(){s: w.hangUp})
		if o, _ := next.Outcome(); failure(next) != errPending {
			t.Errorf("%s: a lost connection was lent: %v, %v", at, failure(next), o.Value)
		}
		w.run(10*s, nil)
		if o, _ := next.Outcome(); failure(next) != nil || o.Value.Lost() || o.Value.Protocol() == nil || p.Idle() != 0 {
			t.Errorf("%s: the new connection was not lent: %v", at, failure(next))
		}
	}
}

// SVC-21: who asks for the connection in its ConnectionLost gets the next one.
func TestWhenConnectedInConnectionLost(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	p.listen()
	var c *service.Client
	var next *deferred.Deferred[reactor.Protocol]
	var first *leaseholder
	c = service.NewClient(p.cli.Reactor, p.place, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
		x := new(leaseholder)
		if first == nil {
			first = x
			x.end = func() {
				if c.Connected() != nil {
					t.Error("SVC-21: a lost connection counts as one")
				}
				next = c.WhenConnected(0)
			}
		}
		return x
	}), &service.ClientConfig{Policy: waits{}})
	p.run(5*s, map[time.Duration]func(){0: func() { c.Start() }, s: p.hangUp})
	if o, _ := next.Outcome(); failure(next) != nil || o.Value == reactor.Protocol(first) {
		t.Error("SVC-21: the lost connection was given", failure(next))
	}
}

// A panic of Changed does not keep a connection from those who wait for it.
func TestPoolChangedPanics(t *testing.T) {
	r := simulated(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
	port, err := r.Listen(loopback(0), reactor.Each[silent](), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &service.PoolConfig{Size: 1}
	cfg.Policy = waits{}
	cfg.Changed = func(service.ClientState, error) { panic("changed") }
	p := service.NewPool(r, &place{Addr: port.Addr()}, reactor.Each[silent](), cfg)
	d := p.Acquire()
	p.Start()
	until(t, r, func() bool { return failure(d) != errPending })
	o, _ := d.Outcome()
	if failure(d) != nil {
		t.Fatal(failure(d))
	}
	o.Value.Protocol().(*silent).T.Abort()
	until(t, r, o.Value.Lost)
}

// A stop in Changed, while the pool starts its clients, leaves none of them connected.
func TestPoolStopInStart(t *testing.T) {
	cfg := service.PoolConfig{Size: 3}
	var p *service.Pool
	stopped := false
	cfg.Changed = func(service.ClientState, error) {
		if !stopped {
			stopped = true
			p.Stop()
		}
	}
	w, p2 := newPool(t, cfg)
	p = p2
	w.listen()
	w.run(5*s, map[time.Duration]func(){0: func() { p.Start() }})
	if n := w.cli.Reactor.Stats().Connections; n != 0 || failure(p.Acquire()) != reactor.ErrCancelled {
		t.Error(n, failure(p.Acquire()))
	}
}

// COOP-4: a task that is stopped in an answer to the stop of its cooperator stays stopped.
func TestCooperatorStopTaskInAnswer(t *testing.T) {
	w := newPair(t, service.ClientConfig{})
	c := service.NewCooperator(w.cli.Reactor)
	work := func() (*deferred.Deferred[service.None], bool) { return nil, true }
	w.run(s, map[time.Duration]func(){0: func() {
		c.Start()
		a, b := c.Add(work), c.Add(work)
		a.Done().Done(func(service.None, error) { _ = b.Stop() })
		c.Stop()
		if err := failure(b.Done()); err != service.ErrTaskStopped {
			t.Errorf("COOP-4: %v", err)
		}
	}})
}

// A policy that panics ends the retries like one that gives up, and who waits hears of it.
func TestClientPolicyPanics(t *testing.T) {
	r := simulated(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
	c := service.NewClient(r, &place{Addr: loopback(7)}, reactor.Each[silent](), &service.ClientConfig{
		Policy: &stopping{func() { panic("policy") }},
	})
	d := c.WhenConnected(0)
	c.Start()
	until(t, r, func() bool { return failure(d) != errPending })
	if _, ok := errors.AsType[*reactor.PanicError](failure(d)); !ok || c.State() != service.ClientStopped {
		t.Error(failure(d), c.State())
	}
}

// SVC-14: a stop inside the first call, which is made in Start, ends the repetition. Its result comes when that call is done.
func TestPeriodicStopInFirstCall(t *testing.T) {
	w := newPair(t, service.ClientConfig{})
	r := w.cli.Reactor
	var p *service.Periodic
	var end, work *deferred.Deferred[service.None]
	calls := 0
	p = service.NewPeriodic(r, s, func(int) *deferred.Deferred[service.None] {
		calls++
		end, work = p.Stop(), deferred.Sleep(r, s)
		return work
	})
	for i := range 2 { // it can be started again
		at := time.Duration(i) * 10 * s
		w.run(at+s/2, map[time.Duration]func(){at: func() { p.Start() }})
		if failure(end) != errPending {
			t.Error("SVC-14: the result of the stop is there before the call is done:", failure(end))
		}
		w.run(at+5*s, nil)
		if failure(end) != nil || calls != i+1 {
			t.Errorf("SVC-14: %v after %d calls", failure(end), calls)
		}
	}
}
