package websocket_test

import (
	"bytes"
	"testing"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/websocket"
)

// hasty is a producer that gives up when it is paused.
type hasty struct {
	c      *websocket.Conn
	events int
}

func (h *hasty) PauseProducing()  { h.events++; h.c.UnregisterProducer() }
func (h *hasty) ResumeProducing() { h.events++ }
func (h *hasty) StopProducing()   { h.events++ }

// A producer may unregister inside RegisterProducer, because it is paused there. A Close then waits for nobody.
func TestUnregisterInsideRegister(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, nil, nil)
		p, a := g.connect()
		if _, err := a.c.Write(bytes.Repeat([]byte("x"), 500<<10)); err != nil {
			t.Fatal(err)
		}
		h := &hasty{c: a.c}
		if err := a.c.RegisterProducer(h); err != nil || h.events != 1 {
			t.Fatalf("%v, told %d times", err, h.events)
		}
		_ = a.c.Close()
		g.next(p)
		g.wantClose(p, ws.StatusNormalClosure)
		_, _ = p.T.Write(closing(ws.StatusNormalClosure, ""))
		g.until("it does not end", func() bool { return a.err != nil })
	})
}
