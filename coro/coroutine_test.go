package coro_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

const ms = time.Millisecond

// CORO-1: a body takes turns with the loop: it runs inside the callback that resumes it, and callbacks run while it waits.
func TestTurns(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := running(t, w, reactor.Config{})
		var log []string
		note := func(s string) { log = append(log, s) }
		var done func(int, error)
		c := coro.Go(r, func(c *coro.Coroutine) error {
			note("begin")
			v, err := coro.Wait(c, func(d func(int, error)) func() { done = d; return nil })
			if v != 7 || err != nil {
				t.Errorf("CORO-1: %d, %v", v, err)
			}
			note("resumed")
			c.Sleep(20 * ms)
			note("slept")
			return nil
		})
		note("begun")
		done(7, nil)
		done(8, nil) // counts no more
		note("given")
		r.CallLater(10*ms, func() { note("callback") })
		testworld.Until(t, c.Ended, r)
		if got := strings.Join(log, " "); got != "begin begun resumed given callback slept" {
			t.Errorf("CORO-1: %s", got)
		}
	})
}

// CORO-1: on a reactor that does not run yet the body waits for the loop.
func TestGoBeforeRun(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		begun := false
		c := coro.Go(r, func(*coro.Coroutine) error { begun = true; return nil })
		if begun {
			t.Error("CORO-1: it has begun before the reactor")
		}
		testworld.Until(t, c.Ended, r)
		if !begun {
			t.Error("CORO-1: it has not begun")
		}
		gone := coro.Go(r, func(*coro.Coroutine) error { t.Error("DEF-23: it has begun"); return nil })
		gone.Cancel()
		var err error
		gone.OnEnd(func(e error) { err = e })
		testworld.Turns(t, r, 2)
		if err != coro.ErrCancelled || !gone.Ended() {
			t.Errorf("DEF-23: %v", err)
		}
	})
}

// DEF-22: a wait for what is there goes on at once, however often, without a deeper stack; an error comes back from it.
func TestWaitThere(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := running(t, w, reactor.Config{})
		var first, last int
		broken := errors.New("broken")
		c := coro.Go(r, func(c *coro.Coroutine) error {
			for i := range 10_000 {
				v, err := coro.Wait(c, func(done func(int, error)) func() { done(i, nil); return nil })
				if v != i || err != nil {
					t.Fatalf("DEF-22: %d, %v", v, err)
				}
				if last = depth(); i == 0 {
					first = last
				}
			}
			_, err := coro.Wait(c, func(done func(int, error)) func() { done(0, broken); return nil })
			return err
		})
		var err error
		c.OnEnd(func(e error) { err = e })
		if !c.Ended() || err != broken || first != last {
			t.Errorf("DEF-22: ended %v with %v, the stack is %d deep, then %d", c.Ended(), err, first, last)
		}
	})
}

func depth() int { return runtime.Callers(0, make([]uintptr, 1000)) }

// DEF-23: Cancel gives up what the body waits for now; if it handles that, it goes on, and the next Cancel hits the next wait. The result comes when it
// has ended.
func TestCancel(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := running(t, w, reactor.Config{})
		gaveUp, ended := 0, 0
		wait := func(c *coro.Coroutine) error {
			_, err := coro.Wait(c, func(func(int, error)) func() { return func() { gaveUp++ } })
			return err
		}
		c := coro.Go(r, func(c *coro.Coroutine) error {
			if err := wait(c); !errors.Is(err, reactor.ErrCancelled) {
				t.Errorf("DEF-23: %v", err)
			}
			if err := c.Sleep(ms); err != nil {
				t.Errorf("DEF-23: the wait after it: %v", err)
			}
			return wait(c)
		})
		var err error
		c.OnEnd(func(e error) { ended++; err = e })
		c.Cancel()
		if gaveUp != 1 || ended != 0 || c.Ended() {
			t.Fatalf("DEF-23: %d given up, %d ended", gaveUp, ended)
		}
		testworld.Until(t, func() bool { return r.Stats().Pending == 0 }, r)
		c.Cancel()
		c.Cancel()
		if gaveUp != 2 || ended != 1 || err != coro.ErrCancelled || !c.Ended() {
			t.Errorf("DEF-23: %d given up, %d ended, %v", gaveUp, ended, err)
		}
		// Its limit of time goes with it.
		coro.Go(r, func(c *coro.Coroutine) error { return c.Sleep(time.Hour) }).Cancel()
		if n := r.Stats().Pending; n != 0 {
			t.Errorf("DEF-23: %d delayed calls are left", n)
		}
		// One that runs is hit at its next wait.
		self := coro.Go(r, func(c *coro.Coroutine) error {
			c.Cancel()
			return c.Sleep(time.Hour)
		})
		self.OnEnd(func(e error) { err = e })
		if !self.Ended() || err != coro.ErrCancelled {
			t.Errorf("DEF-23: cancelled by itself: %v", err)
		}
	})
}

