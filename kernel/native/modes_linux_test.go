package native_test

import (
	"testing"

	"github.com/whorl-go/whorl/kernel/native"
)

// TestWaitModes: how epoll waits changes nothing of what is promised.
func TestWaitModes(t *testing.T) {
	for m := native.WaitAdaptive; m <= native.WaitPark; m++ {
		t.Run(m.String(), func(t *testing.T) { suite(t, "epoll", native.Options{Wait: m}) })
	}
}
