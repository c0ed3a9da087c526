package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// Pausing holds above TLS too. When it has returned nothing is delivered, not even from
// records that have come already (TCP-64). After resuming the rest comes in order, and
// then the end (TCP-66).
func TestPause(t *testing.T) {
	stages(t, []int{3, 0}, func(s *stage) {
		t := s.t
		want := pattern(60_000)
		if s.chunk > 0 {
			want = want[:20_000] // a call to the system for every piece
		}
		srv, cli := new(end), new(end)
		cli.onShaken = func() {
			cli.c.Write(want)
			cli.c.Close()
		}
		paused := false
		pauses := 0
		srv.onMade = func() { srv.c.PauseProducing() } // also through the handshake
		resume := func() {
			paused = false
			srv.c.ResumeProducing()
			srv.c.ResumeProducing() // TCP-65
		}
		srv.onShaken = func() { paused = true; s.srv.CallLater(0, resume) }
		srv.onData = func([]byte) {
			if paused {
				t.Fatal("TCP-64: delivered though paused")
			}
			srv.c.PauseProducing()
			srv.c.PauseProducing() // TCP-65
			paused = true
			pauses++
			s.srv.CallLater(0, resume)
		}
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return srv.lost() && cli.lost() })
		if !bytes.Equal(srv.got, want) || srv.err != io.EOF || pauses < (len(want)+16<<10-1)/(16<<10) {
			t.Errorf("TCP-66: %d bytes, %v, %d pauses", len(srv.got), srv.err, pauses)
		}
	})
}

// X-1 holds above TLS: a panic in a callback ends its connection, and no other; also in
// callbacks that come from the pool and from posted functions.
func TestPanic(t *testing.T) {
	broken := errors.New("broken protocol")
	for what, plant := range map[string]func(e *end){
		"made":   func(e *end) { e.onMade = func() { panic(broken) } },
		"shaken": func(e *end) { e.onShaken = func() { panic(broken) } },
		"data":   func(e *end) { e.onData = func([]byte) { panic(broken) } },
		"later": func(e *end) {
			e.onShaken = func() { e.c.PauseProducing(); e.c.Reactor().Post(e.c.ResumeProducing) }
			e.onData = func([]byte) { panic(broken) }
		},
	} {
		for name, w := range testworld.Worlds() {
			t.Run(what+"/"+name, func(t *testing.T) {
				told := 0
				r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { told++ }})
				s := &stage{t: t, srv: r, cli: r, addr: loopback(), until: func(cond func() bool) { t.Helper(); testworld.Until(t, cond, r) }}
				bad, srv, good, other := new(end), new(end), new(end), new(end)
				plant(bad)
				srv.onMade = func() { srv.c.Write([]byte("x")) }
				other.onMade = func() { other.c.Write([]byte("y")) }
				good.onData = func([]byte) { good.c.Close() }
				s.secure(tls.VersionTLS13, srv, bad) // a server's reset may come before the client has connected
				s.secure(tls.VersionTLS13, good, other)
				s.until(func() bool { return bad.lost() && srv.lost() && good.lost() && other.lost() })
				if !errors.Is(bad.err, broken) || !is[*reactor.PanicError](bad.err) || told != 1 {
					t.Errorf("X-1: %v, told %d times", bad.err, told)
				}
				if e, ok := errors.AsType[*reactor.PanicError](bad.err); ok && !strings.HasPrefix(e.In, "end") {
					t.Errorf("DESC-36: the panic was one in %q", e.In)
				}
				if string(good.got) != "y" || good.err != reactor.ErrClosed {
					t.Errorf("X-1: the other: %q, %v", good.got, good.err)
				}
			})
		}
	}
}

// TLS-14: a write that the engine refuses ends the connection with its error.
func TestWriteFails(t *testing.T) {
	top := new(end)
	g := newRig(t, tls.VersionTLS13, top, nil)
	g.pump()
	f := g.forger()
	p := &source{t: t}
	top.c.RegisterProducer(p)
	top.onLost = func() {
		if !p.stopped {
			t.Error("TLS-32: lost before the producer was stopped")
		}
	}
	top.onData = func([]byte) { top.c.PauseProducing() }
	// The second record is bad, and is read when reading resumes; reading it fails the
	// engine's writing too, by the alert.
	bad := f.seal(dataRecord, []byte("b"))
	bad[len(bad)-1] ^= 1
	g.deliver(append(f.seal(dataRecord, []byte("a")), bad...))
	top.c.ResumeProducing()
	top.c.Write([]byte("in the queue"))
	g.pump()
	if _, err := top.c.Write([]byte("late")); err != reactor.ErrClosed {
		t.Errorf("TLS-14: %v", err)
	}
	g.lose()
	if !isTLS(top.err) || !alerted(20)(top.err) {
		t.Errorf("TLS-14: %v", top.err)
	}
}

