package testworld

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// WorldOf is a native world whose kernels open makes.
func WorldOf(name string, open func() (kernel.Kernel, error)) World {
	return World{name: name, peers: new(peerKernels), open: open}
}

// ReapWithin is Reap with another limit.
func ReapWithin(t testing.TB, limit time.Duration) { reapWithin(t, limit) }
