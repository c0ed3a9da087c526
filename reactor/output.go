package reactor

import (
	"github.com/whorl-go/whorl/internal/chunks"
	"github.com/whorl-go/whorl/kernel"
)

// vecPerSend limits how many slices one system call gets.
const vecPerSend = 16

// send writes out and then extra to conn, in one call. It returns how many bytes of both
// the socket took, and whether something may be left over.
func (r *Reactor) send(out *chunks.List, conn kernel.Conn, extra []byte) (n int, short bool, err error) {
	if out.Len() == 0 {
		n, err = conn.Write(extra)
		return n, n < len(extra), err
	}
	v, ok := kernel.ConnAs[kernel.Vectors](conn)
	if !ok {
		n, err = conn.Write(out.First())
		return n, true, err
	}
	vec, offered := out.Vectors(r.vec[:0], vecPerSend)
	if len(vec) < vecPerSend && len(extra) > 0 && offered == out.Len() {
		vec = append(vec, extra)
	}
	r.vec = vec
	n, err = v.Writev(vec)
	clear(vec)
	return n, n < out.Len()+len(extra), err
}
