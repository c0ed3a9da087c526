package main

import (
	"context"
	"fmt"
	"time"
)

// idle measures the memory that connections cost a server that was just
// started: what a server once had it may keep, so each measurement takes a new
// process.
func (r *runner) idle(ctx context.Context, w *workload, res *result) error {
	for round := range r.idleRounds {
		for i := range r.servers {
			s := r.servers[(i+round)%len(r.servers)]
			if res.failed(s.label) {
				continue
			}
			m, err := r.idleOnce(ctx, s, w)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				res.fail(s.label, err)
				continue
			}
			res.Idle = append(res.Idle, m)
		}
	}
	return nil
}

// idleState is a server at one moment.
type idleState struct {
	resident int64
	cpu      time.Duration
}

func (r *runner) idleOnce(ctx context.Context, s choice, w *workload) (m idleSample, err error) {
	p, err := r.start(ctx, s, w)
	if err != nil {
		return m, err
	}
	defer p.stop()
	var before, after memory
	if err := p.server.ask(ctx, "memory", 10*time.Second, &before); err != nil {
		return m, err
	}
	states := make([]idleState, 0, 3)
	for _, do := range []string{"", "open", "touch"} {
		if do != "" {
			if _, err := p.command(ctx, command{Do: do}); err != nil {
				return m, err
			}
		}
		now, err := settled(ctx, p.server.pid())
		if err != nil {
			return m, err
		}
		states = append(states, now)
	}
	if err := p.server.ask(ctx, "memory", 10*time.Second, &after); err != nil {
		return m, err
	}
	n := float64(r.connsOf(w))
	each := func(from, to int64) float64 { return float64(to-from) / n }
	return idleSample{
		Server: s.label,
		New:    each(states[0].resident, states[1].resident),
		Used:   each(states[0].resident, states[2].resident),
		Heap:   each(int64(before.Heap), int64(after.Heap)),
		Stacks: each(int64(before.Stacks), int64(after.Stacks)),
		Accept: each(int64(states[0].cpu), int64(states[1].cpu)) / 1e3,
	}, nil
}

// settled waits until process pid does nothing any more, and looks at it.
func settled(ctx context.Context, pid int) (idleState, error) {
	const (
		look  = 30 * time.Millisecond
		looks = 100
		quiet = 500 * time.Microsecond
	)
	last, err := cpuTime(pid)
	for range looks {
		if err != nil {
			return idleState{}, err
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return idleState{}, ctx.Err()
		}
		var now time.Duration
		if now, err = cpuTime(pid); now-last < quiet && err == nil {
			resident, err := residentBytes(pid)
			return idleState{resident, now}, err
		}
		last = now
	}
	return idleState{}, fmt.Errorf("never came to rest in %v", looks*look)
}
