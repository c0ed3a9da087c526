package netconn

import (
	"errors"
	"io"
	"net"
	"os"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Errors of this package, for errors.Is.
var (
	// ErrNoDescriptor: a net.Conn or net.Listener has no descriptor that the loop could take, such
	// as a tls.Conn or one end of a net.Pipe.
	ErrNoDescriptor = kernel.Sentinel("it has no descriptor that the loop can take", errors.ErrUnsupported)
	// ErrReactorNil: a Dialer without a reactor.
	ErrReactorNil = kernel.Sentinel("netconn: Dialer.Reactor is nil")
	// ErrNotOurs: Release of a net.Conn that is none of this package, such as one that a listener of package net has accepted, or a tls.Conn above
	// one of ours.
	ErrNotOurs = kernel.Sentinel("netconn: it is no connection of this package; listen by netconn.Listen or ListenIdle, and put TLS below by Over", errors.ErrUnsupported)
	// ErrNotConnected: Release of a Conn that has no transport yet.
	ErrNotConnected = kernel.Sentinel("netconn: it has no transport yet")
)

// opError is err with the operation and both ends, as package net has it. io.EOF stays io.EOF,
// because readers compare it.
func (c *Conn) opError(op string, err error) error {
	switch {
	case err == io.EOF && op == "read":
		return err
	case err == io.EOF:
		err = kernel.ErrBroken // the peer has gone
	case errors.Is(err, reactor.ErrClosed):
		err = net.ErrClosed
	}
	if e, ok := err.(*reactor.OpError); ok {
		err = &cause{e}
	}
	return &net.OpError{Op: op, Net: c.network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// errTimeout is the error of a call whose deadline has passed. Its method Timeout is true.
func errTimeout() error { return os.ErrDeadlineExceeded }

// netAddr is a as the type that package net has for its network. An Addr that has none there stays
// what it is, and nil stands for no address.
func netAddr(a kernel.Addr) net.Addr {
	switch a.Net {
	case 0:
		return nil
	case kernel.TCP:
		if a.IP.Addr().IsValid() {
			return net.TCPAddrFromAddrPort(a.IP)
		}
	case kernel.UDP:
		if a.IP.Addr().IsValid() {
			return net.UDPAddrFromAddrPort(a.IP)
		}
	case kernel.UNIX, kernel.UNIXDatagram:
		return &net.UnixAddr{Name: a.Name, Net: a.Net.String()}
	}
	return a
}

// cause is an OpError without the operation and the addresses in its text, because the error around it has them.
type cause struct{ e *reactor.OpError }

// Error is that of the cause.
func (c *cause) Error() string { return c.e.Err.Error() }

// Unwrap is the whole error.
func (c *cause) Unwrap() error { return c.e }

// Timeout is that of the whole error.
func (c *cause) Timeout() bool { return c.e.Timeout() }
