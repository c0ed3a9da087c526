package kerneltest

import (
	"sync"
	"sync/atomic"

	"github.com/whorl-go/whorl/kernel"
)

func wakePromises() []promise {
	return []promise{
		{"WakeBefore", wakeBefore},
		{"WakeNeverLost", wakeNeverLost},
		{"WakeFromMany", wakeFromMany},
		{"WakeWhileReady", wakeWhileReady},
		{"WakeAndClose", wakeAndClose},
	}
}

// wakeBefore: there is a waker from the beginning (WAKE-1). A Wake before the wait ends
// the next Wait, and many calls count as one (WAKE-4).
func wakeBefore(g *rig) {
	for _, calls := range []int{1, 2, 10_000} {
		for range calls {
			g.k.Wake()
		}
		if ev := g.wait(kernel.Forever); len(ev) != 0 {
			g.Fatalf("Wait reported %v", ev)
		}
		g.exactly(g.k.Now() + moment)

		// A Wait that only looks counts as the next Wait too.
		for range calls {
			g.k.Wake()
		}
		g.wait(0)
		g.exactly(g.k.Now() + moment)
	}
}

// wakeNeverLost: another goroutine calls Wake (WAKE-3) just before a wait, during it, or
// as it begins. If one is lost the test hangs.
func wakeNeverLost(g *rig) {
	const rounds = 10_000
	var told atomic.Int64
	turn := make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range turn {
			told.Add(1)
			g.k.Wake()
		}
	})
	waits := 0
	for i := int64(1); i <= rounds; i++ {
		turn <- true
		for told.Load() < i {
			g.wait(kernel.Forever)
			waits++
		}
	}
	close(turn)
	wg.Wait()
	// Each round may leave one Wake over, not more.
	if waits > 2*rounds+1000 {
		g.Errorf("%d waits for %d wakes", waits, rounds)
	}
}

// wakeFromMany: after a Wait that a Wake ended, the loop sees what was done before the
// Wake.
func wakeFromMany(g *rig) {
	const callers, each = 8, 2000
	var done atomic.Int64
	plain := [callers]int{} // for the race detector: Wake and mu order it
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range each {
				mu.Lock()
				plain[i]++
				mu.Unlock()
				done.Add(1)
				g.k.Wake()
			}
		})
	}
	for done.Load() < callers*each {
		g.wait(kernel.Forever)
	}
	wg.Wait()
	for i, n := range plain {
		if n != each {
			g.Errorf("caller %d: %d of %d", i, n, each)
		}
	}
}

// wakeWhileReady: events that fill the whole slice do not use up a Wake.
func wakeWhileReady(g *rig) {
	_, s := g.pair()
	g.ev = g.ev[:1]
	g.arm(s, kernel.Writable)
	for range 100 {
		g.k.Wake()
		g.wait(kernel.Forever)
	}
	g.arm(s, 0)
	// At most one Wake is left: nobody knows which Wait the last one ended.
	g.wait(0)
	g.wait(0)
	g.exactly(g.k.Now() + moment)
}

// wakeAndClose: Wake may come at any time, also while the kernel closes and after.
func wakeAndClose(g *rig) {
	var wg sync.WaitGroup
	var quit atomic.Bool
	started := make(chan bool)
	for range 4 {
		wg.Go(func() {
			g.k.Wake()
			started <- true
			for !quit.Load() {
				g.k.Wake()
			}
		})
	}
	for range 4 {
		<-started
	}
	g.wait(kernel.Forever)
	if err := g.k.Close(); err != nil {
		g.Errorf("Close: %v", err)
	}
	quit.Store(true)
	wg.Wait()
	g.k.Wake()
	if n, err := g.k.Wait(g.ev, 0); n != 0 || err == nil {
		g.Errorf("Wait after Close: %d, %v", n, err)
	}
}
