package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// runner measures servers. Its fields do not change while it runs.
type runner struct {
	exe        string
	servers    []choice // none: those each workload names
	workers    int      // for TLS handshakes, 0: as tlsio would
	serverCPUs []int    // none: anywhere
	loadCPUs   []int
	spin       bool
	sets       int
	warm       time.Duration
	measure    time.Duration
	idleRounds int
	files      int       // descriptors a process may have
	progress   io.Writer // one line a workload
}

// pair is a server and its load generator.
type pair struct {
	label  string
	server *child
	load   *child
	watch  bool // the server measures how late its loop is
	hello  hello
}

func (p *pair) stop() {
	p.load.stop()
	p.server.stop()
}

// say encodes a command.
func say(c command) string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// command makes the load generator do c and returns its answer.
func (p *pair) command(ctx context.Context, c command) (answer, error) {
	var a answer
	err := p.load.ask(ctx, say(c), c.Warm+c.Measure+60*time.Second, &a)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil && ctx.Err() == nil {
		if died := p.server.died(); died != nil {
			err = fmt.Errorf("%w; the server %w", err, died)
		}
	}
	return a, err
}

// slice makes the load generator load the server for a while. late is how late the
// server's loop was meanwhile. It is nil if the loop is not watched or the server has
// none.
func (p *pair) slice(ctx context.Context, warm, measure time.Duration) (a answer, late *stall, err error) {
	if !p.watch {
		a, err = p.command(ctx, command{Do: "slice", Warm: warm, Measure: measure})
		return a, nil, err
	}
	late = new(stall)
	if err := p.server.ask(ctx, "lateness", 10*time.Second, late); err != nil { // drop what came before
		return a, nil, err
	}
	if a, err = p.command(ctx, command{Do: "slice"}); err != nil {
		return a, nil, err
	}
	if err = p.server.ask(ctx, "lateness", 10*time.Second, late); late.Beats == 0 {
		late = nil
	}
	return a, late, err
}

