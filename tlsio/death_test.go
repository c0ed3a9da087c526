package tlsio_test

import (
	"crypto/tls"
	"runtime"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// CORE-49: handshakes that wait for their peers leave no goroutine when a callback ends the loop's.
func TestHandshakesDie(t *testing.T) {
	sc, _ := configs(tls.VersionTLS13)
	for name, w := range testworld.Worlds() {
		for _, stack := range []tlsio.Stack{tlsio.StackPool, tlsio.StackLoop} {
			goroutines := runtime.NumGoroutine()
			log := testworld.NewLog(t)
			log.Expect("the loop's goroutine ends inside a callback")
			r := w.New(t, reactor.Config{Logger: log.Logger()})
			f := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return new(end) })
			p, err := r.Listen(loopback(), tlsio.Server(sc, f, &tlsio.Options{Stack: stack}), nil)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				w.Peer(t, p.Addr(), r).Send("\x16\x03\x01\x02\x00half a hello")
			}
			testworld.Until(t, func() bool { return tlsio.StatsOf(r).Pending == 3 }, r)
			testworld.Turns(t, r, 3)
			for begin := r.Now(); r.Now() < begin+20*time.Millisecond; {
				r.Turn(time.Millisecond)
			}
			r.Post(runtime.Goexit)
			left := make(chan struct{})
			go func() {
				defer close(left)
				r.Turn(0)
			}()
			<-left
			if n := leaktest.Goroutines(goroutines); n > goroutines {
				t.Errorf("CORE-49: %s: %d goroutines, %d before", name, n, goroutines)
			}
		}
	}
}

// nor do those of simulated hosts that crash, when the network is closed.
func TestHandshakesCrash(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	sc, cc := configs(tls.VersionTLS13)
	for at := range 20 {
		n := sim.New(1)
		n.Options.Latency = sim.Latency{Min: 2 * time.Millisecond, Max: 2 * time.Millisecond}
		srv, cli := n.Host("srv"), n.Host("cli")
		srv.Start(func(h *sim.Host) {
			h.Reactor.Listen(h.Addr(443), tlsio.Server(sc, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return new(end) }), nil), nil)
		})
		for range 3 {
			cli.Reactor.Dial(srv.Addr(443), tlsio.Client(cc, one(new(end)), nil), nil, nil)
		}
		n.Run(time.Duration(at) * time.Millisecond)
		srv.Crash()
		cli.Crash()
		n.Run(time.Second)
		n.Close()
	}
	if n := leaktest.Goroutines(goroutines); n > goroutines {
		t.Errorf("X-5: %d goroutines, %d before", n, goroutines)
	}
}
