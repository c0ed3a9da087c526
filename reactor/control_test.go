package reactor_test

import (
	"errors"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// A Control that panics fails the Listen or the attempt to connect, with the panic, and leaves no
// descriptor.
func TestControlPanics(t *testing.T) {
	nativeWorlds(t, "there are no descriptors", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
		port := listen(t, r, &service{}, nil)
		options := kernel.StreamOptions{Control: func(uintptr) error { panic("control") }}
		var e *reactor.PanicError
		_, err := r.Listen(loopback, &service{}, &reactor.ListenConfig{ListenOptions: kernel.ListenOptions{StreamOptions: options}})
		if !errors.As(err, &e) || !errors.Is(err, reactor.ErrListen) {
			t.Errorf("Listen: %v", err)
		}
		calls := 0
		c := r.Dial(port.Addr(), one(new(end)), &reactor.DialConfig{DialOptions: kernel.DialOptions{StreamOptions: options}},
			func(_ reactor.Protocol, err error) {
				if calls++; !errors.As(err, &e) {
					t.Errorf("Dial: %v", err)
				}
			})
		until(t, r, func() bool { return calls > 0 })
		if calls != 1 || c.StopConnecting() == nil {
			t.Errorf("done was called %d times, or it still connects", calls)
		}
	})
}

// TCP-38: a Control that gives up the attempt for which it is called leaves neither a descriptor nor a connection.
func TestControlGivesUp(t *testing.T) {
	nativeWorlds(t, "there are no descriptors", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		svc := &service{}
		port := listen(t, r, svc, nil)
		until(t, r, func() bool { return true })
		before := leaktest.Descriptors()
		for _, at := range []kernel.Addr{port.Addr(), kernel.HostAddr("localhost", port.Addr().Port())} {
			var c *reactor.Connector
			o := new(reactor.DialConfig)
			o.Control = func(uintptr) error { return c.StopConnecting() }
			var ends []error
			c = r.Dial(at, one(new(end)), o, func(_ reactor.Protocol, err error) { ends = append(ends, err) })
			until(t, r, func() bool { return len(ends) > 0 })
			testworld.Turns(t, r, 10)
			if len(ends) != 1 || !errors.Is(ends[0], reactor.ErrCancelled) {
				t.Errorf("TCP-38: %v told %v", at, ends)
			}
			if n := leaktest.Descriptors() - before; n > 0 {
				t.Errorf("%v: %d descriptors more", at, n)
			}
			if n := port.Stats().Open; n != 0 {
				t.Errorf("TCP-38: %v: %d connections", at, n)
			}
		}
	})
}
