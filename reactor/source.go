package reactor

import (
	"errors"
	"math"

	"github.com/whorl-go/whorl/kernel"
)

// source is an object that has a token: a stream, a port, a connector, an address that is
// being connected to, or a foreign descriptor.
type source interface {
	// ready is called when the kernel has reported readiness.
	ready(kernel.Ready)
	// touched is called once after Reactor.touch, before the loop waits. It carries out
	// what was asked for outside of the source's own events.
	touched()
	// panicked ends the source after a panic in one of its callbacks.
	panicked(*PanicError)
	// shutdown ends the source because the reactor ends.
	shutdown()
	// drop gives the handle up and calls nobody, because the loop's goroutine ends. A
	// connection is reset.
	drop()
	// logName names the source in the log, and in the PanicError of its callbacks.
	logName() string
}

// assignToken gives src a token.
func (r *Reactor) assignToken(src source) uint32 {
	if n := len(r.free); n > 0 {
		token := r.free[n-1]
		r.free = r.free[:n-1]
		r.slots.Set(int(token), src)
		return token
	}
	if uint64(r.slots.Len()) > math.MaxUint32-1 {
		panic(errors.New("reactor: out of tokens"))
	}
	r.slots.Append(src)
	return uint32(r.slots.Len() - 1)
}

// releaseToken takes a token back. It is assigned again only after this turn.
func (r *Reactor) releaseToken(token uint32) {
	r.slots.Set(int(token), nil)
	r.freed = append(r.freed, token)
}

// recycle makes the tokens released in this turn available. No event for them is left.
func (r *Reactor) recycle() {
	if len(r.freed) > 0 {
		r.free = append(r.free, r.freed...)
		r.freed = r.freed[:0]
	}
}

// disconnectAll ends every source once, in the order of their tokens. A panic in one does
// not stop it (CORE-26).
func (r *Reactor) disconnectAll() {
	for _, src := range r.slots.All() {
		if src != nil {
			src.shutdown()
		}
	}
}

// touch has src.touched called before the loop waits. The caller must not touch a source
// that is already in the list.
func (r *Reactor) touch(src source) { r.dirty = append(r.dirty, src) }

// runDirty calls touched of the sources that were touched so far. Those touched meanwhile
// wait for the next call. So two sources that touch each other cannot stop the loop.
func (r *Reactor) runDirty() {
	if len(r.dirty) == 0 {
		return
	}
	r.dirty, r.dirtyBatch = r.dirtyBatch[:0], r.dirty
	for i, src := range r.dirtyBatch {
		r.dirtyBatch[i] = nil
		r.guardSource(src, src.touched)
		r.slow.returned(r, src)
	}
}

// settleOne settles s. If a callback in it panics, s ends.
func (r *Reactor) settleOne(s *Stream) { r.guardSource(s, s.settle) }

// guardSource calls fn, and ends src if that panics.
func (r *Reactor) guardSource(src source, fn func()) {
	current := r.current
	if e := r.guard(src, fn); e != nil {
		if r.lent {
			r.noteDataDone() // it panicked in DataReceived
		}
		r.current = current
		src.panicked(e)
	}
}
