package pool

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic that was recovered: of a task, or of a callback of a reactor.
type PanicError struct {
	// Value is what was panicked with.
	Value any
	// Stack is the goroutine's stack at the panic, as debug.Stack prints it.
	Stack []byte
	// In names what panicked: "pool" for a task; in a reactor a protocol's or
	// factory's type, "delayed call", ...
	In string
}

// Error is one line with the value, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic in %s: %v", e.In, e.Value) }

// Unwrap is the panic's value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Catch calls fn and returns its panic, or nil. The caller names what panicked, in the
// field In. A fn that calls runtime.Goexit ends the goroutine.
func Catch(fn func()) (e *PanicError) {
	defer func() {
		if v := recover(); v != nil {
			e = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	fn()
	return nil
}
