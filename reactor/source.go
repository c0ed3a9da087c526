package reactor

import (
	"errors"
	"math"

	"github.com/whorl-go/whorl/kernel"
)

// source is whatever stands behind a token: a stream, a port, a connector, a foreign
// descriptor.
type source interface {
	// ready says that the kernel has reported readiness.
	ready(kernel.Ready)
	// settleTouched carries out what was asked for outside of this source's own events. It
	// is called once after Reactor.touch.
	settleTouched()
	// panicked ends the source after a panic in one of its callbacks.
	panicked(*PanicError)
	// shutdown ends the source because the reactor ends.
	shutdown()
	// logName names the source in the log and in a PanicError: whose callback it was in.
	logName() string
}

// take gives src a token.
func (r *Reactor) take(src source) uint32 {
	if n := len(r.free); n > 0 {
		token := r.free[n-1]
		r.free = r.free[:n-1]
		r.slots[token] = src
		return token
	}
	if uint64(len(r.slots)) > math.MaxUint32-1 {
		panic(errors.New("reactor: out of tokens"))
	}
	r.slots = append(r.slots, src)
	return uint32(len(r.slots) - 1)
}

// release takes a token back; it is given out again only after this turn.
func (r *Reactor) release(token uint32) {
	r.slots[token] = nil
	r.freed = append(r.freed, token)
}

func (r *Reactor) recycle() {
	if len(r.freed) > 0 {
		r.free = append(r.free, r.freed...)
		r.freed = r.freed[:0]
	}
}

// disconnectAll ends every source once, in the order of their tokens; one that
// panics does not keep the others (CORE-26).
func (r *Reactor) disconnectAll() {
	for i := 0; i < len(r.slots); i++ {
		if src := r.slots[i]; src != nil {
			src.shutdown()
		}
	}
}

// touch has src settled before the loop waits. The caller sees to it that src stands in the
// list once.
func (r *Reactor) touch(src source) { r.dirty = append(r.dirty, src) }

// settleDirty settles the sources touched so far. Those touched meanwhile wait
// for the next turn, so that two that feed each other cannot hold the loop.
func (r *Reactor) settleDirty() {
	if len(r.dirty) == 0 {
		return
	}
	r.dirty, r.settling = r.settling[:0], r.dirty
	for i, src := range r.settling {
		r.settling[i] = nil
		r.settleTouched(src)
	}
}

func (r *Reactor) settleTouched(src source) { r.blame(src, src.settleTouched) }

// settleOne settles s. What panics in there is the fault of s.
func (r *Reactor) settleOne(s *Stream) { r.blame(s, s.settle) }

// blame calls fn, and ends src if that panics.
func (r *Reactor) blame(src source, fn func()) {
	if e := r.guard(src, fn); e != nil {
		src.panicked(e)
	}
}
