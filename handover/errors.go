package handover

import (
	"fmt"
	"strconv"

	"github.com/whorl-go/whorl/kernel"
)

// The errors of this package, for errors.Is. They come in an [*Error].
var (
	// ErrNobody: no program offers its sockets at that path.
	ErrNobody = kernel.Sentinel("nobody offers sockets there")
	// ErrRefused: the other program has ended the hand-over. The error that wraps it has its reason.
	ErrRefused = kernel.Sentinel("the other program refuses")
	// ErrBusy: another successor is taking the sockets.
	ErrBusy = kernel.Sentinel("another successor is taking the sockets", ErrRefused)
	// ErrVersion: the two programs speak no common version of the protocol.
	ErrVersion = kernel.Sentinel("no common version of the protocol", ErrRefused)
	// ErrForeign: the other process is neither of this user nor of root.
	ErrForeign = kernel.Sentinel("the process is another user's")
	// ErrProtocol: the other program has broken the rules.
	ErrProtocol = kernel.Sentinel("the other program breaks the rules")
	// ErrGone: the connection to the other program ended too early: it has died, or has given up.
	ErrGone = kernel.Sentinel("the other program is gone")
	// ErrTimeout: the other program took too long. It is also kernel.ErrTimeout.
	ErrTimeout = kernel.Sentinel("the other program took too long", kernel.ErrTimeout)
	// ErrGivenUp: GiveUp was called, or Stop.
	ErrGivenUp = kernel.Sentinel("given up by this program")
)

// Step is a part of a hand-over.
type Step string

// The steps, in their order.
const (
	StepConnect Step = "connect" // reach the old program and know it
	StepHello   Step = "hello"   // agree on a version
	StepOffer   Step = "offer"   // the sockets come
	StepReady   Step = "ready"   // the successor opens its places, answers and is ready
	StepStop    Step = "stop"    // the old program stops accepting
	StepMove    Step = "move"    // connections move
	StepDrain   Step = "drain"   // the old program drains what is left
)

// Error says at which step a hand-over failed, and why.
type Error struct {
	// Step is where it failed.
	Step Step
	// Peer is the number of the other process; 0 if it is not known.
	Peer int
	// Err is the cause.
	Err error
}

// Error is "hand-over at step ready with process 12: the other program took too long".
func (e *Error) Error() string {
	s := "hand-over at step " + string(e.Step)
	if e.Peer != 0 {
		s += " with process " + strconv.Itoa(e.Peer)
	}
	return s + ": " + e.Err.Error()
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// broken is an ErrProtocol with what is wrong.
func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}
