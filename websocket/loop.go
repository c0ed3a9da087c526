package websocket

import (
	"bytes"
	"time"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/internal/linked"
	"github.com/whorl-go/whorl/reactor"
)

// onLoop is what a Server has on one loop. It is for the loop's goroutine.
type onLoop struct {
	s        *Server
	r        *reactor.Reactor
	open     linked.List[Conn]   // who was heard or pinged longest ago is first
	ping     reactor.DelayedCall // looks at the first
	held     int                 // bytes of input that is kept
	in, out  []byte              // for the payload of a frame that is received, and for frames that are sent
	head     bytes.Reader        // for the head of a frame
	between  between
	workers  *reactor.Workers // of Blocking
	failures reactor.LogLimit // of Blocking
}

// servers is what a reactor has of this package: an onLoop for each Server.
type servers struct{ all []*onLoop }

// loopOf returns what s has on r.
func loopOf(r *reactor.Reactor, s *Server) *onLoop {
	x := reactor.Shared(r, func() *servers { return new(servers) })
	for _, l := range x.all {
		if l.s == s {
			return l
		}
	}
	l := &onLoop{s: s, r: r, open: linked.New(func(c *Conn) *linked.Links[Conn] { return &c.links })}
	l.ping.Init(r, l.pingFirst)
	x.all = append(x.all, l)
	return l
}

// add has c pinged when it is silent.
func (l *onLoop) add(c *Conn) {
	c.since = l.r.Now()
	l.open.Add(c)
	if every := l.s.o.Ping; every > 0 && !l.ping.Active() {
		l.ping.Reset(every)
	}
}

// remove undoes add, if c was added.
func (l *onLoop) remove(c *Conn) {
	if l.open.Has(c) {
		l.open.Remove(c)
	}
}

// heard notes that a whole frame of c has come.
func (l *onLoop) heard(c *Conn) {
	if c.speaks() {
		c.silence = heard
		l.again(c)
	}
}

// again puts c to the end.
func (l *onLoop) again(c *Conn) {
	l.remove(c)
	l.add(c)
}

// atOnce is how many peers one call of pingFirst looks at. Many may have come at the same moment.
const atOnce = 256

// pingFirst sends pings to peers that have been silent for long, and gives up those that have not answered.
func (l *onLoop) pingFirst() {
	now := l.r.Now()
	for range atOnce {
		c := l.open.First()
		if c == nil {
			return
		}
		left := c.since + l.s.o.Ping - now
		if left > 0 {
			l.ping.Reset(left)
			return
		}
		switch {
		case c.silence == spared, c.silence == pinged && (c.paused && c.state == open || left < -l.s.o.Ping/4): // it may have said something that is not read yet: the protocol has paused, or the loop was stopped
			c.silence = pinged
			l.again(c)
		case c.paused && c.state == open:
			l.again(c)
		case c.silence == pinged:
			c.abort("read", silentFor(2*l.s.o.Ping))
		default:
			c.silence = pinged
			l.again(c)
			c.control(ws.OpPing, nil)
		}
	}
	l.ping.Reset(time.Millisecond) // let others have a turn
}
