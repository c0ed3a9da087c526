package reactor

import (
	"errors"
	"fmt"

	"github.com/whorl-go/whorl/kernel"
)

// joinSide is one of two joined transports. It is the protocol of its transport, and the
// producer of the other.
type joinSide struct {
	j      *Joined
	to     *joinSide // where what it receives goes
	t      Transport
	former Protocol
	passed uint64 // bytes written to the other side
	err    error  // with which it was lost
	ended  bool   // the peer has ended its direction
	gone   bool   // lost
	out    joinOutput

	// The capabilities of t. The last three are nil if it lacks them.
	switcher Switcher
	source   Producer
	sink     Consumer
	half     HalfCloser
	live     finite
	counted  interface{ Stats() StreamStats }
}

// joinOutput is what becomes of what is passed to a side.
type joinOutput uint8

const (
	outputTaken   joinOutput = iota
	outputStopped            // its transport takes nothing more, and is about to end
	outputDropped            // its transport takes nothing more, and lives on (PROD-21)
)

var (
	_ Protocol          = (*joinSide)(nil)
	_ HalfCloseListener = (*joinSide)(nil)
	_ Producer          = (*joinSide)(nil)
)

// find looks for the capabilities of t, and for what forbids to join it.
func (s *joinSide) find() error {
	t := s.t
	var can [3]bool
	s.switcher, can[0] = As[Switcher](t)
	s.source, can[1] = As[Producer](t)
	s.sink, can[2] = As[Consumer](t)
	for i, what := range [...]string{"Switcher", "Producer", "Consumer"} {
		if !can[i] {
			return fmt.Errorf("%w: a %T is no %s", ErrCannotJoin, t, what)
		}
	}
	if on, ok := t.(interface{ Protocol() Protocol }); ok {
		if l, ok := ProtocolAs[Layer](on.Protocol()); ok {
			return fmt.Errorf("%w: on a %T stands a %T", ErrCannotJoin, t, l.Above())
		}
	}
	s.half, _ = As[HalfCloser](t)
	s.live, _ = As[finite](t)
	s.counted, _ = As[interface{ Stats() StreamStats }](t)
	// Only a registration tells whether there is a producer.
	if err := s.sink.RegisterProducer(noProducer{}); err != nil {
		return err
	}
	s.sink.UnregisterProducer()
	return nil
}

// noProducer produces nothing.
type noProducer struct{}

func (noProducer) PauseProducing()  {}
func (noProducer) ResumeProducing() {}
func (noProducer) StopProducing()   {}

// take makes s the protocol of its transport.
func (s *joinSide) take() (Switched, error) {
	was, err := s.switcher.SwitchProtocol(s)
	s.former = was.Protocol
	return was, err
}

// Unwrap is the former protocol. Through it the capabilities of that one are found.
func (s *joinSide) Unwrap() Protocol { return s.former }

// LogPrefix keeps the name of the former protocol in the log.
func (s *joinSide) LogPrefix() string { return LogPrefixOf(s.former) }

// ConnectionMade is never called.
func (s *joinSide) ConnectionMade(Transport) {}

// DataReceived passes p on.
func (s *joinSide) DataReceived(p []byte) {
	s.j.progress()
	s.pass(p)
}

// TakeInput is DataReceived. A layer whose messages are more than bytes, such as a WebSocket, asks for it before it looks for a method of its own at the
// former protocol.
func (s *joinSide) TakeInput(p []byte, _ func([]byte)) {
	if len(p) > 0 {
		s.DataReceived(p)
	}
}

func (s *joinSide) pass(p []byte) {
	if s.to.out == outputDropped {
		s.j.failed(kernel.ErrBroken)
		return
	}
	n, err := s.to.t.Write(p)
	s.passed += uint64(n)
	if err == ErrWriteClosed || err == ErrSwitched { // only that direction has ended, and nobody would be told of the gap
		s.j.abort(err)
	}
}

// ReadConnectionLost passes the end of this direction on. When both directions have ended,
// it closes both sides.
func (s *joinSide) ReadConnectionLost() {
	o := s.to
	s.ended = true
	s.endedFirst()
	s.j.setLimit()
	o.sink.UnregisterProducer()
	switch {
	case o.ended:
		s.t.Close()
		o.t.Close()
	case o.half == nil || errors.Is(o.half.CloseWrite(), errors.ErrUnsupported): // such as a WebSocket
		o.t.Close()
	}
}

// WriteConnectionLost follows a CloseWrite of ours, or the loss of the output alone, as of standard output whose reader has gone. In both cases the other direction goes
// on. In the second what comes from the other side is dropped, so that its end is noticed (PROD-21).
func (s *joinSide) WriteConnectionLost() {
	if s.out == outputStopped && !s.gone {
		s.drop()
	}
}

// ConnectionLost ends the other side, and tells the former protocol.
func (s *joinSide) ConnectionLost(err error) {
	former := s.former
	inOrder := PeerEnded(err)
	s.gone, s.err, s.former = true, err, lostProtocol{}
	s.ended = s.ended || inOrder
	s.endedFirst()
	if !inOrder && err != ErrClosed {
		s.j.failed(err)
	}
	s.passLossOn()
	defer s.j.lost() // also if the former protocol panics
	former.ConnectionLost(err)
}

// passLossOn ends the other side.
func (s *joinSide) passLossOn() {
	o := s.to
	if o.gone {
		return
	}
	o.sink.UnregisterProducer()
	if s.ended || s.err == ErrClosed || s.err == ErrStopped {
		o.t.Close() // it has all that there was, or will have
	} else {
		o.t.Abort()
	}
}

func (s *joinSide) endedFirst() {
	if s.j.first == nil && !s.j.ours {
		s.j.first = s
	}
}

// flow returns what is known of the bytes that are sent.
func (s *joinSide) flow() StreamStats {
	if s.counted == nil {
		return StreamStats{}
	}
	return s.counted.Stats()
}

// PauseProducing is called when the other side holds enough.
func (s *joinSide) PauseProducing() { s.source.PauseProducing() }

// ResumeProducing is called when the other side has sent what it held.
func (s *joinSide) ResumeProducing() { s.source.ResumeProducing() }

// StopProducing is called when the other side can send no more, so this side is paused. What the
// other side still receives is written here until its ConnectionLost. If that may take as long as it likes, what comes from this
// side is dropped instead, so that its end is noticed (PROD-21).
func (s *joinSide) StopProducing() {
	if g, ok := As[goingOn](s.to.t); ok && g.GoesOn() {
		s.to.drop()
		return
	}
	s.to.out = outputStopped
	s.source.PauseProducing()
}

// drop has s drop what comes from the other side, which goes on.
func (s *joinSide) drop() {
	s.out = outputDropped
	s.to.source.ResumeProducing()
}

// goingOn is the method by which a transport says that it lives on when it can send no more: a program may close its input.
type goingOn interface{ GoesOn() bool }

// Producing tells whether the other side, if it is closing, must wait for more. It must not
// if it was closed directly, because this side is told nothing of that and may go on for ever.
func (s *joinSide) Producing() bool {
	return producing(s) && (s.to.ended || producing(s.to))
}

func producing(s *joinSide) bool { return s.live == nil || s.live.Producing() }
