package flow

import (
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// Timeout is a limit of a protocol of its own, such as the time for the next command (POL-9). It is a field of the protocol, and must
// not be copied. It is for the loop's goroutine, and runs on the reactor's clock. The zero value needs Init: Set and Reset panic without it, as soon
// as they begin a time.
type Timeout struct {
	call   reactor.DelayedCall
	period time.Duration
}

// Init makes x a limit for t. passed is called when the time is over, once each time it was set or reset. Nil: t is closed. It panics
// if x is set.
func (x *Timeout) Init(t reactor.Transport, passed func()) {
	if passed == nil {
		passed = func() { _ = t.Close() }
	}
	x.call.Init(t.Reactor(), passed)
}

// Set begins the time anew with another period, and returns the one before; zero if none was set. Zero or negative takes the limit
// away. ConnectionLost must do that.
func (x *Timeout) Set(period time.Duration) (before time.Duration) {
	before, x.period = x.period, max(0, period)
	if x.period > 0 {
		x.call.Reset(x.period)
	} else {
		x.call.Cancel()
	}
	return before
}

// Reset begins the time anew. It does nothing if no limit is set. After the time has passed it begins again.
func (x *Timeout) Reset() {
	if x.period > 0 {
		x.call.Reset(x.period)
	}
}
