package receiver

import (
	"fmt"

	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/reactor"
)

// State handles one string or line, and returns the State for the next one; it may return
// itself. Nil ends the conversation (STR-8). Twisted finds handlers by name. Here a state
// is the handler itself, so none can be unknown.
type State func(p []byte) State

// States returns a function for StringReceived or LineReceived. The first string or line
// goes to first. When a state returns nil, done is called once, and everything after that
// is dropped. done usually closes the transport.
func States(first State, done func()) func(p []byte) {
	state := first
	return func(p []byte) {
		if state == nil {
			return
		}
		if state = state(p); state == nil {
			done()
		}
	}
}

// Step says how many bytes come next and which function takes them. That function returns
// the following Step. The zero Step ends the conversation.
type Step struct {
	// Size is the number of bytes. Zero: Received is called with an empty slice, without waiting
	// for anything but the end of a pause. So a length that the peer has sent may be used as it
	// is, once it was compared with a limit. A thousand such steps in a row, without a pause between
	// them, are taken for a loop that would never end: the next one panics, which ends the
	// connection. Negative: the Step panics.
	Size int
	// Received takes exactly Size bytes. Nil ends the conversation.
	Received func(p []byte) Step
}

// maxEmpty is how many steps of size zero may come in a row, in one delivery.
const maxEmpty = 1000

// Stateful receives pieces whose sizes are known before they come. It is for binary
// protocols, in which headers say how long the bodies are (STR-8).
type Stateful struct {
	// Base has T, the connection's transport, from ConnectionMade on.
	reactor.Base
	conn

	// First is the first step. It is set before the connection is made, or in Made. If its Size is
	// zero, it is called behind Made, before ConnectionMade returns. If a step returns the zero
	// Step, the connection is closed, unless the step has called Rest.
	First Step
	// Made is called once, when T is set, and Lost once and last. They are for users
	// without ConnectionMade and ConnectionLost of their own. Nil: nothing is called.
	Made func()
	Lost func(err error)

	dec    frame.Exact
	step   Step
	handed bool // the step in progress has called Rest
	empty  int  // steps of size zero since the last byte, in delivery number round
	round  uint
}

var (
	_ reactor.Protocol = (*Stateful)(nil)
	_ reactor.Producer = (*Stateful)(nil)
)

// ConnectionMade sets T and calls Made.
func (s *Stateful) ConnectionMade(t reactor.Transport) {
	s.made(t, s, &s.Base, s.Made)
	s.enter(s.First)
	if s.step.Size == 0 {
		s.deliver() // nothing has to come for it
	}
}

// ConnectionLost drops what was not delivered and calls Lost.
func (s *Stateful) ConnectionLost(err error) { s.lost(err, s.Lost) }

// Rest returns the bytes that have arrived and belong to no step that has taken them, and
// drops them (STR-11). The slice is lent until the callback in progress returns; outside of a
// callback it is the caller's.
//
// A step calls Rest to give the connection to another protocol. If that step returns the zero
// Step, the connection is not closed, and this Stateful takes no more bytes. If it returns
// another Step, that gets the bytes that arrive later, as when the same protocol goes on over
// TLS.
func (s *Stateful) Rest() []byte {
	s.handed = true
	return s.conn.Rest()
}

func (s *Stateful) enter(next Step) {
	s.step = next
	switch {
	case next.Received == nil && s.handed:
		s.dec.Stop()
	case next.Received == nil:
		s.T.Close()
	case next.Size < 0:
		panic(fmt.Sprintf("receiver: a step of %d bytes", next.Size))
	}
}

func (s *Stateful) decoder() decoder {
	s.dec.Size, s.dec.Empty = s.step.Size, s.step.Received != nil
	return &s.dec
}

func (s *Stateful) received(p []byte) {
	s.handed = false
	s.count(p)
	s.enter(s.step.Received(p))
}

// count panics if there are too many steps of size zero.
func (s *Stateful) count(p []byte) {
	if len(p) > 0 || s.round != s.conn.round {
		s.empty, s.round = 0, s.conn.round
	}
	if len(p) > 0 {
		return
	}
	if s.empty == maxEmpty {
		panic(fmt.Sprintf("receiver: more than %d steps of 0 bytes in a row", maxEmpty))
	}
	s.empty++
}

// failed is never called: an Exact has no errors.
func (s *Stateful) failed(error) {}
