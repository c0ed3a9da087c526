package service_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
)

// newPool makes a pool in a world of two hosts.
func newPool(t *testing.T, c service.PoolConfig) (*pair, *service.Pool) {
	w := newPair(t, service.ClientConfig{})
	if c.Policy == nil {
		c.Policy = waits{}
	}
	return w, service.NewPool(w.cli.Reactor, w.place, reactor.Each[silent](), &c)
}

// A pool lends each connection to one at a time, in the order of asking.
func TestPool(t *testing.T) {
	w, p := newPool(t, service.PoolConfig{Size: 2, MaxWaiting: 3})
	w.listen()
	first := p.Acquire() // before the start
	w.run(s, map[time.Duration]func(){0: func() { p.Start() }})
	if failure(first) != nil || p.Idle() != 1 || w.cli.Reactor.Stats().Connections != 2 {
		t.Fatal(failure(first), p.Idle())
	}
	second, third, fourth, fifth := p.Acquire(), p.Acquire(), p.Acquire(), p.Acquire()
	if failure(second) != nil || failure(third) != errPending || p.Idle() != 0 || p.Waiting() != 3 {
		t.Error(failure(second), failure(third), p.Waiting())
	}
	if failure(p.Acquire()) != deferred.ErrTooManyWaiting {
		t.Error("too many wait")
	}
	a, _ := first.Outcome()
	b, _ := second.Outcome()
	if a.Value.Protocol() == b.Value.Protocol() || a.Value.Protocol() == nil {
		t.Error("one connection was lent twice")
	}
	fourth.Cancel()
	a.Value.Release()
	a.Value.Release()
	c, _ := third.Outcome()
	if failure(third) != nil || c.Value.Protocol() != a.Value.Protocol() || failure(fifth) != errPending || p.Waiting() != 1 {
		t.Error(failure(third), failure(fifth))
	}
	// One that is lost is not lent, and its client makes another.
	w.run(5*s, map[time.Duration]func(){s: func() { b.Value.Protocol().(*silent).T.Abort() }})
	if !b.Value.Lost() || a.Value.Lost() || failure(fifth) != nil || p.Idle() != 0 {
		t.Error(b.Value.Lost(), failure(fifth), p.Idle())
	}
	b.Value.Release()
	c.Value.Release()
	if p.Idle() != 1 || c.Value.Lost() {
		t.Error("released after a loss:", p.Idle())
	}
	w.run(7*s, map[time.Duration]func(){6 * s: w.hangUp})
	if p.Idle() != 0 {
		t.Error("an idle connection was lost:", p.Idle())
	}
	w.run(20*s, nil)
	if p.Idle() != 2 {
		t.Error("after the losses:", p.Idle())
	}
	p.Acquire()
	p.Acquire()
	last := p.Acquire()
	sv := p.Stop()
	if failure(last) != reactor.ErrCancelled || failure(sv) != errPending {
		t.Error(failure(last), failure(sv))
	}
	w.run(30*s, nil)
	if failure(sv) != nil || failure(p.Acquire()) != reactor.ErrCancelled || w.cli.Reactor.Stats().Connections != 0 {
		t.Error(failure(sv))
	}
	w.run(40*s, map[time.Duration]func(){31 * s: func() { p.Start() }})
	if p.Idle() != 2 {
		t.Error("started again:", p.Idle())
	}
	if p.Stop(); p.Idle() != 0 {
		t.Error("stopped, and idle:", p.Idle())
	}
	w.run(50*s, nil)
}

// If all clients of a pool give up, whoever waits hears why, and so does who asks later, until the pool is stopped.
func TestPoolGivesUp(t *testing.T) {
	states := 0
	w, p := newPool(t, service.PoolConfig{Size: 3, ClientConfig: service.ClientConfig{
		Policy: waits{most: 1}, Changed: func(service.ClientState, error) { states++ },
	}})
	d := p.Acquire()
	w.run(20*s, map[time.Duration]func(){
		0: func() { p.Start() },
		s / 2: func() {
			if failure(d) != errPending {
				t.Error("before all have:", failure(d))
			}
		},
	})
	if !errors.Is(failure(d), kernel.ErrRefused) || states != 3*4 {
		t.Error(failure(d), states)
	}
	if err := failure(p.Acquire()); !errors.Is(err, kernel.ErrRefused) {
		t.Error("asked after that:", err)
	}
	p.Stop()
	if err := failure(p.Acquire()); err != reactor.ErrCancelled {
		t.Error("stopped after that:", err)
	}
	if all := p.Clients(); len(all) != 3 || all[0].State() != service.ClientStopped {
		t.Error(all)
	}
	panics(t, func() { newPool(t, service.PoolConfig{Size: -1}) })
	if failure(service.NewPool(w.cli.Reactor, w.place, reactor.Each[silent](), &service.PoolConfig{MaxWaiting: -1}).Acquire()) != deferred.ErrTooManyWaiting {
		t.Error("nobody may wait, and somebody does")
	}
	service.NewPool(w.cli.Reactor, w.place, reactor.Each[silent](), nil)
}

// Whoever hears of the loss in ConnectionLost of the protocol finds the lease lost there.
func TestLeaseLostInConnectionLost(t *testing.T) {
	w := newPair(t, service.ClientConfig{})
	w.listen()
	var l *service.Lease
	lost := false
	cfg := &service.PoolConfig{Size: 1}
	cfg.Policy = waits{}
	p := service.NewPool(w.cli.Reactor, w.place, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
		return &leaseholder{end: func() { lost = l.Lost() }}
	}), cfg)
	w.run(s, map[time.Duration]func(){0: func() { p.Start() }})
	o, _ := p.Acquire().Outcome()
	if l = o.Value; l.Lost() {
		t.Error("lost when it was lent")
	}
	w.run(2*s, map[time.Duration]func(){s: w.hangUp})
	if !lost || !l.Lost() {
		t.Errorf("lost: %v in ConnectionLost, and %v after it", lost, l.Lost())
	}
}

// Whoever asks a pool again in the answer to its stop gets the same answer.
func TestPoolAskedInStop(t *testing.T) {
	w, p := newPool(t, service.PoolConfig{Size: 1})
	var again *deferred.Deferred[*service.Lease]
	w.run(3*s, map[time.Duration]func(){
		0: func() {
			p.Start()
			p.Acquire().Done(func(*service.Lease, error) { again = p.Acquire() })
		},
		2 * s: func() { p.Stop() },
	})
	if again == nil || failure(again) != reactor.ErrCancelled || p.Waiting() != 0 {
		t.Error(again != nil, p.Waiting())
	}
}
