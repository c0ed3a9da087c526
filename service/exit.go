package service

import (
	"errors"
	"fmt"
	"log/slog"
)

// ExitError is a failure that asks for an exit status of the process.
type ExitError struct {
	// Code is the status.
	Code int
	// Err is the cause, which is logged. Nil: nothing is logged.
	Err error
}

// Error is the cause, or "exit code 3".
func (e *ExitError) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Unwrap is the cause.
func (e *ExitError) Unwrap() error { return e.Err }

// ExitCode is the exit status of a process that has ended with err: 0 without an error, the Code of an [*ExitError] in it, and else 1 (SVC-35).
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*ExitError](err); ok {
		return e.Code
	}
	return 1
}

// report logs err, unless it is nothing but an ExitError without a cause, and returns its exit status.
func report(log *slog.Logger, err error) int {
	if e, ok := err.(*ExitError); err != nil && !(ok && e.Err == nil) {
		log.Error("the program has failed", slog.Any("err", err))
	}
	return ExitCode(err)
}
