// Package clock is a clock that a test moves by hand: a simulated network of one host, whose time passes only in Advance.
//
//	c := clock.New()
//	defer c.Close()
//	n := startCounting(c.Reactor())
//	c.Advance(3 * time.Second)
//
// It is no clock of its own. The reactor is the one that ships, on a simulated kernel, so delayed calls, blocking work and connections within the host behave as in
// every simulation.
package clock

import (
	"errors"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// Clock is a reactor whose time is moved by hand. It is for one goroutine. [New] makes one.
type Clock struct {
	net      *sim.Net
	host     *sim.Host
	zero     time.Duration       // the network's time at New
	panicked *reactor.PanicError // the first panic of an Advance
}

// New makes a clock that stands at 0 (CLK-1). The caller closes it.
func New() *Clock {
	c := &Clock{net: sim.New(1)}
	c.net.Config.Panicked = func(e *reactor.PanicError) {
		if c.panicked == nil {
			c.panicked = e
		}
	}
	c.host = c.net.Host("clock")
	c.zero = c.net.Now()
	return c
}

// Reactor is the reactor on whose loop delayed calls are made. Only Advance turns it. Between two Advances the caller's goroutine counts as the loop's.
func (c *Clock) Reactor() *reactor.Reactor { return c.host.Reactor }

// Net is the network on which the reactor's host is the only one.
func (c *Clock) Net() *sim.Net { return c.net }

// Now is how much time has passed since New. In a delayed call it is the time for which that is due, as on every reactor (CLK-2). The origin of Reactor.Now is another one.
func (c *Clock) Now() time.Duration { return c.net.Now() - c.zero }

// Advance lets d pass. What is due meanwhile is done, in the order of due times, and in the order of scheduling if they are equal (CLK-2), what is added meanwhile with
// delay 0 included (CLK-3). A negative d counts as 0.
//
// A panic in a call goes through Advance, as a [*reactor.PanicError]. What is due at the same moment is done before, and what is due later stays pending (CLK-5). If
// calls with delay 0 add one another for ever, Advance panics with an error that is sim.ErrLivelock.
func (c *Clock) Advance(d time.Duration) {
	end := c.net.Now() + min(max(d, 0), kernel.Forever-1-c.net.Now())
	err := c.net.RunUntil(func() bool { return c.panicked != nil }, end-c.net.Now())
	if e := c.panicked; e != nil {
		c.panicked = nil
		panic(e)
	}
	if errors.Is(err, sim.ErrDeadlock) || errors.Is(err, sim.ErrLimit) { // nothing more is due
		err = c.net.Run(end - c.net.Now())
	}
	if err != nil {
		panic(err)
	}
}

// Pump is Advance by each step (CLK-5).
func (c *Clock) Pump(steps ...time.Duration) {
	for _, d := range steps {
		c.Advance(d)
	}
}

// Close ends the reactor.
func (c *Clock) Close() { c.net.Close() }
