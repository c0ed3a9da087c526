package testworld

import (
	"context"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// RunGroup returns a group that runs beside the test, on kernels of w, until the end of the test. All its loops turn. A Reactor.Logger of nil is
// one of NewLog, so that a logged error fails the test.
func (w World) RunGroup(t testing.TB, c reactor.GroupConfig) *reactor.Group {
	t.Helper()
	if c.Kernel == nil {
		c.Kernel = func(int, int) (kernel.Kernel, error) { return w.Open(t), nil }
	}
	if c.Reactor.Logger == nil {
		c.Reactor.Logger = NewLog(t).Logger()
	}
	g, err := reactor.NewGroup(c)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Run(context.Background()) }()
	t.Cleanup(func() {
		_ = g.Stop()
		if err := <-ended; err != nil { // a group that does not end is for the limit of go test
			t.Errorf("the group: %v", err)
		}
	})
	for !g.Running() {
		time.Sleep(time.Millisecond)
	}
	if err := g.Each(func(*reactor.Reactor) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return g
}
