package main

import (
	"sync"
	"time"
)

// beat is the interval at which a watched loop is to call.
const beat = time.Millisecond

// lateness measures how late a loop makes calls that are due on every beat. A call that a
// stall has delayed counts once for each beat that it missed. So the quantiles are of
// time, not of calls.
type lateness struct {
	mu    sync.Mutex
	due   time.Time
	worst time.Duration
	all   histogram
}

// called notes a call of the loop at now. It returns the time until the next call.
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

// stall is a summary of how late calls were, in microseconds.
type stall struct {
	Beats         int64 // how many; 0 if the server has no loop
	P50, P99, Max float64
}

// take returns the summary since the last take.
func (l *lateness) take() stall {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := stall{l.all.total, l.all.quantile(.5), l.all.quantile(.99), float64(l.worst.Nanoseconds()) / 1e3}
	l.all.reset()
	l.worst = 0
	return s
}
