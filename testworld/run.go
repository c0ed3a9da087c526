package testworld

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// RunLimit is how long Run lets a reactor run if it is given no other limit.
const RunLimit = 120 * time.Second

// Run runs r until it is stopped, on this goroutine, and returns what Reactor.Run returns. If limit has passed on its clock before,
// Run stops it and fails the test, saying so. Zero: RunLimit. It does not help against a callback that does not return; go test
// has -timeout for that.
func Run(t testing.TB, r *reactor.Reactor, limit time.Duration) error {
	t.Helper()
	if limit == 0 {
		limit = RunLimit
	}
	late := false
	timer := r.CallLater(limit, func() {
		late = true
		_ = r.Stop() // it may be stopping already, and have hung in that
		r.StopWaiting()
	})
	defer timer.Cancel()
	err := r.Run(context.Background())
	if late {
		t.Fatalf("the reactor was still running after %v", limit)
	}
	return err
}

// Beside runs r on a goroutine of its own until the test ends, for tests of code that waits for the loop. end ends r earlier, and returns
// when it has ended. A simulated clock is turned in steps of a millisecond, because it would otherwise jump to the next timer while the goroutines beside
// the loop still compute.
func Beside(t testing.TB, r *reactor.Reactor) (end func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if !isSimulated(r.Kernel()) {
			_ = r.Run(context.Background())
			return
		}
		for _ = r.Start(); r.Turn(step) == nil; {
		}
	}()
	end = sync.OnceFunc(func() {
		r.Post(func() { _ = r.Stop() })
		<-ended
	})
	t.Cleanup(end)
	return end
}
