package reactor

import (
	"errors"
	"time"

	"github.com/whorl-go/whorl/internal/linked"
	"github.com/whorl-go/whorl/kernel"
)

// A peer that is still sending when we close would be answered with a reset, and that may
// destroy our last words before it has read them. So the end is sent alone (FIN), and what
// comes is discarded, until the peer's end or a limit. Whether a peer will send more cannot
// be known, so this is done whenever it has not ended and may have something to lose.

const (
	lingerTime  = 2 * time.Second
	lingerBytes = 64 << 20
	// lingerMost is how many conns linger at a time. Of more, the oldest are closed.
	lingerMost = 1024
)

// lingering is the conn of a stream that was lost with ErrClosed, while the peer may still be
// sending.
type lingering struct {
	r     *Reactor
	conn  kernel.Conn
	token uint32
	left  int // bytes it still discards
	limit DelayedCall
	links linked.Links[lingering] // in lingerers
}

// lingerers are all that linger, the oldest first.
type lingerers struct{ linked.List[lingering] }

func (all *lingerers) init() {
	all.List = linked.New(func(l *lingering) *linked.Links[lingering] { return &l.links })
}

// closeOldest closes lingering conns until at most n are left.
func (all *lingerers) closeOldest(n int) {
	for all.Len() > n {
		all.First().close()
	}
}

// makeRoom closes some of the oldest conns if err says that no descriptor is left, and tells
// whether it did: a new connection is worth more than the rest of an ended one.
func (all *lingerers) makeRoom(err error) bool {
	const some = 16
	if err == nil || all.Len() == 0 || !errors.Is(err, kernel.ErrTooManyFiles) {
		return false
	}
	all.closeOldest(max(0, all.Len()-some))
	return true
}

// linger takes the conn and the token of a stream that has ended.
func (r *Reactor) linger(c kernel.Conn, token uint32) {
	l := &lingering{r: r, conn: c, token: token, left: lingerBytes}
	l.limit.Init(r, l.close)
	if u, ok := kernel.ConnAs[kernel.UNIXConn](c); ok {
		u.Unbind() // for the program the connection is over
	}
	r.slots.Set(int(token), l)
	r.stats.Lingered++
	r.lingerers.closeOldest(lingerMost - 1)
	r.lingerers.Add(l)
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
	switch {
	case err == nil && l.left > 0 || err == kernel.ErrAgain:
	case err == nil:
		l.close()
	default:
		l.end()
	}
}

// close ends it before the peer has ended.
func (l *lingering) close() {
	l.r.discard(l.conn, nil) // otherwise the close is a reset
	l.end()
}

func (l *lingering) end() {
	l.limit.Cancel()
	l.conn.Close()
	l.r.lingerers.Remove(l)
	l.r.releaseToken(l.token)
}

func (l *lingering) touched() {} // nothing is asked of it

func (l *lingering) panicked(*PanicError) {} // it calls nobody

func (l *lingering) shutdown() { l.close() }

func (l *lingering) drop() { l.conn.Close() }

func (l *lingering) logName() string { return "closed connection" }