// CORO-2: Stop ends every coroutine, in the order in which they began: their waits fail, their deferred functions run.
func TestStop(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		goroutines := runtime.NumGoroutine()
		r := w.New(t, reactor.Config{})
		var order []int
		for i := range 5 {
			coro.Go(r, func(c *coro.Coroutine) error {
				defer func() { order = append(order, i) }()
				for {
					if err := c.Sleep(time.Hour); err != nil {
						if !errors.Is(err, reactor.ErrStopped) || c.Sleep(0) == nil {
							t.Errorf("CORO-2: %v", err)
						}
						return err
					}
				}
			})
		}
		e, _ := peered(t, w, r, func(s *coro.Session) error {
			_, err := s.Read(make([]byte, 1))
			return err
		})
		r.Close()
		late := coro.Go(r, func(*coro.Coroutine) error { t.Error("CORO-2: it began on a stopped reactor"); return nil })
		var err error
		late.OnEnd(func(e error) { err = e })
		if len(order) != 5 || order[0] != 0 || order[4] != 4 || !errors.Is(e.err, reactor.ErrStopped) || err != reactor.ErrStopped {
			t.Errorf("CORO-2: %v unwound, %v, %v", order, e.err, err)
		}
		if n := leaktest.Goroutines(goroutines); n > goroutines {
			t.Errorf("CORO-2: %d goroutines, %d before", n, goroutines)
		}
	})
}

// CORO-2: when a callback or a body ends the loop's goroutine, all coroutines are unwound. Nothing is sent any more (CORE-49).
func TestGoexit(t *testing.T) {
	var results []error // of those that have called it, or wait for one that has
	ended := func(c *coro.Coroutine) { c.OnEnd(func(err error) { results = append(results, err) }) }
	exits := func(c *coro.Coroutine) error { c.Sleep(ms); runtime.Goexit(); return nil }
	wantResults := map[string]int{"body": 1, "result": 1, "waiting": 1, "inner": 2, "unwinding": 1}
	for name, exit := range map[string]func(r *reactor.Reactor){
		"callback": func(r *reactor.Reactor) { r.CallLater(2*ms, runtime.Goexit) },
		"body":     func(r *reactor.Reactor) { ended(coro.Go(r, exits)) },
		"result": func(r *reactor.Reactor) {
			coro.Result(r, func(c *coro.Coroutine) (int, error) { return 0, exits(c) }).Done(func(_ int, err error) { results = append(results, err) })
		},
		"waiting": func(r *reactor.Reactor) {
			d := coro.Result(r, func(c *coro.Coroutine) (int, error) { return 0, exits(c) })
			ended(coro.Go(r, func(c *coro.Coroutine) error { _, err := coro.Await(c, d); return err }))
		},
		"inner": func(r *reactor.Reactor) {
			inner := coro.Go(r, func(c *coro.Coroutine) error { defer runtime.Goexit(); return c.Sleep(time.Hour) })
			ended(inner)
			ended(coro.Go(r, func(c *coro.Coroutine) error { c.Sleep(ms); inner.Cancel(); return nil }))
		},
		"unwinding": func(r *reactor.Reactor) {
			ended(coro.Go(r, func(c *coro.Coroutine) error {
				defer runtime.Goexit()
				return c.Sleep(time.Hour)
			}))
			r.CallLater(2*ms, runtime.Goexit)
		},
	} {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				goroutines := runtime.NumGoroutine()
				log := testworld.NewLog(t)
				log.Expect("the loop's goroutine ends inside a callback")
				r, far := w.New(t, reactor.Config{Logger: log.Logger()}), w.New(t, reactor.Config{})
				results = nil
				unwound := 0
				body := func(c *coro.Coroutine) error {
					defer func() { unwound++ }()
					err := c.Sleep(time.Hour)
					if !errors.Is(err, reactor.ErrStopped) {
						t.Errorf("CORO-2: %v", err)
					}
					return err
				}
				coro.Go(r, body)
				exit(r)
				coro.Go(r, body)
				e := new(ending)
				p := listen(t, r, coro.Factory(e.note(func(s *coro.Session) error {
					_, rerr := s.Read(make([]byte, 1))
					_, werr := s.Write([]byte("too late"))
					s.Abort()
					if !errors.Is(werr, reactor.ErrStopped) {
						t.Errorf("CORO-2: %v", werr)
					}
					return rerr
				})))
				cli := new(ending)
				far.Dial(p.Addr(), coro.Factory(cli.note(func(s *coro.Session) error {
					_, err := io.ReadAll(s)
					return err
				})), nil, nil)
				testworld.Turns(t, far, 3)
				left := make(chan struct{})
				go func() {
					defer close(left)
					r.Run(context.Background())
				}()
				<-left
				<-r.Done()
				testworld.Until(t, func() bool { return cli.over || far.Stats().Connections == 0 }, far)
				if unwound != 2 {
					t.Errorf("CORO-2: %d of 2 are unwound", unwound)
				}
				if len(results) != wantResults[name] || slices.ContainsFunc(results, func(err error) bool { return err != pool.ErrGoexit }) {
					t.Errorf("CORO-2: the results are %v, want %d of pool.ErrGoexit", results, wantResults[name])
				}
				far.Close()
				if n := leaktest.Goroutines(goroutines); n > goroutines {
					t.Errorf("CORO-2: %d goroutines, %d before", n, goroutines)
				}
			})
		})
	}
}

