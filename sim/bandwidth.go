package sim

import "time"

// header is the size in bytes of a segment's headers: IPv4's and TCP's.
const header = 40

// wire is the sender's end of a link of limited bandwidth. The segments of all connections
// leave it one after the other.
type wire struct {
	free time.Duration // when the last segment so far has left, rounded down
	rest uint64        // what free was rounded down by, in billionths of a byte
}

// size is how many bytes p takes on the wire.
func (p *packet) size() uint64 {
	if p.kind == DATA {
		return header + uint64(p.n)
	}
	return header
}

// transmit sends size bytes behind all others, and returns when the last of them has left.
// Remainders are kept, so that rounding does not add up over many segments.
func (w *wire) transmit(now time.Duration, rate, size uint64) time.Duration {
	if w.free < now {
		w.free, w.rest = now, 0
	}
	w.rest += size * uint64(time.Second)
	w.free += time.Duration(w.rest / rate)
	w.rest %= rate
	if w.rest > 0 {
		return w.free + 1 // never early
	}
	return w.free
}

// rate is how many bytes per second go over l, 0 for no limit.
func (n *Net) rate(l *link) uint64 {
	rate := n.Options.Bandwidth
	if l.limited {
		rate = l.bandwidth
	}
	if l.loop {
		rate = 0
	}
	return uint64(max(rate, 0))
}

// SetBandwidth sets how many bytes per second the link between a and b carries in each
// direction, instead of Options.Bandwidth. Zero or negative: no limit. It holds for what is
// sent from now on. Within a host, where a is b, it changes nothing.
func (n *Net) SetBandwidth(a, b string, bytesPerSecond int) {
	n.SetBandwidthOneWay(a, b, bytesPerSecond)
	n.SetBandwidthOneWay(b, a, bytesPerSecond)
}

// SetBandwidthOneWay is SetBandwidth for what from sends to to.
func (n *Net) SetBandwidthOneWay(from, to string, bytesPerSecond int) {
	a, b := n.Host(from), n.Host(to)
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.link(a, b)
	l.limited, l.bandwidth = true, bytesPerSecond
	l.wire.rest = 0
}
