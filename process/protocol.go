package process

import (
	"reflect"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Protocol is the program's end of one child. Its methods are called on the loop's goroutine, never two at a time:
// ChildMade once, first; then DataReceived and PipeLost; Ended once, last. A panic in one of them is logged. In DataReceived it
// also ends that pipe, and nothing else; the child goes on.
//
// A Protocol may also be an [ExitListener], an [OutputReceiver], an [ErrorReceiver] or a [reactor.LogPrefixer]. A
// Protocol that wraps another one has Unwrap() Protocol.
type Protocol interface {
	// ChildMade is called inside Spawn. The child runs, and may have ended already: that is told later (PROC-1, PROC-19).
	ChildMade(c *Child)

	// DataReceived gets bytes, at least one, that the child has written to its descriptor fd, which is a ReadPipe or, with a
	// terminal, 1 (PROC-20, PROC-48). p belongs to the transport again when DataReceived returns.
	DataReceived(fd int, p []byte)

	// PipeLost is called once for each pipe, when it has ended, whoever ended it (PROC-21). err is never nil. It is io.EOF
	// if the child has closed it, and everything we wrote was taken; reactor.ErrClosed after ClosePipe and Close; and
	// otherwise as for ConnectionLost of a [reactor.Protocol].
	PipeLost(fd int, err error)

	// Ended is called when the child has exited, all its pipes have ended, and all it has written was delivered
	// (PROC-23). Something the child has left behind, and that holds a pipe, delays it (PROC-25). If the reactor
	// ends first, the status is reactor.ErrStopped.
	Ended(s Status)
}

// ExitListener is implemented by a Protocol that wants to know of the exit when it comes, though pipes may be open
// still (PROC-22). Exited is called once, before Ended, with the same status (PROC-27). It is not called if the reactor ends first.
type ExitListener interface {
	Exited(s Status)
}

// OutputReceiver is implemented by a Protocol that gets what the child writes to its standard output, descriptor 1, by a method of its own
// instead of DataReceived.
type OutputReceiver interface {
	OutputReceived(p []byte)
}

// ErrorReceiver is OutputReceiver for the standard error output, descriptor 2.
type ErrorReceiver interface {
	ErrorReceived(p []byte)
}

// Base is for embedding in protocols. It has the child, and methods that do nothing. A protocol that embeds it has
// OutputReceived and ErrorReceived, or a DataReceived of its own (PROC-20).
type Base struct {
	// C is the child. ChildMade sets it.
	C *Child
}

// ChildMade stores c in C. A protocol with a ChildMade of its own must call it.
func (b *Base) ChildMade(c *Child) { b.C = c }

// DataReceived drops p.
func (b *Base) DataReceived(fd int, p []byte) {}

// PipeLost does nothing.
func (b *Base) PipeLost(fd int, err error) {}

// Ended does nothing.
func (b *Base) Ended(s Status) {}

// ProtocolAs returns p as a T, or the first T among the protocols that p wraps.
func ProtocolAs[T any](p Protocol) (T, bool) { return kernel.Walk[T](p) }

// logPrefix is the name of p in the log.
func logPrefix(p Protocol) string {
	if l, ok := ProtocolAs[reactor.LogPrefixer](p); ok {
		return reactor.LogPrefixOf(l)
	}
	return reactor.LogPrefixOf(p)
}

// checked warns of methods of p that nobody calls.
func checked(r *reactor.Reactor, p Protocol) {
	type check struct{ reactor.MethodCheck }
	c := reactor.Shared(r, func() *check { return &check{reactor.MethodCheck{Optional: optionalMethods}} })
	for l := range kernel.Layers(p) {
		c.Check(r, l)
	}
}

func optionalMethods() []reactor.OptionalMethod {
	bytes := reflect.TypeFor[func([]byte)]()
	return []reactor.OptionalMethod{
		{Interface: "process.ExitListener", Find: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("Exited") }, Name: "Exited", Want: reflect.TypeFor[func(Status)]()},
		{Interface: "process.OutputReceiver", Find: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("OutputReceived") }, Name: "OutputReceived", Want: bytes},
		{Interface: "process.ErrorReceiver", Find: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("ErrorReceived") }, Name: "ErrorReceived", Want: bytes},
		{Interface: "reactor.LogPrefixer", Find: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("LogPrefix") }, Name: "LogPrefix", Want: reflect.TypeFor[func() string]()},
	}
}
