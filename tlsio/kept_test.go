package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"iter"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// speaker is a client whose TLS is crypto/tls itself, in a protocol over TCP. So a test
// decides which records it sends, and which of them together.
type speaker struct {
	p       *peer
	t       reactor.Transport
	err     error
	ended   bool   // the server's direction
	onReady func() // once; what is in p.out is sent when it returns
}

func newSpeaker(t *testing.T, cfg *tls.Config) *speaker {
	s := &speaker{p: new(peer)}
	s.p.tls = tls.Client(s.p, cfg)
	s.p.next, s.p.stop = iter.Pull(s.p.run)
	t.Cleanup(s.p.stop)
	return s
}

func (s *speaker) ConnectionMade(t reactor.Transport) {
	s.t = t
	s.step()
}

func (s *speaker) DataReceived(b []byte) {
	s.p.in = append(s.p.in, b...)
	s.step()
}

func (s *speaker) ConnectionLost(err error) { s.err = err }

// ReadConnectionLost leaves it to the test to end the connection.
func (s *speaker) ReadConnectionLost()  { s.ended = true }
func (s *speaker) WriteConnectionLost() {}

func (s *speaker) step() {
	s.p.next()
	if s.p.ready && s.onReady != nil {
		fn := s.onReady
		s.onReady = nil
		fn()
	}
	s.send()
}

func (s *speaker) send() {
	out := s.p.out
	s.p.out = nil
	s.t.Write(out)
}

// gauge is around a factory of TLS. It measures what the connection keeps, and how much it
// delivers in a turn.
type gauge struct {
	reactor.Factory
	top       *end
	came      int // bytes of ciphertext
	kept      int // the most that had come and was not delivered
	inTurn    int // deliveries
	most      int // deliveries in a turn
	turns     int // in which something was delivered
	overheads int // of a record, to be added for each delivery
	delivered int
}

type gauged struct {
	reactor.Protocol
	g *gauge
}

func (p *gauged) Unwrap() reactor.Protocol { return p.Protocol }

func (p *gauged) DataReceived(b []byte) {
	p.g.came += len(b)
	p.g.look()
	p.Protocol.DataReceived(b)
}

func (g *gauge) BuildProtocol(a kernel.Addr) reactor.Protocol {
	return &gauged{g.Factory.BuildProtocol(a), g}
}

func (g *gauge) look() { g.kept = max(g.kept, g.came-len(g.top.got)-g.delivered*g.overheads) }

// deliver is to be called in DataReceived.
func (g *gauge) deliver() {
	g.delivered++
	g.inTurn++
	if g.inTurn == 1 {
		g.turns++
		// The next turn's first call; drains of this turn are before it.
		g.top.c.Reactor().Post(func() { g.inTurn = 0 })
	}
	g.most = max(g.most, g.inTurn)
}

// TLS-60: a peer that sends many small records does not hold up the loop: a bounded number
// is read in a turn, the rest in later turns, and meanwhile no more is taken from the
// transport below.
func TestRecordFlood(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			const size = 50_000
			s := realStage(t, w)
			sc, cc := configs(tls.VersionTLS13)
			srv := new(end)
			g := &gauge{Factory: tlsio.Server(sc, one(srv), nil), top: srv, overheads: 5 + 1 + 16}
			srv.onData = func([]byte) { g.deliver() }
			cli := newSpeaker(t, cc)
			want := pattern(size)
			cli.onReady = func() {
				for i := range want {
					cli.p.tls.Write(want[i : i+1])
				}
				cli.p.tls.CloseWrite()
			}
			s.connect(g, one(cli))
			s.until(srv.lost)
			if !bytes.Equal(srv.got, want) || srv.err != io.EOF {
				t.Errorf("%d bytes of %d, %v", len(srv.got), size, srv.err)
			}
			t.Logf("%d turns of up to %d records; up to %d bytes were kept", g.turns, g.most, g.kept)
			if g.most > 600 { // two shares: of what was kept, and of what came then
				t.Errorf("TLS-60: %d records were read in a turn", g.most)
			}
			if g.kept > 2*(256<<10) {
				t.Errorf("TLS-61: %d bytes were kept", g.kept)
			}
			cli.t.(*reactor.Stream).Abort()
			s.until(func() bool { return cli.err != nil })
		})
	}
}

