package native_test

import (
	"runtime"
	"testing"

	"github.com/whorl-go/whorl/kernel/native"
)

// TestWaitModes: every wait mode of epoll passes the suite.
func TestWaitModes(t *testing.T) {
	// TestKernels runs the mode that WaitAuto stands for here.
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

// TIME-30: every kernel passes the suite on CLOCK_BOOTTIME.
func TestBoottime(t *testing.T) {
	for _, name := range native.Names() {
		t.Run(name, func(t *testing.T) { suite(t, name, native.Options{Clock: native.ClockBoottime}) })
	}
}
