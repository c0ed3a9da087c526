package reactor

import (
	"errors"
	"fmt"

	"github.com/whorl-go/whorl/kernel"
)

var (
	// ErrDetached: Detach has taken the connection out of the reactor. It lives on elsewhere.
	ErrDetached = kernel.Sentinel("connection detached")
	// ErrNotDetachable: the connection is ending, half-closed, or carries a layer such as TLS, so Detach has left
	// it as it was.
	ErrNotDetachable = kernel.Sentinel("the connection cannot be detached")
)

// Detach takes the connection out of the reactor without ending it: its peer notices nothing. fd is a descriptor of
// the socket and belongs to the caller, who gives it to AdoptConnection, here or in another process. That works on a
// duplicate, so the caller has to close fd in any case, by CloseDescriptor. unsent is the output that the socket has not taken, in order. Input that was not read stays in the socket. From the
// moment that Detach returns, this stream neither reads nor writes: Write is ErrClosed. Later, as after Abort,
// its producer is stopped and ConnectionLost(ErrDetached) is called.
//
// An error is [ErrNotDetachable] and says why: the connection is about to end, one direction has ended or is to end, a
// layer such as TLS is on it, or a [Join]. It is kernel.ErrUnsupported on a kernel without descriptors, and
// kernel.ErrTooManyFiles if there is no number left. Then nothing has changed, and fd is -1.
//
// Detach is for the loop's goroutine. In a DataReceived of the stream, what that callback was given counts as read.
func (s *Stream) Detach() (fd int, unsent []byte, err error) {
	if err := s.Detachable(); err != nil {
		return -1, nil, err
	}
	if fd, err = s.r.DescriptorOf(s); err != nil {
		return -1, nil, err
	}
	for s.out.Len() > 0 {
		p := s.out.First()
		unsent = append(unsent, p...)
		s.out.Advance(&s.r.chunks, len(p))
	}
	s.end(ErrDetached)
	return fd, unsent, nil
}

// Detachable returns the [ErrNotDetachable] that Detach would return now, or nil.
func (s *Stream) Detachable() error {
	why := ""
	_, layered := ProtocolAs[Layer](s.proto)
	_, joined := ProtocolAs[*joinSide](s.proto)
	switch {
	case s.state != streamOpen:
		why = "it is ending, or has ended"
	case s.peerGone():
		why = "its peer has ended its direction"
	case s.write != writeOn:
		why = "its write side is closed"
	case s.cfg.retired, layered:
		why = "a layer has it"
	case s.passes():
		why = "descriptors can be passed over it"
	case joined:
		why = "it is joined with another one"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrNotDetachable, why)
}

// letGo closes the conn of a stream that was detached, and leaves the connection to whoever has its descriptor.
func (s *Stream) letGo() {
	c := innerConn(s.conn)
	if s.armed != 0 {
		_ = s.r.k.Arm(c, s.token, 0) // the close would not do it, because the socket stays
	}
	if a, ok := kernel.ConnAs[kernel.Adopted](c); ok {
		a.GiveBack()
	} else {
		c.Close()
	}
	s.r.releaseToken(s.token)
}

// Port is the port that has accepted the connection, or that AdoptConfig.Port names. It is nil if there is none.
func (s *Stream) Port() *Port {
	p, _ := s.cfg.owner.(*Port)
	return p
}

var errOtherReactor = errors.New("AdoptConfig.Port belongs to another reactor")

// passes tells whether descriptors can be passed over the connection.
func (s *Stream) passes() bool {
	_, ok := s.conn.(*passing)
	return ok
}
