package process

import (
	"fmt"
	"io"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// The errors of this package, for errors.Is.
var (
	// ErrDone: the program has exited with code 0. A [Status] is it then. It is a clean end, so it is io.EOF too.
	ErrDone = kernel.Sentinel("the program has ended with success", io.EOF)
	// ErrTerminated: the program has exited with another code, a signal has ended it, or nobody knows. A [Status] is it then.
	// It is also reactor.ErrLost.
	ErrTerminated = kernel.Sentinel("the program has not ended with success", reactor.ErrLost)
	// ErrExited: the child has exited. It is also os.ErrProcessDone.
	ErrExited = kernel.ErrExited
	// ErrNoPipe: the child has no pipe of that number that we write.
	ErrNoPipe = kernel.Sentinel("no pipe of that number")
	// ErrProtocol: a child with pipes or a terminal needs a protocol (PROC-18).
	ErrProtocol = kernel.Sentinel("a child with pipes needs a protocol")
	// ErrTerminalFiles: a child has a terminal, or descriptors by Files, and not both (PROC-15).
	ErrTerminalFiles = kernel.Sentinel("a terminal and a mapping of descriptors exclude each other")
)

// Status is how a child has ended (PROC-26). It is an error: errors.Is finds [ErrDone] in it if the program has ended with success,
// and otherwise [ErrTerminated] and Cause.
type Status struct {
	// Exit has the code or the signal, the status as the system encodes it, and the resources used.
	kernel.Exit
	// Cause is nil if the exit is known. Otherwise Unknown is true, and Cause is why: reactor.ErrStopped if the reactor has ended
	// first, or the error of the system, for instance because somebody else has taken the status (PROC-44).
	Cause error
}

// Success tells whether the program has exited with code 0.
func (s Status) Success() bool { return !s.Unknown && s.Signal == 0 && s.Code == 0 }

// Err is nil after success, and s otherwise.
func (s Status) Err() error {
	if s.Success() {
		return nil
	}
	return s
}

// Error is "exit status 7", "signal: killed", "signal: aborted (core dumped)", or that the status is unknown, and why.
func (s Status) Error() string {
	switch {
	case s.Unknown && s.Cause != nil:
		return fmt.Sprintf("exit status unknown: %v", s.Cause)
	case s.Unknown:
		return "exit status unknown"
	case s.Signal != 0 && s.Core:
		return fmt.Sprintf("signal: %v (core dumped)", s.Signal)
	case s.Signal != 0:
		return fmt.Sprintf("signal: %v", s.Signal)
	}
	return fmt.Sprintf("exit status %d", s.Code)
}

// Unwrap is ErrDone, or ErrTerminated and Cause.
func (s Status) Unwrap() []error {
	switch {
	case s.Success():
		return []error{ErrDone}
	case s.Cause != nil:
		return []error{ErrTerminated, s.Cause}
	}
	return []error{ErrTerminated}
}
