package reactor_test

import (
	"errors"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// wrapper is a factory that wraps another, and has Unwrap.
type wrapper struct {
	reactor.Factory
	name  string
	log   *[]string
	start error
}

func (f *wrapper) Unwrap() reactor.Factory { return f.Factory }

func (f *wrapper) StartFactory() error {
	*f.log = append(*f.log, "start "+f.name)
	return f.start
}

func (f *wrapper) StopFactory() error {
	*f.log = append(*f.log, "stop "+f.name)
	return errors.New(f.name + " is broken")
}

// TCP-14 for factories that wrap others. Each factory is started at its first use and
// stopped after its last, whether it is used directly or through a wrapper. A wrapper
// starts before the inner factory and stops after it. If one fails to start, those that
// were started are stopped. All errors are returned.
func TestFactoryAroundFactory(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var log []string
		inner := &wrapper{Factory: one(&end{}), name: "inner", log: &log}
		a, b := &wrapper{Factory: inner, name: "a", log: &log}, &wrapper{Factory: inner, name: "b", log: &log}
		var ports []*reactor.Port
		for _, f := range []reactor.Factory{a, inner, b} {
			ports = append(ports, listen(t, r, f, nil))
		}
		sameEvents(t, log, "start a", "start inner", "start b")
		log = nil
		bad := &wrapper{Factory: inner, name: "bad", log: &log, start: errors.New("not today")}
		if _, err := r.Listen(kernel.TCPAddr(ports[0].Addr().IP.Addr(), 0), bad, nil); !errors.Is(err, bad.start) {
			t.Errorf("listened with %v", err)
		}
		above := &wrapper{Factory: bad, name: "above", log: &log}
		if _, err := r.Listen(kernel.TCPAddr(ports[0].Addr().IP.Addr(), 0), above, nil); !errors.Is(err, bad.start) {
			t.Errorf("listened with %v", err)
		}
		sameEvents(t, log, "start bad", "start above", "start bad", "stop above")
		log = nil
		var last error
		for _, p := range ports {
			over := false
			p.StopListening(func(err error) { last, over = err, true })
			until(t, r, func() bool { return over })
		}
		sameEvents(t, log, "stop a", "stop inner", "stop b")
		if last == nil || last.Error() != "inner is broken\nb is broken" {
			t.Errorf("the last port's end: %v", last)
		}
	})
}

// PROTO-4: uses are counted per reactor.
func TestFactoryOnTwoReactors(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		f := &service{}
		a, b := w.New(t, reactor.Config{}), w.New(t, reactor.Config{})
		p, q := listen(t, a, f, nil), listen(t, b, f, nil)
		sameEvents(t, f.events, "start", "start") // PROTO-4
		stopped(t, p)
		sameEvents(t, f.events, "start", "start", "stop") // PROTO-4
		stopped(t, q)
		sameEvents(t, f.events, "start", "start", "stop", "stop") // PROTO-4
	})
}

// loose is a factory whose type is not comparable.
type loose struct {
	events *[]string
	names  []string
}

func (f loose) BuildProtocol(kernel.Addr) reactor.Protocol { return new(end) }
func (f loose) StartFactory() error                        { *f.events = append(*f.events, "start"); return nil }
func (f loose) StopFactory() error                         { *f.events = append(*f.events, "stop"); return nil }

// holder is a factory whose type is comparable, and which holds what may not be.
type holder struct {
	reactor.Factory
	events *[]string
}

func (f holder) StartFactory() error { *f.events = append(*f.events, "start"); return nil }
func (f holder) StopFactory() error  { *f.events = append(*f.events, "stop"); return nil }

// PROTO-4: a factory that is not comparable works, and is not told.
func TestFactoryNotComparable(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var events []string
		for _, f := range []reactor.Factory{loose{&events, nil}, holder{reactor.Each[end](), &events}} {
			p := listen(t, r, f, nil)
			w.Peer(t, p.Addr(), r)
			until(t, r, func() bool { return p.Stats().Open == 1 })
			stopped(t, p)
		}
		if len(events) != 0 {
			t.Errorf("PROTO-4: it was told %q", events)
		}
	})
}

// One gives every connection the same protocol, and Each a new one (PROTO-3).
func TestOneAndEach(t *testing.T) {
	p := &end{}
	f := reactor.One(p)
	for range 2 {
		if got := f.BuildProtocol(kernel.Addr{}); got != reactor.Protocol(p) {
			t.Errorf("One built %v, want %v", got, p)
		}
	}
	f = reactor.Each[end]()
	if a, b := f.BuildProtocol(kernel.Addr{}), f.BuildProtocol(kernel.Addr{}); a == b {
		t.Errorf("Each built the same twice")
	}
}
