package tlsio

import (
	"fmt"
	"math"
	"net/netip"

	"github.com/whorl-go/whorl/reactor"
)

// Stats are counters of the handshakes of servers on one reactor. Those of clients are not
// counted.
type Stats struct {
	// Pending is how many handshakes are in progress, whether they compute, wait for a
	// worker or wait for their peer. One whose connection was lost in a callback of the
	// tls.Config is counted until the callback returns.
	Pending int
	// Queued of these wait for a worker, see Options.Workers.
	Queued int
	// Running of these are computed, or wait in a callback of the tls.Config.
	Running int
	// Refused is how many connections were refused with ErrHandshakesBusy so far.
	Refused uint64
	// TimedOut is how many handshakes have ended with ErrHandshakeTimeout so far.
	TimedOut uint64
}

// StatsOf returns the counters of r, all Options together. It is for the loop's goroutine.
func StatsOf(r *reactor.Reactor) (s Stats) {
	for _, l := range loopsOf(r) {
		p := &l.pending
		s.Pending += p.total()
		s.Queued += p.in[queued]
		s.Running += p.in[running] + p.in[abandoned]
		s.Refused += p.refused
		s.TimedOut += p.timedOut
	}
	return s
}

// pending counts the handshakes of one loop's servers, and bounds them.
type pending struct {
	most, mostOfPeer int
	in               [over]int // by state
	ofPeer           map[netip.Prefix]int
	refused          uint64
	timedOut         uint64
}

func newPending(o Options) pending {
	p := pending{most: withDefault(o.MaxPendingHandshakes, defaultPending, math.MaxInt), ofPeer: make(map[netip.Prefix]int)}
	p.mostOfPeer = withDefault(o.MaxPendingPerPeer, max(1, min(p.most, defaultPending)/4), math.MaxInt)
	return p
}

func (p *pending) total() (n int) {
	for _, of := range p.in {
		n += of
	}
	return n
}

// admit counts one more handshake with peer, in the state waiting. It fails if there are
// too many.
func (p *pending) admit(peer netip.Prefix) error {
	total, ofPeer := p.total(), p.ofPeer[peer]
	var why string
	switch {
	case total >= p.most:
		why = fmt.Sprintf("%d are; see Options.MaxPendingHandshakes", total)
	case peer.IsValid() && ofPeer >= p.mostOfPeer:
		why = fmt.Sprintf("%d of this peer are; see Options.MaxPendingPerPeer", ofPeer)
	default:
		p.in[waiting]++
		if peer.IsValid() {
			p.ofPeer[peer]++
		}
		return nil
	}
	p.refused++
	return fmt.Errorf("%w: %s", ErrHandshakesBusy, why)
}

// moved counts a handshake of peer that goes from one state to another.
func (p *pending) moved(peer netip.Prefix, from, to handshakeState) {
	p.in[from]--
	switch {
	case to != over:
		p.in[to]++
	case p.ofPeer[peer] > 1:
		p.ofPeer[peer]--
	default:
		delete(p.ofPeer, peer)
	}
}