// TLS-31: a handshake with much to be sent behind it, and a full transport below, are
// one pause to the producer.
func TestMergedPauses(t *testing.T) {
	top := new(end)
	p := &source{t: t, left: 8}
	top.onMade = func() {
		p.c = top.c
		top.c.RegisterProducer(p)
		p.produce()
	}
	g := newRig(t, tls.VersionTLS13, top, &tlsio.Options{})
	if !p.paused || p.left == 0 {
		t.Errorf("TLS-31: not paused with %d to go in a handshake", p.left)
	}
	g.u.producer.PauseProducing()
	g.pump()
	if !p.paused || p.pauses != 1 {
		t.Errorf("TLS-31: paused %v, %d times", p.paused, p.pauses)
	}
	g.u.producer.ResumeProducing()
	g.pump()
	if p.paused || p.left != 0 || len(g.p.got) != 80_000 {
		t.Errorf("TLS-31: paused %v, %d to go, %d arrived", p.paused, p.left, len(g.p.got))
	}
	g.u.far.Close() // TLS-32: a loss below is passed on
	g.flow(func() bool { return g.u.lost })
	if !p.stopped {
		t.Error("TLS-32: not stopped")
	}
	top.is(t, "TLS-22: server", tlsio.ErrTruncated)
}

// Answers to records that come together leave together, in order, and whatever the
// protocol does between them is behind those it has given.
func TestAnswersTogether(t *testing.T) {
	const records, size = 9, 16 << 10
	want := pattern(records * size)
	for what, c := range map[string]struct {
		act  func(c *tlsio.Conn)
		came int
	}{
		"answers": {func(c *tlsio.Conn) {}, len(want) - size},
		"pauses":  {func(c *tlsio.Conn) { c.PauseProducing(); c.ResumeProducing() }, len(want) - size},
		"closes":  {func(c *tlsio.Conn) { c.Close() }, 3 * size},
		"aborts":  {func(c *tlsio.Conn) { c.Abort() }, 0},
	} {
		t.Run(what, func(t *testing.T) {
			top := new(end)
			g := newRig(t, tls.VersionTLS12, top, nil)
			g.pump()
			top.onData = func(p []byte) {
				top.c.Write(p)
				if len(top.got) == 3*size {
					c.act(top.c)
				}
			}
			for rest := want; len(rest) > 0; rest = rest[size:] {
				g.p.tls.Write(rest[:size])
			}
			writes := g.u.writes
			g.deliver(g.p.out[:len(g.p.out)-1]) // the last record is not whole
			g.p.out = nil
			if writes = g.u.writes - writes; what == "answers" && writes > 3 {
				t.Errorf("%d bytes were answered by %d writes", len(top.got), writes)
			}
			g.flow(always)
			g.p.in = append(g.p.in, g.u.take()...)
			g.p.next()
			if !bytes.Equal(g.p.got, want[:c.came]) {
				t.Errorf("%d bytes came back, want %d", len(g.p.got), c.came)
			}
		})
	}
}

// A protocol that echoes is the producer of its own connection: it reads while there is
// room to write. Input that is kept at a pause is delivered when the protocol resumes,
// although it resumes in a callback and the peer sends nothing more.
func TestResumeInCallback(t *testing.T) {
	const size = 10_000
	for what, c := range map[string]struct {
		pause  func(top *end, g *rig)
		resume func(g *rig)
	}{
		"its own producer": {
			func(_ *end, g *rig) { g.u.full = 1; g.u.producer.PauseProducing() },
			func(g *rig) { g.u.full = 0; g.u.producer.ResumeProducing() },
		},
		"the end of its direction": {
			func(top *end, _ *rig) { top.c.PauseProducing() },
			func(g *rig) {
				top := g.top.(*halfEnd)
				top.c.UnregisterProducer()
				top.onWriteLost = func() { top.c.ResumeProducing() }
				top.c.CloseWrite()
			},
		},
	} {
		t.Run(what, func(t *testing.T) {
			top := new(halfEnd)
			g := newRig(t, tls.VersionTLS13, top, nil)
			g.pump()
			top.c.RegisterProducer(top.c)
			top.onData = func(p []byte) {
				if len(top.got) == size {
					c.pause(&top.end, g)
				}
			}
			for range 3 {
				g.p.tls.Write(make([]byte, size))
			}
			g.pump()
			if len(top.got) != size {
				t.Fatalf("%d bytes in spite of a pause", len(top.got))
			}
			c.resume(g)
			g.pump()
			if len(top.got) != 3*size {
				t.Errorf("%d bytes arrived, want %d", len(top.got), 3*size)
			}
		})
	}
}

