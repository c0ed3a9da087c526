package websocket_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
	"github.com/whorl-go/whorl/websocket"
)

// simulated is a rig in virtual time.
func simulated(t *testing.T, o *websocket.Options) *rig {
	return serve(t, testworld.Simulation().Alone().New(t, reactor.Config{}), o, nil)
}

// passes lets d pass.
func (g *rig) passes(d time.Duration) {
	g.t.Helper()
	at := g.r.Now() + d
	defer g.r.CallLater(d, func() {}).Cancel()
	g.until("time does not pass", func() bool { return g.r.Now() >= at })
}

// NETCONN-17: MaxMessage is for messages alone: control frames may be longer.
func TestControlBeyondMaxMessage(t *testing.T) {
	all(t, true, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, &websocket.Options{MaxMessage: 10}, nil)
		p, a := g.connect()
		_, _ = p.T.Write(masked(ws.OpText, false, "12345678"))
		_, _ = p.T.Write(masked(ws.OpPing, true, strings.Repeat("p", 125)))
		g.wantFrame(p, ws.OpPong, strings.Repeat("p", 125))
		_, _ = p.T.Write(closing(1000, "a reason of more than ten bytes"))
		g.wantClose(p, 1000)
		g.until("it does not end", func() bool { return a.err != nil && p.lost != nil })
		if !errors.Is(a.err, io.EOF) {
			t.Errorf("the reason is %v", a.err)
		}
	})
}

// NETCONN-18: while our Close waits for a producer, a silent peer is pinged and given up, and one that answers stays.
func TestSilentWhileProducing(t *testing.T) {
	for _, answers := range []bool{false, true} {
		g := simulated(t, &websocket.Options{Ping: time.Second})
		p, a := g.connect()
		if err := a.c.RegisterProducer(new(producer)); err != nil {
			t.Fatal(err)
		}
		_ = a.c.Close()
		for range 4 {
			g.passes(time.Second - time.Millisecond)
			if answers {
				g.wantFrame(p, ws.OpPing, "")
				_, _ = p.T.Write(masked(ws.OpPong, true, ""))
			}
		}
		if answers != (a.err == nil) || !answers && !errors.Is(a.err, websocket.ErrSilent) {
			t.Errorf("a peer that answers %v: the reason is %v", answers, a.err)
		}
		if answers {
			a.c.UnregisterProducer()
			g.wantClose(p, 1000)
			_, _ = p.T.Write(closing(1000, ""))
			g.until("it does not end", func() bool { return a.err != nil })
			if a.err != reactor.ErrClosed {
				t.Errorf("the reason is %v", a.err)
			}
		}
	}
}

// NETCONN-19: a peer that ends without a close frame while our Close waits for a producer has not got everything: the reason says so.
func TestEndWhileProducing(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, nil, nil)
		p, a := g.connect()
		if err := a.c.RegisterProducer(new(producer)); err != nil {
			t.Fatal(err)
		}
		_ = a.c.Close()
		_ = p.T.Close()
		g.until("it does not end", func() bool { return a.err != nil })
		if !errors.Is(a.err, websocket.ErrNoClose) {
			t.Errorf("the reason is %v", a.err)
		}
	})
}

