package sim

import (
	"fmt"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// Run lets d pass, and does what is due at its end. It fails with a [StuckError] of
// ErrLivelock, or with an [InvariantError].
func (n *Net) Run(d time.Duration) error {
	end := later(n.begin(), d)
	for n.stepTo(end) {
		if n.livelocked() {
			return n.stuck(ErrLivelock)
		}
	}
	if err := n.Err(); err != nil {
		return err
	}
	n.mu.Lock()
	n.now = max(n.now, end)
	n.mu.Unlock()
	return nil
}

// RunUntil runs until cond holds; cond is asked between all steps. It fails with a
// [StuckError]: ErrDeadlock when nothing is left that could happen, ErrLivelock when
// reactors turn and time does not move, ErrLimit when limit has passed from now, which is never for kernel.Forever. A broken
// invariant is an [InvariantError], also if cond holds.
func (n *Net) RunUntil(cond func() bool, limit time.Duration) error {
	end := later(n.begin(), limit)
	for !cond() {
		if n.livelocked() {
			return n.stuck(ErrLivelock)
		}
		if n.stepTo(end) {
			continue
		}
		if err := n.Err(); err != nil {
			return err
		}
		if n.idle() {
			return n.stuck(ErrDeadlock)
		}
		n.mu.Lock()
		n.now = max(n.now, end)
		n.mu.Unlock()
		return n.stuck(ErrLimit)
	}
	return n.Err()
}

// Step moves the clock to the next thing and does it: an arrival, a function given to At, or
// a turn of one host's reactor. It returns false if nothing is left, or if an invariant is
// broken. A call to a reactor between two steps may take effect late; one in a function given
// to At does not.
func (n *Net) Step() bool { return n.stepTo(kernel.Forever - 1) }

// later is t+d, or the last moment that there is: a d such as kernel.Forever has no other end.
func later(t, d time.Duration) time.Duration { return min(kernel.After(t, d), kernel.Forever-1) }

// begin returns the time, and has every reactor look at what was posted meanwhile.
func (n *Net) begin() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.still, n.cuts = 0, 0
	n.touchAll()
	return n.now
}

func (n *Net) livelocked() bool { return n.vainTurns() > n.maxTurns() }

// transferTurns is how many times MaxTurns a transfer may take while time does not move.
const transferTurns = 64

// vainTurns is how many turns count as those of a livelock. A transfer that is cut into small pieces, by Chunk or by small buffers, comes
// to an end, so the turns of its pieces do not count, as long as there are not too many.
func (n *Net) vainTurns() int { return max(n.still-n.cuts, n.still/transferTurns) }

// cuts is told how many bytes s took of those that were written. A piece takes a turn at each end, and one more if the writer finds the
// buffer full before there is room again.
func (s *sock) cuts(took, of int) {
	if n := s.h.n; took < of {
		turns := 2
		if s.room() <= 0 {
			turns = 3
		}
		n.cut = max(n.cut, turns)
	}
}

func (n *Net) maxTurns() int { return or(n.MaxTurns, defaultMaxTurns) }

func (n *Net) stuck(why error) error {
	e := &StuckError{Why: why, Seed: n.seed, At: n.now, Table: n.Table()}
	if why == ErrLivelock {
		e.Busy = fmt.Sprintf("%d turns were made, and time did not move; of the callbacks in the second half of them, the most frequent:\n%s",
			n.still, n.spin.text())
	}
	return e
}

// stepTo is Step, unless the next thing is later than end.
func (n *Net) stepTo(end time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for looked := false; n.broken == nil; {
		h := n.readyHost()
		switch {
		case n.due() && (h == nil || n.random.next()&3 != 0):
			n.step()
			return true
		case h != nil:
			n.turnHost(h)
			return true
		}
		// Something may have happened outside of the network, such as a Post from
		// elsewhere. It is seen before time moves on to nothing.
		next := n.nextOfAll()
		if next > end {
			if looked {
				return false
			}
			looked = true
			n.touchAll()
			still, cuts := n.still, n.cuts
			for _, h := range n.everyProgram() {
				if h.runs() && h.busy <= n.now {
					n.turnHost(h)
				}
			}
			n.still, n.cuts = still, cuts
			continue
		}
		n.now, n.still, n.cuts = next, 0, 0
	}
	return false
}

// idle tells whether nothing will ever happen.
func (n *Net) idle() bool { return n.nextOfAll() == kernel.Forever }

// nextOfAll is the time of the next event or deadline.
func (n *Net) nextOfAll() time.Duration {
	next := n.next()
	for _, h := range n.hosts {
		if h.runs() {
			next = min(next, max(h.k.due(), h.busy))
		}
	}
	return min(next, n.nextOfChildren())
}

// readyHost is a host whose reactor has something to do now, nil if none has.
func (n *Net) readyHost() *Host {
	all := len(n.hosts) + len(n.children.live)
	for range all {
		if n.turn++; n.turn >= all {
			n.turn = 0
		}
		if h := n.program(n.turn); h.ready() {
			return n.drawn(h)
		}
	}
	return nil
}

// turnHost makes one turn of h's reactor.
func (n *Net) turnHost(h *Host) {
	n.still++
	r, k := h.Reactor, h.k
	k.touched = false
	if h.starting {
		n.noteHost(OpStart, h)
	}
	n.mu.Unlock()
	n.inTurn = true
	defer func() {
		n.inTurn = false
		n.mu.Lock()
	}()
	if (!h.begun || h.starting) && !h.begin() {
		return
	}
	n.turning = h
	if err := r.Turn(-1); err != nil {
		k.ended = true // the reactor was closed
	}
	n.turning = nil
	n.cuts += n.cut
	n.cut = 0
	if e := n.panicked; e != nil {
		n.panicked = nil
		panic(e)
	}
	switch {
	case !k.ended:
	case h.proc != nil:
		h.proc.exit(kernel.Exit{Code: h.proc.code, Raw: uint32(h.proc.code) << 8})
	default:
		h.renew(k)
	}
}
