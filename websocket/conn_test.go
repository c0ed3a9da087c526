package websocket_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/websocket"
)

func echo(a *app, p []byte) { _, _ = a.c.Write(p) }

// NETCONN-15, NETCONN-16: messages of all lengths, in one frame or several, with pings between, in every cut of the stream, also right behind the request.
func TestMessages(t *testing.T) {
	all(t, true, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, nil, echo)
		p := g.dial(request() + string(text("early")))
		if head := g.head(p); !strings.Contains(head, "101") {
			t.Fatalf("the answer is %q", head)
		}
		g.wantFrame(p, ws.OpText, "early")
		want := []string{"early"}
		for _, n := range []int{1, 125, 126, 1000} {
			want = append(want, strings.Repeat("ü", n/2)+strings.Repeat("x", n%2))
			_, _ = p.T.Write(text(want[len(want)-1]))
			g.wantFrame(p, ws.OpText, want[len(want)-1])
		}
		_, _ = p.T.Write(masked(ws.OpText, false, "in "))
		_, _ = p.T.Write(masked(ws.OpPing, true, "now"))
		_, _ = p.T.Write(masked(ws.OpContinuation, false, ""))
		_, _ = p.T.Write(masked(ws.OpContinuation, true, "pieces"))
		g.wantFrame(p, ws.OpPong, "now")
		g.wantFrame(p, ws.OpText, "in pieces")
		wants(t, g.apps[0].messages, append(want, "in pieces")...)
	})
}

// NETCONN-15: the longest messages, and what is sent by each of the calls that send.
func TestSends(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, &websocket.Options{MaxMessage: 70_000}, echo)
		p, a := g.connect()
		long := strings.Repeat("l", 70_000)
		_, _ = p.T.Write(text(long))
		g.wantFrame(p, ws.OpText, long)
		_ = a.c.Send(websocket.Message{Data: []byte{0xff}, Binary: true})
		g.wantFrame(p, ws.OpBinary, "\xff")
		if n, err := a.c.WriteVec([][]byte{[]byte("a"), nil, []byte("bc")}); n != 3 || err != nil {
			t.Errorf("WriteVec is %d and %v", n, err)
		}
		g.wantFrame(p, ws.OpText, "abc")
		for _, n := range []int{10, 10_000} {
			shared := []byte(strings.Repeat("s", n))
			if got, err := reactor.WriteShared(a.c, shared); got != n || err != nil {
				t.Errorf("WriteShared is %d and %v", got, err)
			}
			g.wantFrame(p, ws.OpText, string(shared))
		}
		b := serve(t, r, &websocket.Options{Binary: true}, echo)
		p, _ = b.connect()
		_, _ = p.T.Write(text("t"))
		b.wantFrame(p, ws.OpBinary, "t")
	})
}

// whole is a protocol that takes messages as they are.
type whole struct {
	app
	kinds []websocket.Message
}

func (w *whole) MessageReceived(m websocket.Message) {
	w.kinds = append(w.kinds, websocket.Message{Data: append([]byte(nil), m.Data...), Binary: m.Binary})
}

// NETCONN-15: a Receiver gets the kind of a message, and empty ones.
func TestReceiver(t *testing.T) {
	all(t, true, func(t *testing.T, r *reactor.Reactor) {
		w := new(whole)
		g := (&rig{t: t, r: r}).listen(reactor.One(w), nil)
		p := g.dial(request() + string(text("")) + string(masked(ws.OpBinary, false, "\xff")) + string(masked(ws.OpContinuation, true, "\xfe")) + string(text("t")))
		g.until("too few messages", func() bool { return len(w.kinds) == 3 })
		if w.kinds[0].Binary || len(w.kinds[0].Data) != 0 || !w.kinds[1].Binary || string(w.kinds[1].Data) != "\xff\xfe" || w.kinds[2].Binary {
			t.Errorf("the messages are %v", w.kinds)
		}
		p.T.Abort()
		g.until("it does not end", func() bool { return w.err != nil })
	})
}

// NETCONN-19: the closing handshake, begun by the peer.
func TestPeerCloses(t *testing.T) {
	all(t, true, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, nil, nil)
		for code, orderly := range map[ws.StatusCode]bool{1000: true, 1001: true, 1003: false, 1012: false, 3000: false, 0: true} {
			p, a := g.connect()
			if code == 0 {
				_, _ = p.T.Write(masked(ws.OpClose, true, ""))
			} else {
				_, _ = p.T.Write(append(closing(code, "why"), text("behind it")...))
			}
			g.wantClose(p, code)
			g.until("it does not end", func() bool { return a.err != nil && p.lost != nil })
			var e *websocket.CloseError
			if !errors.As(a.err, &e) || code != 0 && (e.Code != uint16(code) || e.Reason != "why") || errors.Is(a.err, io.EOF) != orderly || errors.Is(a.err, reactor.ErrLost) == orderly {
				t.Errorf("code %d: the reason is %v", code, a.err)
			}
			if p.lost != io.EOF || len(a.messages) != 0 {
				t.Errorf("code %d: the client's reason is %v, the messages are %q", code, p.lost, a.messages)
			}
		}
	})
}

