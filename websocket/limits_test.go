package websocket_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/websocket"
)

// NETCONN-17: a peer that breaks the rules or sends too much is told the code and ends with a typed error, in every cut of the stream, as soon as the head of the frame has come.
func TestHostile(t *testing.T) {
	huge := append([]byte{0x82, 0xff}, binary.BigEndian.AppendUint64(nil, 1<<40)...)
	for name, c := range map[string]struct {
		sends string
		code  ws.StatusCode
		err   error
	}{
		"unmasked":             {string(frame(ws.NewTextFrame([]byte("x")))), 1002, websocket.ErrProtocol},
		"reserved bit":         {"\xc1\x80\x00\x00\x00\x00", 1002, websocket.ErrProtocol},
		"reserved code":        {"\x83\x80\x00\x00\x00\x00", 1002, websocket.ErrProtocol},
		"long ping":            {string(masked(ws.OpPing, true, strings.Repeat("p", 126))), 1002, websocket.ErrProtocol},
		"ping in pieces":       {string(masked(ws.OpPing, false, "")), 1002, websocket.ErrProtocol},
		"stray continuation":   {string(masked(ws.OpContinuation, true, "x")), 1002, websocket.ErrProtocol},
		"message in a message": {string(masked(ws.OpText, false, "x")) + string(text("y")), 1002, websocket.ErrProtocol},
		"negative length":      {"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 1002, websocket.ErrProtocol},
		"huge":                 {string(append(huge, 0, 0, 0, 0)), 1009, websocket.ErrTooBig},
		"a byte too long":      {string(text(strings.Repeat("x", 1001))[:8]), 1009, websocket.ErrTooBig},
		"too long together":    {string(masked(ws.OpText, false, strings.Repeat("x", 999))) + string(masked(ws.OpContinuation, true, "xx")), 1009, websocket.ErrTooBig},
		"no UTF-8":             {string(text("\xff")), 1007, websocket.ErrProtocol},
		"close of one byte":    {string(masked(ws.OpClose, true, "x")), 1002, websocket.ErrProtocol},
		"close with 1005":      {string(masked(ws.OpClose, true, "\x03\xed")), 1002, websocket.ErrProtocol},
		"close with 999":       {string(masked(ws.OpClose, true, "\x03\xe7")), 1002, websocket.ErrProtocol},
		"close with 5000":      {string(masked(ws.OpClose, true, "\x13\x88")), 1002, websocket.ErrProtocol},
		"close with no UTF-8":  {string(masked(ws.OpClose, true, "\x03\xe8\xff")), 1007, websocket.ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			all(t, true, func(t *testing.T, r *reactor.Reactor) {
				g := serve(t, r, &websocket.Options{MaxMessage: 1000}, nil)
				p, a := g.connect()
				_, _ = p.T.Write([]byte(c.sends))
				g.wantClose(p, c.code)
				g.until("it does not end", func() bool { return a.err != nil && p.lost != nil })
				var op *reactor.OpError
				if !errors.Is(a.err, c.err) || !errors.Is(a.err, reactor.ErrLost) || !errors.As(a.err, &op) || len(a.messages) > 0 {
					t.Errorf("the reason is %v, the messages are %q", a.err, a.messages)
				}
			})
		})
	}
}

// NETCONN-17: messages that have not come whole are bounded for all peers together, and free again when they have come or their peers are gone.
func TestMaxPartial(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, &websocket.Options{MaxPartial: 2500}, nil)
		half := text(strings.Repeat("x", 1200))
		for range 3 {
			one, a := g.connect()
			two, b := g.connect()
			_, _ = one.T.Write(half[:1000])
			_, _ = two.T.Write(masked(ws.OpBinary, false, strings.Repeat("y", 1000)))
			three, c := g.connect()
			_, _ = three.T.Write(half[:1000])
			g.until("nobody is ended", func() bool { return a.err != nil || b.err != nil || c.err != nil })
			for _, x := range []*app{a, b, c} {
				if x.err != nil && !errors.Is(x.err, websocket.ErrTooBig) {
					t.Errorf("the reason is %v", x.err)
				}
			}
			_, _ = one.T.Write(half[1000:])
			two.T.Abort()
			three.T.Abort()
			g.until("they do not end", func() bool { return b.err != nil && c.err != nil && (a.err != nil || len(a.messages) == 1) })
			one.T.Abort()
			g.until("it does not end", func() bool { return a.err != nil })
		}
		p, a := g.connect() // nothing is held any more
		long := text(strings.Repeat("z", 2400))
		_, _ = p.T.Write(long[:2400])
		for range 5 {
			r.Turn(time.Millisecond)
		}
		_, _ = p.T.Write(long[2400:])
		g.until("no message", func() bool { return len(a.messages) == 1 })
	})
}

