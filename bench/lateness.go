package main

import (
	"sync"
	"time"
)

// beat is how often a loop that is watched is to be called.
const beat = time.Millisecond

// lateness watches how late a loop makes the calls that are due on every beat. One that
// a long stall has kept counts for each beat that it missed, so that quantiles are of
// time, not of calls.
type lateness struct {
	mu    sync.Mutex
	due   time.Time
	worst time.Duration
	all   histogram
}

// called is for the loop to call, and returns when next.
func (l *lateness) called(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.due.IsZero() {
		l.due = now
	}
	for ; !l.due.After(now); l.due = l.due.Add(beat) {
		late := now.Sub(l.due)
		l.all.add(late)
		l.worst = max(l.worst, late)
	}
	return l.due.Sub(now)
}

// stall is what was seen, in microseconds.
type stall struct {
	Beats         int64 // seen; 0: the server has nothing that could be late
	P50, P99, Max float64
}

// take returns what was seen since the last time.
func (l *lateness) take() stall {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := stall{l.all.total, l.all.quantile(.5), l.all.quantile(.99), float64(l.worst.Nanoseconds()) / 1e3}
	l.all.reset()
	l.worst = 0
	return s
}
