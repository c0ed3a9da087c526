package websocket_test

import (
	"errors"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/websocket"
)

// listening is an app that listens to the ends of directions.
type listening struct {
	app
	ends int
}

func (l *listening) ReadConnectionLost()  { l.ends++ }
func (l *listening) WriteConnectionLost() { l.ends++ }

// NETCONN-19: a peer that ends without a close frame ends the WebSocket, also if the protocol above listens to the ends of directions: those of a
// WebSocket do not end one by one.
func TestNETCONN19HalfCloseListener(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g, a := &rig{t: t, r: r}, new(listening)
		g.listen(reactor.One(a), nil)
		p := g.dial(request())
		g.head(p)
		_, _ = p.T.Write(append(text("whole"), text("not whole")[:5]...))
		_ = p.T.CloseWrite()
		testworld.Until(t, func() bool { return a.err != nil || a.ends > 0 }, r)
		wants(t, a.messages, "whole")
		if !errors.Is(a.err, websocket.ErrNoClose) || a.ends > 0 {
			t.Errorf("lost for %v, told of %d ends", a.err, a.ends)
		}
	})
}
