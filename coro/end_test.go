package coro_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// CORO-2, CORO-3: the result of a session's body that ends the loop's goroutine is told too.
func TestGoexitInSession(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		log := testworld.NewLog(t)
		log.Expect("the loop's goroutine ends inside a callback")
		r, far := w.New(t, reactor.Config{Logger: log.Logger()}), w.New(t, reactor.Config{})
		var got []error
		p := listen(t, r, coro.Factory(func(s *coro.Session) error {
			s.Coroutine().OnEnd(func(err error) { got = append(got, err) })
			s.Read(make([]byte, 1))
			runtime.Goexit()
			return nil
		}))
		cli := new(ending)
		far.Dial(p.Addr(), coro.Factory(cli.note(func(s *coro.Session) error {
			s.Write([]byte("x"))
			_, err := io.ReadAll(s)
			return err
		})), nil, nil)
		left := make(chan struct{})
		go func() {
			defer close(left)
			r.Run(context.Background())
		}()
		testworld.Until(t, func() bool { return cli.over }, far)
		<-left
		if len(got) != 1 || got[0] != pool.ErrGoexit || !errors.Is(cli.err, reactor.ErrLost) || len(log.Find("a coroutine")) > 0 {
			t.Errorf("CORO-2: %v, the peer: %v, %v", got, cli.err, log.Find("coroutine"))
		}
	})
}

// CORO-3: an error that a body returns after it has closed its connection is logged, and what was written arrives, with an end in order. One that only says
// that the connection is closed is none.
func TestErrorAfterClose(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		errLate := errors.New("disk full")
		for _, c := range []struct {
			err    func(s *coro.Session) error
			logged int
		}{
			{func(*coro.Session) error { return errLate }, 1},
			{func(s *coro.Session) error { _, err := s.Read(make([]byte, 1)); return err }, 0},
			{func(*coro.Session) error { return nil }, 0},
		} {
			log := testworld.NewLog(t)
			r := w.New(t, reactor.Config{Logger: log.Logger()})
			e, p := peered(t, w, r, func(s *coro.Session) error {
				defer s.Close()
				s.Write([]byte("bye"))
				s.Close()
				return c.err(s)
			})
			if got, err := p.Rest(); string(got) != "bye" || err != io.EOF || !e.over {
				t.Errorf("CORO-3: %q, %v", got, err)
			}
			if said := log.Find("failed after it closed"); len(said) != c.logged || c.logged > 0 && !strings.Contains(testworld.Text(said[0]), "disk full") {
				t.Errorf("CORO-3: after %v, the log has %v", e.err, said)
			}
			r.Close()
		}
	})
}
