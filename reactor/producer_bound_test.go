package reactor_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// eager is a producer that writes pieces until it is told not to, and ignores errors.
type eager struct {
	s       reactor.Transport
	piece   []byte
	left    int // pieces
	running bool
	told    []string
	most    int // bytes written in one go
}

func (p *eager) PauseProducing()  { p.running = false; p.told = append(p.told, "pause") }
func (p *eager) StopProducing()   { p.running = false; p.told = append(p.told, "stop") }
func (p *eager) ResumeProducing() { p.produce() }

func (p *eager) produce() {
	p.running = true
	wrote := 0
	for ; p.running && p.left > 0; p.left-- {
		p.s.Write(p.piece)
		wrote += len(p.piece)
	}
	p.most = max(p.most, wrote)
	if p.left == 0 {
		reactor.Consumer.UnregisterProducer(p.s.(*reactor.Stream))
	}
}

// A producer is paused though the socket takes all that it writes, so that one callback does
// not write without end (PROD-15). It is resumed afterwards, and all arrives.
func TestEagerProducer(t *testing.T) {
	for _, size := range []int{1000, 16 << 10, 100_000} {
		heavy(t, func(t *testing.T, w testworld.World) {
			const total = 8 << 20
			r := w.New(t, reactor.Config{})
			cli := &sink{t: t}
			var srv end
			p := &eager{piece: make([]byte, size), left: total / size}
			cli.want = make([]byte, p.left*size)
			srv.onMade = func() {
				p.s = srv.s
				register(t, srv.s, p)
				p.produce()
				srv.s.Close()
			}
			port := listen(t, r, one(&srv), nil)
			r.Dial(port.Addr(), one(cli), nil, nil)
			until(t, r, func() bool { return cli.err != nil })
			if cli.n != len(cli.want) {
				t.Errorf("%d of %d bytes came; lost with %v", cli.n, len(cli.want), cli.err)
			}
			if high := 64<<10 + 16<<10 + size; p.most > high {
				t.Errorf("PROD-15: %d bytes of pieces of %d were written in one callback", p.most, size)
			}
		})
	}
}

// PROD-15: a producer that was paused though all is sent is resumed after the callback, at the end
// of the turn or in the next one.
func TestEagerProducerResumed(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		if n := w.Net(); n != nil {
			n.Options.SendBuffer, n.Options.RecvBuffer = 1<<20, 1<<20 // room for all of it
		}
		r := w.New(t, reactor.Config{})
		srv, cli := &end{}, &end{}
		connectWith(t, r, &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 20 << 10}}, srv, cli)
		var p source
		paused, resumed := uint64(0), uint64(0)
		p.onPause = func() { paused = r.Stats().Turns }
		p.onResume = func() { resumed = r.Stats().Turns }
		register(t, srv.s, &p)
		r.Post(func() {
			for !p.heard("pause") {
				srv.s.Write(make([]byte, 16<<10))
			}
			if n := srv.s.Buffered(); n != 0 {
				t.Skipf("the socket has not taken %d bytes", n)
			}
			if resumed != 0 {
				t.Error("PROD-15: resumed in the callback in which it was paused")
			}
		})
		until(t, r, func() bool { return p.heard("pause", "resume") })
		if resumed > paused+1 {
			t.Errorf("PROD-15: paused in turn %d, resumed in turn %d", paused, resumed)
		}
		srv.s.UnregisterProducer()
	})
}

// Without a producer too, a callback sends no more than 256 KiB itself. The rest goes out after it.
func TestEagerWriter(t *testing.T) {
	heavy(t, func(t *testing.T, w testworld.World) {
		const pieces = 64
		r := w.New(t, reactor.Config{})
		cli := &sink{t: t, want: make([]byte, pieces*(64<<10))}
		var srv end
		srv.onMade = func() {
			for range pieces {
				srv.s.Write(make([]byte, 64<<10))
			}
			if n := srv.s.Stats().Sent; n > 256<<10+64<<10 {
				t.Errorf("PROD-15: %d bytes were sent in the callback", n)
			}
			srv.s.Close()
		}
		port := listen(t, r, one(&srv), nil)
		r.Dial(port.Addr(), one(cli), nil, nil)
		until(t, r, func() bool { return cli.err != nil })
		if cli.n != len(cli.want) {
			t.Errorf("%d of %d bytes came; lost with %v", cli.n, len(cli.want), cli.err)
		}
	})
}

