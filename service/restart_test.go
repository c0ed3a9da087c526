package service_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
	"github.com/whorl-go/whorl/service"
	"github.com/whorl-go/whorl/sim"
)

// restart is a world of a server that is restarted after ten seconds, and of its clients.
type restart struct {
	clients int
	drain   int               // connections a second that the drain ends; 0: all at once, by a crash
	rate    int               // connections a second that the new server admits; 0: any number
	policy  retry.Exponential // of the clients
	curve   [60]int           // connections that the server has accepted in each second
	peak    int               // the most in a tenth of a second, from the restart on
}

// run lets the world run for a minute and returns how many clients are connected then.
func (w *restart) run(t *testing.T) (connected int) {
	n := sim.New(1)
	defer n.Close()
	n.Options.Latency = sim.Latency{Min: 5 * time.Millisecond, Max: 20 * time.Millisecond}
	n.Config.ReadBuffer = 4 << 10
	srv := n.Host("srv")
	var tenths [600]int
	made := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
		tenths[int(n.Now()/(100*time.Millisecond))]++
		return new(silent)
	})
	var port *reactor.Port
	listen := func(rate int) {
		o := &reactor.ListenConfig{}
		o.AcceptRate, o.AcceptBurst = rate, max(rate/10, 1)
		if rate == 0 {
			o.AcceptBurst = 0
		}
		var err error
		if port, err = srv.Reactor.Listen(srv.Addr(7), made, o); err != nil {
			t.Error(err)
		}
	}
	n.At(0, func() { listen(0) })
	random := rand.New(rand.NewPCG(1, 2))
	var all []*service.Client
	for i := range 10 { // hosts
		h := n.Host(fmt.Sprint("cli", i))
		for range w.clients / 10 {
			c := service.NewClient(h.Reactor, &place{Addr: srv.Addr(7)}, reactor.Each[silent](), &service.ClientConfig{Policy: w.policy, Random: random})
			all = append(all, c)
			n.At(time.Duration(random.Int64N(int64(5*s))), func() { c.Start() })
		}
	}
	n.At(10*s, func() {
		port.StopListening(nil)
		if w.drain == 0 {
			for c := range srv.Reactor.Streams() {
				c.Abort()
			}
			n.At(11*s, func() { listen(w.rate) })
			return
		}
		srv.Reactor.Drain(reactor.DrainConfig{PerSecond: w.drain, Done: func(int) { listen(w.rate) }})
	})
	if err := n.Run(time.Minute - 1); err != nil {
		t.Fatal(err)
	}
	for i, a := range tenths {
		w.curve[i/10] += a
		if i >= 100 {
			w.peak = max(w.peak, a)
		}
	}
	for _, c := range all {
		if c.State() == service.ClientConnected {
			connected++
		}
	}
	return connected
}

// A restart of a server with 10,000 clients is a storm if its connections end at once and clients wait all alike. It is none if the drain is paced, clients wait at
// random, and the new server admits them at a rate.
func TestRestart(t *testing.T) {
	t.Parallel()
	clients := 10_000
	if testing.Short() || raced {
		clients = 1000
	}
	storm := &restart{clients: clients, policy: retry.Exponential{Jitter: -1}}
	if n := storm.run(t); n != clients || storm.peak < clients*9/10 {
		t.Errorf("the storm: %d of %d are connected, at most %d in 100 ms: %v", n, clients, storm.peak, storm.curve)
	}
	rate := clients / 10
	calm := &restart{clients: clients, drain: rate, rate: rate, policy: retry.Exponential{Max: 10 * s, Jitter: 5 * s}}
	if n := calm.run(t); n != clients || calm.peak > rate/5+1 || slices.Max(calm.curve[10:]) > rate*12/10 {
		t.Errorf("paced: %d of %d are connected, at most %d in 100 ms: %v", n, clients, calm.peak, calm.curve)
	}
	t.Logf("storm: at most %d in 100 ms, by second: %v", storm.peak, storm.curve)
	t.Logf("paced: at most %d in 100 ms, by second: %v", calm.peak, calm.curve)
}
