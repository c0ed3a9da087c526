package sim

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Resolve is reactor.Resolver: it knows the hosts by name, crashed ones too, IPv4
// first, and fails with kernel.ErrNoRoute for others; errors.Is finds
// reactor.ErrUnknownHost in what a reactor makes of it. An answer takes as long as a
// segment there and back, by the asking host's clock, and what Resolving adds.
func (n *Net) Resolve(r *reactor.Reactor, name string, done func([]netip.Addr, error)) (cancel func()) {
	var more time.Duration
	var err error
	if n.Resolving != nil {
		more, err = n.Resolving(n.hostOf(r), name)
	}
	n.mu.Lock()
	h := n.byName[name]
	usual := n.usual()
	d := usual.draw(&n.random) + usual.draw(&n.random) + max(more, 0)
	n.mu.Unlock()
	if h == nil && err == nil {
		err = fmt.Errorf("sim: resolve %q: no host has that name; Net.Host makes one: %w", name, kernel.ErrNoRoute)
	}
	answer := r.CallLater(d, func() {
		if err != nil {
			done(nil, err)
			return
		}
		done([]netip.Addr{h.ip4, h.ip6}, nil)
	})
	return func() { answer.Cancel() }
}

// hostOf is the host on which r is, nil if r is none of this network's.
func (n *Net) hostOf(r *reactor.Reactor) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.hosts {
		if h.Reactor == r {
			return h
		}
	}
	if k, ok := r.Kernel().(*simKernel); ok && k.n == n {
		return k.h
	}
	return nil
}

var _ reactor.Resolver = (*Net)(nil)
