package websocket

import (
	"time"

	"github.com/gobwas/ws"
)

// pongRoom is how many bytes may be unsent for each ping to be answered. While more are, one ping in a pongPause is, the last that has come: a peer
// that is sent much would otherwise give us up, and one that sends pings and reads nothing must not fill the memory. Above MaxUnsent none is.
const (
	pongRoom  = 4 << 10
	pongPause = time.Second
)

// pong answers a ping, or has it wait for room.
func (c *Conn) pong(p []byte) {
	if !c.speaks() {
		return
	}
	unsent, now := c.t.Buffered(), c.Reactor().Now()
	switch {
	case unsent < pongRoom, unsent <= c.s.o.MaxUnsent && now >= c.ponged+pongPause:
		c.ponged, c.ping = now, nil // an answer stands for those that are missing before it
		c.control(ws.OpPong, p)
	case c.ping != nil:
		*c.ping = append((*c.ping)[:0], p...)
	default:
		last := append([]byte(nil), p...)
		c.ping = &last
		c.Reactor().CallLater(pongPause, func() {
			if c.ping == &last {
				c.ping = nil
				c.pong(last)
			}
		})
	}
}
