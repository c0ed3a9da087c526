package main

import (
	"context"
	"fmt"
	"time"
)

// idle measures how much memory connections cost a server. A server may keep memory that
// it once had. So each measurement takes a new process.
func (r *runner) idle(ctx context.Context, w *workload, servers []choice, res *result) error {
	for round := range r.idleRounds {
		for i := range servers {
			s := servers[(i+round)%len(servers)]
			if res.failed(s.label) {
				continue
			}
			m, err := r.idleOnce(ctx, s, w, res)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				res.leaveOut(s.label, err)
				continue
			}
			res.Idle = append(res.Idle, m)
		}
	}
	return nil
}

// idleState is the memory and CPU time of a server at one moment.
type idleState struct {
	resident int64
	cpu      time.Duration
}

func (r *runner) idleOnce(ctx context.Context, s choice, w *workload, res *result) (m idleSample, err error) {
	bare, err := r.bare(ctx, s, w)
	if err != nil {
		return m, err
	}
	p, err := r.start(ctx, s, w)
	if err != nil {
		return m, err
	}
	defer p.stop()
	res.Workers[s.label] = p.hello.Workers
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
		now, err := waitIdle(ctx, p.server.pid(), serverOf(s.name).rest)
		if err != nil {
			return m, err
		}
		states = append(states, now)
	}
	if err := p.server.ask(ctx, "memory", 10*time.Second, &after); err != nil {
		return m, err
	}
	kept, err := p.freed(ctx)
	if err != nil {
		return m, err
	}
	n := float64(r.connsOf(w))
	each := func(from, to int64) float64 { return float64(to-from) / n }
	return idleSample{
		Server: s.label,
		New:    each(states[0].resident, states[1].resident),
		Used:   each(states[0].resident, states[2].resident),
		Kept:   each(bare, kept),
		Heap:   each(int64(before.Heap), int64(after.Heap)),
		Stacks: each(int64(before.Stacks), int64(after.Stacks)),
		Accept: each(int64(states[0].cpu), int64(states[1].cpu)) / 1e3,
	}, nil
}

// bare returns the resident memory of a server without connections, after the runtime has
// given back free memory. It takes a process of its own. A process that had given memory
// back would have to fetch it again when it is measured.
func (r *runner) bare(ctx context.Context, s choice, w *workload) (int64, error) {
	p, err := r.start(ctx, s, w)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	return p.freed(ctx)
}

// freed makes the server's runtime give back free memory. It returns the resident memory
// then.
func (p *pair) freed(ctx context.Context) (int64, error) {
	var m memory
	if err := p.server.ask(ctx, "free", 10*time.Second, &m); err != nil {
		return 0, err
	}
	return residentBytes(p.server.pid())
}

// waitIdle waits for rest, and then until process pid uses no more CPU time. It returns
// the state of the process then.
func waitIdle(ctx context.Context, pid int, rest time.Duration) (idleState, error) {
	const (
		look  = 30 * time.Millisecond
		looks = 100
		quiet = 500 * time.Microsecond
	)
	select {
	case <-time.After(rest):
	case <-ctx.Done():
		return idleState{}, ctx.Err()
	}
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
