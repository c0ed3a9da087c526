package sim

import (
	"github.com/whorl-go/whorl/kernel"
)

// A pipe is a connection in memory, like that of a UNIX socket, which carries bytes in one direction. The child's end is a socket without a
// handle: the child's descriptors hold it.

// pipeEnd is what a socket is as the end of a pipe, or as the null device.
type pipeEnd struct {
	writes bool // it writes
	null   bool
	full   bool // the last write has found too little room
	ended  bool // CloseWrite was called
	used   bool // it was armed
}

// pipeSize is how many bytes a pipe holds, unless Options.SendBuffer is less.
const pipeSize = 64 << 10

func (s *sock) pipeRoom() int {
	return min(or(s.h.n.Options.SendBuffer, pipeSize), pipeSize) - s.out.unread
}

// pipeReadiness is what could be reported of a pipe.
func (s *sock) pipeReadiness() (r kernel.Ready) {
	e := s.pipe
	switch {
	case e.null:
		return kernel.Readable | kernel.Writable
	case !e.writes:
		if s.in.unread > 0 || s.in.fin == finArrived {
			r = kernel.Readable
		}
		return r
	case s.out.dead && e.full:
		return kernel.Writable | kernel.Failed // the write has the error
	case s.out.dead:
		return kernel.Readable | kernel.Writable | kernel.Failed
	case s.pipeRoom() > 0 || e.ended:
		return kernel.Writable
	}
	return 0
}

// pipeConn is a handle of a pipe.
type pipeConn struct {
	streamConn
	s *sock
}

var _ kernel.Conn = (*pipeConn)(nil)

// pipeTo makes a pipe between k and the child p. The descriptor of k's end is taken already.
func (k *simKernel) pipeTo(p *proc, f kernel.ChildFile) *pipeConn {
	pair := k.n.newPair(k.h, k.h)
	pair.half[0].memory, pair.half[1].memory = true, true
	ours, theirs := &pair.end[0], &pair.end[1]
	weWrite := f.Kind == kernel.WritePipe
	ours.pipe, theirs.pipe = &pipeEnd{writes: weWrite}, &pipeEnd{writes: !weWrite}
	if weWrite {
		theirs.out.dead = true
	} else {
		ours.out.dead = true
	}
	ours.state = open
	k.own(ours)
	p.h.k.ownFile(theirs)
	p.has(f.Number, theirs)
	return &pipeConn{ours, ours}
}

// ownFile makes f a file that descriptors of k hold.
func (k *simKernel) ownFile(f *sock) {
	f.state = open
	k.own(f)
	k.disown(f)
	f.released = true
}

// null is the null device.
func (k *simKernel) null() *sock {
	pair := k.n.newPair(k.h, k.h)
	pair.half[0].memory, pair.half[1].memory = true, true
	f := &pair.end[0]
	f.pipe = &pipeEnd{writes: true, null: true}
	f.in.fin, f.out.to.h = finArrived, k.h
	f.out.to.k = k
	k.ownFile(f)
	return f
}

// pipeHandle makes a handle of f. It takes no descriptor.
func (k *simKernel) pipeHandle(f *sock) *pipeConn {
	s := &sock{of: f, state: open, in: f.in, out: f.out, pipe: &pipeEnd{writes: f.pipe.writes, null: f.pipe.null}}
	k.own(s)
	f.others = append(f.others, s)
	return &pipeConn{s, s}
}

// Read is kernel.Conn.
func (c *pipeConn) Read(p []byte) (int, error) {
	n := c.s.lock()
	again := c.s.state == open && c.s.pipe.writes && !c.s.pipe.null && (c.s.pipe.full || !c.s.out.dead)
	n.mu.Unlock()
	if again {
		return 0, kernel.ErrAgain
	}
	return c.s.Read(p)
}

// refused is what a write gets that the other end has nothing to do with.
func (c *pipeConn) refused() error {
	n := c.s.lock()
	defer n.mu.Unlock()
	switch {
	case c.s.noHandle():
		return kernel.ErrClosed
	case !c.s.pipe.writes || c.s.pipe.ended:
		return fail(kernel.OpWrite, kernel.ErrBroken)
	}
	return nil
}

// Write is kernel.Conn.
func (c *pipeConn) Write(p []byte) (int, error) { return c.Writev([][]byte{p}) }

// Writev is kernel.Vectors.
func (c *pipeConn) Writev(bufs [][]byte) (int, error) {
	if err := c.refused(); err != nil {
		return 0, err
	}
	all := 0
	for _, p := range bufs {
		all += len(p)
	}
	e := c.s.pipe
	if e.null {
		n := c.s.lock()
		defer n.mu.Unlock()
		c.s.seen.took += all
		n.note(OpWrite, c.s, all)
		return all, nil
	}
	sent, err := c.s.Writev(bufs)
	n := c.s.lock()
	defer n.mu.Unlock()
	e.full = err == kernel.ErrAgain || err == nil && sent < all
	return sent, err
}

// Connected is kernel.Conn: a pipe that we write tells that the other end is closed, once that may have been reported.
func (c *pipeConn) Connected() error {
	n := c.s.lock()
	defer n.mu.Unlock()
	switch e := c.s.pipe; {
	case c.s.noHandle():
		return kernel.ErrClosed
	case e.writes && e.used && c.s.out.dead:
		return fail(kernel.OpWait, kernel.ErrBroken)
	}
	return nil
}

// CloseWrite is kernel.Conn: later writes fail. The end of a pipe is its Close.
func (c *pipeConn) CloseWrite() error {
	n := c.s.lock()
	defer n.mu.Unlock()
	if c.s.noHandle() {
		return kernel.ErrClosed
	}
	n.note(OpCloseWrite, c.s, 0)
	c.s.closes(true)
	c.s.pipe.ended = true
	c.s.notify()
	return nil
}
