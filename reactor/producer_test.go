package reactor_test

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// source is a producer that notes what it is told.
type source struct {
	told     []string
	onPause  func()
	onResume func()
	onStop   func()
}

func (p *source) PauseProducing()  { p.hear("pause", p.onPause) }
func (p *source) ResumeProducing() { p.hear("resume", p.onResume) }
func (p *source) StopProducing()   { p.hear("stop", p.onStop) }

func (p *source) hear(what string, fn func()) {
	p.told = append(p.told, what)
	if fn != nil {
		fn()
	}
}

func (p *source) heard(what ...string) bool { return slices.Equal(p.told, what) }

func register(t *testing.T, s *reactor.Stream, p reactor.Producer) {
	t.Helper()
	if err := s.RegisterProducer(p); err != nil {
		t.Fatal(err)
	}
}

// A producer is paused above the high-water mark and resumed at the low one.
func TestProducerMarks(t *testing.T) {
	for name, c := range map[string]struct {
		cfg       reactor.StreamConfig
		high, low int
	}{
		"defaults": {high: 65536, low: 0},
		"own":      {cfg: reactor.StreamConfig{HighWater: 1000, LowWater: 101}, high: 1000, low: 101},
		"zero low": {cfg: reactor.StreamConfig{HighWater: 300}, high: 300, low: 0},
	} {
		t.Run(name, func(t *testing.T) {
			kernels := chunked
			if c.high > 10_000 { // too much for single bytes
				kernels = worlds
			}
			kernels(t, func(t *testing.T, w testworld.World) {
				r, f := faulty(t, w)
				var srv, cli end
				connectWith(t, r, &reactor.ListenConfig{StreamConfig: c.cfg}, &srv, &cli)
				var p source
				resumedAt := -1
				p.onResume = func() { resumedAt = srv.s.Buffered() }
				register(t, srv.s, &p)
				f.Write = full
				srv.s.Write(make([]byte, c.high))
				if !p.heard() {
					t.Errorf("DESC-14: at the mark it is not paused, and at registration not resumed: %v", p.told)
				}
				srv.s.Write([]byte("x"))
				if !p.heard("pause") {
					t.Errorf("DESC-14 DESC-17: paused inside the Write that exceeds the mark: %v", p.told)
				}
				srv.s.Write([]byte("y"))
				srv.s.WriteVec([][]byte{{'z'}, {'z'}})
				if !p.heard("pause") {
					t.Errorf("DESC-15: paused once, on the transition: %v", p.told)
				}
				f.Write, f.MaxWrite = nil, (c.high+4-c.low)/3
				testworld.Turns(t, r, 1)
				if !p.heard("pause") {
					t.Errorf("DESC-14: resumed above the low-water mark: %v", p.told)
				}
				until(t, r, func() bool { return srv.s.Buffered() == 0 })
				testworld.Turns(t, r, 2)
				if !p.heard("pause", "resume") || resumedAt > c.low || c.low > 0 && resumedAt == 0 {
					t.Errorf("DESC-14 DESC-8: resumed once at %d bytes: %v", resumedAt, p.told)
				}
				// Not paused, so not resumed.
				srv.s.Write(make([]byte, c.high/2))
				until(t, r, func() bool { return len(cli.got) == c.high+4+c.high/2 })
				testworld.Turns(t, r, 2)
				if !p.heard("pause", "resume") {
					t.Errorf("DESC-14: resumed without having been paused: %v", p.told)
				}
				srv.s.UnregisterProducer()
			})
		})
	}
}

