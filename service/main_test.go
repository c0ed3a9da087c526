package service_test

import (
	"os"
	"testing"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

func TestMain(m *testing.M) {
	if how := os.Getenv(childEnv); how != "" {
		os.Exit(child(how))
	}
	os.Exit(leaktest.Main(m))
}

var (
	errTest    = kernel.Sentinel("test")
	errPending = kernel.Sentinel("pending")
)

func simulated(t testing.TB, c reactor.Config) *reactor.Reactor {
	t.Helper()
	return testworld.New(t, sim.New(1).Kernel(), c)
}

// failure is the error of d, or errPending.
func failure[T any](d *deferred.Deferred[T]) error {
	o, ok := d.Outcome()
	if !ok {
		return errPending
	}
	return o.Err
}

func until(t testing.TB, r *reactor.Reactor, done func() bool) {
	t.Helper()
	testworld.Until(t, done, r)
}

// panics fails the test if fn does not panic.
func panics(t *testing.T, fn func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	fn()
}
