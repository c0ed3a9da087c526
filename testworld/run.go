package testworld

import (
	"context"
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
