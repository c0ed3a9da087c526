//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package process

import (
	"errors"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// standardConn is not there on this system yet.
type standardConn struct{ kernel.Conn }

func newStandardConn(*reactor.Reactor, int, int, *StdioConfig) (*standardConn, error) {
	return nil, errors.ErrUnsupported
}

// Unwrap is nothing.
func (x *standardConn) Unwrap() kernel.Conn { return x.Conn }

func (*standardConn) release() {}

func (*standardConn) restore() {}

func (*standardConn) size() (Size, error) { return Size{}, ErrNoTerminal }
