package coro

import (
	"errors"
	"io"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// ErrCancelled is what a wait returns that Cancel has ended. It is also [reactor.ErrCancelled].
var ErrCancelled = kernel.Sentinel("coroutine cancelled", reactor.ErrCancelled)

// readError is what Read says of a loss.
func (s *Session) readError() error {
	if reactor.PeerEnded(s.seldom.reason) {
		return io.EOF
	}
	return s.opError("read", s.seldom.reason)
}

// lostError is what Write and other waits say of a loss. It is never io.EOF, which callers take for the end of input.
func (s *Session) lostError(op string) error {
	if !s.lost || reactor.PeerEnded(s.seldom.reason) {
		return s.opError(op, kernel.ErrBroken)
	}
	return s.opError(op, s.seldom.reason)
}

// opError wraps the cause of err, with the addresses.
func (s *Session) opError(op string, err error) error {
	var o *reactor.OpError
	if errors.As(err, &o) && o == err {
		err = o.Err
	}
	return &reactor.OpError{Op: op, Local: s.t.Local(), Remote: s.t.Remote(), Err: err}
}