// A producer whose write fails is stopped inside it: one that ignores the error would go on
// for ever (PROD-14).
func TestProducerStoppedInside(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, c := range map[string]struct {
			cfg    reactor.StreamConfig
			piece  int
			breaks func(s *reactor.Stream, f *testworld.Faults)
		}{
			"the socket fails": {piece: 32 << 10, breaks: func(_ *reactor.Stream, f *testworld.Faults) {
				f.Write = func() error { return kernel.ErrReset }
			}},
			"aborted before": {piece: 10, breaks: func(s *reactor.Stream, _ *testworld.Faults) { s.Abort() }},
			"too much": {cfg: reactor.StreamConfig{MaxBuffered: 1000}, piece: 1001, breaks: func(_ *reactor.Stream, f *testworld.Faults) {
				f.Write = full
			}},
		} {
			r, f := faulty(t, w)
			var srv, cli end
			connectWith(t, r, &reactor.ListenConfig{StreamConfig: c.cfg}, &srv, &cli)
			p := &eager{s: srv.s, piece: make([]byte, c.piece), left: 1 << 30}
			register(t, srv.s, p)
			began := time.Now()
			r.Post(func() {
				c.breaks(srv.s, f)
				p.produce()
			})
			until(t, r, func() bool { return srv.err != nil })
			if len(p.told) == 0 || p.told[len(p.told)-1] != "stop" {
				t.Errorf("PROD-14: %s: it heard %v", name, p.told)
			}
			if n := 1<<30 - p.left; n > 1000 {
				t.Errorf("PROD-14: %s: stopped after %d writes and %v", name, n, time.Since(began))
			}
			f.Write = nil
			if !errors.Is(srv.err, reactor.ErrLost) {
				t.Errorf("%s: lost with %v", name, srv.err)
			}
		}
	})
}

// discards takes what comes.
type discards struct{ reactor.Base }

func (*discards) DataReceived([]byte) {}

// Many producers that begin together do not hold up the others (PROD-15): in one turn each sends
// about its high-water mark, twice or three times.
func TestEagerProducersTogether(t *testing.T) {
	heavy(t, func(t *testing.T, w testworld.World) {
		const many, turnLimit = 20, 3 * (64<<10 + 2*16<<10)
		r := w.New(t, reactor.Config{})
		var all []*end
		port := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			e := new(end)
			e.onMade = func() {
				p := &eager{s: e.s, piece: make([]byte, 16<<10), left: 1 << 20}
				register(t, e.s, p)
				p.produce()
			}
			all = append(all, e)
			return e
		}), nil)
		for range many {
			r.Dial(port.Addr(), reactor.Each[discards](), nil, nil)
		}
		until(t, r, func() bool { return len(all) == many })
		sent := make([]uint64, many)
		for turn := range 20 {
			r.Turn(0)
			for i, e := range all {
				now := e.s.Stats().Sent
				if n := now - sent[i]; n > turnLimit && turn > 0 {
					t.Errorf("PROD-15: %d bytes in one turn", n)
				}
				sent[i] = now
			}
		}
	})
}

// PROD-5: a producer that was paused when it was registered, and begins nevertheless, is paused once more by its first write above HighWater, and
// not by further ones. It is resumed once.
func TestProducerBeginsWhenFull(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		var srv, cli end
		connectWith(t, r, &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 1000}}, &srv, &cli)
		for range 2 {
			f.Write = full
			srv.s.Write(make([]byte, 1001))
			var p source
			register(t, srv.s, &p)
			if !p.heard("pause") {
				t.Errorf("registered with a full transport: %v", p.told)
			}
			for range 3 {
				srv.s.Write([]byte("x"))
				if !p.heard("pause", "pause") {
					t.Errorf("PROD-5: after a write: %v", p.told)
				}
			}
			f.Write = nil
			until(t, r, func() bool { return srv.s.Buffered() == 0 })
			testworld.Turns(t, r, 2)
			f.Write = full
			srv.s.Write(make([]byte, 1001))
			srv.s.Write([]byte("x"))
			if !p.heard("pause", "pause", "resume", "pause") {
				t.Errorf("PROD-5: after it was resumed: %v", p.told)
			}
			srv.s.UnregisterProducer()
			f.Write = nil
			until(t, r, func() bool { return srv.s.Buffered() == 0 })
		}
	})
}
