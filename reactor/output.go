package reactor

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

const (
	chunkSize  = 16 << 10 // what small writes are gathered in, and sent at
	freeChunks = 64       // kept for the next writes: 1 MiB
	vecPerSend = 16
)

// chunk is a piece of output. Pieces of chunkSize are recycled by the reactor;
// what is left of a large write has one of its own.
type chunk struct {
	next *chunk
	buf  []byte // buf[off:] is unsent
	off  int
	id   int // for an observer; 0: it has none yet
}

func (r *Reactor) newChunk() *chunk {
	if c := r.chunks; c != nil {
		r.chunks, c.next = c.next, nil
		r.nchunks--
		return c
	}
	return &chunk{buf: make([]byte, 0, chunkSize)}
}

func (r *Reactor) freeChunk(c *chunk) {
	if cap(c.buf) != chunkSize || r.nchunks >= freeChunks {
		return
	}
	c.buf, c.off, c.next = c.buf[:0], 0, r.chunks
	r.chunks = c
	r.nchunks++
}

// output is what a stream has been given and the socket has not taken. Empty, it
// holds no memory.
type output struct {
	tail *chunk // the last, whose next is the first
	size int    // bytes unsent
}

func (o *output) link(c *chunk) {
	if o.tail == nil {
		c.next = c
	} else {
		c.next, o.tail.next = o.tail.next, c
	}
	o.tail = c
}

// single is the only chunk, or nil.
func (o *output) single() *chunk {
	if t := o.tail; t != nil && t.next == t {
		return t
	}
	return nil
}

// shift takes the first out.
func (o *output) shift(r *Reactor) {
	first := o.tail.next
	if first == o.tail {
		o.tail = nil
	} else {
		o.tail.next = first.next
	}
	if r.observer != nil {
		r.noteChunk(probe.NoteChunkDone, first)
	}
	r.freeChunk(first)
}

// append copies p to the end.
func (o *output) append(r *Reactor, p []byte) {
	o.size += len(p)
	if t := o.tail; t != nil && cap(t.buf) == chunkSize {
		n := min(len(p), chunkSize-len(t.buf))
		t.buf = append(t.buf, p[:n]...)
		p = p[n:]
	}
	switch {
	case len(p) == 0:
	case len(p) <= chunkSize:
		c := r.newChunk()
		c.buf = append(c.buf, p...)
		o.link(c)
		if r.observer != nil {
			r.noteChunk(probe.NoteChunk, c)
		}
	default:
		c := &chunk{buf: append([]byte(nil), p...)}
		o.link(c)
		if r.observer != nil {
			r.noteChunk(probe.NoteChunk, c)
		}
	}
}

// advance drops the first n bytes, which were sent.
func (o *output) advance(r *Reactor, n int) {
	o.size -= n
	for n > 0 {
		c := o.tail.next
		left := len(c.buf) - c.off
		if n < left {
			c.off += n
			return
		}
		n -= left
		o.shift(r)
	}
}

// drop forgets everything.
func (o *output) drop(r *Reactor) {
	for o.tail != nil {
		o.shift(r)
	}
	o.size = 0
}

// send hands what is unsent, and then extra, to the socket in one call, and
// returns how many bytes of both it took and whether it was offered more.
func (o *output) send(r *Reactor, conn kernel.Conn, extra []byte) (n int, short bool, err error) {
	if o.tail == nil {
		n, err = conn.Write(extra)
		return n, n < len(extra), err
	}
	head := o.tail.next
	first := head.buf[head.off:]
	v, ok := kernel.ConnAs[kernel.Vectors](conn)
	if !ok { // not every conn can
		n, err = conn.Write(first)
		return n, true, err
	}
	r.vec = r.vec[:0]
	offered := 0
	for c := head; len(r.vec) < vecPerSend; c = c.next {
		r.vec = append(r.vec, c.buf[c.off:])
		offered += len(c.buf) - c.off
		if c == o.tail {
			break
		}
	}
	if len(r.vec) < vecPerSend && len(extra) > 0 && offered == o.size {
		r.vec = append(r.vec, extra)
		offered += len(extra)
	}
	n, err = v.Writev(r.vec)
	clear(r.vec)
	return n, n < o.size+len(extra), err
}
