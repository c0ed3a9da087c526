package reactor_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// A DelayedCall that is not pending may be copied, as a struct that holds one is when a
// function returns it.
func TestDelayedCallCopied(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var calls int
		var first reactor.DelayedCall
		first.Init(r, func() { calls++ })
		second := first
		first.Reset(time.Hour)
		second.Reset(2 * time.Hour)
		same(t, r.DelayedCalls(), &first, &second)
		first.Cancel()
		second.Reset(0)
		until(t, r, func() bool { return calls == 1 })
		if second.Active() || first.Active() {
			t.Error("one is pending")
		}
	})
}