// NETCONN-19: the closing handshake, begun by us: what was written is sent before, nothing is delivered afterwards, and the answer of the peer ends it.
func TestWeClose(t *testing.T) {
	all(t, true, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, nil, nil)
		p, a := g.connect()
		_, _ = p.T.Write(masked(ws.OpText, false, "half of a message"))
		_, _ = a.c.Write([]byte("last"))
		a.c.PauseProducing() // the answer is awaited all the same
		begin := r.Now()
		for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 2999, 5000} { // RFC 6455, 7.4
			if err := a.c.CloseWith(code, ""); !errors.Is(err, websocket.ErrProtocol) {
				t.Errorf("code %d: %v", code, err)
			}
		}
		if err := a.c.CloseWith(4000, strings.Repeat("ü", 100)); err != nil {
			t.Error(err)
		}
		if _, err := a.c.Write([]byte("x")); err != reactor.ErrClosed {
			t.Errorf("Write after Close: %v", err)
		}
		g.wantFrame(p, ws.OpText, "last")
		g.wantFrame(p, ws.OpClose, "\x0f\xa0"+strings.Repeat("ü", 61))
		_, _ = p.T.Write(append(masked(ws.OpContinuation, true, "the rest"), closing(4000, "")...))
		g.until("it does not end", func() bool { return a.err != nil && p.lost != nil })
		if took := r.Now() - begin; a.err != reactor.ErrClosed || p.lost != io.EOF || len(a.messages) != 0 || took > 4*time.Second {
			t.Errorf("the reasons are %v and %v, the messages are %q, after %v", a.err, p.lost, a.messages, took)
		}
	})
}

// NETCONN-19: the codes that a close frame may have: those of RFC 6455 and of IANA's registry, and those for programs.
func TestCloseCodes(t *testing.T) {
	for _, code := range []uint16{1000, 1001, 1003, 1011, 1012, 1013, 1014, 3000, 4999} {
		g := simulated(t, nil)
		p, a := g.connect()
		if err := a.c.CloseWith(code, ""); err != nil {
			t.Errorf("code %d: %v", code, err)
		}
		g.wantClose(p, ws.StatusCode(code))
	}
}

// NETCONN-19: a peer that does not answer our close frame is waited for no longer than CloseTimeout; one that ends without a word, or is aborted, has typed reasons.
func TestOtherEnds(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, &websocket.Options{CloseTimeout: 30 * time.Millisecond}, nil)
		p, a := g.connect()
		_ = a.c.Close()
		g.wantClose(p, 1000)
		begin := r.Now()
		g.until("it does not end", func() bool { return a.err != nil })
		if a.err != reactor.ErrClosed || r.Now()-begin < 20*time.Millisecond {
			t.Errorf("the reason is %v after %v", a.err, r.Now()-begin)
		}
		p, a = g.connect()
		_ = a.c.Close()
		g.wantClose(p, 1000)
		_ = p.T.Close() // without an answer
		g.until("it does not end", func() bool { return a.err != nil })
		if a.err != reactor.ErrClosed {
			t.Errorf("the reason is %v", a.err)
		}
		p, a = g.connect()
		_ = p.T.Close()
		g.until("it does not end", func() bool { return a.err != nil })
		if !errors.Is(a.err, websocket.ErrNoClose) || !errors.Is(a.err, io.ErrUnexpectedEOF) || !errors.Is(a.err, reactor.ErrLost) {
			t.Errorf("the reason is %v", a.err)
		}
		p, a = g.connect()
		a.c.Abort()
		g.until("it does not end", func() bool { return a.err != nil && p.lost != nil })
		if a.err != reactor.ErrAborted || errors.Is(p.lost, io.EOF) {
			t.Errorf("the reasons are %v and %v", a.err, p.lost)
		}
	})
}

// drainServers asks the server's ends of connections to end; the clients' are on the same loop.
func drainServers(s *reactor.Stream) {
	if d, ok := reactor.DrainerOf(s); ok {
		d.Drain()
	}
}

