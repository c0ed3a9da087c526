package kerneltest

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
)

func timePromises() []promise {
	return []promise{
		{"Now", now},
		{"WaitNeverEarly", waitNeverEarly},
		{"WaitPassed", waitPassed},
		{"WaitReady", waitReady},
		{"WaitOtherDeadlines", waitOtherDeadlines},
	}
}

func now(g *rig) {
	last := g.k.Now()
	if last <= 0 {
		g.Fatalf("Now is %d, not positive", last)
	}
	for range 1000 {
		n := g.k.Now()
		if n < last {
			g.Fatalf("Now went back from %v to %v", last, n)
		}
		last = n
	}
}

// exactly waits until until, and fails if anything is reported or Wait returns early.
func (g *rig) exactly(until time.Duration) {
	g.Helper()
	if ev := g.wait(until); len(ev) != 0 {
		g.Fatalf("Wait reported %v", ev)
	}
	n := g.k.Now()
	if n < until {
		g.Fatalf("Wait returned %v early", until-n)
	}
	if n > until+limit {
		g.Fatalf("Wait returned %v late", n-until)
	}
}

// waitNeverEarly: Wait does not return early. A kernel that cuts the time to whole
// milliseconds fails here (FDS-27).
func waitNeverEarly(g *rig) {
	for _, d := range []time.Duration{1, 500, 10 * time.Microsecond, 150 * time.Microsecond,
		999 * time.Microsecond, time.Millisecond, 1001 * time.Microsecond, 1700 * time.Microsecond,
		4 * time.Millisecond, 20*time.Millisecond + 1, 49*time.Millisecond + 900*time.Microsecond,
		60*time.Millisecond + 300*time.Microsecond} {
		g.exactly(g.k.Now() + d)
	}
	// Nor does it if several waits have the same distant deadline.
	until := g.k.Now() + 90*time.Millisecond
	for range 4 {
		g.k.Wake()
		g.wait(until)
	}
	g.exactly(until)
}

func waitPassed(g *rig) {
	for range 100 {
		before := g.k.Now()
		for _, until := range []time.Duration{0, -1, -kernel.Forever, 1, before} {
			if ev := g.wait(until); len(ev) != 0 {
				g.Fatalf("Wait(%v) reported %v", until, ev)
			}
		}
		if d := g.k.Now() - before; d > limit {
			g.Fatalf("it blocked for %v", d)
		}
	}
	// Wait looks even if until has passed.
	c, s := g.pair()
	g.send(c, []byte("x"))
	g.becomes(s, kernel.Readable)
	tok := g.arm(s, kernel.Readable)
	if ev := g.wait(0); len(ev) != 1 || ev[0].Token != tok {
		g.Fatalf("Wait(0) reported %v, although %d is ready", ev, tok)
	}
}

// waitReady: a handle that is ready ends a wait, with a limit or without.
func waitReady(g *rig) {
	_, s := g.pair()
	tok := g.arm(s, kernel.Writable)
	for _, until := range []time.Duration{kernel.Forever, kernel.Forever - 1, g.k.Now() + time.Hour, g.k.Now() + 10*time.Second} {
		if ev := g.wait(until); len(ev) != 1 || ev[0].Token != tok {
			g.Fatalf("Wait reported %v, although %d is ready", ev, tok)
		}
	}
}

// waitOtherDeadlines: a wait may end before its deadline. That deadline neither ends nor
// delays a later wait.
func waitOtherDeadlines(g *rig) {
	for range 3 {
		n := g.k.Now()
		g.k.Wake()
		g.wait(n + 10*time.Millisecond)
		g.exactly(n + 3*time.Millisecond)
		g.exactly(n + 25*time.Millisecond)
		for range 3 {
			g.k.Wake()
			g.wait(n + time.Hour)
		}
		g.exactly(n + 27*time.Millisecond)
		g.exactly(n + 27*time.Millisecond) // has passed
	}
}
