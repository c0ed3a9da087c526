package reactor_test

import (
	"errors"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// LowWater must be at least 0 and below HighWater, for ports and for connectors. With HighWater zero
// that is 64 KiB.
func TestMarks(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		open := listen(t, r, &service{}, nil)
		for _, c := range []struct {
			low, high int
			ok        bool
		}{
			{0, 0, true}, {0, 1, true}, {9, 10, true}, {64<<10 - 1, 0, true},
			{10, 10, false}, {11, 10, false}, {-1, 10, false}, {64 << 10, 0, false}, {0, -1, false}, {-2, -1, false},
		} {
			marks := reactor.StreamConfig{LowWater: c.low, HighWater: c.high}
			srv := &service{}
			p, err := r.Listen(loopback, srv, &reactor.ListenConfig{StreamConfig: marks})
			if ok := err == nil; ok != c.ok || !ok && (p != nil || !errors.Is(err, reactor.ErrMarks) || !errors.Is(err, reactor.ErrListen)) {
				t.Errorf("listening with LowWater %d and HighWater %d: %v", c.low, c.high, err)
			}
			told := false
			cli := &end{}
			r.Dial(open.Addr(), one(cli), &reactor.DialConfig{StreamConfig: marks}, func(_ reactor.Protocol, got error) { told, err = true, got })
			until(t, r, func() bool { return told })
			if ok := err == nil; ok != c.ok || !ok && (cli.s != nil || !errors.Is(err, reactor.ErrMarks) || !errors.Is(err, reactor.ErrConnect)) {
				t.Errorf("connecting with LowWater %d and HighWater %d: %v", c.low, c.high, err)
			}
		}
	})
}
