package netconn

import (
	"io"

	"github.com/whorl-go/whorl/reactor"
)

// directRead is from how many bytes on the slice of a Read that waits is filled by the system itself. A shorter one would cost more system calls than it saves
// copying.
const directRead = 16 << 10

// readFrom reads what has arrived into the slice of a Read that waits, if that is long. It is called on the loop.
func (in *input) readFrom(c *Conn, src io.Reader) (n int, err error, ok bool) {
	if n, err, ok = in.fill(c, src); n > 0 {
		in.wake <- struct{}{}
		c.hub.wakes()
	}
	return n, err, ok
}

// fill fills the slice. in.mu keeps the Read from returning meanwhile. Nothing is awaited.
func (in *input) fill(c *Conn, src io.Reader) (n int, err error, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock() // also if src panics
	if !in.waiting || len(in.dst) < directRead {
		return 0, nil, false
	}
	n, err = src.Read(in.dst)
	if n > 0 {
		if c.idle != nil {
			c.idle.comes(in.dst[:n])
		}
		in.waiting = false
		in.got = n
		if n == len(in.dst) {
			in.lend(c)
		}
		in.dst = nil
	}
	return n, err, true
}

// direct is the reading by the goroutine itself, while more bytes are there than one Read takes. The loop has nothing to do with them.
type direct struct {
	aside *reactor.SideReader // by it Read reads while the transport is paused; nil: the loop reads
	used  bool                // it has read something
	vain  uint8               // grows with each time that it has not
	skip  uint8               // chances that are let pass, because the last ones were in vain
}

// readAside reads beside the loop, if that has lent the reading. It gives it back when nothing is there, and if p is so short that the loop reads better.
func (in *input) readAside(c *Conn, p []byte) (n int) {
	if in.aside == nil {
		return 0
	}
	if len(p) >= directRead && in.state == inputOpen && in.ended == nil {
		n, _ = in.aside.Read(p) // the loop finds an error too
	}
	if n > 0 {
		in.used, in.vain = true, 0
		return n
	}
	if !in.used {
		in.vain = min(2*in.vain+1, mostSkipped)
	}
	in.aside, in.used, in.skip, in.resume = nil, false, in.vain, true
	c.hub.add(c)
	return 0
}

// mostSkipped is how many chances are let pass at most. Messages that are just as long as the slice of a Read would otherwise cost two
// changes of what the socket waits for each.
const mostSkipped = 31

// lend has the next Read read by itself, after a Read whose slice was filled: there may be more.
func (in *input) lend(c *Conn) {
	s, ok := c.t.(*reactor.Stream)
	switch {
	case !ok, c.idle != nil:
	case in.skip > 0:
		in.skip--
	default:
		in.aside = s.ReadAside()
		in.paused = in.aside != nil
	}
}
