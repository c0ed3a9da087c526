package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// A look-up that was given up tells nobody, of a literal and of a name: neither before its
// result has come nor after. The shutdown delivers all results, so when it is over nothing more
// can come (THR-17).
func TestResolveCancelled(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, name := range []string{"127.0.0.1", "::1", "", "localhost"} {
			r := w.New(t, reactor.Config{})
			told := 0
			done := func([]netip.Addr, error) { told++ }
			other := false
			r.CallWhenRunning(func() {
				r.Resolve(name, done)()
				late := r.Resolve(name, done)
				twice := r.Resolve(name, done)
				late()
				twice()
				twice()
				r.Resolve(name, func([]netip.Addr, error) { other = true; r.Stop() })
			})
			if err := r.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			if told != 0 || !other {
				t.Errorf("%q: told %d times after cancel; another look-up was answered: %v", name, told, other)
			}
		}
	})
}

// resolverFunc is a Resolver of a program.
type resolverFunc func(done func([]netip.Addr, error)) (cancel func())

func (f resolverFunc) Resolve(_ *reactor.Reactor, _ string, done func([]netip.Addr, error)) func() {
	return f(done)
}

// whatever a program's Resolver does, who looks a name up is told once, and not inside the call. One that panics fails the look-up at once.
func TestResolverMisbehaves(t *testing.T) {
	found := []netip.Addr{loopback.IP.Addr()}
	for name, x := range map[string]struct {
		resolve resolverFunc
		panics  int
		fails   bool
	}{
		"answers at once": {func(done func([]netip.Addr, error)) func() { done(found, nil); return nil }, 0, false},
		"answers twice":   {func(done func([]netip.Addr, error)) func() { done(found, nil); done(nil, nil); return func() {} }, 0, false},
		"panics":          {func(func([]netip.Addr, error)) func() { panic("no resolver") }, 1, true},
		"answers, panics": {func(done func([]netip.Addr, error)) func() { done(found, nil); panic("no resolver") }, 1, false},
	} {
		worlds(t, func(t *testing.T, w testworld.World) {
			panics := 0
			r := w.New(t, reactor.Config{Resolver: x.resolve, Panicked: func(*reactor.PanicError) { panics++ }})
			var told []error
			r.Resolve("name", func(ips []netip.Addr, err error) {
				if told = append(told, err); (err == nil) != slices.Equal(ips, found) {
					t.Errorf("%s: %v, %v", name, ips, err)
				}
			})
			if len(told) > 0 {
				t.Errorf("X-2: %s: told inside of Resolve", name)
			}
			r.Resolve("given up", func([]netip.Addr, error) { t.Errorf("%s: told after cancel", name) })()
			testworld.Turns(t, r, 3)
			if len(told) != 1 || (told[0] != nil) != x.fails || panics != 2*x.panics {
				t.Errorf("X-3: %s: told %v, %d panics", name, told, panics)
			}
			if !x.fails {
				return
			}
			var failure error
			r.Dial(kernel.HostAddr("name", 1), one(new(end)), &reactor.DialConfig{Timeout: -1}, func(_ reactor.Protocol, err error) { failure = err })
			until(t, r, func() bool { return failure != nil })
			if _, ok := errors.AsType[*reactor.PanicError](failure); !ok {
				t.Errorf("X-3: %s: %v", name, failure)
			}
		})
	}
}

// A cancel that panics, or answers, changes nothing for who gives a look-up up.
func TestCancelMisbehaves(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		panics := 0
		resolve := resolverFunc(func(done func([]netip.Addr, error)) func() {
			return func() { done(nil, context.Canceled); panic("no cancel") }
		})
		r := w.New(t, reactor.Config{Resolver: resolve, Panicked: func(*reactor.PanicError) { panics++ }})
		var told []error
		c := r.Dial(kernel.HostAddr("name", 1), one(new(end)), nil, func(_ reactor.Protocol, err error) { told = append(told, err) })
		testworld.Turns(t, r, 2)
		if err := c.StopConnecting(); err != nil {
			t.Error(err)
		}
		testworld.Turns(t, r, 2)
		if len(told) != 1 || !errors.Is(told[0], reactor.ErrCancelled) || panics != 1 {
			t.Errorf("told %v, %d panics", told, panics)
		}
	})
}

// Look-ups of names whose servers are silent do not keep the others waiting.
func TestResolveSilentServers(t *testing.T) {
	system := net.DefaultResolver
	defer func() { net.DefaultResolver = system }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			answered := false
			for i := range 50 {
				defer r.Resolve(fmt.Sprintf("silent%d.test", i), func([]netip.Addr, error) { t.Error("a silent server has answered") })()
			}
			r.Resolve("localhost", func(_ []netip.Addr, err error) { answered = err == nil })
			until(t, r, func() bool { return answered })
		})
	}
}

// CORE-54: names of this host are found whatever the hosts file has, and no server is asked for them.
func TestResolveNamesOfThisHost(t *testing.T) {
	system := net.DefaultResolver
	defer func() { net.DefaultResolver = system }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(_ context.Context, network, address string) (net.Conn, error) {
		t.Error("a server was asked")
		return nil, net.UnknownNetworkError(network)
	}}
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, name := range []string{"localhost", "LOCALHOST.", "nobody.localhost", "no.body.LocalHost."} {
			r := w.New(t, reactor.Config{})
			answered := false
			r.Resolve(name, func(ips []netip.Addr, err error) {
				if answered = true; err != nil || name != "localhost" && slices.ContainsFunc(ips, func(ip netip.Addr) bool { return !ip.IsLoopback() }) {
					t.Errorf("CORE-54: %s is %v, %v", name, ips, err)
				}
			})
			until(t, r, func() bool { return answered })
		}
	})
}
