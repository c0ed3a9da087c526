// Package receiver holds protocols that cut what arrives into lines or strings:
// the machines of package frame under the interface of package reactor.
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
// All of it happens on the loop's goroutine. What a receiver delivers is lent, as
// with DataReceived: keeping bytes means copying them. After T.Close or T.Abort
// nothing more is delivered, whatever has arrived (LINE-6, STR-7).
//
// The fields that are functions are set before the connection is made, or in Made;
// those that are settings may be changed at any time, and hold from the next line
// or string on. A type that has ConnectionMade or ConnectionLost of its own calls
// the receiver's.
package receiver

import (
	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/reactor"
)

// decoder is a machine of package frame.
type decoder interface {
	frame.Decoder
	Pause()
	Paused() bool
	Resume()
	Stop()
}

// user is a receiver, as conn sees it.
type user interface {
	// decoder is the receiver's, with the settings of the moment.
	decoder() decoder
	// received takes what Next returned.
	received(p []byte)
	// failed takes the error of Next.
	failed(err error)
}

// conn is what all receivers share.
type conn struct {
	link     link
	user     user
	producer reactor.Producer // the transport's read side, if that can be paused
	busy     bool             // delivering
	scratch  [12]byte         // for what goes before or behind a string
}

// link is the T of a receiver: the transport, and a look-out for its end.
type link struct {
	reactor.Transport
	user user
}

var _ reactor.Transport = (*link)(nil)

// Close stops delivery and closes.
func (k *link) Close() error {
	k.user.decoder().Stop()
	return k.Transport.Close()
}

// Abort stops delivery and aborts.
func (k *link) Abort() {
	k.user.decoder().Stop()
	k.Transport.Abort()
}

// Unwrap is the transport itself, for reactor.As.
func (k *link) Unwrap() reactor.Transport { return k.Transport }

// DataReceived decodes p and delivers what is whole. A call from within a callback
// only queues (LINE-10).
func (c *conn) DataReceived(p []byte) {
	c.user.decoder().Feed(p)
	c.deliver()
}

// PauseProducing stops delivery, in the middle of what has arrived too, and pauses
// the transport (LINE-5, STR-6). With it and its counterparts a receiver is a
// [reactor.Producer], to be registered in place of its transport.
func (c *conn) PauseProducing() {
	c.user.decoder().Pause()
	if c.producer != nil {
		c.producer.PauseProducing()
	}
}

// ResumeProducing delivers what was kept, at once unless it is called by a callback
// of this receiver, and then resumes the transport, unless somebody paused again
// (LINE-5, STR-6).
func (c *conn) ResumeProducing() {
	d := c.user.decoder()
	d.Resume()
	c.deliver()
	if c.producer != nil && !d.Paused() {
		c.producer.ResumeProducing()
	}
}

// StopProducing closes the transport.
func (c *conn) StopProducing() { c.link.Close() }

// made is ConnectionMade of the receiver u. It sets T of base, which is u's.
func (c *conn) made(t reactor.Transport, u user, base *reactor.Base, then func()) {
	c.user = u
	c.link = link{t, u}
	c.producer, _ = reactor.As[reactor.Producer](t)
	base.ConnectionMade(&c.link)
	if then != nil {
		then()
	}
}

func (c *conn) lost(err error, then func(error)) {
	c.user.decoder().Stop()
	if then != nil {
		then(err)
	}
}

// deliver hands on all there is. Whatever a callback sets, pauses or closes counts
// for the next round; none calls it deeper, so alternating does not recurse.
func (c *conn) deliver() {
	if c.busy {
		return
	}
	c.busy = true
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

// delivered runs after a panic of a callback too, when the chunk is still lent.
func (c *conn) delivered() {
	c.busy = false
	c.user.decoder().Keep()
}

// write writes parts in order, as far as the transport takes them.
func (c *conn) write(parts ...[]byte) error {
	for _, p := range parts {
		if _, err := c.link.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func call(fn func([]byte), p []byte) {
	if fn != nil {
		fn(p)
	}
}
