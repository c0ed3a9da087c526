package reactor_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// A kernel whose Wait fails a hundred times in a row ends the run. Failures that are fewer, or
// that have a success between them, do not, however many they are in all.
func TestKernelFailsInARow(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, c := range []struct {
			name   string
			good   func(wait int) bool // whether that call of Wait, counted from 1, succeeds
			waits  int                 // how many there are before Stop; 0: it is not called
			failed bool
		}{
			{"99 in a row", func(n int) bool { return n > 99 }, 120, false},
			{"100 in a row", func(n int) bool { return n > 100 }, 0, true},
			{"99 and 99, one success between", func(n int) bool { return n == 100 || n > 199 }, 250, false},
			{"every other of 500", func(n int) bool { return n%2 == 0 }, 500, false},
			{"100 after some that were good", func(n int) bool { return n <= 5 || n > 105 }, 0, true},
		} {
			broken := errors.New("broken kernel")
			var log coreLog
			n, ended := 0, false
			var r *reactor.Reactor
			f := &testworld.Faults{Wait: func() error {
				if n++; n == c.waits {
					r.Stop()
				}
				if n > 1000 {
					r.Crash()
				}
				if c.good(n) {
					return nil
				}
				return broken
			}}
			r = testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{Logger: slog.New(&log)})
			r.AddTrigger(reactor.After, reactor.Shutdown, func() { ended = true })
			var again func()
			again = func() { r.Post(again) } // no wait is long
			r.Post(again)
			err := r.Run(context.Background())
			if errors.Is(err, broken) != c.failed || !c.failed && err != nil || !ended {
				t.Errorf("CORE-20: %s: Run returned %v after %d waits; ended in order: %v", c.name, err, n, ended)
			}
			if c.failed && !c.good(n+1) {
				t.Errorf("CORE-20: %s: the run has ended after %d waits already", c.name, n)
			}
			if log.count(slog.LevelError, "the kernel cannot wait") == 0 {
				t.Errorf("CORE-20: %s: nothing was logged", c.name)
			}
		}
	})
}

// guessKernel notes what is said to a kernel.Guesser.
type guessKernel struct {
	kernel.Kernel
	said []bool
}

func (k *guessKernel) Unwrap() kernel.Kernel { return k.Kernel }
func (k *guessKernel) Guess(allowed bool)    { k.said = append(k.said, allowed) }

// Run allows the kernel to guess, because one turn comes after the other. Turn does not: it would return before anything has happened.
func TestRunAllowsGuesses(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := &guessKernel{Kernel: w.Open(t)}
		r := testworld.New(t, k, reactor.Config{})
		r.Turn(0)
		if k.said != nil {
			t.Errorf("Turn says %v", k.said)
		}
		r.Post(func() { r.Stop() })
		if err := r.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if len(k.said) != 1 || !k.said[0] {
			t.Errorf("Run says %v", k.said)
		}
	})
}