// NETCONN-18: a ping is answered while our Close waits for a producer, and while much is being sent: otherwise the peer gives us up.
func TestPongWhileSending(t *testing.T) {
	g := simulated(t, nil)
	p, a := g.connect()
	if err := a.c.RegisterProducer(new(producer)); err != nil {
		t.Fatal(err)
	}
	_ = a.c.Close()
	_, _ = p.T.Write(masked(ws.OpPing, true, "closing"))
	g.wantFrame(p, ws.OpPong, "closing")
	p.T.PauseProducing()
	long := strings.Repeat("l", 50_000)
	n := 0
	for ; a.c.Buffered() < 8<<10; n++ {
		_, _ = a.c.Write([]byte(long))
		g.r.Turn(0)
	}
	g.passes(time.Second)
	for range 100 { // the answers are not to fill the memory
		_, _ = p.T.Write(masked(ws.OpPing, true, "busy"))
	}
	_, _ = p.T.Write(masked(ws.OpPing, true, "the last"))
	before := a.c.Buffered()
	g.passes(100 * time.Millisecond)
	if got := a.c.Buffered(); got > before+10 {
		t.Errorf("%d bytes were written to a peer that does not read", got-before)
	}
	p.T.ResumeProducing()
	for range n {
		g.wantFrame(p, ws.OpText, long)
	}
	g.wantFrame(p, ws.OpPong, "busy")
	g.wantFrame(p, ws.OpPong, "the last") // it stands for those before it
	g.passes(3 * time.Second)
	if len(p.in) > 0 || a.err != nil {
		t.Errorf("%q came, %v", p.in, a.err)
	}
	a.c.Abort()
}

// An answer that waits for room does not outlive its connection.
func TestLatePongEnds(t *testing.T) {
	g := simulated(t, nil)
	p, a := g.connect()
	p.T.PauseProducing()
	for long := strings.Repeat("l", 50_000); a.c.Buffered() < 8<<10; g.r.Turn(0) {
		_, _ = a.c.Write([]byte(long))
	}
	before := len(g.r.DelayedCalls())
	for range 2 { // the first is answered at once
		_, _ = p.T.Write(masked(ws.OpPing, true, "busy"))
		g.passes(100 * time.Millisecond)
	}
	if n := len(g.r.DelayedCalls()); n != before+1 {
		t.Errorf("%d delayed calls more, want 1: that of the answer", n-before)
	}
	a.c.Abort()
	g.passes(0)
	if n := len(g.r.DelayedCalls()); n > before {
		t.Errorf("%d delayed calls more after the end", n-before)
	}
}

// NETCONN-18: the answer to a ping that has come behind a pause counts, even if the protocol resumes in the last moment.
func TestResumeInTheLastMoment(t *testing.T) {
	g := simulated(t, &websocket.Options{Ping: time.Second})
	p, a := g.connect()
	g.apps[0].got = func(a *app, _ []byte) {
		a.got = nil
		a.c.Reactor().CallLater(2*time.Second, a.c.ResumeProducing)
	}
	_, _ = p.T.Write(text("heard"))
	g.wantFrame(p, ws.OpPing, "")
	a.c.PauseProducing()
	_, _ = p.T.Write(masked(ws.OpPong, true, ""))
	g.passes(1200 * time.Millisecond)
	if a.err != nil {
		t.Errorf("the reason is %v", a.err)
	}
}

// NETCONN-19: a panic is the reason of its connection behind net/http too.
func TestHTTPPanics(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			lost := make(chan error, 1)
			s := openWith(t, w, reactor.Config{Panicked: func(*reactor.PanicError) {}}, nil)
			s.srv.Handler = websocket.NewServer(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return &panics{lost: lost} }), nil)
			c := s.dial()
			_, _ = c.Write(append([]byte(request()), text("early")...))
			var e *reactor.PanicError
			if err := <-lost; !errors.As(err, &e) {
				t.Errorf("the reason is %v", err)
			}
		})
	}
}

// panics is a protocol that tells its end.
type panics struct {
	app
	lost chan error
}

func (*panics) DataReceived([]byte)        { panic("a defect") }
func (p *panics) ConnectionLost(err error) { p.lost <- err }

