package reactor

import (
	"io"

	"github.com/whorl-go/whorl/kernel/probe"
)

// Switcher is a transport whose protocol can be replaced while the connection lasts. STARTTLS
// uses it to put TLS between a transport and its protocol (TLS-33).
type Switcher interface {
	// SwitchProtocol makes p the protocol. p gets all callbacks after the one in progress;
	// its ConnectionMade is not called. SwitchProtocol removes the producer, resumes
	// reading if it was paused, and returns what there was before. It fails with ErrClosed
	// after Close, Abort or the loss, with ErrWriteClosed after CloseWrite, and with io.EOF
	// if the peer has ended its direction, and with ErrSwitched if the transport is retired,
	// see [Retirer]. The former protocol can go on writing, unless the caller retires the
	// transport.
	SwitchProtocol(p Protocol) (Switched, error)
}

// Switched is what a transport had before SwitchProtocol.
type Switched struct {
	// Protocol is the former protocol.
	Protocol Protocol
	// Producer is the producer that was registered, or nil. ProducerPaused tells that it
	// is paused; the caller must see to it that it is resumed.
	Producer       Producer
	ProducerPaused bool
	// Paused tells that reading was paused.
	Paused bool
}

var _ Switcher = (*Stream)(nil)

// SwitchProtocol replaces the protocol, as [Switcher] says.
func (s *Stream) SwitchProtocol(p Protocol) (Switched, error) {
	if s.cfg.retired {
		return Switched{}, ErrSwitched
	}
	return s.switchTo(p)
}

func (s *Stream) switchTo(p Protocol) (Switched, error) {
	switch {
	case s.state != streamOpen:
		return Switched{}, ErrClosed
	case s.write != writeOn:
		return Switched{}, ErrWriteClosed
	case s.read == readEnded:
		return Switched{}, io.EOF
	}
	if err := s.takeBack(); err != nil {
		s.end(s.opError("read", err))
		return Switched{}, ErrClosed
	}
	if s.read == readPaused {
		s.note(probe.NoteResumed, 0, nil)
	}
	old := Switched{s.proto, s.producer, s.paused(), s.read == readPaused}
	s.proto, s.producer, s.pauses, s.read = p, nil, notPaused, readOn
	s.touch()
	s.resumed()
	return old, nil
}
