package tlsio

import (
	"errors"
	"net"
	"time"
)

// wire is a Conn as crypto/tls sees it: a net.Conn in memory that never blocks. In a
// handshake it leads to the step, and nothing else of the Conn is looked at.
//
// Read returns at most the rest of one record. crypto/tls then never has more than one
// record, and its buffer does not grow beyond that. Write takes everything and never
// fails, because a tls.Conn is of no use after a failed Write. The connection has
// deadlines of its own.
type wire Conn

var errBareEOF = errors.New("end of stream without close_notify")

// Read returns what has arrived. In a handshake it waits for more. Afterwards it fails with
// wouldBlock, also if the share of the drain in progress is used up. An end of the stream without
// close_notify is errBareEOF, because crypto/tls says io.EOF for close_notify, and the two must be
// told apart (TLS-22).
func (w *wire) Read(p []byte) (int, error) {
	c := (*Conn)(w)
	if h := c.handshake; h != nil {
		return h.step.readInput(p)
	}
	if len(c.in.data) > 0 {
		if c.in.between() {
			if c.share <= 0 {
				return 0, wouldBlock{}
			}
			c.share -= recordCost
		}
		n := c.in.give(p)
		c.share -= int32(n)
		return n, nil
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

// Close does nothing. The Conn closes the transport below.
func (w *wire) Close() error { return nil }

// LocalAddr is the local address, for callbacks of the tls.Config.
func (w *wire) LocalAddr() net.Addr {
	if h := w.handshake; h != nil {
		return h.step.local
	}
	return w.inner.Local()
}

// RemoteAddr is the peer's address, for callbacks of the tls.Config.
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

// SetWriteDeadline does nothing. crypto/tls sets a deadline for close_notify, but what
// was written before must still be sent.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