// start starts a server. Once the server listens, it starts the load generator.
func (r *runner) start(ctx context.Context, c choice, w *workload) (*pair, error) {
	p := &pair{label: c.label, watch: w.kind == kindStorm}
	spec, err := json.Marshal(serveSpec{Name: c.name, TLS: w.tls, Workers: r.workers, Watch: p.watch})
	if err != nil {
		panic(err)
	}
	if p.server, err = startChild(r.exe, r.serverCPUs, "serve", string(spec)); err != nil {
		return nil, err
	}
	if err = p.server.ask(ctx, "", 10*time.Second, &p.hello); err != nil {
		p.stop()
		return nil, err
	}
	spec, err = json.Marshal(loadSpec{
		Addr: p.hello.Addr, PID: p.server.pid(), Timeout: 3 * time.Second, Spin: r.spin,
		Kind: w.kind, Conns: r.connsOf(w), Size: w.size, Outstanding: w.outstanding,
		TLS: w.tls, Resume: w.resume,
	})
	if err != nil {
		panic(err)
	}
	if p.load, err = startChild(r.exe, r.loadCPUs, "load", string(spec)); err != nil {
		p.stop()
		return nil, err
	}
	var ready answer
	if err = p.load.ask(ctx, "", 60*time.Second, &ready); err == nil && ready.Error != "" {
		err = errors.New(ready.Error)
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// connsOf returns how many connections w has. Descriptors may allow fewer than it asks
// for.
func (r *runner) connsOf(w *workload) int {
	return min(w.conns, r.files-200)
}

// serversOf returns the servers to measure in w.
func (r *runner) serversOf(w *workload) ([]choice, error) {
	switch {
	case w.kind == kindSim:
		return nil, nil
	case len(r.servers) > 0:
		return r.servers, nil
	}
	return chooseServers(w.servers(), isServer)
}

// run measures one workload.
func (r *runner) run(ctx context.Context, w *workload) (result, error) {
	res := result{Workload: w.name, About: w.about, Unit: w.unit(), Conns: r.connsOf(w), Workers: map[string]int{}}
	servers, err := r.serversOf(w)
	if err != nil {
		return res, err
	}
	for _, s := range servers {
		res.Servers = append(res.Servers, s.label)
	}
	began := time.Now()
	switch w.kind {
	case kindSim:
		err = r.sim(ctx, w, &res)
	case kindIdle:
		err = r.idle(ctx, w, servers, &res)
	default:
		err = r.active(ctx, w, servers, &res)
	}
	fmt.Fprintf(r.progress, "%-9s %5.1f s", w.name, time.Since(began).Seconds())
	if res.Disturbed > 0 {
		fmt.Fprintf(r.progress, ", %d sets disturbed by other processes", res.Disturbed)
	}
	for _, f := range res.Failed {
		fmt.Fprintf(r.progress, "; %s left out: %s", f.Server, f.Error)
	}
	fmt.Fprintln(r.progress)
	return res, err
}

// active measures in sets. In a set each server is loaded for one slice, one right after
// the other. The others are idle meanwhile. So a change of the machine that takes longer
// than a set affects all servers alike.
func (r *runner) active(ctx context.Context, w *workload, servers []choice, res *result) error {
	var pairs []*pair
	defer func() {
		for _, p := range pairs {
			p.stop()
		}
	}()
	for _, s := range servers {
		p, err := r.start(ctx, s, w)
		switch {
		case err == nil:
			res.Workers[s.label] = p.hello.Workers
			pairs = append(pairs, p)
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			res.leaveOut(s.label, err)
		}
	}
	var good, disturbed []set
	// Repeat sets that were disturbed, up to a limit of number and time.
	slices := r.sets * len(pairs)
	limit := time.Duration(slices)*(r.warm+r.measure)*3/2 + time.Second
	began := time.Now()
	for k := 0; len(good) < r.sets && k < r.sets+r.sets/2; k++ {
		s, quiet, err := r.set(ctx, pairs, k, res)
		switch {
		case err != nil:
			return err
		case len(res.Failed) == len(servers), k > 0 && time.Since(began) > limit:
			k = r.sets * 2 // stop
		}
		switch {
		case len(s) == 0:
		case quiet:
			good = append(good, s)
		default:
			disturbed = append(disturbed, s)
		}
	}
	res.Sets = good
	// If the machine does not get quiet, use disturbed sets.
	for _, s := range disturbed[:min(len(disturbed), r.sets-len(good))] {
		res.Sets = append(res.Sets, s)
		res.Disturbed++
	}
	return nil
}

// set gives each server one slice, beginning with the k-th. It returns false if other
// processes took the CPUs.
func (r *runner) set(ctx context.Context, pairs []*pair, k int, res *result) (set, bool, error) {
	s, starved := make(set), false
	quiet := r.watch(pairs)
	for i := range pairs {
		p := pairs[(i+k)%len(pairs)]
		if res.failed(p.label) {
			continue
		}
		a, late, err := p.slice(ctx, r.warm, r.measure)
		switch {
		case ctx.Err() != nil:
			return nil, false, ctx.Err()
		case err != nil:
			res.leaveOut(p.label, err)
			continue
		case a.Messages == 0 || a.CPU <= 0:
			starved = true // somebody else had the CPU all the time
			continue
		}
		s[p.label] = sample{
			PerCPU: float64(a.Messages) / a.CPU, PerSecond: float64(a.Messages) / a.Seconds,
			P50: a.P50, P99: a.P99, CPUShare: a.CPU / a.Seconds, Stall: late,
		}
	}
	return s, quiet() && !starved, nil
}

// watch begins to measure how much of our CPUs others take. The function it returns tells
// whether that was little.
func (r *runner) watch(pairs []*pair) func() bool {
	const limit = 0.15 // of one CPU
	cpus := append(append([]int(nil), r.serverCPUs...), r.loadCPUs...)
	ours := func() (sum time.Duration) {
		for _, p := range pairs {
			for _, c := range []*child{p.server, p.load} {
				t, err := cpuTime(c.pid())
				if err == nil { // otherwise it has died, and the set fails
					sum += t
				}
			}
		}
		return sum
	}
	began, busy, own := time.Now(), busyTime(cpus), ours()
	return func() bool {
		others := busyTime(cpus) - busy - (ours() - own)
		return len(cpus) == 0 || others.Seconds() < limit*time.Since(began).Seconds()
	}
}
