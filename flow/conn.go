package flow

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// policy is what one connection of a policy does with the traffic. All methods are called on the loop's goroutine.
type policy interface {
	// made is called before ConnectionMade of the protocol above.
	made()
	// received takes input. It gives the protocol above what it shall have, by conn.deliver.
	received(p []byte)
	// readEnded is called when the peer has ended its direction and the protocol above listens to that. It tells whether
	// that one is told now.
	readEnded() bool
	// halved is called when the protocol above has ended its own direction.
	halved()
	// wanted is called when the protocol above has resumed, and the policy still has a pause of its own.
	wanted()
	// gateMade is called when a producer was registered through a gate.
	gateMade()
	// wrote is called after n bytes were written.
	wrote(n int)
	// lost is called at the loss, before the protocol above is told. It returns the reason for that one.
	lost(err error) error
	// suffix follows the name of the protocol above in logs.
	suffix() string
}

// hold is a set of reasons to read nothing.
type hold uint8

const (
	holdApp    hold = 1 << iota // the protocol above has paused
	holdPolicy                  // the policy has
)

// conn is a connection with a policy between a transport and a protocol. The protocol of the transport below is its *under
// or *underHalf, and the transport of the protocol above is its *link.
type conn struct {
	policy policy
	inner  reactor.Protocol // above; nil after the loss
	link   *link            // the transport of inner, not retired
	first  link
	ends   *ends // addresses to show instead of those below; nil: those
	holds  hold
	// eager has the input go on although inner has paused, because the policy needs it for itself.
	eager bool
	// gated: a producer is registered through a gate, and the policy may pause it; gate is the one, if there is any.
	gated bool
	gate  *gate
	// pass takes the input in progress to the protocol above by another method than DataReceived; nil: there is none.
	pass func(p []byte)
	// spy gets what was written, unless nil.
	spy func(p []byte)
	// closed: the protocol above has closed or aborted the connection, so it gets no more input.
	closed bool
}

// ends are the addresses of a connection.
type ends struct{ local, remote kernel.Addr }

// start makes c a connection of p for inner, and returns the protocol for the transport below.
func (c *conn) start(p policy, inner reactor.Protocol) reactor.Protocol {
	c.policy = p
	return c.under(inner)
}

// under makes inner the protocol above and returns the one for the transport below. That is a HalfCloseListener exactly if
// inner is one (POL-1).
func (c *conn) under(inner reactor.Protocol) reactor.Protocol {
	c.inner = inner
	u := reactor.Protocol((*under)(c))
	if _, ok := reactor.ProtocolAs[reactor.HalfCloseListener](inner); ok {
		u = (*underHalf)(c)
	}
	if _, ok := reactor.ProtocolAs[mover](inner); ok {
		u = unmoved{u}
	}
	return u
}

// deliver gives input to the protocol above.
func (c *conn) deliver(p []byte) {
	if pass := c.pass; pass != nil {
		c.pass = nil
		pass(p)
		return
	}
	c.inner.DataReceived(p)
}

// below is the transport below.
func (c *conn) below() reactor.Connection { return c.link.below }

// open tells whether the protocol above may still be given input.
func (c *conn) open() bool { return c.inner != nil && !c.closed }

// hold adds a reason to read nothing.
func (c *conn) hold(h hold) {
	c.holds |= h
	if !c.eager {
		c.below().PauseProducing()
	}
}

// release takes a reason to read nothing away.
func (c *conn) release(h hold) {
	c.holds &^= h
	switch {
	case c.holds != 0:
		if h == holdApp && !c.eager {
			c.policy.wanted()
		}
	case !c.eager:
		c.below().ResumeProducing()
	}
}

// calm ends eager: from now on a pause of the protocol above counts.
func (c *conn) calm() {
	c.eager = false
	if c.holds != 0 {
		c.below().PauseProducing()
	}
}

// under is the protocol of the transport below.
type under conn

var (
	_ reactor.Protocol    = (*under)(nil)
	_ reactor.LogPrefixer = (*under)(nil)
)

// Unwrap is the protocol above, nil after the loss (POL-2).
func (u *under) Unwrap() reactor.Protocol { return u.inner }

// LogPrefix is the name of the protocol above, and that of the policy (POL-1).
func (u *under) LogPrefix() string {
	if u.inner == nil {
		return u.policy.suffix()
	}
	return reactor.LogPrefixOf(u.inner) + " " + u.policy.suffix()
}

func (u *under) ConnectionMade(t reactor.Transport) {
	c := (*conn)(u)
	c.link = &c.first
	c.first = link{c: c, below: reactor.ConnectionOf(t)}
	c.policy.made()
	c.inner.ConnectionMade(c.link)
}

func (u *under) DataReceived(p []byte) { u.policy.received(p) }

// TakeInput is DataReceived for a layer that gives input to the protocol above by a method of its own, such as a WebSocket. pass does that.
func (u *under) TakeInput(p []byte, pass func(p []byte)) {
	u.pass = pass
	defer func() { u.pass = nil }() // also if the policy does not deliver it
	u.policy.received(p)
}

// KeepsInput tells whether the policy has input for the protocol above when that is resumed. The transport below, if it has failed, then
// waits for that.
func (u *under) KeepsInput() bool {
	p, ok := u.policy.(interface{ keepsInput() bool })
	return ok && p.keepsInput()
}

func (u *under) ConnectionLost(err error) {
	c := (*conn)(u)
	if c.inner == nil {
		return
	}
	if c.link != nil { // otherwise a layer below has failed before it connected us
		// The policy may make callbacks of others, and inner must be told whatever they do.
		if e := c.link.Reactor().Guard(c.inner, func() { err = c.policy.lost(err) }); e != nil {
			err = e
		}
	}
	inner := c.inner
	c.inner = nil
	inner.ConnectionLost(err)
}

// underHalf is under for a protocol that listens to the ends of directions.
type underHalf conn

var (
	_ reactor.Protocol          = (*underHalf)(nil)
	_ reactor.LogPrefixer       = (*underHalf)(nil)
	_ reactor.HalfCloseListener = (*underHalf)(nil)
)

// Unwrap is the protocol above, nil after the loss (POL-2).
func (u *underHalf) Unwrap() reactor.Protocol { return u.inner }

// LogPrefix is that of under.
func (u *underHalf) LogPrefix() string { return (*under)(u).LogPrefix() }

func (u *underHalf) ConnectionMade(t reactor.Transport) { (*under)(u).ConnectionMade(t) }

func (u *underHalf) DataReceived(p []byte) { u.policy.received(p) }

// TakeInput is that of under.
func (u *underHalf) TakeInput(p []byte, pass func(p []byte)) { (*under)(u).TakeInput(p, pass) }

// KeepsInput is that of under.
func (u *underHalf) KeepsInput() bool { return (*under)(u).KeepsInput() }

func (u *underHalf) ConnectionLost(err error) { (*under)(u).ConnectionLost(err) }

func (u *underHalf) ReadConnectionLost() {
	if u.policy.readEnded() {
		(*conn)(u).tellReadEnded()
	}
}

// tellReadEnded tells the protocol above that the peer has ended its direction.
func (c *conn) tellReadEnded() {
	if h, ok := reactor.ProtocolAs[reactor.HalfCloseListener](c.inner); ok {
		h.ReadConnectionLost()
	}
}

func (u *underHalf) WriteConnectionLost() {
	if h, ok := reactor.ProtocolAs[reactor.HalfCloseListener](u.inner); ok {
		h.WriteConnectionLost()
	}
}