// NETCONN-15, PROD-25: what a producer writes to another WebSocket when a write over TLS pauses it does not change the frame of that write.
func TestWritePausingTLS(t *testing.T) {
	leaf := tlstest.SelfSigned("h.test")
	sc := &tls.Config{Certificates: []tls.Certificate{leaf}, Time: tlstest.Time}
	cc := &tls.Config{InsecureSkipVerify: true, Time: tlstest.Time}
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := &rig{t: t, r: r}
		port, err := r.Listen(loopback(), tlsio.Server(sc, websocket.NewServer(reactor.FactoryFunc(g.app), nil), nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		g.addr = port.Addr()
		connect := func() (*peer, *app) {
			v := new(visitor)
			r.Dial(g.addr, tlsio.Client(cc, reactor.One(v), nil), nil, nil)
			g.until("it does not connect", func() bool { return bytes.Contains(v.in, []byte("\r\n\r\n")) })
			g.head(&v.peer)
			return &v.peer, g.apps[len(g.apps)-1]
		}
		p, a := connect()
		q, b := connect()
		short, long, other := strings.Repeat("s", 100), strings.Repeat("l", 20_000), strings.Repeat("o", 20_000)
		x := &pauses{}
		paused := 0
		x.paused = func() { paused++; _, _ = b.c.Write([]byte(other)) }
		if err := a.c.RegisterProducer(x); err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; paused == 0 && n < 10_000; n++ {
			_, _ = a.c.Write([]byte(short))
			_, _ = a.c.Write([]byte(long))
		}
		a.c.UnregisterProducer()
		for range n {
			g.wantFrame(p, ws.OpText, short)
			g.wantFrame(p, ws.OpText, long)
		}
		g.wantFrame(q, ws.OpText, other)
		p.T.Abort()
		q.T.Abort()
	})
}

// NETCONN-19: Close waits for a queue until that is empty, and not until it is unregistered, which a queue never is.
func TestCloseOfQueue(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		for _, waiting := range []bool{false, true} {
			g := serve(t, r, nil, nil)
			p, a := g.connect()
			q, err := flow.NewQueue(a.c, &flow.QueueOptions{MaxBytes: -1})
			if err != nil {
				t.Fatal(err)
			}
			if waiting {
				p.T.PauseProducing()
			}
			long, n := strings.Repeat("l", 50_000), 0
			for ; n == 0 || waiting && q.Stats().Queued < 3; n++ {
				if err := q.Send([]byte(long)); err != nil {
					t.Fatal(err)
				}
				g.r.Turn(0)
			}
			_ = a.c.Close()
			p.T.ResumeProducing()
			for range n {
				g.wantFrame(p, ws.OpText, long)
			}
			g.wantClose(p, 1000)
			_, _ = p.T.Write(closing(1000, ""))
			g.until("it does not end", func() bool { return a.err != nil })
			if a.err != reactor.ErrClosed {
				t.Errorf("the reason is %v", a.err)
			}
		}
	})
}

// A peer that closes while messages wait for it gets a close frame and an orderly end: it wants no more of them.
func TestPeerClosesQueue(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, nil, nil)
		p, a := g.connect()
		q, err := flow.NewQueue(a.c, &flow.QueueOptions{MaxBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		p.T.PauseProducing()
		for q.Stats().Queued < 3 {
			if err := q.Send(make([]byte, 50_000)); err != nil {
				t.Fatal(err)
			}
			g.r.Turn(0)
		}
		_, _ = p.T.Write(closing(1000, ""))
		p.T.ResumeProducing()
		g.until("it does not end", func() bool { return a.err != nil && p.lost != nil })
		if p.lost != io.EOF {
			t.Errorf("the peer's end is %v", p.lost)
		}
	})
}

// NETCONN-16, TCP-84: the peer sends messages and a close frame and resets, while the protocol has paused after the first message. The others, and the
// close frame, come when it is resumed.
func TestFramesBeforeReset(t *testing.T) {
	for _, closes := range []bool{false, true} {
		g := simulated(t, nil)
		g.got = func(a *app, _ []byte) { a.c.PauseProducing() }
		p, a := g.connect()
		frames := append(append(text("1"), text("2")...), text("3")...)
		if closes {
			frames = append(frames, closing(1000, "bye")...)
		}
		_, _ = p.T.Write(frames)
		g.until("no message", func() bool { return len(a.messages) == 1 })
		p.T.Abort()
		g.passes(time.Second)
		wants(t, a.messages, "1")
		for range 3 {
			a.c.ResumeProducing()
			g.passes(10 * time.Millisecond)
		}
		wants(t, a.messages, "1", "2", "3")
		if closes != errors.Is(a.err, io.EOF) || !closes && !errors.Is(a.err, kernel.ErrReset) {
			t.Errorf("a close frame %v: the reason is %v", closes, a.err)
		}
	}
}

