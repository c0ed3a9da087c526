package netconn

import (
	"net"

	"github.com/whorl-go/whorl/reactor"
)

// Release takes the connection out of c, and gives it to the loop again: for a protocol, by SwitchProtocol of a reactor.Switcher that
// reactor.As finds in t, or for reactor.Join. A handler of net/http that has hijacked its connection does so, so that the connection costs no
// goroutine from then on (NETCONN-14). It is for the goroutine of the loop of c, which [Conn.Reactor] is, so a handler posts a
// function that calls it:
//
//	c.Reactor().Post(func() {
//		t, unread, err := netconn.Release(c)
//		...
//	})
//
// unread is what has come and was not read; the caller keeps it. Bytes that somebody has read from c into a buffer of his own, as net/http has into the bufio.Reader of a
// hijacked connection, come before it. What was written to c is sent before what is written to t. t is paused: it delivers nothing before it
// has got its protocol. Its deadlines are gone.
//
// Calls of c that wait and all later ones fail with net.ErrClosed, Close included, which ends nothing. The errors of Release are
// ErrNotOurs if c is no connection of this package, net.ErrClosed after Close, CloseWrite, CloseRead or Release, and after the loss its
// reason. Then nothing has changed.
func Release(c net.Conn) (t reactor.Connection, unread []byte, err error) {
	x, err := own(c)
	if err != nil {
		return nil, nil, err
	}
	return x.release()
}

// own is c as a Conn.
func own(c net.Conn) (*Conn, error) {
	switch c := c.(type) {
	case *Conn:
		return c, nil
	case *secured:
		return c.Conn, nil
	}
	return nil, ErrNotOurs
}

// LoopOf is the reactor of a connection of this package: one of a Listener, an IdleListener or a Dialer, also with TLS. For any other c it is nil. It may be called from any goroutine.
func LoopOf(c net.Conn) *reactor.Reactor {
	if x, err := own(c); err == nil {
		return x.Reactor()
	}
	return nil
}

// release is Release.
func (c *Conn) release() (reactor.Connection, []byte, error) {
	reads, writes, unread, err := c.endCalls()
	if err != nil {
		return nil, nil, err
	}
	if reads {
		c.in.wake <- struct{}{}
	}
	if writes {
		c.out.wake <- struct{}{}
	}
	t := c.t
	t.UnregisterProducer() // it would stop what follows at the high-water mark
	c.out.full = false
	c.out.hand(c) // all of it: it is bounded by WriteWater
	c.leave()
	t.PauseProducing()
	if c.idle != nil {
		c.idle.link.release()
	}
	p := append([]byte(nil), unread.rest()...)
	c.hub.release(unread)
	return t, p, nil
}

// endCalls has all calls fail from now on. It tells whether a Read and a Write wait, and returns what has come and was not read.
func (c *Conn) endCalls() (reads, writes bool, unread *buffer, err error) {
	in, out := &c.in, &c.out
	in.mu.Lock()
	defer in.mu.Unlock()
	out.mu.Lock()
	defer out.mu.Unlock()
	switch {
	case in.state != inputOpen || out.state != outputOpen:
		err = net.ErrClosed
	case c.t == nil && in.ended != nil:
		err = in.ended
	case c.t == nil:
		err = ErrNotConnected
	}
	if err != nil {
		return false, false, nil, c.opError("release", err)
	}
	in.state, out.state = inputClosed, outputReleased
	unread, in.unread = in.unread, nil
	return in.take(), out.take(), unread, nil
}

// release forgets the Conn, and the connection: another protocol has it.
func (x *idleLink) release() {
	x.p.served.Remove(x)
	x.p, x.c = nil, nil
}
