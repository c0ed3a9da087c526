package reactor

import (
	"io"

	"github.com/whorl-go/whorl/kernel"
)

// A stream on a kernel.Halves has an output that fails or ends without the input. It differs from other streams in this:
//
//	| what happens                             | HalfCloseListener                       | another protocol |
//	|------------------------------------------|-----------------------------------------|------------------|
//	| the output fails                         | WriteConnectionLost                     | the end, at once |
//	| the input has ended, and the output too  | the end, after the callback of the last | the end          |
//	| a producer is registered without output  | it is stopped                           | the same         |
//
// The end at once leaves input unread, because it may be endless, and somebody else may want it.

// halfCloseListener finds p as ProtocolAs does, but quicker, because each end of a stream asks.
func halfCloseListener(p Protocol) (HalfCloseListener, bool) {
	for l := range layers(p) {
		if h, ok := l.(HalfCloseListener); ok {
			return h, true
		}
	}
	return nil, false
}

// outputFailed follows a failure that was not found by reading.
func (s *Stream) outputFailed(reason error) {
	if s.cfg.halves == nil {
		s.breakOff(reason)
		return
	}
	s.out.Advance(&s.r.chunks, s.out.Len())
	s.blocked = false
	_, ok := halfCloseListener(s.proto)
	switch {
	case !ok, s.state != streamOpen, s.peerGone():
		s.end(reason)
	case s.write == writeOn:
		s.write = writeClosing // settle ends it
	}
	s.touch()
	s.stopProducer() // inside its write, if that has failed (PROD-14)
}

// endHalves ends a stream whose directions have both ended.
func (s *Stream) endHalves() {
	if s.cfg.halves != nil && s.peerGone() && s.write == writeEnded && s.state == streamOpen {
		s.end(io.EOF)
	}
}

// halfEnded tells whether nothing can be written any more though the stream lives.
func (s *Stream) halfEnded() bool { return s.cfg.halves != nil && s.write != writeOn }

// wantHalves adds to what the stream waits for that its output fails.
func (s *Stream) wantHalves(want kernel.Ready) kernel.Ready {
	if s.state <= streamClosing && s.write != writeEnded {
		want |= kernel.Failed
	}
	return want
}
