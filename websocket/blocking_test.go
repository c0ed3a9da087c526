package websocket_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/websocket"
)

// NETCONN-20: each message is handled off the loop, in order, one at a time for each connection and at most size in all, and the answers come in order.
func TestBlocking(t *testing.T) {
	all(t, true, func(t *testing.T, r *reactor.Reactor) {
		handling := make(chan struct{}, 2)
		g := (&rig{t: t, r: r}).listen(websocket.Blocking(2, func(c *websocket.Conn, m websocket.Message) (*websocket.Message, error) {
			select {
			case handling <- struct{}{}:
			default:
				return nil, errors.New("more than two at a time")
			}
			defer func() { <-handling }()
			if c.Reactor() != r || m.Binary {
				return nil, errors.New("another message")
			}
			if string(m.Data) == "nothing" {
				return nil, nil
			}
			return &websocket.Message{Data: []byte(strings.ToUpper(string(m.Data)))}, nil
		}), nil)
		var peers []*peer
		for range 4 {
			p := g.dial(request())
			g.head(p)
			peers = append(peers, p)
		}
		for _, p := range peers {
			_, _ = p.T.Write(append(append(append(text("a"), text("nothing")...), masked(ws.OpText, false, "b")...), masked(ws.OpContinuation, true, "c")...))
		}
		for _, p := range peers {
			g.wantFrame(p, ws.OpText, "A")
			g.wantFrame(p, ws.OpText, "BC")
		}
	})
}

// NETCONN-17: a message for a goroutine that came in several reads counts once for MaxPartial, not as what was kept of it too.
func TestBlockingPartial(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := (&rig{t: t, r: r}).listen(websocket.Blocking(2, func(c *websocket.Conn, m websocket.Message) (*websocket.Message, error) {
			return &websocket.Message{Data: m.Data[:3]}, nil
		}), &websocket.Options{MaxPartial: 2500})
		p := g.dial(request())
		g.head(p)
		whole := text(strings.Repeat("x", 2000))
		for range 3 { // nothing is left of each
			_, _ = p.T.Write(whole[:1500])
			for range 5 {
				r.Turn(time.Millisecond)
			}
			_, _ = p.T.Write(whole[1500:])
			g.wantFrame(p, ws.OpText, "xxx")
		}
	})
}

// NETCONN-20: an error and a panic of the function end the connection with code 1011, and no other. One that is lost meanwhile gets no answer.
func TestBlockingFails(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			log := testworld.NewLog(t)
			r := w.New(t, reactor.Config{Logger: log.Logger()})
			g := (&rig{t: t, r: r}).listen(websocket.Blocking(2, func(c *websocket.Conn, m websocket.Message) (*websocket.Message, error) {
				switch string(m.Data) {
				case "error":
					return nil, errors.New("it does not work")
				case "panic":
					panic("planted")
				case "slow":
					if !w.Simulated() {
						time.Sleep(20 * time.Millisecond)
					}
				}
				return &m, nil
			}), nil)
			other := g.dial(request())
			g.head(other)
			log.Expect("planted")
			for _, what := range []string{"panic", "error"} {
				p := g.dial(request())
				g.head(p)
				_, _ = p.T.Write(text(what))
				g.wantClose(p, 1011)
			}
			p := g.dial(request())
			g.head(p)
			_, _ = p.T.Write(text("slow"))
			p.T.Abort()
			_, _ = other.T.Write(text("slow"))
			g.wantFrame(other, ws.OpText, "slow")
		})
	}
}

// NETCONN-20: a Drain lets the message that is being handled be answered, and then closes with 1001.
func TestBlockingDrains(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			begun, release := false, make(chan struct{})
			g := (&rig{t: t, r: r}).listen(websocket.Blocking(1, func(c *websocket.Conn, m websocket.Message) (*websocket.Message, error) {
				r.Post(func() { begun = true })
				<-release
				return &m, nil
			}), nil)
			once := sync.OnceFunc(func() { close(release) })
			t.Cleanup(once) // otherwise the end of a test that fails waits for it
			p, idle := g.dial(request()), g.dial(request())
			g.head(p)
			g.head(idle)
			_, _ = p.T.Write(text("in progress"))
			g.until("it is not handled", func() bool { return begun })
			r.Drain(reactor.DrainConfig{Ask: drainServers})
			g.wantClose(idle, 1001)
			once()
			g.wantFrame(p, ws.OpText, "in progress")
			g.wantClose(p, 1001)
		})
	}
}
