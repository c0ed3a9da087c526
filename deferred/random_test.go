package deferred_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
)

// web is a random set of results that depend on one another.
type web struct {
	r      *reactor.Reactor
	random *rand.Rand
	roots  []*deferred.Deferred[int]
	all    []*deferred.Deferred[int]
	paused map[*deferred.Deferred[int]]int
	heard  map[*deferred.Deferred[int]]int // how often the function of each was called
}

func (w *web) pick() *deferred.Deferred[int] { return w.all[w.random.IntN(len(w.all))] }

func (w *web) add(d *deferred.Deferred[int]) *deferred.Deferred[int] {
	w.all = append(w.all, d)
	w.paused[d] += 0
	w.heard[d] += 0
	d.Done(func(int, error) { w.heard[d]++ })
	return d
}

func (w *web) root() *deferred.Deferred[int] {
	var cancel func(*deferred.Deferred[int])
	switch w.random.IntN(3) {
	case 0:
		cancel = func(*deferred.Deferred[int]) {}
	case 1:
		cancel = func(d *deferred.Deferred[int]) { d.Succeed(2) }
	}
	d := w.add(deferred.New(w.r, cancel))
	w.roots = append(w.roots, d)
	return d
}

// step adds a result that depends on others.
func (w *web) step() {
	d := w.pick()
	switch w.random.IntN(8) {
	case 0:
		w.add(deferred.Then(d, func(i int) (int, error) { return i + 1, nil }))
	case 1:
		w.add(deferred.Chain(d, func(int) *deferred.Deferred[int] { return w.inner() }))
	case 2:
		w.add(d.Catch(func(error) (int, error) { w.act(); return 0, nil }))
	case 3:
		w.add(d.CatchChain(func(error) *deferred.Deferred[int] { return w.inner() }))
	case 4:
		w.add(d.Finally(func() { w.act() }))
	case 5:
		w.add(deferred.Then(deferred.Gather(w.r, w.pick(), w.pick(), d), func(v []int) (int, error) { return len(v), nil }))
	case 6:
		w.add(deferred.Then(deferred.Race(w.r, w.pick(), d), func(v deferred.Won[int]) (int, error) { return v.Value, nil }))
	case 7:
		w.add(deferred.Then(d, func(int) (int, error) { return 0, errTest }))
	}
}

// inner is what a step returns: a result that was made before it, so that none waits for itself.
func (w *web) inner() *deferred.Deferred[int] {
	if w.random.IntN(2) == 0 {
		return deferred.Of(w.r, 1)
	}
	return w.roots[w.random.IntN(len(w.roots))]
}

// act does one thing at random, possibly inside a step.
func (w *web) act() {
	switch d := w.pick(); w.random.IntN(8) {
	case 0, 1:
		w.step()
	case 2:
		d.Cancel()
	case 3:
		d.Pause()
		w.paused[d]++
	case 4:
		if w.paused[d] > 0 {
			w.paused[d]--
			d.Resume()
		}
	case 5, 6:
		root := w.roots[w.random.IntN(len(w.roots))]
		if _, ok := root.Outcome(); !ok && w.paused[root] == 0 {
			w.give(root)
		}
	case 7:
		w.root()
	}
}

func (w *web) give(root *deferred.Deferred[int]) {
	if w.random.IntN(3) == 0 {
		root.Fail(errTest)
	} else {
		root.Succeed(1)
	}
}

// However results depend on one another, are given up, paused and added to: when all that others give is given and no pause is left, each has an outcome, and each
// function was called once (DEF-1, DEF-4, DEF-5, DEF-8, DEF-11, DEF-16).
func TestRandomWebs(t *testing.T) {
	webs := 3000
	if testing.Short() || raced {
		webs = 300
	}
	for seed := range uint64(webs) {
		r := simulated(t, reactor.Config{})
		w := &web{r: r, random: rand.New(rand.NewPCG(seed, 1)), paused: map[*deferred.Deferred[int]]int{}, heard: map[*deferred.Deferred[int]]int{}}
		w.root()
		for range 60 {
			w.act()
		}
		for pass := 0; pass < 100; pass++ { // steps may have paused and added more
			for i := 0; i < len(w.all); i++ {
				for d := w.all[i]; w.paused[d] > 0; {
					w.paused[d]--
					d.Resume()
				}
			}
			for i := 0; i < len(w.roots); i++ {
				if err := failure(w.roots[i]); err == errPending && w.paused[w.roots[i]] == 0 {
					w.give(w.roots[i])
				}
			}
		}
		for i, d := range w.all {
			if n := w.heard[d]; n != 1 || errors.Is(failure(d), errPending) {
				t.Fatalf("DEF-1, DEF-4, DEF-5, DEF-8, DEF-11, DEF-16: seed %d: result %d of %d: heard %d times, %v", seed, i, len(w.all), n, failure(d))
			}
		}
		r.Close()
	}
}
