package native_test

import (
	"runtime"
	"testing"

	"github.com/whorl-go/whorl/kernel/native"
)

// TestWaitModes: how epoll waits changes nothing of what is promised.
func TestWaitModes(t *testing.T) {
	// What WaitAuto stands for here, TestKernels has.
	auto := native.WaitAdaptive
	if runtime.GOMAXPROCS(0) > 1 {
		auto = native.WaitHold
	}
	for m := native.WaitAdaptive; m <= native.WaitPark; m++ {
		if m != auto {
			t.Run(m.String(), func(t *testing.T) { suite(t, "epoll", native.Options{Wait: m}) })
		}
	}
}
