package deferred_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim/clock"
)

// When the last one has given up, the next Get has another result made, whatever becomes of the one that was given up: one that takes its time to end, one that
// makes another error of that, and one that comes nevertheless.
func TestOnceGivenUp(t *testing.T) {
	c := clock.New()
	defer c.Close()
	r, made := c.Reactor(), 0
	for name, ending := range map[string]func(*deferred.Deferred[int]) *deferred.Deferred[int]{
		"later": func(d *deferred.Deferred[int]) *deferred.Deferred[int] {
			return d.FinallyChain(func() *deferred.Deferred[deferred.None] { return deferred.Sleep(r, time.Second) })
		},
		"another error": func(d *deferred.Deferred[int]) *deferred.Deferred[int] {
			return d.Catch(func(error) (int, error) { return 0, errTest })
		},
		"nevertheless": func(d *deferred.Deferred[int]) *deferred.Deferred[int] {
			return d.Catch(func(error) (int, error) { return -1, nil })
		},
	} {
		o := deferred.NewOnce(r, func() *deferred.Deferred[int] {
			made++
			n := made
			return ending(deferred.Later(r, 3*time.Second, func() (int, error) { return n, nil }))
		})
		first, second := o.Get(), o.Get()
		second.Cancel()
		n := made
		if third := o.Get(); made != n {
			t.Errorf("%s: made again although somebody waits", name)
		} else {
			third.Cancel()
		}
		first.Ignore()
		first.Cancel()
		next := o.Get()
		c.Advance(10 * time.Second)
		if got, ok := next.Outcome(); !ok || got.Err != nil || got.Value != made {
			t.Errorf("%s: who asks after the last has given up gets %v", name, got)
		}
		if again, _ := o.Get().Outcome(); again.Value != made || again.Err != nil {
			t.Errorf("%s: the result that was made anew is not kept: %v", name, again)
		}
		if _, ok := first.Outcome(); !ok {
			t.Errorf("%s: who has given up gets no end", name)
		}
	}
}

// DEF-7: a Once that asks itself panics, and one whose result waits for itself is refused, so that everything ends.
func TestOnceOfItself(t *testing.T) {
	c := clock.New()
	defer c.Close()
	r := c.Reactor()
	var o *deferred.Once[int]
	o = deferred.NewOnce(r, func() *deferred.Deferred[int] { return o.Get() })
	panics(t, func() { o.Get() })
	panics(t, func() { o.Get() })
	o = deferred.NewOnce(r, func() *deferred.Deferred[int] {
		return deferred.Chain(deferred.Sleep(r, time.Second), func(deferred.None) *deferred.Deferred[int] { return o.Get() })
	})
	d := o.Get()
	panics(t, func() { c.Advance(2 * time.Second) }) // the step's
	if _, ok := errors.AsType[*reactor.PanicError](failure(d)); !ok {
		t.Errorf("DEF-7: %v", failure(d))
	}
}
