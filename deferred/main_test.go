package deferred_test

import (
	"os"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

// simulated is a reactor in a simulated world.
func simulated(t testing.TB, c reactor.Config) *reactor.Reactor {
	t.Helper()
	return testworld.New(t, sim.New(1).Kernel(), c)
}

// panics returns what fn panics with, as text, and fails the test if it does not.
func panics(t *testing.T, fn func()) (text any) {
	t.Helper()
	defer func() {
		t.Helper()
		if text = recover(); text == nil {
			t.Error("no panic")
		}
	}()
	fn()
	return nil
}

func until(t testing.TB, r *reactor.Reactor, done func() bool) {
	t.Helper()
	testworld.Until(t, done, r)
}
