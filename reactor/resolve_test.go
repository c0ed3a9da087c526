package reactor_test

import (
	"context"
	"net/netip"
	"testing"

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