// NETCONN-19: a Drain says to each peer that the server goes away, and ends when they have answered; a request that has not come whole ends at once.
func TestDrain(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, nil, nil)
		p, a := g.connect()
		half := g.dial(request()[:20])
		g.until("it is not there", func() bool { return r.Stats().Connections == 4 })
		g.r.Drain(reactor.DrainConfig{Ask: drainServers})
		g.wantClose(p, 1001)
		_, _ = p.T.Write(closing(1001, ""))
		g.until("it does not end", func() bool { return a.err != nil && half.lost != nil })
		if a.err != reactor.ErrClosed {
			t.Errorf("the reason is %v", a.err)
		}
	})
}

// NETCONN-16: nothing is delivered while the protocol pauses, and what has come goes on later, in order.
func TestPause(t *testing.T) {
	all(t, true, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, nil, func(a *app, p []byte) { a.c.PauseProducing() })
		p, a := g.connect()
		var many []byte
		for i := range 5 {
			many = append(many, text(string(rune('a'+i)))...)
		}
		_, _ = p.T.Write(many)
		for i := range 5 {
			g.until("too few messages", func() bool { return len(a.messages) == i+1 })
			for range 3 {
				r.Turn(time.Millisecond)
			}
			if len(a.messages) != i+1 {
				t.Fatalf("%d messages after %d were asked for", len(a.messages), i+1)
			}
			a.c.ResumeProducing()
		}
		wants(t, a.messages, "a", "b", "c", "d", "e")
	})
}

// producer writes when it is resumed.
type producer struct{ stopped bool }

func (*producer) PauseProducing()  {}
func (*producer) ResumeProducing() {}
func (p *producer) StopProducing() { p.stopped = true }

// NETCONN-19: Close waits for a producer, whose messages are sent before the close frame. A peer that closes does not wait for it.
func TestProducer(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, nil, nil)
		p, a := g.connect()
		if err := a.c.RegisterProducer(new(producer)); err != nil {
			t.Fatal(err)
		}
		_ = a.c.Close()
		if _, err := a.c.Write([]byte("more")); err != nil {
			t.Errorf("Write of the producer: %v", err)
		}
		g.wantFrame(p, ws.OpText, "more")
		a.c.UnregisterProducer()
		g.wantClose(p, 1000)
		p, a = g.connect()
		x := new(producer)
		_ = a.c.RegisterProducer(x)
		_, _ = p.T.Write(closing(1000, ""))
		g.until("it does not end", func() bool { return a.err != nil })
		if !x.stopped {
			t.Error("the producer was not stopped")
		}
	})
}

// A peer that closes gets our close frame, and the end in order, also if the producer calls what it has sent a part.
func TestCloseWhileUnfinished(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, nil, nil)
		p, a := g.connect()
		x := &part{unfinished: true}
		if err := a.c.RegisterProducer(x); err != nil {
			t.Fatal(err)
		}
		_, _ = p.T.Write(closing(1000, ""))
		g.until("it does not end", func() bool { return a.err != nil && p.lost != nil })
		g.wantClose(p, 1000)
		if p.lost != io.EOF || !x.stopped {
			t.Errorf("the peer's end is %v; the producer was stopped: %v", p.lost, x.stopped)
		}
	})
}

// PROD-24: if the reactor stops, a part ends by a reset.
func TestStopWhileUnfinished(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			for _, unfinished := range []bool{false, true} {
				r := w.New(t, reactor.Config{})
				g := serve(t, r, nil, nil)
				p := w.Peer(t, g.addr, r)
				p.Send(request())
				g.until("no connection", func() bool { return len(g.apps) == 1 && g.apps[0].c != nil })
				if err := g.apps[0].c.RegisterProducer(&part{unfinished: unfinished}); err != nil {
					t.Fatal(err)
				}
				r.Post(func() { _ = r.Stop() })
				_ = r.Run(t.Context())
				if _, err := p.Rest(); errors.Is(err, kernel.ErrReset) != unfinished || (err == io.EOF) == unfinished {
					t.Errorf("PROD-24: unfinished %v: the peer's end is %v", unfinished, err)
				}
			}
		})
	}
}

// part is a producer that says whether it is unfinished.
type part struct {
	producer
	unfinished bool
}

func (p *part) Unfinished() bool { return p.unfinished }

// POL-16: a file comes in messages: nothing of it goes past the frames.
func TestSendFile(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		want := strings.Repeat("0123456789", 30_000)
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		g := serve(t, r, nil, nil)
		p, a := g.connect()
		done := false
		if _, err := flow.SendFile(a.c, f, &flow.FileOptions{MayWait: true, Done: func(int64, error) { done = true }}); err != nil {
			t.Fatal(err)
		}
		got := ""
		for len(got) < len(want) && !t.Failed() {
			x := g.next(p)
			if got += string(x.Payload); x.Header.OpCode != ws.OpText || !strings.HasPrefix(want, got) {
				t.Fatalf("POL-16: a frame %v of %d bytes, or others", x.Header.OpCode, len(x.Payload))
			}
		}
		g.until("Done is not called", func() bool { return done })
	})
}

