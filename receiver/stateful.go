package receiver

import (
	"fmt"

	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/reactor"
)

// State handles one string or line, and returns what handles the next one, itself
// perhaps; nil says that the conversation is over (STR-8). Where Twisted finds
// handlers by name, a state is the handler, so none is unknown.
type State func(p []byte) State

// States makes a StringReceived or LineReceived that begins with first. When a
// state returns nil it calls done, once; what comes after that is dropped. done is
// usually what closes the transport.
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

// Step says how many bytes are to come, and what takes them and returns the step
// after it. The zero Step says that the conversation is over.
type Step struct {
	// Size is in bytes and greater than 0; anything else panics.
	Size int
	// Received takes exactly Size bytes.
	Received func(p []byte) Step
}

// Stateful receives pieces of sizes known beforehand: for binary protocols, whose
// headers say how long the bodies are (STR-8).
type Stateful struct {
	// Base has T, the connection's transport, from ConnectionMade on.
	reactor.Base
	conn

	// First is the first step. It is set before the connection is made or in Made.
	// The zero Step as the next one closes the connection.
	First Step
	// Made, when T is there, and Lost, once and last, are ConnectionMade and
	// ConnectionLost without a method of one's own. Nil: nothing.
	Made func()
	Lost func(err error)

	dec  frame.Exact
	step Step
}

var (
	_ reactor.Protocol = (*Stateful)(nil)
	_ reactor.Producer = (*Stateful)(nil)
)

// ConnectionMade sets T and calls Made.
func (s *Stateful) ConnectionMade(t reactor.Transport) {
	s.made(t, s, &s.Base, s.Made)
	s.enter(s.First)
}

// ConnectionLost drops what was not delivered and calls Lost.
func (s *Stateful) ConnectionLost(err error) { s.lost(err, s.Lost) }

func (s *Stateful) enter(next Step) {
	s.step = next
	switch {
	case next.Received == nil:
		s.T.Close()
	case next.Size <= 0:
		panic(fmt.Sprintf("receiver: a step of %d bytes", next.Size))
	}
}

func (s *Stateful) decoder() decoder {
	s.dec.Size = s.step.Size
	return &s.dec
}

func (s *Stateful) received(p []byte) { s.enter(s.step.Received(p)) }

// failed is never called: an Exact has no errors.
func (s *Stateful) failed(error) {}
