package netconn

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/internal/linked"
	"github.com/whorl-go/whorl/reactor"
)

// idleLink is the protocol of a connection of an IdleListener. It is for the loop's goroutine. While the connection waits, this is all that
// there is of it above its transport.
type idleLink struct {
	of    *IdleListener
	p     *idleLoop
	t     reactor.Connection
	c     *Conn                  // what a goroutine has; nil: it waits
	links linked.Links[idleLink] // in waiting or served of p
	since time.Duration          // it waits
}

var (
	_ reactor.Protocol          = (*idleLink)(nil)
	_ reactor.HalfCloseListener = (*idleLink)(nil)
)

// ConnectionMade has the connection wait for its first request.
func (x *idleLink) ConnectionMade(t reactor.Transport) {
	x.t = connectionOf(t)
	x.p = x.of.of(t.Reactor())
	x.p.wait(x)
}

// DataReceived hands p to Read, and before it the connection to Accept.
func (x *idleLink) DataReceived(p []byte) {
	if x.c == nil {
		x.wakeUp(p, nil)
		return
	}
	x.c.in.receive(x.c, p)
}

// wakeUp gives the connection to Accept, with the first bytes and with why no more will come.
func (x *idleLink) wakeUp(p []byte, ended error) {
	l := x.of.l
	x.p.leave(x)
	c := newConn(hubOf(x.p.r), &l.cfg)
	c.idle = &idling{link: x, keep: true}
	c.whole.Store(isWhole(x.t))
	c.connect(x.t)
	x.c = c
	c.in.receive(c, p)
	if ended != nil {
		c.in.lost(ended)
	}
	x.p.serve(x)
	var made net.Conn = c
	if s, ok := reactor.As[stater](x.t); ok {
		made = &secured{c, s.ConnectionState()}
	}
	l.offer(made, c)
}

// ReadConnectionLost is the end of the peer's direction.
func (x *idleLink) ReadConnectionLost() {
	if x.c == nil {
		_ = x.t.Close() // it was between two requests
		return
	}
	(*link)(x.c).ReadConnectionLost()
}

// WriteConnectionLost follows a CloseWrite of the server.
func (x *idleLink) WriteConnectionLost() {}

// ConnectionLost ends it.
func (x *idleLink) ConnectionLost(err error) {
	if x.p == nil {
		return // ConnectionMade has failed, or Release was called
	}
	if x.c == nil {
		x.p.leave(x)
		return
	}
	x.p.served.Remove(x)
	(*link)(x.c).ConnectionLost(err)
	x.c = nil
}

// LogPrefix is the name in logs.
func (x *idleLink) LogPrefix() string { return "netconn.IdleListener" }

// park takes the connection from its Conn, which was closed after Read had returned the end of an idle connection.
func (x *idleLink) park() {
	c := x.c
	x.c = nil
	c.leave()
	x.t.UnregisterProducer()
	x.p.served.Remove(x)
	x.p.wait(x)
	c.in.mu.Lock() // nobody else has c any more, but for calls that fail
	unread, ended, paused := c.in.unread, c.in.ended, c.in.paused
	c.in.unread = nil
	c.in.mu.Unlock()
	if paused {
		x.t.ResumeProducing()
	}
	switch {
	case x.of.l.failure() != nil:
		_ = x.t.Close()
	case unread != nil: // a request came meanwhile
		x.wakeUp(unread.rest(), ended)
	case ended != nil:
		_ = x.t.Close()
	}
	c.hub.release(unread)
}

// preface are the first bytes of a connection of HTTP/2 without TLS.
const preface = "PRI * HTTP/2.0"

// comes notes that p has come.
func (i *idling) comes(p []byte) {
	i.between = false
	if i.keep && i.first < len(preface) {
		n := min(len(p), len(preface)-i.first)
		i.keep = string(p[:n]) == preface[i.first:i.first+n]
		i.first += n
	}
}

// idling is what a Conn of an IdleListener knows of its requests. Most of it is guarded by Conn.in.mu.
//
// Read may say io.EOF only between two requests, when the server has no byte of the next one. The server says that a
// request is over, by SetIdle. But it may have read a part of the next one with the last. net/http reads into a buffer, and then its
// next Read has a shorter slice than its first, which found the buffer empty. Or the buffer ends with a line of the request. Then it goes on
// to read the request, and sets a deadline before, the second one since it was idle.
type idling struct {
	link    *idleLink
	whole   int         // length of the slice of the first Read
	between bool        // it is idle, and nothing has come since
	armed   bool        // a read deadline was set, or removed, since it is idle
	looked  bool        // it was idle already at the last look
	keep    bool        // it never goes back, because its first bytes are those of HTTP/2, as far as they have come
	first   int         // how many bytes of the preface have come
	givenUp atomic.Bool // Read returns io.EOF
	wrote   atomic.Bool // something was written afterwards
}

// set is SetIdle.
func (i *idling) set(c *Conn, idle bool) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	i.between = idle && !i.keep && c.in.unread == nil
	i.armed, i.looked = false, false
}

// deadlines notes that a read deadline is set.
func (i *idling) deadlines(c *Conn) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if i.armed {
		i.between = false
	}
	i.armed = true
}

// writes notes that something is written. What is written after the end of an idle connection means that it has to end.
func (i *idling) writes() {
	if i.givenUp.Load() {
		i.wrote.Store(true)
	}
}

// look gives a connection up that was idle at the last look too. It is called on the loop.
func (i *idling) look(c *Conn) {
	in := &c.in
	in.mu.Lock()
	idle := i.between && in.waiting && len(in.dst) == i.whole && in.state == inputOpen && in.ended == nil
	give := idle && i.looked
	i.looked = idle
	if give {
		i.givenUp.Store(true)
		in.waiting = false
		in.dst = nil
	}
	in.mu.Unlock()
	if give {
		in.wake <- struct{}{}
		c.hub.wakes()
	}
}

// park is Close, if the connection is to wait on the loop again, or does already. It tells whether it is so. An Abort, for which
// mayPark is false, only fails if it does already.
func (c *Conn) park(mayPark bool) (parked bool, err error) {
	in, out := &c.in, &c.out
	in.mu.Lock()
	if in.state == inputParked {
		in.mu.Unlock()
		return true, c.opError("close", net.ErrClosed)
	}
	out.mu.Lock()
	ok := mayPark && c.idle.givenUp.Load() && !c.idle.wrote.Load() && in.state == inputOpen && out.state == outputOpen
	if ok {
		in.state, out.state = inputParked, outputParked
	}
	out.mu.Unlock()
	in.mu.Unlock()
	if ok {
		c.hub.add(c)
	}
	return ok, nil
}