// NETCONN-16: another protocol may take the WebSocket over.
func TestSwitch(t *testing.T) {
	all(t, true, func(t *testing.T, r *reactor.Reactor) {
		next := new(app)
		g := serve(t, r, nil, func(a *app, p []byte) {
			next.c = a.c
			was, err := a.c.SwitchProtocol(next)
			if err != nil || was.Protocol != reactor.Protocol(a) {
				t.Errorf("SwitchProtocol is %v and %v", was, err)
			}
		})
		p, a := g.connect()
		_, _ = p.T.Write(append(text("one"), text("two")...))
		g.until("too few messages", func() bool { return len(next.messages) == 1 })
		wants(t, a.messages, "one")
		wants(t, next.messages, "two")
		p.T.Abort()
		g.until("it does not end", func() bool { return next.err != nil })
	})
}

// NETCONN-19: our Close finds the answer of the peer wherever it stands: behind a frame that had come in part, or behind messages that a pause has kept.
func TestCloseAmidFrames(t *testing.T) {
	all(t, true, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, nil, func(a *app, p []byte) { a.c.PauseProducing() })
		for name, c := range map[string]struct {
			before, after string
			messages      int
		}{
			"a part of a frame": {string(text("a long message")[:9]), string(text("a long message")[9:]), 0},
			"a pause":           {string(text("one")) + string(text("two")) + string(closing(1000, "")), "", 1},
		} {
			p, a := g.connect()
			_, _ = p.T.Write([]byte(c.before))
			g.until("no message", func() bool { return len(a.messages) == c.messages })
			for range 20 {
				r.Turn(time.Millisecond)
			}
			begin := r.Now()
			_ = a.c.Close()
			g.wantClose(p, 1000)
			if c.after != "" {
				_, _ = p.T.Write(append([]byte(c.after), closing(1000, "")...))
			}
			g.until("it does not end", func() bool { return a.err != nil && p.lost != nil })
			if took := r.Now() - begin; a.err != reactor.ErrClosed || p.lost != io.EOF || len(a.messages) != c.messages || took > 4*time.Second {
				t.Errorf("%s: the reasons are %v and %v, the messages are %q, after %v", name, a.err, p.lost, a.messages, took)
			}
		}
	})
}

// NETCONN-19: a peer that closes while our Close waits for a producer is answered with our close frame.
func TestCloseWhileProducing(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, nil, nil)
		p, a := g.connect()
		x := new(producer)
		if err := a.c.RegisterProducer(x); err != nil {
			t.Fatal(err)
		}
		_ = a.c.CloseWith(4000, "")
		_, _ = p.T.Write(closing(1000, ""))
		g.wantClose(p, 4000)
		g.until("it does not end", func() bool { return a.err != nil && p.lost != nil })
		if !x.stopped || a.err != reactor.ErrClosed || p.lost != io.EOF {
			t.Errorf("the producer is stopped: %v; the reasons are %v and %v", x.stopped, a.err, p.lost)
		}
	})
}

// pauses is a producer that writes when it is paused.
type pauses struct {
	producer
	paused func()
}

func (p *pauses) PauseProducing() { p.paused() }

// NETCONN-15: what a producer writes when WriteShared pauses it stands behind the message, not in its frame.
func TestWriteSharedPausing(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := &rig{t: t, r: r}
		port, err := r.Listen(loopback(), websocket.NewServer(reactor.FactoryFunc(g.app), nil), &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 4}})
		if err != nil {
			t.Fatal(err)
		}
		g.addr = port.Addr()
		p, a := g.connect()
		q, b := g.connect()
		long := strings.Repeat("l", 300<<10)
		n := 0
		x := &pauses{paused: func() {
			n++
			_, _ = a.c.Write([]byte("short"))
			_, _ = reactor.WriteShared(b.c, []byte(long)) // of another one, meanwhile
			_, _ = reactor.WriteShared(a.c, []byte(long))
		}}
		if err := a.c.RegisterProducer(x); err != nil {
			t.Fatal(err)
		}
		for n == 0 {
			if _, err := reactor.WriteShared(a.c, []byte(long)); err != nil {
				t.Fatal(err)
			}
			testworld.Turns(t, r, 1)
		}
		a.c.UnregisterProducer()
		f := g.next(p)
		for len(f.Payload) != len("short") {
			if string(f.Payload) != long {
				t.Fatalf("a frame of %d bytes", len(f.Payload))
			}
			f = g.next(p)
		}
		g.wantFrame(p, ws.OpText, long)
		g.wantFrame(q, ws.OpText, long)
	})
}