// NETCONN-17: a fragment that came in several reads counts once when it is whole, not as what was kept of it and as a part of its message too.
func TestMaxPartialOfFragments(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, &websocket.Options{MaxPartial: 2500}, nil)
		p, a := g.connect()
		first := masked(ws.OpText, false, strings.Repeat("x", 2000))
		_, _ = p.T.Write(first[:1500])
		for range 5 {
			r.Turn(time.Millisecond)
		}
		_, _ = p.T.Write(append(first[1500:], masked(ws.OpContinuation, true, "y")...))
		g.until("the message does not come", func() bool { return len(a.messages) == 1 || a.err != nil })
		if a.err != nil {
			t.Errorf("2,001 bytes are too many for a limit of 2,500: %v", a.err)
		}
	})
}

// NETCONN-17: a peer that reads too slowly is aborted; of pings that it sends meanwhile one in a second is answered.
func TestTooSlow(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, &websocket.Options{MaxUnsent: 100_000}, nil)
		p, a := g.connect()
		p.T.PauseProducing()
		long := []byte(strings.Repeat("l", 50_000))
		var err error
		for n := 0; err == nil && n < 1000; n++ {
			_, err = a.c.Write(long)
			r.Turn(0)
		}
		if n := a.c.Buffered(); !errors.Is(err, websocket.ErrTooSlow) || n > 200_000 {
			t.Errorf("the error is %v, %d bytes are unsent", err, n)
		}
		g.until("it does not end", func() bool { return a.err != nil })
		if !errors.Is(a.err, websocket.ErrTooSlow) {
			t.Errorf("the reason is %v", a.err)
		}

		p, a = g.connect()
		p.T.PauseProducing()
		for a.c.Buffered() < 8<<10 {
			_, _ = a.c.Write(long)
			r.Turn(0)
		}
		before := a.c.Buffered()
		begin := r.Now()
		for range 100 {
			_, _ = p.T.Write(masked(ws.OpPing, true, "p"))
		}
		_, _ = p.T.Write(text("t"))
		g.until("no message", func() bool { return len(a.messages) == 1 })
		if got := a.c.Buffered(); got > before+3*int(1+(r.Now()-begin)/time.Second) {
			t.Errorf("%d bytes were written to a peer that does not read", got-before)
		}
		a.c.Abort()
	})
}

// NETCONN-18: a silent peer is pinged, and given up if it does not answer; one that answers or talks stays. A frame that comes byte by byte does not count until it is whole.
func TestPing(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		every := 100 * time.Millisecond // long enough for a machine that has other work
		g := serve(t, r, &websocket.Options{Ping: every}, nil)
		answers, a := g.connect()
		talks, b := g.connect()
		silent, c := g.connect()
		drips, d := g.connect()
		slow := text(strings.Repeat("d", 125))
		begin, pings := r.Now(), 0
		defer r.Every(every/3, func() {
			_, _ = talks.T.Write(text("t"))
			_, _ = drips.T.Write(slow[:1])
			slow = slow[1:]
		}).Stop()
		g.until("the silent ones stay", func() bool {
			if len(answers.in) >= 2 {
				if string(answers.in[:2]) != "\x89\x00" {
					t.Fatalf("%q came", answers.in)
				}
				answers.in = answers.in[2:]
				pings++
				_, _ = answers.T.Write(masked(ws.OpPong, true, ""))
			}
			return c.err != nil && d.err != nil && r.Now()-begin > 3*every+every/2
		})
		if !errors.Is(c.err, websocket.ErrSilent) || !errors.Is(d.err, websocket.ErrSilent) {
			t.Errorf("the reasons are %v and %v", c.err, d.err)
		}
		if a.err != nil || b.err != nil || pings < 2 || pings > 3 {
			t.Errorf("%v and %v, %d pings", a.err, b.err, pings)
		}
		if _, simulated := kernel.As[kernel.Worker](r.Kernel()); simulated && len(talks.in) != 0 || string(silent.in) != "\x89\x00" {
			t.Errorf("%q and %q came", talks.in, silent.in)
		}
	})
}

