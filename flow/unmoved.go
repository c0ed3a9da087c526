package flow

import (
	"errors"
	"fmt"

	"github.com/whorl-go/whorl/reactor"
)

// mover is handover.Mover.
type mover interface{ Handover() ([]byte, error) }

// unmoved is the protocol of a transport below a protocol that is a handover.Mover. It keeps the connection in this process: the
// next one would make the protocol above again, and not the policy.
type unmoved struct{ reactor.Protocol }

var _ mover = unmoved{}

// Unwrap is the protocol for the transport below.
func (u unmoved) Unwrap() reactor.Protocol { return u.Protocol }

// Handover fails with errors.ErrUnsupported.
func (u unmoved) Handover() ([]byte, error) {
	return nil, fmt.Errorf("a connection with a policy of package flow does not move: %w", errors.ErrUnsupported)
}
