package pool_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/pool"
)

// blockingTask waits on a channel that the caller closes.
func blockingTask(c chan struct{}) func() (int, error) {
	return func() (int, error) { <-c; return 1, nil }
}

// Running names what the workers call, and Drop takes out what none has begun.
func TestRunningAndDrop(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := pool.New(pool.Config{Max: 1})
		p.Start()
		c := make(chan struct{})
		done := 0
		for range 3 {
			if err := pool.Call(p, blockingTask(c), func(n int, _ error) { done += n }); err != nil {
				t.Fatal(err)
			}
		}
		stats(t, p, pool.Stats{Workers: 1, Working: 1, Queued: 2})
		if names := p.Running(); len(names) != 1 || !strings.Contains(names[0], "blockingTask") {
			t.Errorf("running: %q", names)
		}
		if n := p.Drop(); n != 2 {
			t.Errorf("%d dropped", n)
		}
		close(c)
		p.Stop()
		if done != 1 || len(p.Running()) != 0 {
			t.Errorf("%d done, running: %q", done, p.Running())
		}
	})
}

// THR-25: a function that calls runtime.Goexit has a result too, and costs the pool no place.
func TestGoexitHasResult(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		p := pool.New(pool.Config{Max: 1})
		p.Start()
		var errs []error
		for range 2 {
			if err := pool.Call(p, func() (int, error) { runtime.Goexit(); return 0, nil }, func(_ int, err error) { errs = append(errs, err) }); err != nil {
				t.Fatal(err)
			}
		}
		p.Stop()
		if !slices.Equal(errs, []error{pool.ErrGoexit, pool.ErrGoexit}) || len(p.Running()) != 0 {
			t.Errorf("%v, running: %q", errs, p.Running())
		}
	})
}
