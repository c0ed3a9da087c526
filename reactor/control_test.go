package reactor_test

import (
	"errors"
	"testing"

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