// NETCONN-18: a peer whose messages the protocol does not take is not given up.
func TestPingPaused(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		const every = 10 * time.Millisecond
		g := serve(t, r, &websocket.Options{Ping: every}, nil)
		_, a := g.connect()
		a.c.PauseProducing()
		_, b := g.connect()
		g.until("nobody is given up", func() bool { return b.err != nil })
		if a.err != nil {
			t.Errorf("the reason is %v", a.err)
		}
		a.c.ResumeProducing()
		g.until("it is not given up", func() bool { return a.err != nil })
	})
}

// NETCONN-18: many that are silent since the same moment are all pinged.
func TestPingMany(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		if _, simulated := kernel.As[kernel.Worker](r.Kernel()); !simulated {
			t.Skip("many sockets")
		}
		g := serve(t, r, &websocket.Options{Ping: time.Second}, nil)
		var peers []*visitor
		begin := r.Now()
		for range 300 {
			p := new(visitor)
			r.Dial(g.addr, reactor.One(p), nil, nil)
			peers = append(peers, p)
		}
		g.until("not all are pinged", func() bool {
			for _, p := range peers {
				if !strings.HasSuffix(string(p.in), "\r\n\r\n\x89\x00") {
					return false
				}
			}
			return true
		})
		if took := r.Now() - begin; took > 1500*time.Millisecond {
			t.Errorf("the last was pinged after %v", took)
		}
		for _, p := range peers {
			p.T.Abort()
		}
	})
}

// visitor is a peer that asks for a WebSocket by itself.
type visitor struct{ peer }

func (v *visitor) ConnectionMade(t reactor.Transport) {
	v.peer.ConnectionMade(t)
	_, _ = t.Write([]byte(request()))
}

// NETCONN-17: a message in fragments that does not end is given up, also if its peer answers pings, so that it does not hold the memory of others. One
// that comes in time stays, also after another, and so does one whose rest the protocol above does not take.
func TestMessageTimeout(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		const limit = 300 * time.Millisecond
		g := serve(t, r, &websocket.Options{MessageTimeout: limit, Ping: limit / 3}, nil)
		begin := r.Now()
		endless, a := g.connect()
		good, b := g.connect()
		paused, c := g.connect()
		first := masked(ws.OpText, false, "x")
		for _, p := range []*peer{endless, good, paused} {
			_, _ = p.T.Write(first)
		}
		g.until("no fragment has come", func() bool { return r.Now()-begin > limit/10 })
		c.c.PauseProducing()
		_, _ = paused.T.Write(masked(ws.OpContinuation, true, "z"))
		ends := 0
		defer r.Every(limit/6, func() {
			for _, p := range []*peer{endless, good, paused} {
				_, _ = p.T.Write(masked(ws.OpPong, true, ""))
			}
			_, _ = endless.T.Write(masked(ws.OpContinuation, false, ""))
			if ends++; ends%2 == 0 {
				_, _ = good.T.Write(append(masked(ws.OpContinuation, true, "y"), first...))
			}
		}).Stop()
		g.until("it is not given up", func() bool { return a.err != nil })
		if took := r.Now() - begin; !errors.Is(a.err, websocket.ErrUnfinished) || took < limit || took > 2*limit {
			t.Errorf("the reason is %v, after %v", a.err, took)
		}
		g.until("time stands still", func() bool { return r.Now()-begin > 3*limit })
		c.c.ResumeProducing()
		g.until("no message", func() bool { return len(c.messages) > 0 })
		if b.err != nil || len(b.messages) < 3 || c.err != nil || c.messages[0] != "xz" {
			t.Errorf("%v, %q; %v, %q", b.err, b.messages, c.err, c.messages)
		}
	})
}
