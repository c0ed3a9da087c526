package reactor

import "errors"

// Connection is a transport with what most protocols need: reading that can be paused, a
// producer for writing, and an end of the write side alone. Every transport of this package
// and of package tlsio is one. [ConnectionOf] makes one of any transport.
type Connection interface {
	Transport
	Producer
	Consumer
	HalfCloser

	// Buffered is how many bytes were written that the socket has not taken yet, also in layers
	// such as TLS.
	Buffered() int
}

var _ Connection = (*Stream)(nil)

// ConnectionOf returns t if it is a Connection. Any other t is a wrapper that hides methods. It
// is given those that [As] finds in the transports that t wraps. Write, Close and the other
// methods of t stay those of t.
//
// A transport without a capability is not given one: RegisterProducer and CloseWrite then
// return errors.ErrUnsupported, pausing does nothing, so that input goes on, StopProducing is
// Close, and Buffered is 0.
func ConnectionOf(t Transport) Connection {
	if c, ok := t.(Connection); ok {
		return c
	}
	c := &connection{Transport: t, Producer: unpausable{t}, Consumer: unproduced{}, HalfCloser: whole{}}
	if p, ok := As[Producer](t); ok {
		c.Producer = p
	}
	if k, ok := As[Consumer](t); ok {
		c.Consumer = k
	}
	if h, ok := As[HalfCloser](t); ok {
		c.HalfCloser = h
	}
	return c
}

// connection is a transport that is no Connection by itself.
type connection struct {
	Transport
	Producer
	Consumer
	HalfCloser
	stopped bool // StopProducing was called
}

// StopProducing is that of the read side.
func (c *connection) StopProducing() {
	c.stopped = true
	c.Producer.StopProducing()
}

// Buffered is that of the first transport below that counts.
func (c *connection) Buffered() int {
	if b, ok := As[interface{ Buffered() int }](c.Transport); ok {
		return b.Buffered()
	}
	return 0
}

// Producing tells whether the read side may produce more. One that does not say so itself may
// until StopProducing.
func (c *connection) Producing() bool {
	if q, ok := As[finite](c.Transport); ok {
		return q.Producing()
	}
	return !c.stopped
}

// Retire retires the transport itself.
func (c *connection) Retire() Transport { return Retire(c.Transport) }

// Unwrap is the transport itself, for As.
func (c *connection) Unwrap() Transport { return c.Transport }

// unpausable is the read side of a transport that is no Producer.
type unpausable struct{ t Transport }

func (unpausable) PauseProducing()  {}
func (unpausable) ResumeProducing() {}
func (u unpausable) StopProducing() { u.t.Close() }

// unproduced is the write side of a transport that is no Consumer.
type unproduced struct{}

func (unproduced) RegisterProducer(Producer) error { return errors.ErrUnsupported }
func (unproduced) UnregisterProducer()             {}

// whole is a transport that is no HalfCloser.
type whole struct{}

func (whole) CloseWrite() error { return errors.ErrUnsupported }
