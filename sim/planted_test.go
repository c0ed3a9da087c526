//go:build !race

// One goroutine does it all: the race detector could find nothing here, and makes it take
// seconds.

package sim_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// tailless is a conn that believes a write was taken whole when the buffer was full.
type tailless struct{ kernel.Conn }

func (s *tailless) Unwrap() kernel.Conn { return s.Conn }

func (s *tailless) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (s *tailless) Writev(bufs [][]byte) (int, error) { return s.Write(bufs[0]) }

// forgetful hides that its protocol listens to half-closes.
type forgetful struct{ reactor.Protocol }

// A wrapper without a bug is not noticed, and the planted bugs are found within 200
// seeds: by an invariant, or by the comparison at the end.
func TestPlanted(t *testing.T) {
	forgets := func(p *answerer) reactor.Protocol { return forgetful{p} }
	wrapped := func(wrap func(kernel.Conn) kernel.Conn, ahead time.Duration) func(*sim.Host, kernel.Kernel) kernel.Kernel {
		return func(_ *sim.Host, k kernel.Kernel) kernel.Kernel {
			return &wrapKernel{Kernel: k, wrap: wrap, ahead: ahead, calls: 30}
		}
	}
	for _, c := range []struct {
		name string
		x    transfer
		rule string // "": no invariant
		bug  bool
	}{
		{"none", transfer{}, "", false},
		{"wrapped", transfer{wrap: wrapped(nil, 0)}, "", false},
		{"tail lost at close", transfer{wrap: wrapped(func(s kernel.Conn) kernel.Conn { return &tailless{s} }, 0)}, sim.RuleSent, true},
		{"timer early", transfer{wrap: wrapped(nil, 10*time.Millisecond)}, sim.RuleEarly, true},
		{"half-close forgotten", transfer{server: forgets}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := 0
			for seed := range uint64(seeds) {
				x := c.x
				x.seed, x.sites = seed, 1
				err := x.run()
				if err == nil {
					continue
				}
				if found++; !c.bug {
					t.Fatalf("seed %d: %v", seed, err)
				}
				var broken *sim.InvariantError
				if errors.As(err, &broken) != (c.rule != "") || broken != nil && broken.Rule != c.rule {
					t.Fatalf("seed %d: want rule %q: %v", seed, c.rule, err)
				}
				if broken != nil && (broken.Seed != seed || broken.Table == "" || broken.At != x.n.Now() || x.n.Err() != err) {
					t.Fatalf("seed %d: an incomplete error %+v", seed, broken)
				}
				if found == 1 {
					t.Logf("found by seed %d", seed)
				}
			}
			if c.bug && found == 0 {
				t.Errorf("not found by %d seeds", seeds)
			}
			t.Logf("found by %d of %d seeds", found, seeds)
		})
	}
}
