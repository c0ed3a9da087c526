package coro_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// DEF-22: Await of a result that is there goes on at once, with a stack as deep as before; an error comes back from it, and may be handled.
func TestAwaitThere(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := running(t, w, reactor.Config{})
		broken := errors.New("broken")
		depths := map[int]bool{}
		c := coro.Go(r, func(c *coro.Coroutine) error {
			for i := range 5000 {
				if v, err := coro.Await(c, deferred.Of(r, i)); v != i || err != nil {
					t.Fatalf("DEF-22: %d, %v", v, err)
				}
				depths[depth()] = true
			}
			if _, err := coro.Await(c, deferred.Failed[int](r, broken)); err != broken {
				t.Errorf("DEF-22: %v", err)
			}
			v, err := coro.Await(c, deferred.Later(r, 5*ms, func() (string, error) { return "later", nil }))
			if v != "later" {
				t.Errorf("DEF-22: %q", v)
			}
			return err
		})
		testworld.Until(t, c.Ended, r)
		if len(depths) != 1 {
			t.Errorf("DEF-22: stacks of depths %v", depths)
		}
	})
}

// DEF-23: giving up the result of a coroutine gives up what it awaits now; a body that handles that goes on, and is hit again at its next wait. The result comes
// when it has ended. DEF-14: a coroutine is made a result.
func TestResultGivenUp(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := running(t, w, reactor.Config{})
		var given []int
		waitFor := func(i int) *deferred.Deferred[int] {
			return deferred.New(r, func(*deferred.Deferred[int]) { given = append(given, i) })
		}
		var seen []error
		d := coro.Result(r, func(c *coro.Coroutine) (string, error) {
			for i := range 3 {
				_, err := coro.Await(c, waitFor(i))
				seen = append(seen, err)
			}
			err := c.Sleep(5 * ms)
			return "ended", err
		})
		got, calls := "", 0
		d.Done(func(v string, err error) {
			calls++
			if got = v; err != nil {
				t.Errorf("DEF-23: %v", err)
			}
		})
		for i := range 3 {
			d.Cancel()
			if len(given) != i+1 || given[i] != i || len(seen) != i+1 || !errors.Is(seen[i], reactor.ErrCancelled) || calls != 0 {
				t.Fatalf("DEF-23: after %d: given up %v, seen %v, %d results", i+1, given, seen, calls)
			}
		}
		testworld.Until(t, func() bool { return calls > 0 }, r)
		if got != "ended" || calls != 1 {
			t.Errorf("DEF-23: %q, %d times", got, calls)
		}
		// A body that ends because of it: the outcome is its error.
		var err error
		d = coro.Result(r, func(c *coro.Coroutine) (string, error) { return "", c.Sleep(time.Hour) })
		d.Done(func(_ string, e error) { err = e })
		d.Cancel()
		if !errors.Is(err, reactor.ErrCancelled) {
			t.Errorf("DEF-23: %v", err)
		}
		// DEF-14: values and errors.
		if o, ok := coro.Result(r, func(*coro.Coroutine) (int, error) { return 7, nil }).Outcome(); !ok || o.Value != 7 {
			t.Errorf("DEF-14: %v, %v", o, ok)
		}
	})
}

// DEF-23: what others wait for as well goes on when one of those who await it is given up.
func TestAwaitShared(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := running(t, w, reactor.Config{})
		d := deferred.New[int](r, nil)
		got := 0
		wait := func(c *coro.Coroutine) error {
			v, err := coro.Await(c, d)
			got += v
			return err
		}
		first, second := coro.Go(r, wait), coro.Go(r, wait)
		var err error
		first.OnEnd(func(e error) { err = e })
		first.Cancel()
		if !first.Ended() || !errors.Is(err, reactor.ErrCancelled) || second.Ended() {
			t.Fatalf("DEF-23: %v, ended %v and %v", err, first.Ended(), second.Ended())
		}
		d.Succeed(5)
		if got != 5 || !second.Ended() {
			t.Errorf("DEF-23: the other got %d", got)
		}
	})
}

// CORO-2: a loss gives up what the body awaits.
func TestAwaitLost(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		given := 0
		e, peer := peered(t, w, r, func(s *coro.Session) error {
			_, err := coro.Await(s, deferred.New(r, func(*deferred.Deferred[int]) { given++ }))
			return err
		})
		testworld.Turns(t, r, 3)
		peer.Abort()
		testworld.Until(t, func() bool { return e.over }, r)
		if given != 1 || !errors.Is(e.err, reactor.ErrCancelled) {
			t.Errorf("CORO-2: %d given up, %v", given, e.err)
		}
	})
}

// DEF-23: a wait that is given up ends at once, also if what it waited for takes its time to end; another Await of that waits for its end.
func TestAwaitWhatEndsLater(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := running(t, w, reactor.Config{})
		cleaned := false
		var inner *deferred.Deferred[int]
		c := coro.Go(r, func(c *coro.Coroutine) error {
			inner = coro.Result(r, func(i *coro.Coroutine) (int, error) {
				if err := i.Sleep(coro.NoDeadline); err != coro.ErrCancelled {
					t.Errorf("DEF-23: inside: %v", err)
				}
				err := i.Sleep(5 * ms)
				cleaned = true
				return 7, err
			})
			if _, err := coro.Await(c, inner); err != coro.ErrCancelled || cleaned {
				t.Errorf("DEF-23: %v, cleaned %v", err, cleaned)
			}
			v, err := coro.Await(c, inner)
			if v != 7 || !cleaned {
				t.Errorf("DEF-23: the end of what was given up: %d, cleaned %v", v, cleaned)
			}
			return err
		})
		var err error
		c.OnEnd(func(e error) { err = e })
		c.Cancel()
		if c.Ended() {
			t.Error("DEF-23: ended inside Cancel")
		}
		if testworld.Until(t, c.Ended, r); err != nil {
			t.Errorf("DEF-23: %v", err)
		}
	})
}
