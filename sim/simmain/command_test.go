package simmain

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/sim/fleet"
)

func TestSeedRange(t *testing.T) {
	for text, want := range map[string][2]uint64{
		"": {0, 100}, "1": {0, 1}, "1000": {0, 1000}, "100..200": {100, 101}, "0..0": {0, 1}, "7..7": {7, 1},
	} {
		if first, count, err := (&Command{Seeds: text}).check(); first != want[0] || count != want[1] || err != nil {
			t.Errorf("%q is %d from %d on, and %v; want %v", text, count, first, err, want)
		}
	}
	for _, text := range []string{"0", "-1", "x", "5..4", "1..", "..1", "1..2..3", "99999999999999999999"} {
		_, _, err := (&Command{Seeds: text}).check()
		if _, ok := errors.AsType[*UsageError](err); !ok || !strings.Contains(err.Error(), text) {
			t.Errorf("%q gives %v", text, err)
		}
	}
}

// The status is 0 only if all seeds were run, and held.
func TestReport(t *testing.T) {
	for _, x := range []struct {
		failed      uint64
		interrupted bool
		want        error
	}{{0, false, nil}, {1, false, ErrFailed}, {0, true, ErrFailed}} {
		c, s := &Command{JSON: true}, &fleet.Summary{Failed: x.failed, Interrupted: x.interrupted}
		if err := c.summary(newPrinter(io.Discard), &fleet.Batch{}, s); err != x.want {
			t.Errorf("%d failed, interrupted %v: %v", x.failed, x.interrupted, err)
		}
	}
}
