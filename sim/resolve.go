package sim

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/whorl-go/whorl/internal/eyeballs"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Resolve implements [reactor.Resolver]. It knows all hosts by name, crashed ones too; an answer is
// the host's IPv4 address, then its IPv6 address. "localhost", and what is below it, is the asking host, unless a host has that name. Any other name fails with
// kernel.ErrNoRoute, which a reactor wraps in reactor.ErrUnknownHost. An answer takes as
// long as a segment there and back, by the asking host's clock, and the delay that
// [Net.Resolving] and [Options.Resolve] add.
func (n *Net) Resolve(r *reactor.Reactor, name string, done func([]netip.Addr, error)) (cancel func()) {
	more, err := n.trouble(r, name)
	n.mu.Lock()
	h := n.byName[name]
	usual := &n.Options.Latency
	d := kernel.After(kernel.After(usual.draw(&n.random), usual.draw(&n.random)), max(more, 0))
	n.mu.Unlock()
	var ips []netip.Addr
	if h != nil {
		ips = []netip.Addr{h.ip4, h.ip6}
	} else if ips = eyeballs.Local(name); ips == nil && err == nil {
		err = fmt.Errorf("sim: resolve %q: no host has that name; Net.Host makes one: %w", name, kernel.ErrNoRoute)
	}
	answer := r.CallLater(d, func() {
		if err != nil {
			done(nil, err)
			return
		}
		done(ips, nil)
	})
	return func() { answer.Cancel() }
}

// trouble is how much longer a look-up takes, and why it fails, if it does.
func (n *Net) trouble(r *reactor.Reactor, name string) (delay time.Duration, err error) {
	bad, fails, more := n.drawTrouble()
	if n.Resolving != nil {
		delay, err = n.Resolving(n.hostOf(r), name)
	}
	if bad {
		delay = kernel.After(max(delay, 0), more)
	}
	if fails {
		err = fail("resolve", kernel.ErrTimeout)
	}
	return delay, err
}

// drawTrouble draws what Options.Resolve does to a look-up, from a stream of its own.
func (n *Net) drawTrouble() (bad, fails bool, more time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.Options.Resolve <= 0 {
		return false, false, 0
	}
	r := &n.lookups
	bad, fails, more = r.chance(n.Options.Resolve), r.next()&1 == 0, span(r, time.Millisecond, 5*time.Second)
	return bad, bad && fails, more
}

// hostOf is the host on which r is, nil if r is none of this network's.
func (n *Net) hostOf(r *reactor.Reactor) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.everyProgram() {
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
