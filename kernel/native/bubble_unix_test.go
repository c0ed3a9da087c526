//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// TIME-1: in a bubble of testing/synctest, whose time stands still while somebody waits for the system, the clock goes on, and Wait ends at its deadline.
// Before, it returned early without end.
func TestClockInBubble(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := testKernel(t, name, Options{})
				began, until := systemTime(t), k.Now()+3*time.Millisecond
				events := make([]kernel.Event, 1)
				for n := 0; k.Now() < until; n++ {
					if _, err := k.Wait(events, until); err != nil || n == 100 {
						t.Fatalf("the clock is at %v after %d waits until %v, and %v", k.Now(), n, until, err)
					}
				}
				if took := systemTime(t) - began; took < 3*time.Millisecond {
					t.Errorf("3 ms have passed after %v", took)
				}
			})
			if b := baseOf(testKernel(t, name, Options{})); b.real != nil {
				t.Error("outside of a bubble it has a clock that is slower to read")
			}
		})
	}
}

// systemTime is CLOCK_MONOTONIC.
func systemTime(t *testing.T) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(clockMonotonic, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}