// A producer that refills when it is resumed is paused and resumed again.
func TestProducerRefills(t *testing.T) {
	for name, write := range map[string]func(s *reactor.Stream, n int){
		"Write":    func(s *reactor.Stream, n int) { s.Write(make([]byte, n)) },
		"WriteVec": func(s *reactor.Stream, n int) { s.WriteVec([][]byte{make([]byte, n-n/3), make([]byte, n/3)}) },
	} {
		t.Run(name, func(t *testing.T) {
			chunked(t, func(t *testing.T, w testworld.World) {
				size, cfg := 70_000, reactor.StreamConfig{}
				if w.Chunk() > 0 { // less, for single bytes
					size, cfg.HighWater = 700, 699
				}
				r, f := faulty(t, w)
				var srv, cli end
				connectWith(t, r, &reactor.ListenConfig{StreamConfig: cfg}, &srv, &cli)
				var p source
				rounds := 0
				p.onResume = func() {
					if rounds++; rounds < 3 {
						f.Write = full
						write(srv.s, size)
					}
				}
				register(t, srv.s, &p)
				f.Write = full
				write(srv.s, size)
				for len(cli.got) < 3*size {
					f.Write = nil
					testworld.Turns(t, r, 1)
				}
				until(t, r, func() bool { return rounds == 3 })
				if !p.heard("pause", "resume", "pause", "resume", "pause", "resume") {
					t.Errorf("DESC-16: %v", p.told)
				}
				srv.s.UnregisterProducer()
			})
		})
	}
}

// Only what is unsent counts.
func TestProducerCountsUnsent(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		var srv, cli end
		connect(t, r, &srv, &cli)
		var p source
		register(t, srv.s, &p)
		f.Write = full
		srv.s.Write(make([]byte, 60000))
		f.Write, f.MaxWrite = nil, 10000
		until(t, r, func() bool { return srv.s.Buffered() < 20000 })
		f.Write = full
		srv.s.Write(make([]byte, 60000-srv.s.Buffered()))
		if srv.s.Buffered() != 60000 || !p.heard() {
			t.Errorf("DESC-18: %d bytes unsent: %v", srv.s.Buffered(), p.told)
		}
		srv.s.UnregisterProducer()
	})
}

// One at a time; a lost or ending connection takes none.
func TestProducerRegistration(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var srv, cli end
		connect(t, r, &srv, &cli)
		srv.s.UnregisterProducer() // DESC-19: harmless without one
		var p, second source
		register(t, srv.s, &p)
		if err := srv.s.RegisterProducer(&second); !errors.Is(err, reactor.ErrProducerRegistered) {
			t.Errorf("DESC-10: a second producer: %v", err)
		}
		if err := srv.s.RegisterProducer(&p); !errors.Is(err, reactor.ErrProducerRegistered) {
			t.Errorf("DESC-10: the same again: %v", err)
		}
		if !p.heard() || !second.heard() {
			t.Errorf("DESC-10: told %v and %v", p.told, second.told)
		}
		srv.s.UnregisterProducer()
		register(t, srv.s, &second)
		srv.s.UnregisterProducer()

		// DESC-11: registering while closing is allowed, and delays the close.
		srv.s.Close()
		register(t, srv.s, &p)
		testworld.Turns(t, r, 3)
		if srv.err != nil || !p.heard() {
			t.Errorf("DESC-11: lost %v, told %v", srv.err, p.told)
		}
		srv.s.UnregisterProducer()
		until(t, r, func() bool { return srv.err != nil })
		if err := srv.s.RegisterProducer(&p); err != nil || !p.heard("stop") {
			t.Errorf("DESC-11: on a lost connection: %v, told %v", err, p.told)
		}
		if err := srv.s.RegisterProducer(&p); err != nil || !p.heard("stop", "stop") {
			t.Errorf("DESC-11: it was registered after all: %v, told %v", err, p.told)
		}
		srv.s.UnregisterProducer()
		if !p.heard("stop", "stop") {
			t.Errorf("DESC-19: taken away after the loss, it was told %v", p.told)
		}
	})
}

