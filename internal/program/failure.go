package program

import (
	"fmt"

	"github.com/whorl-go/whorl/reactor"
)

// WithFailure adds to the reason of an end of ours why p, if it is a coroutine, has failed.
func WithFailure(p reactor.Protocol, reason error) error {
	f, ok := reactor.ProtocolAs[interface{ Failure() error }](p)
	if !ok || reason != reactor.ErrAborted && reason != reactor.ErrClosed {
		return reason
	}
	switch err := f.Failure(); {
	case err == nil:
		return reason
	case reason == reactor.ErrClosed: // an end in order has no reason
		return err
	default:
		return fmt.Errorf("%w: %w", err, reason)
	}
}
