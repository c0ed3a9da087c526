package websocket

import (
	"time"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/reactor"
)

// pongRoom is how many bytes may be unsent for each ping to be answered. While more are, one ping in a pongPause is, the last that has come: a peer
// that is sent much would otherwise give us up, and one that sends pings and reads nothing must not fill the memory. Above MaxUnsent none is.
const (
	pongRoom  = 4 << 10
	pongPause = time.Second
)

// latePong is the answer to a ping that waits for room.
type latePong struct {
	payload []byte // of the last ping
	due     reactor.DelayedCall
}

// pong answers a ping, or has it wait for room.
func (c *Conn) pong(p []byte) {
	if !c.speaks() {
		return
	}
	unsent, now := c.t.Buffered(), c.Reactor().Now()
	switch {
	case unsent < pongRoom, unsent <= c.s.o.MaxUnsent && now >= c.ponged+pongPause:
		c.dropPong() // this answer stands for those that are missing before it
		c.ponged = now
		c.control(ws.OpPong, p)
	case c.ping != nil:
		c.ping.payload = append(c.ping.payload[:0], p...)
	default:
		c.ping = &latePong{payload: append([]byte(nil), p...)}
		c.ping.due.Init(c.Reactor(), c.pongLate)
		c.ping.due.Reset(pongPause)
	}
}

// pongLate answers the ping that has waited, if there is room now.
func (c *Conn) pongLate() {
	p := c.ping.payload
	c.ping = nil
	c.pong(p)
}

// dropPong forgets the ping that waits.
func (c *Conn) dropPong() {
	if c.ping != nil {
		c.ping.due.Cancel()
		c.ping = nil
	}
}
