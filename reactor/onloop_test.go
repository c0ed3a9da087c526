package reactor_test

import (
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// THR-21: OnLoop is true in callbacks of the reactor, whoever turns it, and in what stands in for one. So it is in callbacks of another reactor
// that the same goroutine turns. It is false on other goroutines, and between two turns.
func TestOnLoop(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r, other := w.New(t, reactor.Config{}), w.New(t, reactor.Config{})
		var deep func(n int) bool
		deep = func(n int) bool { return n > 0 && deep(n-1) || n == 0 && r.OnLoop() }
		var inside, below, elsewhere, stands, beside bool
		r.Post(func() {
			inside, below = r.OnLoop(), deep(200)
			done := make(chan struct{})
			go func() {
				defer close(done)
				elsewhere = deep(200)
			}()
			<-done
		})
		other.Post(func() { beside = r.OnLoop() })
		testworld.Turns(t, r, 3)
		testworld.Turns(t, other, 3)
		if !inside || !below || elsewhere || !beside || r.OnLoop() {
			t.Errorf("THR-21: in a callback %v, deep in one %v, on another goroutine %v, in one of another reactor %v, outside %v", inside, below, elsewhere, beside, r.OnLoop())
		}
		r.Post(func() { r.StandIn(func() { stands = r.OnLoop() }) })
		testworld.Turns(t, r, 3)
		if !stands {
			t.Error("THR-21: false in a stand-in")
		}
	})
}

// Fresh is true until somebody starts the reactor.
func TestFresh(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		before := r.Fresh()
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		if !before || r.Fresh() {
			t.Errorf("Fresh is %v before Start, %v after", before, r.Fresh())
		}
	})
}

func BenchmarkOnLoop(b *testing.B) {
	for _, w := range testworld.Native() {
		r := w.New(b, reactor.Config{})
		for b.Loop() {
			r.OnLoop()
		}
		return
	}
}