// Close and CloseWrite wait for the producer, paused or not.
func TestProducerDelaysTheEnd(t *testing.T) {
	for _, paused := range []bool{false, true} {
		for _, half := range []bool{false, true} {
			chunked(t, func(t *testing.T, w testworld.World) {
				const size = 700
				r, f := faulty(t, w)
				var cli end
				var srv halfEnd
				connectWith(t, r, &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: size - 1}}, &srv, &cli)
				var p source
				register(t, srv.s, &p)
				if paused {
					f.Write = full
					srv.s.Write(make([]byte, size))
				}
				if half {
					srv.s.CloseWrite()
				} else {
					srv.s.Close()
				}
				f.Write = nil
				until(t, r, func() bool { return srv.s.Buffered() == 0 })
				testworld.Turns(t, r, 3)
				if len(srv.events) != 1 || cli.err != nil {
					t.Errorf("DESC-23 DESC-24 DESC-27: did not wait for the producer: %v", srv.events)
				}
				if want := paused; p.heard("pause", "resume") != want {
					t.Errorf("DESC-8: told %v", p.told)
				}
				if _, err := srv.s.Write([]byte("rest")); err != nil {
					t.Errorf("DESC-24: what the producer writes meanwhile: %v", err)
				}
				srv.s.UnregisterProducer()
				until(t, r, func() bool { return cli.err != nil })
				if want := map[bool]int{false: 4, true: size + 4}[paused]; len(cli.got) != want || cli.err != io.EOF {
					t.Errorf("DESC-19 DESC-27: %d bytes, lost %v", len(cli.got), cli.err)
				}
				until(t, r, func() bool { return srv.err != nil || srv.events[len(srv.events)-1] == "read lost" })
				if p.told = slices.Compact(p.told); slices.Contains(p.told, "stop") {
					t.Errorf("DESC-19: told after it unregistered: %v", p.told)
				}
			})
		}
	}
}

func TestStopConsuming(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var srv, cli end
		connect(t, r, &srv, &cli)
		var p source
		register(t, srv.s, &p)
		srv.s.Write([]byte("x"))
		srv.s.StopConsuming()
		until(t, r, func() bool { return cli.err != nil })
		if srv.err != reactor.ErrClosed || string(cli.got) != "x" || !p.heard() {
			t.Errorf("DESC-20, PROD-10: lost %v, told %v", srv.err, p.told)
		}
	})
}

// When the connection is lost, the stream changes its state first, then the producer is
// stopped, then ConnectionLost is called.
func TestProducerAtTheLoss(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var srv, cli end
		connect(t, r, &srv, &cli)
		var p, late source
		p.onStop = func() {
			srv.note("stop")
			if _, err := srv.s.Write([]byte("x")); err != reactor.ErrClosed {
				t.Errorf("DESC-21: a write in StopProducing: %v", err)
			}
			srv.s.UnregisterProducer()
			srv.s.RegisterProducer(&late)
		}
		srv.onLost = func(error) {
			if !late.heard("stop") {
				t.Errorf("DESC-21: the producer registered in StopProducing heard %v", late.told)
			}
		}
		register(t, srv.s, &p)
		cli.s.Abort()
		until(t, r, func() bool { return srv.err != nil })
		if !p.heard("stop") || !slices.Equal(srv.events[:2], []string{"made", "stop"}) || len(srv.events) != 3 {
			t.Errorf("DESC-21: %v, told %v", srv.events, p.told)
		}
		// Abort of our own stops it too (DESC-29).
		srv, cli, p = end{}, end{}, source{}
		connect(t, r, &srv, &cli)
		register(t, srv.s, &p)
		srv.s.Abort()
		if !p.heard() {
			t.Errorf("DESC-29: told inside Abort: %v", p.told)
		}
		until(t, r, func() bool { return srv.err != nil })
		if !p.heard("stop") {
			t.Errorf("DESC-29: told %v", p.told)
		}
	})
}

// The read side as a producer: PauseProducing takes effect at once.
func TestPauseReading(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		for _, where := range []string{"made", "data"} {
			r := w.New(t, reactor.Config{ReadBuffer: 4})
			var srv, cli end
			pause := func() { srv.s.PauseProducing(); srv.s.PauseProducing() }
			calls, paused, want := 0, 0, ""
			if where == "made" {
				srv.onMade = pause
			} else {
				srv.onData = func(p []byte) { calls++; want += string(p); pause() }
				paused = 1 // one read of at most four bytes
			}
			connect(t, r, &srv, &cli)
			cli.s.Write([]byte("abcdefgh"))
			cli.s.Close() // and the end waits behind it
			until(t, r, func() bool { return cli.err != nil && calls == paused })
			testworld.Turns(t, r, 5)
			if string(srv.got) != want || calls != paused || len(want) > 4*paused || srv.err != nil {
				t.Errorf("DESC-31 DESC-33: paused in %s: got %q, lost %v", where, srv.got, srv.err)
			}
			srv.onData = nil
			srv.s.ResumeProducing()
			srv.s.ResumeProducing()
			if string(srv.got) != want {
				t.Error("DESC-31: delivered inside ResumeProducing")
			}
			until(t, r, func() bool { return srv.err != nil })
			if string(srv.got) != "abcdefgh" || srv.err != io.EOF {
				t.Errorf("DESC-33: after resuming got %q, lost %v", srv.got, srv.err)
			}
		}
	})
}

