package main

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/examples/chat/room"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/websocket"
)

// chatter is a user in a simulated network: a coroutine, by gobwas/ws.
type chatter struct {
	name  string
	heard []string
	err   error
}

const lines = 20

// talk enters the room, says some lines, and hears what everybody says until all have said theirs.
func (c *chatter) talk(s *coro.Session, all int) error {
	in, _, err := (ws.Dialer{}).Upgrade(s, &url.URL{Scheme: "ws", Host: "srv", Path: "/chat"})
	if err != nil {
		return err
	}
	conn := struct {
		io.Reader
		io.Writer
	}{s, s}
	if in != nil {
		conn.Reader = in // a ping may have come with the answer
	}
	say := func(format string, args ...any) error {
		return wsutil.WriteClientText(conn, fmt.Appendf(nil, format+"\n", args...))
	}
	if err := say("%s", c.name); err != nil {
		return err
	}
	for said := 0; len(c.heard) < all*lines; {
		p, err := wsutil.ReadServerText(conn)
		if err != nil {
			return err
		}
		if p[0] == '*' && c.heard == nil && string(p) != fmt.Sprintf("* u%d joined\n", all-1) {
			continue // the last has not come yet
		}
		if p[0] != '*' {
			c.heard = append(c.heard, string(p))
		}
		if said < lines && (said == 0 || string(p) == fmt.Sprintf("%s: %d\n", c.name, said-1)) {
			if err := say("%d", said); err != nil {
				return err
			}
			said++
		}
	}
	return ws.WriteFrame(conn, ws.MaskFrameInPlace(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))))
}

// In a simulated network, under several seeds that cut and delay what is sent, all users hear the same lines in the same order. A seed repeats its run.
func TestSimulated(t *testing.T) {
	for seed := range uint64(30) {
		first, again := simulate(t, seed), simulate(t, seed)
		if first != again {
			t.Fatalf("seed %d is not repeated", seed)
		}
	}
}

// simulate runs a room with its users, and returns the hash of the run.
func simulate(t *testing.T, seed uint64) uint64 {
	const all = 4
	n := sim.New(seed)
	defer n.Close()
	n.Apply(sim.Options{Chunk: 5, Latency: sim.Latency{Min: time.Millisecond, Max: 40 * time.Millisecond}, Drop: 0.05})
	srv := n.Host("srv")
	srv.Start(func(h *sim.Host) {
		g := reactor.GroupOf(reactor.GroupConfig{}, h.Reactor)
		if _, err := h.Reactor.Listen(h.Addr(8009), websocket.NewServer(room.NewWide(g), &websocket.Options{Ping: time.Second}), nil); err != nil {
			t.Error(err)
		}
	})
	var users []*chatter
	for i := range all {
		c := &chatter{name: fmt.Sprintf("u%d", i)}
		users = append(users, c)
		n.Host(c.name).Start(func(h *sim.Host) {
			h.Reactor.CallLater(time.Duration(i)*10*time.Second, func() {
				h.Reactor.Dial(srv.Addr(8009), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
					return coro.Protocol(func(s *coro.Session) error { c.err = c.talk(s, all); return c.err })
				}), nil, nil)
			})
		})
	}
	if err := n.Run(2 * time.Minute); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	for _, c := range users {
		if c.err != nil || len(c.heard) != all*lines || !slices.Equal(c.heard, users[0].heard) {
			t.Fatalf("seed %d: %s heard %d lines, and %v", seed, c.name, len(c.heard), c.err)
		}
	}
	return n.Hash()
}