// TLS-60: of large records a call reads 512 KiB at most, however much has come at once.
func TestLargeRecordsAreShared(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			const size, much = 3 << 20, 8 << 20
			if n := w.Net(); n != nil {
				n.Options.SendBuffer, n.Options.RecvBuffer = much, much
			}
			r := w.New(t, reactor.Config{ReadBuffer: much})
			s := &stage{t: t, srv: r, cli: r, addr: loopback(), until: func(cond func() bool) { t.Helper(); testworld.Until(t, cond, r) }}
			sc, cc := configs(tls.VersionTLS13)
			srv := new(end)
			inTurn, most := 0, 0
			srv.onData = func(p []byte) {
				if inTurn == 0 {
					r.Post(func() { inTurn = 0 })
				}
				inTurn += len(p)
				most = max(most, inTurn)
			}
			cli := newSpeaker(t, cc)
			want := pattern(size)
			cli.onReady = func() { cli.p.tls.Write(want); cli.p.tls.CloseWrite() }
			s.connect(tlsio.Server(sc, one(srv), nil), one(cli))
			s.until(srv.lost)
			if !bytes.Equal(srv.got, want) || srv.err != io.EOF {
				t.Errorf("%d bytes of %d, %v", len(srv.got), size, srv.err)
			}
			t.Logf("up to %d bytes in a turn", most)
			calls := 1
			if !w.Simulated() {
				calls = 2 // of a turn: for what was kept, and for what came then
			}
			if most > calls*(512<<10) {
				t.Errorf("TLS-60: %d bytes were read in a turn", most)
			}
			cli.t.(*reactor.Stream).Abort()
			s.until(func() bool { return cli.err != nil })
		})
	}
}

// TLS-60: a turn reads fewer of the records that cost much, such as KeyUpdate.
func TestKeyUpdateFloodIsShared(t *testing.T) {
	top := new(end)
	g := newRig(t, tls.VersionTLS13, top, nil)
	g.pump()
	f := g.forger()
	turn, most := 0, 0
	top.onData = func([]byte) {
		if turn++; turn == 1 {
			g.r.Post(func() { turn = 0 })
		}
		most = max(most, turn)
	}
	var flood []byte
	for range 3000 {
		flood = append(flood, f.seal(handshakeRecord, keyUpdate())...)
		f.update()
		flood = append(flood, f.seal(dataRecord, []byte("x"))...)
	}
	g.deliver(flood)
	if len(top.got) != 3000 || top.err != nil {
		t.Errorf("%d bytes, %v", len(top.got), top.err)
	}
	if most > 300 { // two shares
		t.Errorf("TLS-60: %d KeyUpdates were read in a turn", most)
	}
}

// TLS-61: a reader that pauses again and again does not take the rest into memory: what has
// come is delivered before more is taken from the transport below.
func TestPausingReader(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		const size, piece = 16 << 20, 64 << 10
		t := s.t
		want := size
		if raced {
			want >>= 2
		}
		srv, cli := new(end), new(end)
		sc, cc := configs(tls.VersionTLS13)
		g := &gauge{Factory: tlsio.Server(sc, one(srv), nil), top: srv}
		next := piece
		srv.onData = func([]byte) {
			g.look()
			if len(srv.got) >= next {
				next += piece
				srv.c.PauseProducing()
				s.srv.CallLater(0, srv.c.ResumeProducing)
			}
		}
		cli.onShaken = func() { cli.c.Write(make([]byte, want)); cli.c.Close() }
		s.connect(g, tlsio.Client(cc, one(cli), nil))
		s.until(func() bool { return srv.lost() && cli.lost() })
		if len(srv.got) != want || srv.err != io.EOF {
			t.Errorf("%d bytes of %d, %v", len(srv.got), want, srv.err)
		}
		t.Logf("up to %d bytes were kept", g.kept)
		// One read, the record in progress, and 22 bytes for each record.
		if limit := 256<<10 + 16<<10 + want/(16<<10)*30; g.kept > limit {
			t.Errorf("TLS-61: %d bytes were kept, want at most %d", g.kept, limit)
		}
	})
}

