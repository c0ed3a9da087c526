package reactor

import (
	"errors"
	"io"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

// How a connection ends, as the peer sees it: with the end of the stream (FIN) only if all
// that was written was sent, and otherwise with a reset.

// streamParams are what streams of one owner have in common. A stream that takes long to
// end has a copy of its own, and so has one that is retired or has lent its reading, so that others need no memory for it.
type streamParams struct {
	StreamConfig // complete
	owner        owner
	ending       *ending
	retired      bool          // a layer has the connection, by another transport; of one stream
	aside        *SideReader   // of ReadAside; of one stream; nil: it was never called
	halves       kernel.Halves // the conn of one stream, if its directions end each by itself; see halves.go
}

// ending is of a stream that waits for its end.
type ending struct {
	limit DelayedCall // CloseTimeout, from the last progress
	moved uint64      // bytes sent and read until then
	// Of streamBroken: why it has failed, and what was read while the protocol had paused,
	// to know whether there is anything.
	reason error
	kept   []byte
}

// limitEnd gives the end of s as long as CloseTimeout says, from the last progress.
func (s *Stream) limitEnd() {
	e, moved := s.cfg.ending, s.in+s.sent
	if e == nil {
		e = &ending{moved: moved}
		own := *s.cfg
		own.ending = e
		s.cfg = &own
		e.limit.Init(s.r, s.endTimeout)
	} else if moved == e.moved {
		return
	}
	e.moved = moved
	if d := s.cfg.CloseTimeout; d > 0 {
		e.limit.Reset(d)
	}
}

// endTimeout ends a stream whose end has made no progress for too long.
func (s *Stream) endTimeout() {
	if s.state == streamBroken {
		s.end(s.cfg.ending.reason)
		return
	}
	s.end(s.opError("close", ErrCloseTimeout))
}

// hasFailed follows the kernel's word that a stream that waits for nothing has failed.
func (s *Stream) hasFailed() {
	if s.cfg.halves != nil {
		if err := s.cfg.halves.WriteFailed(); err != nil {
			s.outputFailed(s.opError("wait", err))
		}
		return
	}
	if err := s.conn.Connected(); err != nil && err != kernel.ErrAgain {
		s.breakOff(s.opError("wait", err))
	}
}

// breakOff follows a failure that was not found by reading. Nothing more is sent, but what the
// peer sent before is still delivered, unless we have ended first.
func (s *Stream) breakOff(reason error) {
	if s.state != streamOpen || s.peerGone() {
		s.end(reason)
	} else {
		s.state = streamBroken
		s.limitEnd()
		s.cfg.ending.reason = reason
		s.touch()
	}
	s.stopProducer() // inside its write, if that has failed (PROD-14)
}

// finishReading delivers what is unread on a broken stream, one piece a turn, and ends it
// when there is nothing more.
func (s *Stream) finishReading() {
	s.out.Discard(&s.r.chunks)
	s.blocked = false
	e := s.cfg.ending
	if !s.reading() {
		if e.kept == nil {
			s.keepUnread()
		}
		return
	}
	in, current := s.in, s.r.current
	s.r.current = s
	if p := e.kept; p != nil {
		e.kept = nil
		s.deliverKept(p)
	} else {
		s.readSome()
	}
	s.r.current = current
	switch {
	case s.state != streamBroken:
	case s.in == in && !s.reading(): // it has paused before the data came
		s.touch()
	case s.in == in && !mayStillSend(s.conn, e.reason): // nothing is there
		s.readAll(e.reason)
	case s.in == in: // until it comes, or CloseTimeout
	default:
		s.touch() // CloseTimeout goes on: a peer that keeps sending must not prolong it
	}
}

// readAll ends a stream that has failed for a reason when nothing is left to read. A layer that has not
// delivered yet what came before pauses the stream when it is asked: then the end waits as in keepUnread.
func (s *Stream) readAll(reason error) {
	switch {
	case !keepsInput(s.proto) || s.reading():
		s.end(reason)
	case s.state == streamOpen:
		s.breakOff(reason)
	default:
		s.touch()
	}
}

// mayStillSend tells whether the peer of c may go on sending though our write has failed for a
// reason: a UNIX peer may have ended its reading alone.
func mayStillSend(c kernel.Conn, reason error) bool {
	_, unix := kernel.ConnAs[kernel.UNIXConn](c)
	return unix && errors.Is(reason, kernel.ErrBroken)
}

// keepUnread reads what there is for a protocol that has paused. If it is nothing, and a layer
// keeps nothing either, that is the end; else the end comes when it has resumed, or after
// CloseTimeout (TCP-67).
func (s *Stream) keepUnread() {
	e := s.cfg.ending
	_ = s.takeBack() // e has a reason already
	if n, _ := s.conn.Read(s.r.buf); n > 0 {
		e.kept = append([]byte(nil), s.r.buf[:n]...)
	} else if !keepsInput(s.proto) {
		s.end(e.reason)
	}
}

// keepsInput tells whether p, or a protocol above it, is an InputKeeper that has input.
func keepsInput(p Protocol) bool {
	for l := range layers(p) {
		if _, joined := l.(*joinSide); joined {
			return false // the former protocol gets nothing any more
		}
		if k, ok := l.(InputKeeper); ok && k.KeepsInput() {
			return true
		}
	}
	return false
}

// stopProducer tells the producer, if there is one, that nothing more is wanted.
func (s *Stream) stopProducer() {
	if p := s.producer; p != nil {
		s.producer, s.pauses = nil, notPaused
		s.note(probe.NoteStopProducer, 0, nil)
		s.callback(p.StopProducing)
	}
}

// Produces tells whether anything may still come of p. A transport whose reading has ended
// produces no more, though it is still registered (PROD-11): it has a method Producing that says
// so. A consumer that is closing asks, to know whether it must wait. Of a p without such a method
// more may always come. It is for the loop's goroutine.
func Produces(p Producer) bool {
	q, ok := p.(finite)
	return !ok || q.Producing()
}

// Unfinished tells whether what p has written so far is only a part, which the peer must not take for the whole: p has a method Unfinished
// that says so. Then a consumer that ends while p is registered ends by a reset (PROD-24). It is false of a nil p, and for the loop's goroutine.
func Unfinished(p Producer) bool {
	q, ok := p.(interface{ Unfinished() bool })
	return ok && q.Unfinished()
}

// finite is the method by which a Producer says whether more may come of it.
type finite interface{ Producing() bool }

// closeConn gives the conn and the token back, for a reason.
func (s *Stream) closeConn(reason error) {
	s.out.Discard(&s.r.chunks)
	if e := s.cfg.ending; e != nil && e.kept != nil {
		s.note(probe.NoteDrained, len(e.kept), nil)
	}
	switch {
	case reason == ErrDetached:
		s.letGo()
		return
	case s.out.Len() > 0 || s.hasBroken() || Unfinished(s.producer) || !graceful(reason):
		s.conn.Abort()
	case s.peerGone() || !resetsUnread(s.conn):
		s.conn.Close()
	default:
		if in, ended := s.drain(); !ended && reason == ErrClosed && in+int(s.sent) > 0 {
			if x, ok := s.conn.(*passing); ok {
				x.drop()
			}
			s.r.linger(innerConn(s.conn), s.token)
			return
		}
		s.conn.Close()
	}
	s.r.releaseToken(s.token)
}

// resetsUnread tells whether the close of c is a reset for the peer if there is unread input, or
// if more comes. Input of other conns, such as pipes, may belong to somebody else.
func resetsUnread(c kernel.Conn) bool {
	_, tcp := kernel.ConnAs[kernel.TCPConn](c)
	_, unix := kernel.ConnAs[kernel.UNIXConn](c)
	return tcp || unix
}

func (s *Stream) hasBroken() bool { return s.cfg.ending != nil && s.cfg.ending.reason != nil }

// graceful tells for which reasons the connection ends with the end of the stream.
func graceful(reason error) bool {
	return reason == io.EOF || reason == ErrClosed || reason == ErrStopped
}

// drain discards the input that is there, and returns how much that was, and whether it was the
// last (TCP-59). Closing a socket with unread input resets the connection, and the system drops
// what it has not sent yet.
func (s *Stream) drain() (n int, ended bool) {
	return s.r.discard(s.conn, func(n int) { s.note(probe.NoteDrained, n, nil) })
}

// discard reads what is there, up to drainLimit. It tells whether the peer sends no more.
func (r *Reactor) discard(c kernel.Conn, each func(n int)) (total int, ended bool) {
	for total < drainLimit {
		n, err := c.Read(r.buf)
		if n <= 0 || err != nil {
			return total, err != nil && err != kernel.ErrAgain
		}
		total += n
		if each != nil {
			each(n)
		}
	}
	return total, false
}

// drainLimit is how many bytes of unread input Close bothers to discard.
const drainLimit = 1 << 20
