// Package receiver holds protocols that cut the received bytes into lines or strings.
// They connect the decoders of package frame with package reactor.
//
// A receiver is a struct to be used as it is, or embedded:
//
//	type user struct {
//		receiver.Line
//		name string
//	}
//
//	func build(kernel.Addr) reactor.Protocol {
//		u := new(user)
//		u.LineReceived = func(line []byte) { u.name = string(line); u.T.Close() }
//		return u
//	}
//
// Everything happens on the loop's goroutine. The bytes that a receiver delivers are
// lent, as in DataReceived: a callback that keeps them copies them. After T.Close or
// T.Abort nothing more is delivered, whatever has arrived (LINE-6, STR-7).
//
// Fields that are functions are set before the connection is made, or in Made. A method of the
// same name does not take their place; the log tells of one (DESC-45). Fields
// that are settings may be changed at any time; they apply from the next line or string
// on. A type that has its own ConnectionMade or ConnectionLost calls the receiver's.
package receiver

import (
	"errors"

	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/reactor"
)

// decoder is a decoder of package frame.
type decoder interface {
	frame.Decoder
	Pause()
	Paused() bool
	Buffered() int
	Resume()
	Stop()
}

var (
	_ decoder = (*frame.Lines)(nil)
	_ decoder = (*frame.Netstrings)(nil)
	_ decoder = (*frame.Prefixed)(nil)
	_ decoder = (*frame.Exact)(nil)
	_ decoder = (*frame.Split)(nil)
)

// user is a receiver, as conn uses it.
type user interface {
	// decoder returns the receiver's decoder, with the current settings.
	decoder() decoder
	// received takes a frame of the decoder.
	received(p []byte)
	// failed takes an error of the decoder.
	failed(err error)
}

// conn is embedded in all receivers.
type conn struct {
	link    link
	user    user
	busy    bool     // delivering
	paused  bool     // PauseProducing was called
	held    bool     // Hold was called
	round   uint     // deliveries so far
	late    bool     // StopProducing has ended a pause, so there may be something to deliver
	sending bool     // write is in progress
	behind  *[]byte  // what was sent meanwhile; nil: nothing
	scratch [12]byte // for the bytes before and behind a string that is sent
}

// link is the T of a receiver. It is a transport whose Close and Abort also stop delivery,
// and whose read side pauses the receiver.
type link struct {
	reactor.Connection
	conn  *conn
	given bool // SwitchProtocol has given the connection to another protocol, whose pauses are not the receiver's
}

var (
	_ reactor.Connection = (*link)(nil)
	_ reactor.Switcher   = (*link)(nil)
	_ reactor.Retirer    = (*link)(nil)
)

// Close stops delivery and closes the transport.
func (k *link) Close() error {
	k.conn.user.decoder().Stop()
	return k.Connection.Close()
}

// Abort stops delivery and aborts the transport.
func (k *link) Abort() {
	k.conn.user.decoder().Stop()
	k.Connection.Abort()
}

// PauseProducing is that of the receiver, as long as that has the connection.
func (k *link) PauseProducing() {
	if k.given {
		k.Connection.PauseProducing()
		return
	}
	k.conn.PauseProducing()
}

// ResumeProducing is that of the receiver, as long as that has the connection. A receiver that is held would resume nothing.
func (k *link) ResumeProducing() {
	if k.given {
		k.Connection.ResumeProducing()
		return
	}
	k.conn.ResumeProducing()
}

// Producing is that of the receiver.
func (k *link) Producing() bool { return k.conn.Producing() }

// StopProducing is that of the receiver, as long as that has the connection.
func (k *link) StopProducing() {
	if k.given {
		k.Connection.StopProducing()
		return
	}
	k.conn.StopProducing()
}

// SwitchProtocol is that of the transport. The error is errors.ErrUnsupported if that is no reactor.Switcher.
func (k *link) SwitchProtocol(p reactor.Protocol) (reactor.Switched, error) {
	s, ok := reactor.As[reactor.Switcher](k.Connection)
	if !ok {
		return reactor.Switched{}, errors.ErrUnsupported
	}
	was, err := s.SwitchProtocol(p)
	if err == nil {
		own, back := reactor.ProtocolAs[interface{ receives() *conn }](p)
		k.given = !back || own.receives() != k.conn
	}
	return was, err
}

// Unwrap returns the transport itself, for reactor.As.
func (k *link) Unwrap() reactor.Transport { return k.Connection }

// Retire retires the transport itself: what the receiver still sends by it fails with
// reactor.ErrSwitched.
func (k *link) Retire() reactor.Transport { return reactor.Retire(k.Connection) }

// receives is c. SwitchProtocol looks for it in a protocol that the connection is given to.
func (c *conn) receives() *conn { return c }

// DataReceived decodes p and delivers the complete lines or strings. A call inside a
// callback only queues p (LINE-10).
func (c *conn) DataReceived(p []byte) {
	c.user.decoder().Feed(p)
	c.deliver()
}

// PauseProducing stops delivery, also in the middle of what has arrived, and pauses the
// transport (LINE-5, STR-6). A receiver is a [reactor.Producer], and can be registered in
// place of its transport.
func (c *conn) PauseProducing() {
	c.paused = true
	c.pause()
}

func (c *conn) pause() {
	c.user.decoder().Pause()
	if c.link.Connection != nil {
		c.link.Connection.PauseProducing()
	}
}

// ResumeProducing delivers what was kept: at once, or after the current callback of this
// receiver. Then it resumes the transport, unless the receiver was paused again (LINE-5,
// STR-6). While the receiver is held, it does nothing but note that Release may deliver.
func (c *conn) ResumeProducing() {
	c.paused = false
	c.resume()
}