// CORO-3: a panic in a body ends its connection as one in DataReceived does: it is reported with the stack of the body, and others go on.
func TestPanic(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, when := range []string{"made", "data", "timer"} {
			var got []*reactor.PanicError
			r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { got = append(got, e) }})
			unwound := false
			other := coro.Go(r, func(c *coro.Coroutine) error { return c.Sleep(time.Hour) })
			e := new(ending)
			p := listen(t, r, coro.Factory(e.note(func(s *coro.Session) error {
				defer func() { unwound = true }()
				switch when {
				case "data":
					s.Read(make([]byte, 1))
				case "timer":
					s.Sleep(ms)
				}
				panicInBody()
				return nil
			})))
			peer, err := w.Connect(t, p.Addr(), r)
			if err == nil { // otherwise it was reset at once
				if when == "data" {
					peer.Send("x")
				}
				_, err = peer.Rest()
			}
			if err == io.EOF {
				t.Errorf("CORO-3: %s: the peer saw an orderly end", when)
			}
			testworld.Until(t, func() bool { return r.Stats().Accepted == 1 && r.Stats().Connections == 0 }, r)
			if len(got) != 1 || got[0].Value != "oops" || !strings.Contains(string(got[0].Stack), "panicInBody") ||
				!strings.Contains(got[0].In, "coro_test") || !unwound || other.Ended() {
				t.Errorf("CORO-3: %s: %v, unwound %v", when, got, unwound)
			}
		}
	})
}

func panicInBody() { panic("oops") }

// CORO-3: a panic of a coroutine without a connection is its result; an error that nobody asks for is logged.
func TestResultOfGo(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var log strings.Builder
		panics := 0
		r := running(t, w, reactor.Config{
			Logger:   slog.New(slog.NewTextHandler(&log, nil)),
			Panicked: func(*reactor.PanicError) { panics++ },
		})
		var err error
		coro.Go(r, func(*coro.Coroutine) error { panicInBody(); return nil }).OnEnd(func(e error) { err = e })
		var p *reactor.PanicError
		if !errors.As(err, &p) || p.Value != "oops" || panics != 1 {
			t.Errorf("CORO-3: %v, %d panics reported", err, panics)
		}
		coro.Go(r, func(*coro.Coroutine) error { return errors.New("unheard") })
		coro.Go(r, func(c *coro.Coroutine) error { c.Cancel(); return c.Sleep(1) })
		coro.Go(r, func(c *coro.Coroutine) error { c.Sleep(1); return errors.New("heard") }).OnEnd(func(e error) { err = e })
		testworld.Until(t, func() bool { return err.Error() == "heard" }, r)
		if n := strings.Count(log.String(), "a coroutine has failed"); n != 1 || !strings.Contains(log.String(), "unheard") {
			t.Errorf("CORO-3: logged %s", log.String())
		}
	})
}

