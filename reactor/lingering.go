package reactor

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// A peer that was still sending when we closed would be answered with a reset, and that may
// destroy our last words before it has read them. So the end is sent alone (FIN), and what
// comes is discarded, until the peer's end or a limit.

const (
	lingerTime  = 2 * time.Second
	lingerBytes = 4 << 20
)

// lingering is the conn of a stream that was lost with ErrClosed, while the peer was sending.
type lingering struct {
	r     *Reactor
	conn  kernel.Conn
	token uint32
	left  int // bytes it still discards
	limit DelayedCall
}

// linger takes the conn and the token of a stream that has ended.
func (r *Reactor) linger(c kernel.Conn, token uint32) {
	l := &lingering{r: r, conn: c, token: token, left: lingerBytes}
	l.limit.Init(r, l.close)
	r.slots[token] = l
	r.stats.Lingered++
	if c.CloseWrite() != nil || r.k.Arm(c, token, kernel.Readable) != nil {
		l.close()
		return
	}
	l.limit.Reset(lingerTime)
}

// ready discards what has come.
func (l *lingering) ready(kernel.Ready) {
	n, err := l.conn.Read(l.r.buf)
	l.left -= n
	if err == nil && l.left > 0 || err == kernel.ErrAgain {
		return
	}
	l.close()
}

func (l *lingering) close() {
	l.limit.Cancel()
	l.conn.Close()
	l.r.releaseToken(l.token)
}

func (l *lingering) touched() {} // nothing is asked of it

func (l *lingering) panicked(*PanicError) {} // it calls nobody

func (l *lingering) shutdown() { l.close() }

func (l *lingering) drop() { l.conn.Close() }

func (l *lingering) logName() string { return "closed connection" }