// Hold is a second pause, for the program, beside that of PauseProducing, which belongs to the
// consumer with which the receiver is registered. Nothing is delivered until Release was
// called and the receiver is not paused (LINE-17). A program that answers a request later holds
// its receiver until then. With PauseProducing and ResumeProducing it would resume what the
// consumer has paused, and the consumer would resume it before its time. Further calls do nothing.
func (c *conn) Hold() {
	c.held = true
	c.pause()
}

// Release ends Hold, as ResumeProducing ends PauseProducing: what was kept is delivered at once,
// or after the current callback of this receiver. If the receiver is paused, it waits for
// ResumeProducing (LINE-17). Without Hold, and after the loss, Release does nothing.
func (c *conn) Release() {
	if c.held {
		c.held = false
		c.resume()
	}
}

func (c *conn) resume() {
	if c.held || c.paused {
		return
	}
	d := c.user.decoder()
	d.Resume()
	c.deliver()
	if c.link.Connection != nil && !d.Paused() {
		c.link.Connection.ResumeProducing()
	}
}

// Producing tells whether more may come: whether the transport says so of itself. A consumer
// that is closing asks ([reactor.Produces]), so that it does not wait for a receiver whose
// connection has ended (LINE-16).
func (c *conn) Producing() bool { return reactor.Produces(c.link.Connection) }

// KeepsInput tells whether the receiver is paused and has bytes that it has not delivered. Its
// stream, if it has failed, then waits for the receiver to be resumed (TCP-84).
func (c *conn) KeepsInput() bool {
	if c.user == nil {
		return false
	}
	d := c.user.decoder()
	return d.Paused() && d.Buffered() > 0
}

// StopProducing is that of the transport: Close, after which nothing is delivered. If writing has
// failed, it ends PauseProducing instead. What the peer sent before is delivered, by the end of
// the receiver's ConnectionLost at the latest, which then comes by itself (PROD-11, TCP-67).
func (c *conn) StopProducing() {
	c.link.Connection.StopProducing()
	d := c.user.decoder()
	if !reactor.Produces(c.link.Connection) {
		d.Stop()
		return
	}
	if c.paused = false; !c.held {
		d.Resume()
		c.late = true
	}
}

// Rest returns the bytes that have arrived and were not delivered, and drops them (STR-11).
// They begin with the first byte of an unfinished line or string, its length included. The
// slice is lent until the callback in progress returns; outside of a callback it is the
// caller's. Bytes that arrive later are delivered as usual. In LineLengthExceeded of a [Line]
// nothing is left, because its argument has everything. After a string that is malformed or too
// long nothing is left either, and nothing more is delivered.
//
// Rest is for giving the connection to somebody else: to another protocol by
// [reactor.Switcher], to [reactor.Join], or to TLS, whose StartServer takes it as its rest.
// A receiver that goes on over TLS is given the new transport by its ConnectionMade, which calls
// Made again.
func (c *conn) Rest() []byte { return c.user.decoder().Rest() }

// made is ConnectionMade of the receiver u. base belongs to u; made sets its T.
func (c *conn) made(t reactor.Transport, u user, base *reactor.Base, then func()) {
	c.user = u
	c.link = link{Connection: reactor.ConnectionOf(t), conn: c}
	base.ConnectionMade(&c.link)
	if then != nil {
		then()
	}
}

func (c *conn) lost(err error, then func(error)) {
	defer func() { // also if the delivery panics
		if c.user != nil { // otherwise a layer below has failed before it connected us
			c.user.decoder().Stop()
		}
		if then != nil {
			then(err)
		}
	}()
	if op := (*reactor.OpError)(nil); c.late && errors.As(err, &op) && !errors.Is(err, reactor.ErrBufferFull) {
		c.deliver() // the peer has ended it, and not we
	}
}

// deliver delivers all frames there are. What a callback sets, pauses or closes applies
// from the next frame on. A callback cannot start a second delivery, so alternating
// between modes does not recurse.
func (c *conn) deliver() {
	if c.busy {
		return
	}
	c.busy = true
	c.round++
	defer c.delivered()
	for {
		p, ok, err := c.user.decoder().Next()
		switch {
		case err != nil:
			c.user.failed(err)
		case !ok:
			return
		default:
			c.user.received(p)
		}
	}
}

// delivered also runs after a callback has panicked. The chunk is still lent then.
func (c *conn) delivered() {
	c.busy = false
	c.user.decoder().Keep()
}

// head is where the bytes before a string may be put together. Within a write that is no place of c, which may be in use.
func (c *conn) head() []byte {
	if c.sending {
		return nil
	}
	return c.scratch[: 0 : len(c.scratch)-1]
}

// write writes parts in order. It stops at the first error. One of them may pause a producer. What that sends stands behind them (PROD-25).
func (c *conn) write(parts ...[]byte) error {
	if c.sending {
		if c.behind == nil {
			c.behind = new([]byte)
		}
		for _, p := range parts {
			*c.behind = append(*c.behind, p...)
		}
		return nil
	}
	c.sending = true
	defer c.sent() // also if a producer panics
	for _, p := range parts {
		if _, err := c.link.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// sent ends a write.
func (c *conn) sent() {
	c.sending = false
	if p := c.behind; p != nil {
		c.behind = nil
		_, _ = c.link.Write(*p) // ConnectionLost has the error
	}
}

// call calls fn, which stands in field, with p.
func (c *conn) call(fn func(p []byte), p []byte, field string) {
	if fn == nil {
		c.missing(field)
		return
	}
	fn(p)
}
