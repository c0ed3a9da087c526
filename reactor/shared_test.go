package reactor_test

import (
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// A local value is made once for each type and each reactor.
func TestLocal(t *testing.T) {
	type mine struct{ n int }
	type other struct{ n int }
	worlds(t, func(t *testing.T, w testworld.World) {
		made := 0
		first := func() *mine { made++; return &mine{made} }
		a := w.New(t, reactor.Config{})
		one := reactor.Shared(a, first)
		if again := reactor.Shared(a, first); again != one || made != 1 {
			t.Errorf("%p, then %p; made %d times", one, again, made)
		}
		if o := reactor.Shared(a, func() other { return other{7} }); o.n != 7 {
			t.Errorf("of another type: %v", o)
		}
		if o := reactor.Shared(a, func() other { return other{8} }); o.n != 7 {
			t.Errorf("of another type, again: %v", o)
		}
		b := w.New(t, reactor.Config{})
		if two := reactor.Shared(b, first); two == one || made != 2 {
			t.Errorf("another reactor has %p too; made %d times", two, made)
		}
	})
}
