// Package terminal has the system calls of terminals: pseudo-terminals, window sizes, raw mode, and who is in the foreground.
// It knows no loop. None of its functions waits for anybody, except that the system stops a process in the background that
// changes a terminal (SIGTTOU).
//
// Errors are those of the system, a [syscall.Errno] in an [*Error]. Where the system has no terminals of this kind, they are
// errors.ErrUnsupported.
package terminal

// Size is the size of a terminal's window. The pixels are often 0, which means unknown.
type Size struct{ Rows, Columns, XPixels, YPixels uint16 }

// Error is a call that has failed: its name and the error of the system.
type Error struct {
	Call string
	Err  error
}

// Error is "tcsetattr: input/output error".
func (e *Error) Error() string { return e.Call + ": " + e.Err.Error() }

// Unwrap is Err.
func (e *Error) Unwrap() error { return e.Err }

func failed(call string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{call, err}
}

// Pair is a new pseudo-terminal. What is written to one side is read at the other, with what a terminal does on the way. Both
// descriptors are close-on-exec, belong to the caller, and become nobody's controlling terminal.
type Pair struct {
	// Master is the side of the program that plays the terminal. It does not block. When nobody has the other side open any
	// more, reading it fails with EIO on Linux and ends elsewhere, after everything that was written.
	Master int
	// Slave is the side that is a terminal for the programs on it. It blocks, as such programs expect.
	Slave int
	// Name is the path of the slave, such as "/dev/pts/3".
	Name string
}
