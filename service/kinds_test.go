package service_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
	"github.com/whorl-go/whorl/testworld"
)

// place is an address as an endpoint, on both sides.
type place struct {
	kernel.Addr
	listens int
}

func loopback(port uint16) kernel.Addr {
	return kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), port)
}

func (p *place) Listen(on reactor.Loops, f reactor.Factory) (endpoint.Listener, error) {
	p.listens++
	l, err := on.ListenAt(p.Addr, f, nil)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (p *place) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) func() {
	c := r.Dial(p.Addr, f, nil, done)
	return func() { _ = c.StopConnecting() }
}

type silent struct {
	reactor.Base
	lost bool
}

func (*silent) DataReceived([]byte) {}

func (q *silent) ConnectionLost(error) { q.lost = true }

// SVC-12, SVC-15: a server binds in its privileged start, or in its start if it has not, and once. It can be started again. SVC-18: a stop before any start does
// nothing.
func TestServer(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			p := &place{Addr: loopback(0)}
			server := service.NewServer(r, p, reactor.Each[silent]())
			s := service.Named(r, "web", server)
			if d := s.Stop(); failure(d) != nil || server.Stop() != nil {
				t.Error("SVC-18:", failure(d))
			}
			for i, privileged := range []bool{true, false} {
				if privileged {
					if err := failure(s.StartPrivileged()); err != nil || server.Listener() == nil || p.listens != i+1 {
						t.Fatal("SVC-12, SVC-15:", err)
					}
				}
				if err := failure(s.Start()); err != nil || server.Listener() == nil || p.listens != i+1 {
					t.Fatalf("SVC-12, SVC-15: %v, %d times", err, p.listens)
				}
				at := server.Listener().Addr()
				dialled := deferred.Dial(r, at, reactor.Each[silent](), nil)
				until(t, r, func() bool { return failure(dialled) == nil })
				d := s.Stop()
				if failure(d) != errPending || s.State() != service.Stopping {
					t.Error("SVC-12, SVC-17: the stop comes before the port's:", failure(d))
				}
				until(t, r, func() bool { return failure(d) == nil })
				refused := deferred.Dial(r, at, reactor.Each[silent](), nil)
				until(t, r, func() bool { return failure(refused) != errPending })
				if !errors.Is(failure(refused), kernel.ErrRefused) || server.Listener() != nil || s.State() != service.Stopped {
					t.Error("SVC-12:", failure(refused))
				}
				dialled.Done(func(p reactor.Protocol, _ error) { p.(*silent).T.Close() })
				until(t, r, func() bool { return r.Stats().Connections == 0 })
			}
		})
	}
}

// THR-32: the stop of a server after the end of the reactor has its result at once.
func TestServerStoppedAfterEnd(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			server := service.NewServer(r, &place{Addr: loopback(0)}, reactor.Each[silent]())
			if d := server.Start(); d != nil {
				t.Fatal(failure(d))
			}
			r.Close()
			if o, ok := server.Stop().Outcome(); !ok || o.Err != nil {
				t.Errorf("THR-32: %v, %v", o.Err, ok)
			}
		})
	}
}

// SVC-16: a failure to listen is logged, and is that of the start. SVC-17: so is that of the port's end.
func TestServerFails(t *testing.T) {
	log := new(records)
	r := simulated(t, reactor.Config{Logger: log.logger()})
	taken := &place{Addr: loopback(7)}
	first := service.NewServer(r, taken, reactor.Each[silent]())
	first.Start()
	second := service.Named(r, "second", service.NewServer(r, taken, reactor.Each[silent]()))
	if err := failure(second.Start()); !errors.Is(err, reactor.ErrListen) || second.State() != service.Stopped {
		t.Error("SVC-16:", err)
	}
	if text := strings.Join(log.all, "\n"); !strings.Contains(text, "cannot listen endpoint=127.0.0.1:7") {
		t.Errorf("SVC-16: %q", text)
	}
	first.Stop()
	stubborn := service.Named(r, "stubborn", service.NewListening(r, "x", func() (endpoint.Listener, error) {
		return r.Listen(loopback(8), &stubbornFactory{reactor.Each[silent]()}, nil)
	}))
	stubborn.Start()
	d := stubborn.Stop()
	until(t, r, func() bool { return failure(d) != errPending })
	if err := failure(d); !errors.Is(err, errTest) {
		t.Error("SVC-17:", err)
	}
	panics(t, func() { service.NewListening(r, "x", nil) })
}

// stubbornFactory cannot be stopped.
type stubbornFactory struct{ reactor.Factory }

