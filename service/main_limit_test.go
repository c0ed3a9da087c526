package service

import (
	"math"
	"testing"
	"time"
)

// SVC-27: the reactor waits longer than all limits of the program together, and without a limit if the stop has none.
func TestShutdownTimeout(t *testing.T) {
	for _, x := range []struct {
		c    MainConfig
		want time.Duration
	}{
		{MainConfig{}, DefaultStopLimit + DefaultGrace + 30*time.Second},
		{MainConfig{StopLimit: time.Hour, Grace: -1}, time.Hour + 30*time.Second},
		{MainConfig{StopLimit: time.Second, Grace: time.Minute}, 91 * time.Second},
		{MainConfig{StopLimit: -1}, -1},
		{MainConfig{StopLimit: math.MaxInt64, Grace: math.MaxInt64}, math.MaxInt64},
	} {
		p, err := x.c.open()
		if err != nil {
			t.Fatal(err)
		}
		p.r.Close()
		if x.c.Reactor.ShutdownTimeout != x.want {
			t.Errorf("SVC-27: %+v: %v, want %v", x.c, x.c.Reactor.ShutdownTimeout, x.want)
		}
	}
}
