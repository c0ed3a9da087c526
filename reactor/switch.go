package reactor

import (
	"io"

	"github.com/whorl-go/whorl/kernel/probe"
)

// Switcher is a transport whose protocol can be exchanged while the connection
// lives, which is how a layer is put between the two midstream (TLS-33).
type Switcher interface {
	// SwitchProtocol makes p the protocol: it hears everything after the callback in
	// progress, and its ConnectionMade is not called. What stood on the transport is
	// taken off and returned, and reading goes on if it was paused. It fails with
	// ErrClosed after Close, Abort or the loss, ErrWriteClosed after CloseWrite, and
	// io.EOF if the peer has ended its direction.
	SwitchProtocol(p Protocol) (Switched, error)
}

// Switched is what SwitchProtocol has taken off a transport.
type Switched struct {
	// Protocol was the protocol.
	Protocol Protocol
	// Producer was registered; nil if none was. ProducerPaused tells that it was
	// paused and is still to be resumed.
	Producer       Producer
	ProducerPaused bool
	// Paused tells that reading was.
	Paused bool
}

var _ Switcher = (*Stream)(nil)

// SwitchProtocol exchanges the protocol, as [Switcher] says.
func (s *Stream) SwitchProtocol(p Protocol) (Switched, error) {
	switch {
	case s.state != streamOpen:
		return Switched{}, ErrClosed
	case s.write != writeOn:
		return Switched{}, ErrWriteClosed
	case s.read == readEnded:
		return Switched{}, io.EOF
	}
	if s.read == readPaused {
		s.note(probe.NoteResumed, 0, nil)
	}
	old := Switched{s.proto, s.producer, s.paused, s.read == readPaused}
	s.proto, s.producer, s.paused, s.read = p, nil, false, readOn
	s.touch()
	return old, nil
}