// The records of one write leave together, several at a time.
func TestBatch(t *testing.T) {
	top := new(end)
	g := newRig(t, tls.VersionTLS13, top, nil)
	g.pump()
	writes := g.u.writes
	top.c.Write(make([]byte, 8*16<<10))
	if n := g.u.writes - writes; n > 3 {
		t.Errorf("8 records left in %d writes", n)
	}
	g.pump()
	if len(g.p.got) != 8*16<<10 {
		t.Errorf("%d bytes arrived", len(g.p.got))
	}
}

// What waits for the handshake is bounded as what waits for the socket is: a peer that never
// answers the hello does not make the program's writes grow without end. TLS-13: no write waits for
// the peer.
func TestWritesBeforeTheHandshakeAreBounded(t *testing.T) {
	const limit = 100_000
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			silent := w.Listener(t, s.cli)
			_, cc := configs(0)
			cli := new(end)
			c := &reactor.DialConfig{StreamConfig: reactor.StreamConfig{MaxBuffered: limit}}
			s.cli.Dial(silent.Addr(), tlsio.Client(cc, one(cli), nil), c, nil)
			silent.Accept()
			s.until(func() bool { return cli.c != nil })
			for range 10 {
				if n, err := cli.c.Write(make([]byte, limit/10)); n != limit/10 || err != nil {
					t.Fatalf("TLS-13: within the limit: %d, %v", n, err)
				}
			}
			if n, err := cli.c.WriteVec([][]byte{nil, {1}}); n != 0 || !errors.Is(err, reactor.ErrBufferFull) {
				t.Errorf("beyond it: %d, %v", n, err)
			}
			s.until(cli.lost)
			if !errors.Is(cli.err, reactor.ErrBufferFull) {
				t.Errorf("lost with %v", cli.err)
			}
		})
	}
}

// aborter is a producer that aborts its connection when it is paused.
type aborter struct{ e *end }

func (a *aborter) PauseProducing()  { a.e.c.Abort() }
func (a *aborter) ResumeProducing() {}
func (a *aborter) StopProducing()   {}

// An Abort while the server's flight is being written ends the handshake, whose coroutine then
// belongs to another goroutine.
func TestAbortInTheFlight(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		t := s.t
		for range 10 {
			sc, cc := configs(tls.VersionTLS13)
			srv, cli := new(end), new(end)
			srv.onMade = func() { srv.c.RegisterProducer(&aborter{srv}) }
			marks := reactor.StreamConfig{HighWater: 100}
			p, err := s.srv.Listen(s.addr, tlsio.Server(sc, one(srv), nil), &reactor.ListenConfig{StreamConfig: marks})
			if err != nil {
				t.Fatal(err)
			}
			s.cli.Dial(p.Addr(), tlsio.Client(cc, one(cli), nil), nil, nil)
			s.until(srv.lost)
			if srv.err != reactor.ErrAborted {
				t.Errorf("lost with %v", srv.err)
			}
			stopped := false
			p.StopListening(func(error) { stopped = true })
			s.until(func() bool { return stopped })
		}
	})
}

// The greatest limit of a handshake is as good as none.
func TestLimitHandshakeGreatest(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		srv, cli := new(end), new(end)
		cli.onMade = func() { cli.c.LimitHandshake(math.MaxInt64) }
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return cli.lost() || cli.saw("shaken") })
		if cli.lost() {
			s.t.Error(cli.err)
		}
	})
}

