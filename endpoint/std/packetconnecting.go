package std

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// packetConnecting is one ConnectPacket. done is called later, never inside it (EP-23).
type packetConnecting struct {
	r     *reactor.Reactor
	dest  kernel.Addr
	done  func(*reactor.PacketPort, error)
	state connectState
	busy  bool   // StartProtocol may be on the stack
	stop  func() // gives the look-up up; nil: there is none
	limit reactor.DelayedCall
}

// refuse fails the attempt.
func (c *packetConnecting) refuse(err error) (cancel func()) {
	c.r.Tell(func(error) { c.ended(nil, c.failure(err)) })
	return c.cancel
}

// lookUp looks host up, for at most limit if that is not zero, and then has open open a port.
func (c *packetConnecting) lookUp(host string, limit time.Duration, open func([]netip.Addr) (*reactor.PacketPort, error)) (cancel func()) {
	c.limit.Init(c.r, func() {
		c.giveUp()
		c.ended(nil, c.failure(fmt.Errorf("looking up: %w", reactor.ErrConnectTimeout)))
	})
	if limit > 0 {
		c.limit.Reset(limit)
	}
	c.stop = c.r.Resolve(host, func(found []netip.Addr, err error) {
		c.stop = nil
		c.giveUp()
		if err != nil {
			c.ended(nil, c.failure(err))
			return
		}
		c.open(func() (*reactor.PacketPort, error) { return open(found) })
	})
	return c.cancel
}

// giveUp ends the look-up and its limit.
func (c *packetConnecting) giveUp() {
	c.limit.Cancel()
	if stop := c.stop; stop != nil {
		c.stop = nil
		stop()
	}
}

// later has do open a port in the next turn.
func (c *packetConnecting) later(do func() (*reactor.PacketPort, error)) (cancel func()) {
	c.r.Tell(func(stopped error) {
		if stopped != nil {
			c.ended(nil, c.failure(stopped))
			return
		}
		c.open(do)
	})
	return c.cancel
}

func (c *packetConnecting) open(do func() (*reactor.PacketPort, error)) {
	if c.state != connectGoing {
		return // cancelled
	}
	c.busy = true
	port, err := do()
	c.busy = false
	c.ended(port, err)
}

// ended is called with the result. A cancel before it counts, whatever the result is.
func (c *packetConnecting) ended(port *reactor.PacketPort, err error) {
	if c.state == connectOver {
		return
	}
	if c.state == connectCancelled {
		if port != nil {
			port.StopListening(nil)
		}
		port, err = nil, c.failure(reactor.ErrCancelled)
	}
	c.state = connectOver
	c.done(port, err)
}

func (c *packetConnecting) cancel() {
	if c.state != connectGoing {
		return
	}
	c.state = connectCancelled
	c.giveUp()
	if !c.busy {
		c.r.Tell(func(error) { c.ended(nil, nil) })
	}
}

func (c *packetConnecting) failure(err error) error {
	return &reactor.OpError{Op: "dial", Remote: c.dest, Err: err}
}
