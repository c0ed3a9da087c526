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
			die(r, runtime.Goexit)
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

// CORE-49: nor do those that have ended, whose stacks are kept for others.
func TestEndedHandshakesDie(t *testing.T) {
	sc, cc := configs(tls.VersionTLS13)
	for name, w := range testworld.Worlds() {
		for _, stack := range []tlsio.Stack{tlsio.StackPool, tlsio.StackLoop} {
			goroutines := runtime.NumGoroutine()
			srv, cli, _ := shakenOnce(t, w, sc, cc, stack)
			die(srv, runtime.Goexit)
			cli.Close()
			if n := leaktest.Goroutines(goroutines); n > goroutines {
				t.Errorf("CORE-49: %s: %d goroutines, %d before", name, n, goroutines)
			}
		}
	}
}

// CORE-49: nor do those that a worker has handed back, and that the loop has not taken.
func TestHandedBackDie(t *testing.T) {
	sc, cc := configs(tls.VersionTLS13)
	release := make(chan struct{})
	sc.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.ServerName == "late.test" {
			<-release
		}
		return nil, nil
	}
	for name, w := range testworld.Native() {
		release = make(chan struct{})
		goroutines := runtime.NumGoroutine()
		srv, cli, at := shakenOnce(t, w, sc, cc, tlsio.StackPool)
		late := cc.Clone()
		late.ServerName, late.InsecureSkipVerify = "late.test", true
		cli.Dial(at, tlsio.Client(late, one(new(end)), nil), nil, nil)
		testworld.Until(t, func() bool { return tlsio.StatsOf(srv).Running == 1 }, srv, cli)
		die(srv, func() {
			close(release)
			time.Sleep(30 * time.Millisecond) // the worker has posted by then
			runtime.Goexit()
		})
		cli.Close()
		if n := leaktest.Goroutines(goroutines); n > goroutines {
			t.Errorf("CORE-49: %s: %d goroutines, %d before", name, n, goroutines)
		}
	}
}

// shakenOnce returns a server and a client that have made one handshake, and where the server listens.
func shakenOnce(t *testing.T, w testworld.World, sc, cc *tls.Config, stack tlsio.Stack) (srv, cli *reactor.Reactor, at kernel.Addr) {
	t.Helper()
	log := testworld.NewLog(t)
	log.Expect("the loop's goroutine ends inside a callback")
	srv, cli = w.New(t, reactor.Config{Logger: log.Logger()}), w.New(t, reactor.Config{})
	e, served := new(end), new(end)
	f := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return served })
	p, err := srv.Listen(loopback(), tlsio.Server(sc, f, &tlsio.Options{Stack: stack}), nil)
	if err != nil {
		t.Fatal(err)
	}
	cli.Dial(p.Addr(), tlsio.Client(cc, one(e), nil), nil, nil)
	testworld.Until(t, func() bool { return e.saw("shaken") && served.saw("shaken") }, srv, cli)
	return srv, cli, p.Addr()
}

// die has the loop of r call fn, which ends its goroutine.
func die(r *reactor.Reactor, fn func()) {
	r.Post(fn)
	left := make(chan struct{})
	go func() {
		defer close(left)
		r.Turn(0)
	}()
	<-left
}
