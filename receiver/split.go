package receiver

import (
	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/reactor"
)

// Split receives frames whose ends a function finds (STR-12). It is for protocols with a framing
// of their own.
type Split struct {
	// Base has T, the connection's transport, from ConnectionMade on.
	reactor.Base
	conn

	// Find tells how many bytes the frame at the beginning of p has, or 0 if its end has not come,
	// as [frame.Split] says. It must be set, at the latest in Made.
	Find func(p []byte) (n int, err error)
	// FrameReceived takes each frame. Nil: frames are dropped.
	FrameReceived func(p []byte)
	// Failed is called once, with the error of Find or a [*frame.TooLongError]. Nothing is delivered
	// afterwards. The function should close or abort the connection, now or later. Nil: the
	// connection is closed.
	Failed func(err error)
	// Made is called once, when T is set, and Lost once and last. They are for users
	// without ConnectionMade and ConnectionLost of their own. Nil: nothing is called.
	Made func()
	Lost func(err error)
	// MaxLength is the most bytes in a frame. Zero means 99999, negative means 2^31-1.
	MaxLength int

	dec frame.Split
}

var (
	_ reactor.Protocol = (*Split)(nil)
	_ reactor.Producer = (*Split)(nil)
)

// ConnectionMade sets T and calls Made.
func (s *Split) ConnectionMade(t reactor.Transport) { s.made(t, s, &s.Base, s.Made) }

// ConnectionLost drops what was not delivered and calls Lost.
func (s *Split) ConnectionLost(err error) { s.lost(err, s.Lost) }

func (s *Split) decoder() decoder {
	s.dec.Find, s.dec.MaxLength = s.Find, s.MaxLength
	return &s.dec
}

func (s *Split) received(p []byte) { s.call(s.FrameReceived, p, "FrameReceived") }

func (s *Split) failed(err error) {
	s.dec.Stop()
	if s.Failed != nil {
		s.Failed(err)
		return
	}
	s.missing("Failed")
	s.T.Close()
}
