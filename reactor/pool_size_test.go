package reactor_test

import (
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// THR-10: Config.PoolSize is how many goroutines the pool has at most, fewer than ten or more.
func TestPoolSizeOfConfig(t *testing.T) {
	nativeWorlds(t, "threads of a pool", func(t *testing.T, w testworld.World) {
		for _, size := range []int{1, 3, 12} {
			r := w.New(t, reactor.Config{PoolSize: size})
			release := occupy(t, r, size+2)
			testworld.Turns(t, r, 1)
			if got := r.Pool().Stats(); got.Workers != size {
				t.Errorf("THR-10: with a size of %d: %+v", size, got)
			}
			release()
		}
	})
}
