package pool

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a recovered panic of a task, or of a callback of a reactor.
type PanicError struct {
	// Value is the argument of panic.
	Value any
	// Stack is the goroutine's stack at the panic, as debug.Stack prints it.
	Stack []byte
	// In says where: "pool" for a task; in a reactor the type of the protocol or factory,
	// "delayed call" ...
	In string
}

// Error returns one line with In and Value, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic in %s: %v", e.In, e.Value) }

// Unwrap returns Value if it is an error, or nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Catch calls fn and returns its panic, or nil. The caller sets the field In. A *PanicError that fn
// panics with is returned as it is: it was caught before, and its Stack shows where. If fn calls
// runtime.Goexit, the goroutine ends.
func Catch(fn func()) (e *PanicError) {
	defer Caught(&e)
	fn()
	return nil
}

// Caught is for a function that calls several others, and whose time counts: deferred there itself, it does what Catch does for its
// fn. It puts a panic into e, the function's result, and changes nothing without one.
func Caught(e **PanicError) {
	switch v := recover().(type) {
	case nil:
	case *PanicError:
		*e = v
	default:
		*e = &PanicError{Value: v, Stack: debug.Stack()}
	}
}