// PROD-11: a transport that waits for a WebSocket as its producer waits no longer when that is lost, or when our Close has ended its reading.
func TestLostProducer(t *testing.T) {
	for _, closes := range []bool{false, true} {
		g := simulated(t, nil)
		p, a := g.connect()
		q, b := g.connect()
		for _, x := range [][2]*app{{a, b}, {b, a}} {
			if err := x[0].c.RegisterProducer(x[1].c); err != nil {
				t.Fatal(err)
			}
		}
		if closes {
			_ = a.c.Close()
		} else {
			p.T.Abort()
			g.until("it does not end", func() bool { return a.err != nil })
		}
		_ = b.c.Close()
		g.wantClose(q, 1000)
		if closes {
			_ = a.c.Close() // what it waits for is over
			g.wantClose(p, 1000)
		}
		p.T.Abort()
		q.T.Abort()
	}
}

// PROD-11, TCP-67: a WebSocket that is its own producer is stopped when writing fails. What the peer sent before is delivered.
func TestOwnProducerFails(t *testing.T) {
	g := simulated(t, nil)
	long := strings.Repeat("l", 100_000)
	g.got = func(a *app, _ []byte) { _, _ = a.c.Write([]byte(long)) }
	p, a := g.connect()
	if err := a.c.RegisterProducer(a.c); err != nil {
		t.Fatal(err)
	}
	p.T.PauseProducing()
	_, _ = p.T.Write(bytes.Repeat(text("x"), 100))
	g.passes(time.Second)
	before := len(a.messages)
	if before == 100 {
		t.Fatal("nothing has paused it")
	}
	p.T.Abort()
	g.until("it does not end", func() bool { return a.err != nil })
	if len(a.messages) != 100 || !errors.Is(a.err, kernel.ErrReset) {
		t.Errorf("PROD-11: %d messages of 100, %d before the reset; the reason is %v", len(a.messages), before, a.err)
	}
}

// NETCONN-19: a peer that reads nothing, and says now and then that it is there, does not keep a Close waiting for the producer for ever. One that reads
// gets everything, however slowly.
func TestUnreadWhileProducing(t *testing.T) {
	for _, reads := range []bool{false, true} {
		g := simulated(t, &websocket.Options{Ping: -1})
		p, a := g.connect()
		x := &talker{t: a.c}
		if err := a.c.RegisterProducer(x); err != nil {
			t.Fatal(err)
		}
		x.ResumeProducing()
		p.T.PauseProducing()
		_ = a.c.Close()
		for range 300 {
			_, _ = p.T.Write(masked(ws.OpPing, true, "here"))
			g.passes(time.Second)
			if reads {
				p.T.ResumeProducing()
				g.r.Turn(0)
				p.T.PauseProducing()
				p.in = nil
			}
		}
		switch {
		case reads && a.err != nil:
			t.Errorf("a peer that reads is lost: %v", a.err)
		case !reads && (!errors.Is(a.err, reactor.ErrCloseTimeout) || !x.stopped):
			t.Errorf("five minutes later the reason is %v; the producer is stopped: %v", a.err, x.stopped)
		}
		a.c.Abort()
	}
}

// talker is a producer that always has more.
type talker struct {
	producer
	t      *websocket.Conn
	paused bool
}

func (x *talker) PauseProducing() { x.paused = true }
func (x *talker) ResumeProducing() {
	for x.paused = false; !x.paused && !x.stopped; {
		if _, err := x.t.Write([]byte(strings.Repeat("x", 10_000))); err != nil {
			return
		}
	}
}
