package netconn

import (
	"errors"
	"net"

	"github.com/whorl-go/whorl/reactor"
)

// output is the direction from the goroutine to the peer. Everything in it but full is guarded by gate.mu.
type output struct {
	gate
	state   outputState
	pending *buffer // what Write has taken and the loop has not; nil: nothing
	large   []byte  // what the Write that waits still has; the loop takes it from there
	failed  error   // why the connection was lost; nil: it is not

	// For the loop alone.
	full   bool // the transport takes no more for now
	busy   bool // it has not been given everything yet
	broken bool // it never will
}

type outputState uint8

const (
	outputOpen     outputState = iota
	outputShut                 // CloseWrite was called
	outputParked               // Close was called, and the connection goes back to its IdleListener
	outputClosed               // Close was called
	outputOver                 // the loop has carried that out
	outputReset                // Abort was called, perhaps after Close
	outputReleased             // Release was called: the transport is somebody else's
)

// largeWrite is from how many bytes on a Write hands its own slice to the loop and waits until that was taken, instead of copying it.
const largeWrite = 16 << 10

// write is Conn.Write.
func (o *output) write(c *Conn, p []byte) (n int, err error) {
	o.begin(c)
	defer o.turn.Unlock()
	o.mu.Lock()
	for {
		if n == len(p) && n > 0 {
			break
		}
		if err = o.refusal(); err != nil || n == len(p) {
			break
		}
		rest := p[n:]
		switch room := c.cfg.WriteWater - len(o.pending.rest()); {
		case len(rest) >= largeWrite:
			n += o.lend(c, rest)
			continue
		case room > 0:
			k := min(room, len(rest))
			o.pending = c.hub.put(o.pending, rest[:k])
			n += k
			o.mu.Unlock()
			c.hub.add(c)
			o.mu.Lock()
		default:
			o.check(c)
			o.wait()
		}
	}
	o.mu.Unlock()
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// lend has the loop write p, and waits until it has taken all of it, or the call must end. It returns how many bytes were taken.
func (o *output) lend(c *Conn, p []byte) int {
	o.check(c)
	o.large = p
	o.mu.Unlock()
	c.hub.add(c)
	o.mu.Lock()
	for len(o.large) > 0 && o.refusal() == nil {
		o.wait()
	}
	left := len(o.large)
	o.large = nil
	return len(p) - left
}

// refusal is why nothing can be written now.
func (o *output) refusal() error {
	switch {
	case o.state == outputShut:
		return reactor.ErrWriteClosed
	case o.state > outputShut:
		return net.ErrClosed
	case o.failed != nil:
		return o.failed
	case o.expired:
		return errTimeout()
	}
	return nil
}

// settle hands the transport what was written, and ends the direction if that was asked for. It is called on the loop.
func (o *output) settle(c *Conn) {
	wake, end := o.hand(c)
	if wake {
		o.wake <- struct{}{}
		c.hub.wakes()
	}
	o.end(c, end)
}

// hand hands the transport what was written, as much as it has room for. It tells whether a Write that waits is to be woken, and
// what end was asked for.
func (o *output) hand(c *Conn) (wake bool, end outputState) {
	o.mu.Lock()
	defer o.mu.Unlock() // also if the transport panics
	if o.state != outputReset {
		o.handPending(c)
	}
	for len(o.large) > 0 && !o.full && o.state == outputOpen {
		k := piece
		if c.t.Buffered() == 0 {
			k = largePiece
		}
		k = min(len(o.large), k)
		if _, err := c.t.Write(o.large[:k]); err != nil {
			o.refused(err)
			break
		}
		o.large = o.large[k:]
	}
	o.busy = o.pending != nil || len(o.large) > 0 && o.state == outputOpen
	wake = o.waiting && (o.failed != nil || len(o.large) == 0 && len(o.pending.rest()) < c.cfg.WriteWater)
	if wake {
		o.waiting = false
	}
	end = o.state
	if end == outputParked && o.busy {
		end, o.state = outputClosed, outputClosed // the peer does not read: it gets no more requests
	}
	if end == outputParked || end == outputClosed && !o.busy {
		o.state = outputOver
	}
	return wake, end
}

// refused follows an error of the transport's Write. ConnectionLost tells why the connection has ended, but nothing follows when a layer has taken the
// transport over. gate.mu must be held.
func (o *output) refused(err error) {
	if o.failed == nil && errors.Is(err, reactor.ErrSwitched) {
		o.failed = err
	}
}

// A transport takes what exceeds its high-water mark by one Write. So large pieces are for those that hold nothing.
const (
	piece      = 16 << 10
	largePiece = 64 << 10
)

// handPending hands the transport what Write has copied.
func (o *output) handPending(c *Conn) {
	for o.pending != nil && !o.full {
		p := o.pending.rest()
		p = p[:min(len(p), piece)]
		if _, err := c.t.Write(p); err != nil {
			o.refused(err)
			o.pending.at = len(o.pending.b)
		} else {
			o.pending.at += len(p)
		}
		if len(o.pending.rest()) == 0 {
			c.hub.release(o.pending)
			o.pending = nil
		}
	}
}

// end carries an end out that our side has asked for. While the transport has no room for the rest, it waits for it, as for any
// producer, but not for longer than its CloseTimeout.
func (o *output) end(c *Conn, s outputState) {
	if c.t == nil {
		return
	}
	if (s == outputShut || s == outputClosed) && !o.busy {
		c.t.UnregisterProducer()
	}
	switch s {
	case outputShut:
		if !c.shut {
			c.shut = true
			_ = c.t.CloseWrite()
		}
	case outputParked:
		c.idle.link.park()
	case outputClosed:
		_ = c.t.Close()
	case outputReset:
		c.t.Abort()
	}
}

// lost ends the direction because of the peer or the loop. It tells whether it has woken anybody.
func (o *output) lost(err error) (woken bool) {
	o.mu.Lock()
	if o.failed == nil {
		o.failed = err
	}
	o.pending = nil
	wake := o.take()
	o.mu.Unlock()
	if wake {
		o.wake <- struct{}{}
	}
	return wake
}

// loss is why the connection was lost, io.EOF if the peer has ended it, or nil.
func (o *output) loss() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}

// close has the direction end, as s says. It tells whether s goes further than what was asked for before.
func (o *output) close(s outputState) bool {
	o.mu.Lock()
	if o.state >= s {
		o.mu.Unlock()
		return false
	}
	o.state = s
	wake := o.take()
	o.mu.Unlock()
	if wake {
		o.wake <- struct{}{}
	}
	return true
}