// An echo is its own producer. If what is below asks for a pause though it has sent everything, the echo
// pauses behind the records that have come, which would have to be copied otherwise. If something waits
// below, the echo pauses at once.
func TestEchoPausesBehindItsInput(t *testing.T) {
	for unsent, want := range []int{5, 1} {
		top := new(end)
		g := newRig(t, tls.VersionTLS13, top, nil)
		g.pump()
		if err := top.c.RegisterProducer(top.c); err != nil {
			t.Fatal(err)
		}
		came := 0
		top.onData = func(p []byte) {
			if came++; came == 1 {
				g.u.full = unsent
				g.u.producer.PauseProducing()
			}
			top.c.Write(p)
		}
		for range 5 {
			g.p.tls.Write([]byte("record"))
		}
		g.deliver(g.p.out)
		g.p.out = nil
		if came != want || !g.u.paused {
			t.Errorf("%d bytes wait below: paused %v after %d records, want %d", unsent, g.u.paused, came, want)
		}
		g.u.full = 0
		g.u.producer.ResumeProducing()
		g.pump()
		if len(g.p.got) != 30 || g.u.paused {
			t.Errorf("%d bytes came back, paused %v", len(g.p.got), g.u.paused)
		}
		if g.u.producer.PauseProducing(); !g.u.paused {
			t.Error("not paused though nothing is being read")
		}
	}
}

// pausing is a producer that pauses the reading of its own connection with itself, as a relay does.
type pausing struct {
	*end
	paused bool
}

func (p *pausing) PauseProducing()  { p.c.PauseProducing(); p.paused = true }
func (p *pausing) ResumeProducing() { p.paused = false; p.c.ResumeProducing() }
func (p *pausing) StopProducing()   {}

// TCP-64: what is paused while answers are sent, in the middle of what has come, is paused at once.
func TestPauseAmongAnswers(t *testing.T) {
	sc, cc := configs(tls.VersionTLS13)
	g := rigOf(t, sc, cc, new(end), nil, false)
	g.n.Options.SendBuffer, g.n.Options.RecvBuffer, g.marks.HighWater = 500, 500, 500
	p := &pausing{end: new(end)}
	g = g.another(p.end)
	g.pump()
	if err := p.c.RegisterProducer(p); err != nil {
		t.Fatal(err)
	}
	answer, late := make([]byte, 15<<10), 0
	p.onData = func([]byte) {
		if p.paused {
			late++
		}
		p.c.Write(answer)
	}
	const records = 20
	for range records {
		g.p.tls.Write([]byte("x"))
	}
	g.u.far.PauseProducing()
	g.deliver(g.p.out)
	g.p.out = nil
	if came := len(p.got); late > 0 || !p.paused || came == 0 || came == records {
		t.Errorf("TCP-64: paused %v, %d records came, %d of them after the pause", p.paused, came, late)
	}
	g.u.far.ResumeProducing()
	g.pump()
	if len(p.got) != records || len(g.p.got) != records*len(answer) || late > 0 {
		t.Errorf("TCP-64: %d records came, %d of them after a pause, and %d bytes of answers", len(p.got), late, len(g.p.got))
	}
}

// PROD-5: the transport below says once more that it is full, if a producer that was paused at its registration begins nevertheless. That is
// passed on.
func TestPausedOnceMore(t *testing.T) {
	const before = 4 << 20
	top := new(end)
	g := newRig(t, tls.VersionTLS13, top, nil)
	g.pump()
	top.c.Write(make([]byte, before)) // nobody reads it
	p := &beginner{c: top.c}
	top.c.RegisterProducer(p)
	if p.pauses != 1 {
		t.Fatalf("%d pauses at the registration, with %d bytes buffered", p.pauses, top.c.Buffered())
	}
	for p.ResumeProducing(); !p.paused && p.wrote < before; {
		p.write()
	}
	if p.wrote > 64<<10 || p.pauses != 2 {
		t.Errorf("it wrote %d bytes before it was paused, %d pauses", p.wrote, p.pauses)
	}
	top.c.UnregisterProducer()
}

// beginner is a producer that is told to begin by its own program.
type beginner struct {
	c             *tlsio.Conn
	paused        bool
	pauses, wrote int
}

func (b *beginner) PauseProducing()  { b.paused, b.pauses = true, b.pauses+1 }
func (b *beginner) ResumeProducing() { b.paused = false }
func (b *beginner) StopProducing()   { b.paused = true }

func (b *beginner) write() {
	n, _ := b.c.Write(make([]byte, 8<<10))
	b.wrote += n
}
