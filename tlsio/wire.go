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
	if s := c.setup; s != nil {
		if err := s.await(); err != nil {
			return 0, err
		}
		n := c.give(p)
		s.taken += n
		return n, nil
	}
	if len(c.in) > 0 {
		return c.give(p), nil
	}
	if c.eof {
		return 0, errBareEOF
	}
	return 0, wouldBlock{}
}

// give copies from in, up to the end of the record in progress.
func (c *Conn) give(p []byte) int {
	n := 0
	for n < len(p) && len(c.in) > 0 {
		if c.left == 0 { // in a header
			c.hdr[c.hdrAt] = c.in[0]
			p[n] = c.in[0]
			c.in = c.in[1:]
			n++
			if c.hdrAt++; c.hdrAt == uint8(len(c.hdr)) {
				c.hdrAt = 0
				c.left = int32(c.hdr[3])<<8 | int32(c.hdr[4])
				if c.left == 0 {
					break
				}
			}
			continue
		}
		m := copy(p[n:], c.in[:min(len(c.in), int(c.left))])
		c.in = c.in[m:]
		c.left -= int32(m)
		n += m
		if c.left == 0 {
			break
		}
	}
	return n
}

// another tells whether a whole record stands behind the one that was given out.
func (c *Conn) another() bool {
	const header = len(c.hdr)
	return c.hdrAt == 0 && c.left == 0 && len(c.in) >= header &&
		len(c.in)-header >= int(c.in[3])<<8|int(c.in[4])
}

// Write takes all of p for the transport below.
func (w *wire) Write(p []byte) (int, error) {
	c := (*Conn)(w)
	if c.setup != nil {
		c.setup.out = append(c.setup.out, p...)
		return len(p), nil
	}
	if c.reading {
		c.answered += int32(len(p))
	}
	if !c.gathering && len(c.out) == 0 {
		c.pass(p)
		return len(p), nil
	}
	if len(c.out)+len(p) > burst {
		c.release()
	}
	if c.out == nil {
		c.out = c.l.cipher.take()
	}
	c.out = append(c.out, p...)
	if !c.gathering {
		c.release()
	}
	return len(p), nil
}

// release writes what was gathered to the transport below.
func (c *Conn) release() {
	if out := c.out; out != nil {
		c.out = nil
		c.pass(out)
		c.l.cipher.give(out)
	}
}

// pass writes to the transport below. If that fails, ConnectionLost will come with
// the reason.
func (c *Conn) pass(p []byte) {
	if len(p) > 0 {
		_, _ = c.inner.Write(p)
	}
}

// Close does nothing: it is Conn that closes.
func (w *wire) Close() error { return nil }

// LocalAddr is the local address, for what the tls.Config calls.
func (w *wire) LocalAddr() net.Addr {
	if w.setup != nil {
		return w.setup.local
	}
	return w.inner.Local()
}

// RemoteAddr is the peer's address, for what the tls.Config calls.
func (w *wire) RemoteAddr() net.Addr {
	if w.setup != nil {
		return w.setup.remote
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
