package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/kerneltest"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

// The suite that every kernel passes, whole and cut, with and without latency.
func TestKernel(t *testing.T) {
	for _, c := range []struct {
		chunk      int
		latency    time.Duration
		send, recv int
	}{{0, 0, 0, 0}, {4096, 0, 0, 0}, {7, 0, 4096, 4096}, {0, 100 * time.Microsecond, 0, 0}, {3000, time.Microsecond, 1000, 1 << 20}} {
		if raced && c.chunk > 0 {
			continue // they are slow, and one goroutine runs them all
		}
		t.Run(fmt.Sprintf("%d/%v", c.chunk, c.latency), func(t *testing.T) {
			seed := uint64(0)
			kerneltest.Run(t, func(t *testing.T) kernel.Kernel {
				seed++
				n := sim.New(seed)
				testworld.Shell(n)
				n.Options.Chunk, n.Options.SendBuffer, n.Options.RecvBuffer = c.chunk, c.send, c.recv
				n.SetLatency("localhost", "localhost", 0, c.latency)
				return n.Kernel()
			})
		})
	}
}
