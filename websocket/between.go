package websocket

import "slices"

// between are the Conns of a loop that have sent the head of a frame and not its payload yet: WriteShared gives them to the transport one after the other. That
// may pause a producer, which may write. What it writes waits until the frame is whole.
type between []unfinished

type unfinished struct {
	c    *Conn
	late []byte // frames to send when this one is whole
}

func (b between) index(c *Conn) int {
	return slices.IndexFunc(b, func(u unfinished) bool { return u.c == c })
}

func (b between) has(c *Conn) bool { return b.index(c) >= 0 }

func (b *between) begin(c *Conn) { *b = append(*b, unfinished{c: c}) }

// keep keeps frames of c, if they must wait.
func (b between) keep(c *Conn, frames []byte) bool {
	i := b.index(c)
	if i >= 0 {
		b[i].late = append(b[i].late, frames...)
	}
	return i >= 0
}

// end follows the end of the frame that began last.
func (b *between) end() {
	i := len(*b) - 1
	u := (*b)[i]
	(*b)[i] = unfinished{}
	*b = (*b)[:i]
	if len(u.late) > 0 {
		_, _ = u.c.t.Write(u.late) // ConnectionLost has the error
	}
}