// TLS-60, TLS-61: what was kept is delivered too when the transport below is lost because it cannot write.
func TestKeptBeforeLoss(t *testing.T) {
	top := new(end)
	g := newRig(t, tls.VersionTLS13, top, nil)
	g.pump()
	for range 1000 {
		g.p.tls.Write([]byte("x"))
	}
	flood := g.p.out
	g.p.out = nil
	broken := &reactor.OpError{Op: "write", Err: kernel.ErrBroken}
	top.onData = func([]byte) {
		if len(top.got) == 10 { // behind the share of this turn, before that of the next
			g.r.Post(func() {
				b, _ := g.u.Stream.Protocol().(*near)
				b.ConnectionLost(broken)
			})
		}
	}
	g.u.far.Write(flood)
	g.flow(func() bool { return top.lost() })
	if len(top.got) != 1000 || !errors.Is(top.err, kernel.ErrBroken) {
		t.Errorf("TLS-61: %d bytes of 1000, lost for %v", len(top.got), top.err)
	}
	top.onLost = nil
	g.u.Stream.Abort()
}

// TLS-61, TCP-84: the peer sends records, close_notify behind them if it ends, and resets, while the protocol has paused after the first record. The others are delivered when it is
// resumed, before the loss is told.
func TestKeptWhilePaused(t *testing.T) {
	for _, ends := range []bool{false, true} {
		top := new(end)
		g := newRig(t, tls.VersionTLS13, top, nil)
		g.pump()
		top.onData = func([]byte) { top.c.PauseProducing() }
		for range 5 {
			g.p.tls.Write([]byte("x"))
		}
		if ends {
			g.p.tls.CloseWrite()
		}
		g.u.far.Write(g.p.out)
		g.flow(func() bool { return len(top.got) == 1 })
		g.u.far.Abort()
		g.n.RunUntil(top.lost, time.Second)
		if len(top.got) != 1 {
			t.Errorf("%d bytes were delivered to a protocol that has paused", len(top.got))
		}
		began := g.n.Now()
		for range 5 {
			g.r.Post(top.c.ResumeProducing)
			g.n.RunUntil(top.lost, time.Second)
		}
		if d := g.n.Now() - began; len(top.got) != 5 || !errors.Is(top.err, kernel.ErrReset) || d > 6*time.Second {
			t.Errorf("TLS-61, TCP-84: ends %v: %d bytes of 5, lost for %v after %v", ends, len(top.got), top.err, d)
		}
	}
}

// TLS-62: what the protocol has written is sent although the next record is bad, or the peer's end comes with
// the data. Nothing depends on what came together.
func TestAnswerBeforeTheEnd(t *testing.T) {
	for what, behind := range map[string]func(s *speaker){
		"an end without close_notify": func(s *speaker) { s.send(); s.t.(*reactor.Stream).CloseWrite() },
		"a bad record": func(s *speaker) {
			s.p.out = append(s.p.out, 23, 3, 3, 0, 20)
			s.p.out = append(s.p.out, make([]byte, 20)...)
		},
		"close_notify": func(s *speaker) { s.p.tls.CloseWrite() },
	} {
		for name, w := range testworld.Worlds() {
			t.Run(what+"/"+name, func(t *testing.T) {
				for range 20 {
					s := realStage(t, w)
					sc, cc := configs(tls.VersionTLS13)
					srv, cli := new(end), newSpeaker(t, cc)
					srv.onData = func([]byte) { srv.c.Write([]byte("the answer")) }
					cli.onReady = func() { // with the client's last message of the handshake
						cli.p.tls.Write([]byte("question"))
						behind(cli)
					}
					s.connect(tlsio.Server(sc, one(srv), nil), one(cli))
					s.until(func() bool { return srv.lost() && cli.ended || cli.err != nil })
					if string(cli.p.got) != "the answer" {
						t.Fatalf("TLS-62: the peer got %q, and then %v; the server was lost for %v", cli.p.got, cli.p.err, srv.err)
					}
					if cli.err == nil {
						cli.t.(*reactor.Stream).Abort()
						s.until(func() bool { return cli.err != nil })
					}
				}
			})
		}
	}
}
