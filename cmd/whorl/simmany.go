package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/sim/report"
)

// errFailed is the end of a run in which something failed, which was printed.
var errFailed = fmt.Errorf("something failed: %w", errQuiet)

// few is how many failures are explained.
const few = 3

// batch is many seeds under way.
type batch struct {
	c    *simCommand
	w    sim.World
	r    *reactor.Reactor
	out  *printer
	show *progress
	now  *fleet

	first, count uint64
	begun        uint64 // seeds handed out
	ran, failed  uint64
	simulated    time.Duration
	began, took  time.Duration
	few          []verdict // the failures of the lowest seeds
	interrupted  bool
	err          error
}

// many runs count seeds from first on.
func (c *simCommand) many(g *globals, t terminal, w sim.World, first, count uint64) error {
	k, err := native.Open(g.Kernel)
	if err != nil {
		return err
	}
	_, engine := g.logger(t.err)
	r := reactor.New(k, reactor.Config{Logger: engine})
	b := &batch{c: c, w: w, r: r, out: newPrinter(t.out), first: first, count: count, began: r.Now()}
	b.show = newProgress(g, t.err, c.JSON, b)
	b.show.start()
	r.Post(func() { b.fleet(c.Timeout, b.next, b.done, b.explain) }) // before a signal can be
	sigs := make(chan os.Signal, 2)
	signal.Notify(sigs, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(sigs)
	go func() {
		for range sigs {
			r.Post(b.interrupt)
		}
	}()
	if err := r.Run(context.Background()); err != nil {
		return err
	}
	return b.report()
}

// fleet has children do jobs.
func (b *batch) fleet(timeout time.Duration, next func() (job, bool), done func(verdict), over func(error)) {
	jobs := b.c.Jobs
	if jobs == 0 {
		jobs = runtime.NumCPU()
	}
	b.now = &fleet{r: b.r, command: again("sim-worker"), timeout: timeout, next: next, done: done, over: over}
	b.now.run(int(min(uint64(jobs), b.count)))
}

func (b *batch) next() (job, bool) {
	if b.begun == b.count {
		return job{}, false
	}
	b.begun++
	return job{World: b.w.Name, Seed: b.first + b.begun - 1, Faults: b.c.Faults, Once: b.c.Once}, true
}

// done counts a seed, and prints it if it failed.
func (b *batch) done(v verdict) {
	b.ran++
	b.simulated += v.Now
	if v.Error == "" {
		return
	}
	b.failed++
	i, _ := slices.BinarySearchFunc(b.few, v.Seed, func(x verdict, seed uint64) int {
		if x.Seed < seed {
			return -1
		}
		return 1
	})
	b.few = slices.Insert(b.few, i, v)
	b.few = b.few[:min(len(b.few), few)]
	b.show.clear()
	if b.c.JSON {
		b.out.object(failureObject{"failure", v, v.replay()})
	} else {
		b.out.printf("FAIL %s seed %d: %s\n", v.World, v.Seed, v.reason())
	}
	if err := b.out.flush(); err != nil && b.err == nil {
		b.err = err
		b.interrupt()
	}
}

// interrupt leaves it at what is known.
func (b *batch) interrupt() {
	b.interrupted = true
	b.now.stop()
}

// explain finds out which faults matter for the first few, when all seeds were run.
func (b *batch) explain(err error) {
	b.took = b.r.Now() - b.began
	b.show.end()
	if b.err == nil {
		b.err = err
	}
	i := 0
	next := func() (job, bool) {
		for ; i < len(b.few); i++ {
			if v := &b.few[i]; v.Phase != "" { // else its process is gone, and the next would be, too
				i++
				return job{World: v.World, Seed: v.Seed, Faults: b.c.Faults, Once: b.c.Once, Minimise: true}, true
			}
		}
		return job{}, false
	}
	done := func(m verdict) {
		for j := range b.few {
			if v := &b.few[j]; v.Seed == m.Seed {
				v.Least, v.Matter = m.Least, m.Matter
			}
		}
	}
	over := func(error) {
		_ = b.r.Stop() // it runs
	}
	if b.interrupted || b.err != nil {
		over(nil)
		return
	}
	const runs = 50 // more than a few classes take
	b.fleet(b.c.Timeout*runs, next, done, over)
}

// report prints what is known, and returns what makes the exit status.
func (b *batch) report() error {
	if b.c.JSON {
		b.out.object(b.summary())
	} else {
		b.print()
	}
	if err := b.out.flush(); err != nil && b.err == nil {
		b.err = err
	}
	switch {
	case b.err != nil:
		return b.err
	case b.failed > 0 || b.interrupted:
		return errFailed
	}
	return nil
}

func (b *batch) print() {
	for i := range b.few {
		v := &b.few[i]
		b.out.printf("\n%s seed %d: %s\n", v.World, v.Seed, v.reason())
		if rest := strings.Split(strings.TrimSpace(v.Error), "\n")[1:]; len(rest) > 0 {
			b.out.printf("    %s\n", report.Printable(rest[0]))
			if len(rest) > 1 {
				b.out.printf("    ... %s more: replay it to see them\n", report.Count(uint64(len(rest)-1), "line"))
			}
		}
		b.out.printf("  faults: %s\n  matter: %s\n  replay: %s --timeline\n", v.Faults, v.matters(), v.replay())
	}
	if len(b.few) > 0 {
		b.out.printf("\n")
	}
	if more := b.failed - uint64(len(b.few)); more > 0 {
		b.out.printf("%s: %s failed; each is a line above\n", b.w.Name, report.Count(more, "more seed"))
	}
	of := ""
	if b.ran < b.count {
		of = fmt.Sprintf(" of %d", b.count)
	}
	if b.interrupted {
		b.out.printf("%s: interrupted\n", b.w.Name)
	}
	b.out.printf("%s: %d%s seeds, %d failed, %v of simulated time in %v, %.0f seeds/s\n", b.w.Name, b.ran, of, b.failed,
		b.simulated.Round(time.Second), b.took.Round(10*time.Millisecond), b.rate(b.took))
}

// rate is seeds per second.
func (b *batch) rate(took time.Duration) float64 { return float64(b.ran) / max(took.Seconds(), 0.001) }

// matters says which faults do.
func (v *verdict) matters() string {
	switch {
	case v.Least == "":
		return "not known"
	case len(v.Matter) == 0:
		return "none: it fails on the perfect network, too"
	}
	return strings.Join(v.Matter, ", ")
}

// failureObject and summaryObject are what --json prints.
type failureObject struct {
	Type string `json:"type"`
	verdict
	Replay string `json:"replay"`
}

type summaryObject struct {
	Type        string        `json:"type"`
	World       string        `json:"world"`
	Seeds       uint64        `json:"seeds"` // asked for
	Ran         uint64        `json:"ran"`
	Failed      uint64        `json:"failed"`
	Interrupted bool          `json:"interrupted"`
	Simulated   time.Duration `json:"simulated_ns"`
	Took        time.Duration `json:"took_ns"`
	// Explained are the first few failures, with the faults that matter.
	Explained []explanation `json:"explained"`
}

type explanation struct {
	Seed   uint64   `json:"seed"`
	Least  string   `json:"least"` // "" if it is not known
	Matter []string `json:"matter"`
	Replay string   `json:"replay"`
}

func (b *batch) summary() summaryObject {
	s := summaryObject{"summary", b.w.Name, b.count, b.ran, b.failed, b.interrupted, b.simulated, b.took, []explanation{}}
	for i := range b.few {
		v := &b.few[i]
		s.Explained = append(s.Explained, explanation{v.Seed, v.Least, append([]string{}, v.Matter...), v.replay()})
	}
	return s
}
