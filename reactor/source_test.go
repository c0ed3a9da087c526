package reactor_test

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// tokens is a kernel that notes the highest token it was given.
type tokens struct {
	kernel.Kernel
	highest uint32
}

func (k *tokens) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	k.highest = max(k.highest, token)
	return k.Kernel.Arm(h, token, r)
}

// Tokens are assigned again, so that a reactor needs memory for the connections that it has at a
// time, and not for all that it has had.
func TestTokensAreAssignedAgain(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := &tokens{Kernel: w.Open(t)}
		r := testworld.New(t, k, reactor.Config{})
		p := listen(t, r, &service{}, nil)
		first := uint32(0)
		for i := range 50 {
			cli := &end{}
			r.Dial(p.Addr(), one(cli), nil, nil)
			until(t, r, func() bool { return cli.s != nil })
			cli.s.Abort()
			until(t, r, func() bool { return r.Stats().Sources == 1 })
			if i == 0 {
				first = k.highest
			}
		}
		if k.highest > first+4 { // a turn more or less may pass between an end and the next dial
			t.Errorf("the highest token of 50 connections, one at a time, is %d; of the first it was %d", k.highest, first)
		}
	})
}
