package std

import (
	"fmt"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
)

// StdioServer is stdio, for serving one client whose connection is standard input and output (EP-15), as a program does that a
// shell has in a pipeline, or inetd has started. It has no arguments (GRAM-15). The transport is that of [process.Stdio]. At its end
// both descriptors are closed, so that the client sees the end, and the null device takes their numbers. So Listen works once; a second
// one is ErrUsed. Nothing may print to standard output.
type StdioServer struct {
	_ struct{} `help:"Serves standard input and output as one connection, which is there at once."`

	// StreamConfig configures the buffers of the connection. It is no argument.
	StreamConfig reactor.StreamConfig

	used bool
}

// Listen builds the protocol of the one connection, for the zero address, and connects it before it returns. f is in use until
// StopListening of the Listener, which leaves the connection as it is, and has no address. If f builds nothing, the error is
// reactor.ErrNoProtocol; others are those of [process.Stdio]. See [endpoint.Server].
func (e *StdioServer) Listen(on reactor.Loops, f reactor.Factory) (endpoint.Listener, error) {
	if e.used {
		return nil, &reactor.OpError{Op: "listen", Err: fmt.Errorf("standard input and output: %w", ErrUsed)}
	}
	l := &stdioListener{on: on}
	err := on.InOne(func(r *reactor.Reactor) (err error) { // there is one connection
		l.r = r
		if l.release, err = r.UseFactory(f); err != nil {
			return err
		}
		e.used = true
		if err = e.connect(r, f); err != nil {
			_ = l.release() // the first error counts
		}
		return err
	})
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Err: err}
	}
	return l, nil
}

func (e *StdioServer) connect(r *reactor.Reactor, f reactor.Factory) error {
	var p reactor.Protocol
	if panicked := pool.Catch(func() { p = f.BuildProtocol(kernel.Addr{}) }); panicked != nil {
		return panicked
	}
	if p == nil {
		return reactor.ErrNoProtocol
	}
	_, err := process.Stdio(r, p, &process.StdioConfig{StreamConfig: e.StreamConfig, CloseAtEnd: true})
	return err
}

// String is the description.
func (e *StdioServer) String() string { return endpoint.Describe("stdio", e) }

// stdioListener is the place of a StdioServer, which nobody else can connect to.
type stdioListener struct {
	on      reactor.Loops
	r       *reactor.Reactor // of on
	release func() error     // nil after StopListening
}

// Addr is the zero Addr.
func (*stdioListener) Addr() kernel.Addr { return kernel.Addr{} }

// Addrs is empty.
func (*stdioListener) Addrs() []kernel.Addr { return nil }

// StopListening ends the use of the factory.
func (l *stdioListener) StopListening(done func(error)) {
	answer := func(err error) {
		if done != nil {
			done(err)
		}
	}
	if !l.r.Post(func() {
		var err error
		if l.release != nil {
			err = l.release()
			l.release = nil
		}
		answer(err)
	}) {
		l.on.Lead().Tell(func(error) { answer(nil) }) // the loop is lost, and the factory with it
	}
}