// ResumeProducing has an effect only on a stream that is connected and not closing.
func TestResumeReading(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		var srv, cli end
		connect(t, r, &srv, &cli)
		cli.s.Write([]byte("x"))
		srv.s.PauseProducing()
		testworld.Turns(t, r, 3)
		f.Write = full
		srv.s.Write([]byte("pending"))
		srv.s.StopProducing() // DESC-32: is Close
		srv.s.ResumeProducing()
		testworld.Turns(t, r, 3)
		if srv.got != nil || srv.err != nil {
			t.Errorf("DESC-32: resumed while closing: got %q, lost %v", srv.got, srv.err)
		}
		f.Write = nil
		until(t, r, func() bool { return srv.err != nil })
		srv.s.ResumeProducing()
		testworld.Turns(t, r, 3)
		if srv.got != nil || srv.err != reactor.ErrClosed || len(srv.events) != 2 {
			t.Errorf("DESC-32: resumed after the loss: got %q, %v", srv.got, srv.events)
		}
		until(t, r, func() bool { return cli.err != nil })
		if string(cli.got) != "pending" {
			t.Errorf("DESC-32: got %q", cli.got)
		}
		// The third state: connected.
		srv, cli = end{}, end{}
		connect(t, r, &srv, &cli)
		srv.s.PauseProducing()
		cli.s.Write([]byte("x"))
		testworld.Turns(t, r, 3)
		srv.s.ResumeProducing()
		until(t, r, func() bool { return srv.got != nil })
	})
}

// A paused stream finds out by writing that the peer is gone.
func TestPausedStreamWritesToTheGone(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var srv, cli end
		connect(t, r, &srv, &cli)
		srv.s.PauseProducing()
		cli.s.Abort()
		until(t, r, func() bool { return cli.err != nil })
		testworld.Turns(t, r, 3)
		if (srv.err != nil) != hearsFailures(r) {
			t.Errorf("DESC-34 TCP-83: paused, nothing written: lost %v", srv.err)
		}
		until(t, r, func() bool { srv.s.Write([]byte("x")); return srv.err != nil })
		if !errors.Is(srv.err, kernel.ErrReset) && !errors.Is(srv.err, kernel.ErrBroken) || !errors.Is(srv.err, reactor.ErrLost) {
			t.Errorf("DESC-34: lost %v", srv.err)
		}
	})
}

// A connection that buffers more than it may ends, and no other.
func TestBufferFull(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		var srv, cli, srv2, cli2 end
		connect(t, r, &srv2, &cli2)
		connectWith(t, r, &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{MaxBuffered: 1000}}, &srv, &cli)
		f.Write = full
		if n, err := srv.s.Write(make([]byte, 1000)); n != 1000 || err != nil {
			t.Errorf("at the limit: %d, %v", n, err)
		}
		if n, err := srv.s.Write([]byte("x")); n != 0 || !errors.Is(err, reactor.ErrBufferFull) || srv.err != nil {
			t.Errorf("above the limit: %d, %v, lost %v", n, err, srv.err)
		}
		f.Write = nil
		until(t, r, func() bool { return srv.err != nil })
		if !errors.Is(srv.err, reactor.ErrBufferFull) || !errors.Is(srv.err, reactor.ErrLost) {
			t.Errorf("lost %v", srv.err)
		}
		cli2.s.Write([]byte("alive"))
		until(t, r, func() bool { return string(srv2.got) == "alive" })
	})
}
