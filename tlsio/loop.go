package tlsio

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

const (
	recordSize = 16 << 10               // the most plaintext in a record
	gatherSize = 4 * (recordSize + 256) // ciphertext gathered for one write
)

// loop has what the connections with equal Options share on one reactor. It belongs to
// the loop's goroutine.
type loop struct {
	r      *reactor.Reactor
	o      Options
	plain  buffers // of recordSize
	cipher buffers // of gatherSize

	dirty, settling []*Conn // to be settled by a posted function, and by the one that runs
	at              int     // index in settling of the next one
	posted          bool
	settle          func() // settleDirty, made once

	pending pending
	queue   queue
	stacks  stacks
	begun   *handshake // the first of those that have a stack

	shrink   *shrinker // nil: not wanted, or not possible
	active   []*Conn   // to be looked at by the next sweep
	idle     time.Duration
	sweeping reactor.DelayedCall
}

// loops are the loops of one reactor.
type loops map[Options]*loop

func loopsOf(r *reactor.Reactor) loops {
	return reactor.Shared(r, func() loops { return make(loops) })
}

func loopOf(r *reactor.Reactor, o Options) *loop {
	all := loopsOf(r)
	l := all[o]
	if l == nil {
		l = newLoop(r, o)
		all[o] = l
	}
	return l
}

func newLoop(r *reactor.Reactor, o Options) *loop {
	l := &loop{r: r, o: o, pending: newPending(o), idle: o.ShrinkIdle}
	l.queue.init(r, o)
	l.stacks.init(r, &l.queue, o)
	l.plain.size, l.cipher.size = recordSize, gatherSize
	l.settle = l.settleDirty
	if l.idle > 0 {
		l.shrink = newShrinker()
		l.sweeping.Init(r, l.sweep)
	}
	r.OnDeath(l.die)
	return l
}

func (l *loop) list(h *handshake) {
	h.next = l.begun
	if h.next != nil {
		h.next.prev = h
	}
	l.begun = h
}

// unlist takes h out, if it is in.
func (l *loop) unlist(h *handshake) {
	switch {
	case l == nil: // it was never begun
		return
	case h.prev != nil:
		h.prev.next = h.next
	case l.begun == h:
		l.begun = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	}
	h.prev, h.next = nil, nil
}

// die frees the stacks of handshakes when the loop's goroutine ends in a callback, and of a simulated host that has crashed. A worker frees
// that of a step that it computes. A kernel that does the work itself computes none then.
func (l *loop) die() {
	_, alone := kernel.As[kernel.Worker](l.r.Kernel())
	for h := l.begun; h != nil; h = h.next {
		if alone || h.onLoop || h.state != running && h.state != abandoned || h.handedBack.CompareAndSwap(true, false) {
			l.queue.workers.Unwind(h.step.unwind)
		}
	}
	l.begun = nil
	l.stacks.end()
}

// settleLater has c settled in the next turn.
func (l *loop) settleLater(c *Conn) {
	l.dirty = append(l.dirty, c)
	if !l.posted {
		l.posted = true
		l.r.Post(l.settle)
	}
}

// settleDirty settles the connections that were dirty when it began. If one panics, the
// others are settled in the next turn.
func (l *loop) settleDirty() {
	l.posted = false
	l.dirty, l.settling, l.at = l.settling[:0], l.dirty, 0
	defer func() {
		if l.at < len(l.settling) {
			l.dirty = append(l.settling[l.at:], l.dirty...)
			l.settling = nil
			l.posted = true
			l.r.Post(l.settle)
		}
	}()
	for l.at < len(l.settling) {
		c := l.settling[l.at]
		l.settling[l.at] = nil
		l.at++
		c.dirty = false
		c.guarded(c.advance)
	}
}

// buffers recycles buffers of one size.
type buffers struct {
	size int
	free [][]byte
}

// freeBuffers is how many buffers of each size are kept.
const freeBuffers = 16

// take returns an empty buffer.
func (b *buffers) take() []byte {
	if n := len(b.free) - 1; n >= 0 {
		p := b.free[n]
		b.free[n] = nil
		b.free = b.free[:n]
		return p
	}
	return make([]byte, 0, b.size)
}

// give takes p back. A buffer of another size is dropped.
func (b *buffers) give(p []byte) {
	if cap(p) == b.size && len(b.free) < freeBuffers {
		b.free = append(b.free, p[:0])
	}
}

// activity is what a loop that shrinks knows of a connection.
type activity uint8

const (
	unlisted activity = iota // shrunk, or nothing has ever come
	resting                  // stands in loop.active; nothing has come since the last sweep
	busy                     // stands in loop.active; something has come since
)

// used records that something has come on c.
func (l *loop) used(c *Conn) {
	was := c.activity
	c.activity = busy
	if was == unlisted {
		l.active = append(l.active, c)
		if !l.sweeping.Active() {
			l.sweeping.Reset(l.idle)
		}
	}
}

// sweep shrinks the connections on which nothing has come since the last sweep.
func (l *loop) sweep() {
	keep := l.active[:0]
	for _, c := range l.active {
		switch {
		case c.life == lost:
		case c.activity == busy:
			c.activity = resting
			keep = append(keep, c)
		default:
			c.activity = unlisted
			l.shrink.shrink(c.tls)
		}
	}
	clear(l.active[len(keep):])
	l.active = keep
	if len(keep) > 0 {
		l.sweeping.Reset(l.idle)
	}
}
