package tlsio

import (
	"errors"
	"net"
	"time"
)

// wire is a Conn as crypto/tls sees it: a net.Conn in memory that never blocks.
//
// Its Read gives out at most what is left of one record, so that crypto/tls never
// has more than that and its buffer does not grow beyond it. Its Write takes
// everything and never fails, because after a failed Write a tls.Conn is of no more
// use. Deadlines are those of the connection around it.
type wire Conn

var errBareEOF = errors.New("end of stream without close_notify")

// Read gives what has arrived. In the handshake it waits for more; afterwards it is
// wouldBlock, bare, and an end of the stream without close_notify is not io.EOF, by
// which the two are told apart (TLS-22).
func (w *wire) Read(p []byte) (int, error) {
	c := (*Conn)(w)
	if h := c.handshake; h != nil {
		return h.step.readInput(p)
	}
	if len(c.in.data) > 0 {
		return c.in.give(p), nil
	}
	if c.read == ending {
		return 0, errBareEOF
	}
	return 0, wouldBlock{}
}

// Write takes all of p for the transport below.
func (w *wire) Write(p []byte) (int, error) {
	c := (*Conn)(w)
	if h := c.handshake; h != nil {
		h.step.out = append(h.step.out, p...)
		return len(p), nil
	}
	c.answered += int32(len(p))
	if !c.outputHeld() && len(c.out) == 0 {
		c.pass(p)
		return len(p), nil
	}
	if len(c.out)+len(p) > gatherSize {
		c.send()
	}
	if c.out == nil {
		c.out = c.l.cipher.take()
	}
	c.out = append(c.out, p...)
	if !c.outputHeld() {
		c.send()
	}
	return len(p), nil
}

// Close does nothing: it is Conn that closes.
func (w *wire) Close() error { return nil }

// LocalAddr is the local address, for what the tls.Config calls.
func (w *wire) LocalAddr() net.Addr {
	if h := w.handshake; h != nil {
		return h.step.local
	}
	return w.inner.Local()
}

// RemoteAddr is the peer's address, for what the tls.Config calls.
func (w *wire) RemoteAddr() net.Addr {
	if h := w.handshake; h != nil {
		return h.step.remote
	}
	return w.inner.Remote()
}

// SetDeadline does nothing.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing, though crypto/tls sets one to close_notify: what
// was written before is still sent.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