func (f *stubbornFactory) StartFactory() error     { return nil }
func (f *stubbornFactory) StopFactory() error      { return errTest }
func (f *stubbornFactory) Unwrap() reactor.Factory { return f.Factory }

// SVC-13: a service that connects does so when it starts. Its stop disconnects and does not wait. It can be started again.
func TestConnection(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			log := new(records)
			r := w.New(t, reactor.Config{Logger: log.logger()})
			port, err := r.Listen(loopback(0), reactor.Each[silent](), nil)
			if err != nil {
				t.Fatal(err)
			}
			s := service.Named(r, "c", service.NewConnection(r, &place{Addr: port.Addr()}, reactor.Each[silent]()))
			for range 2 {
				if failure(s.Start()) != nil || !s.Running() {
					t.Error("SVC-13: the start waits")
				}
				until(t, r, func() bool { return r.Stats().Connections == 2 })
				if failure(s.Stop()) != nil || s.Running() {
					t.Error("SVC-13: the stop waits")
				}
				until(t, r, func() bool { return r.Stats().Connections == 0 })
			}
			s.Start()
			s.Stop() // before there is a connection
			testworld.Turns(t, r, 10)
			if n := r.Stats().Connections; n != 0 {
				t.Error("SVC-13: given up:", n)
			}
			if slices.ContainsFunc(log.all, func(s string) bool { return strings.Contains(s, "cannot connect") }) {
				t.Errorf("an attempt that was given up is logged: %q", log.all)
			}
			stopped := false
			port.StopListening(func(error) { stopped = true })
			until(t, r, func() bool { return stopped })
			s.Start()
			until(t, r, func() bool {
				return slices.ContainsFunc(log.all, func(s string) bool { return strings.Contains(s, "cannot connect endpoint=") })
			})
			s.Stop()
		})
	}
}

// SVC-13: a stop disconnects, also if it comes too late to give up the attempt.
func TestConnectionStoppedLate(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	p.listen()
	c := service.NewConnection(p.cli.Reactor, &stubborn{p.place, true}, reactor.Each[silent]())
	p.run(5*s, map[time.Duration]func(){0: func() { c.Start(); c.Stop() }})
	if n := p.cli.Reactor.Stats().Connections; n != 0 {
		t.Errorf("SVC-13: %d connections", n)
	}
}

// SVC-14: a service that repeats a call makes the first one at its start. Its stop waits for a call in progress. A call that fails is logged and ends the repetition,
// and the stop still succeeds. It can be started again.
func TestPeriodic(t *testing.T) {
	log := new(records)
	r := simulated(t, reactor.Config{Logger: log.logger()})
	var at []time.Duration
	zero := r.Now()
	takes, fails := time.Duration(0), error(nil)
	p := service.NewPeriodic(r, s, func(int) *deferred.Deferred[service.None] {
		at = append(at, (r.Now() - zero).Round(time.Millisecond))
		if takes == 0 {
			return deferred.Call(r, func() (service.None, error) { return service.None{}, fails })
		}
		return deferred.Sleep(r, takes)
	})
	sv := service.Named(r, "p", p)
	clock := newBeat(r)
	if sv.Start(); !slices.Equal(at, []time.Duration{0}) {
		t.Error("SVC-14: the first call:", at)
	}
	clock.pass(t, 2500*time.Millisecond)
	if !slices.Equal(at, []time.Duration{0, s, 2 * s}) {
		t.Error("SVC-14:", at)
	}
	if failure(sv.Stop()) != nil || sv.State() != service.Stopped {
		t.Error("SVC-14: a stop without a call in progress:", sv.State())
	}
	takes = 2 * s
	sv.Start()
	d := sv.Stop()
	if failure(d) != errPending || sv.State() != service.Stopping || !p.Loop().Busy() {
		t.Error("SVC-14: a stop with a call in progress:", failure(d), sv.State())
	}
	until(t, r, func() bool { return failure(d) == nil })
	clock.pass(t, 10*s)
	if len(at) != 4 || sv.State() != service.Stopped {
		t.Error("SVC-14: after the stop:", at)
	}
	takes, fails, log.all = 0, errTest, nil
	sv.Start()
	clock.pass(t, 15*s)
	if len(at) != 5 || len(log.all) != 1 || !strings.Contains(log.all[0], "err=test") || !sv.Running() {
		t.Errorf("SVC-14: a call that fails: %v, %q", at, log.all)
	}
	if failure(sv.Stop()) != nil {
		t.Error("SVC-14: a stop after a failure")
	}
	fails = nil
	if sv.Start(); len(at) != 6 {
		t.Error("SVC-14: started again:", at)
	}
	sv.Stop()
}
