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

// pausedOnce is a producer that counts.
type pausedOnce struct{ paused, resumed int }

func (p *pausedOnce) PauseProducing()  { p.paused++ }
func (p *pausedOnce) ResumeProducing() { p.resumed++ }
func (p *pausedOnce) StopProducing()   {}

// SwitchProtocol says whether the producer is paused, so that whoever takes it resumes it.
func TestSwitchPausedProducer(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, nil, nil)
		p, a := g.connect()
		p.T.PauseProducing()
		producer := new(pausedOnce)
		if err := a.c.RegisterProducer(producer); err != nil {
			t.Fatal(err)
		}
		for producer.paused == 0 {
			if _, err := a.c.Write(bytes.Repeat([]byte("x"), 100<<10)); err != nil {
				t.Fatal(err)
			}
		}
		was, err := a.c.SwitchProtocol(new(app))
		if err != nil || was.Producer != reactor.Producer(producer) || !was.ProducerPaused {
			t.Errorf("paused %d times, and then %+v, %v", producer.paused, was, err)
		}
		if was, err = a.c.SwitchProtocol(new(app)); err != nil || was.Producer != nil || was.ProducerPaused {
			t.Errorf("without a producer: %+v, %v", was, err)
		}
	})
}
