package reactor_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// TCP-33: the timeout is for all addresses together, and each has its share. One at a time, an
// address that does not answer is given up when its share is over, in time for the next.
func TestDialSharesTheTimeout(t *testing.T) {
	const timeout = 10 * time.Second
	worlds(t, func(t *testing.T, w testworld.World) {
		answer := []netip.Addr{netip.MustParseAddr("127.0.0.2"), loopback.IP.Addr()}
		k := &aheadKernel{Kernel: w.Open(t)}
		f := new(testworld.Faults)
		r := testworld.New(t, f.Wrap(k), reactor.Config{Resolver: &names{answer: func() ([]netip.Addr, error) { return answer, nil }}})
		p := listen(t, r, &service{}, nil)
		var dialled []time.Duration
		f.Dial = func(kernel.Addr) error { dialled = append(dialled, r.Now()); return nil }
		f.Connected = func() error {
			if len(dialled) == 2 {
				return nil
			}
			k.ahead += 100 * ms
			return kernel.ErrAgain // the first address says nothing
		}
		told := false
		var failure error
		start := r.Now()
		c := r.Dial(kernel.HostAddr("some.example", p.Addr().Port()), one(&end{}), &reactor.DialConfig{Timeout: timeout, AttemptDelay: -1},
			func(_ reactor.Protocol, err error) { told, failure = true, err })
		until(t, r, func() bool { return told })
		if failure != nil || !c.Connected() || len(dialled) != 2 {
			t.Fatalf("TCP-33: %d addresses were tried, and then: %v", len(dialled), failure)
		}
		if after := dialled[1] - start; after < timeout/2 || after >= timeout {
			t.Errorf("TCP-33: the second of two addresses was tried after %v of %v", after, timeout)
		}
	})
}