// CORO-8: what would block the loop, or mix two readers, panics; so does a body that goes on though everything fails.
func TestWrongUse(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var got []string
		r := running(t, w, reactor.Config{Panicked: func(e *reactor.PanicError) { got = append(got, e.Error()) }})
		var s *coro.Session
		e, peer := peered(t, w, r, func(own *coro.Session) error {
			s = own
			_, err := s.Read(make([]byte, 1))
			return err
		})
		wants(t, "CORO-8", "outside of a coroutine", func() { s.Read(nil) })
		wants(t, "CORO-8", "outside of a coroutine", func() { s.Sleep(1) })
		wants(t, "CORO-8", "does not run now", func() { s.Coroutine().Sleep(1) })
		wants(t, "CORO-8", "without a function", func() { coro.Protocol(nil) })
		wants(t, "CORO-8", "without a function", func() { coro.Go(r, nil) })
		for _, c := range []struct {
			words string
			body  func(*coro.Coroutine) error
		}{
			{"another coroutine reads", func(*coro.Coroutine) error { s.Read(nil); return nil }},
			{"Ask in a callback", func(*coro.Coroutine) error {
				reactor.Ask(r, func() (int, error) { return 0, nil })
				return nil
			}},
			{"a thousand calls", func(c *coro.Coroutine) error {
				for {
					c.Cancel()
					c.Sleep(1)
				}
			}},
		} {
			var err error
			coro.Go(r, c.body).OnEnd(func(e error) { err = e })
			if err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("CORO-8: %v, want %q", err, c.words)
			}
		}
		peer.Close()
		testworld.Until(t, func() bool { return e.over }, r)
		if len(got) != 3 {
			t.Errorf("CORO-8: %d panics reported: %q", len(got), got)
		}
	})
}

// CORO-8: a body that ignores the end of its input does not block the loop for ever.
func TestIgnoresErrors(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		e, peer := peered(t, w, r, func(s *coro.Session) error {
			for {
				s.Read(make([]byte, 1))
			}
		})
		peer.CloseWrite()
		testworld.Until(t, func() bool { return e.over }, r)
		if panics != 1 {
			t.Errorf("CORO-8: %d panics", panics)
		}
	})
}

// CORO-11: a coroutine accepts in a loop, and dials; what nobody accepts is bounded.
func TestAcceptAndDial(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := running(t, w, reactor.Config{})
		l := &coro.Listener{Backlog: 2}
		p := listen(t, r, l)
		served := 0
		server := coro.Go(r, func(c *coro.Coroutine) error {
			for {
				s, err := l.Accept(c)
				if err != nil {
					return err
				}
				coro.Go(r, func(*coro.Coroutine) error {
					defer s.Close()
					_, err := io.Copy(s, struct{ io.Reader }{s})
					served++
					return err
				})
			}
		})
		client := coro.Go(r, func(c *coro.Coroutine) error {
			for range 5 {
				s, err := coro.Dial(c, p.Addr(), nil)
				if err != nil {
					return err
				}
				defer s.Close()
				s.Write([]byte("hello"))
				buf := make([]byte, 5)
				if _, err := io.ReadFull(s, buf); err != nil || string(buf) != "hello" {
					t.Errorf("CORO-11: %q, %v", buf, err)
				}
				if s.Coroutine() != nil || s.Reactor() != r || s.LocalAddr().String() == "" || s.RemoteAddr().String() != p.Addr().String() {
					t.Error("CORO-11: the session of Dial")
				}
			}
			return nil
		})
		testworld.Until(t, func() bool { return client.Ended() && served == 5 }, r)
		var err error
		server.OnEnd(func(e error) { err = e })
		p.StopListening(nil)
		testworld.Until(t, server.Ended, r)
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("CORO-11: Accept of a port that was stopped: %v", err)
		}
	})
}

// CORO-11: connections beyond the backlog are refused, and those that wait are reset when the port stops.
func TestBacklog(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := running(t, w, reactor.Config{})
		l := &coro.Listener{Backlog: 2}
		p := listen(t, r, l)
		peers := []*testworld.Peer{w.Peer(t, p.Addr(), r), w.Peer(t, p.Addr(), r), w.Peer(t, p.Addr(), r)}
		testworld.Until(t, func() bool { return r.Stats().Accepted == 3 }, r)
		if _, err := peers[2].Rest(); err == nil || r.Stats().Refused != 1 {
			t.Errorf("CORO-11: %v, %d refused", err, r.Stats().Refused)
		}
		p.StopListening(nil)
		for _, peer := range peers[:2] {
			if _, err := peer.Rest(); err == io.EOF {
				t.Error("CORO-11: one that nobody accepted saw an orderly end")
			}
		}
	})
}

// DEF-23: giving up a coroutine that dials gives up the attempt.
func TestDialGivenUp(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := running(t, w, reactor.Config{})
		p := listen(t, r, reactor.Each[quiet]())
		c := coro.Go(r, func(c *coro.Coroutine) error {
			_, err := coro.Dial(c, p.Addr(), nil)
			return err
		})
		var err error
		c.OnEnd(func(e error) { err = e })
		c.Cancel()
		testworld.Turns(t, r, 5)
		if err != coro.ErrCancelled || r.Stats().Connections != 0 {
			t.Errorf("DEF-23: %v, %d connections", err, r.Stats().Connections)
		}
	})
}

type quiet struct{ reactor.Base }

func (*quiet) DataReceived([]byte) {}
