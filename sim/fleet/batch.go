package fleet

import (
	"context"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// few is how many failures a Summary explains.
const few = 3

// Batch is many seeds of one world. Set its fields and call Run, once.
type Batch struct {
	// World is the name of the world.
	World string
	// First is the first seed, and Count how many there are.
	First, Count uint64
	// Faults and Once are those of each [Job].
	Faults *string
	Once   bool
	// Processes is how many run at a time. Zero: as many as there are CPUs.
	Processes int
	// Timeout is how long a seed may take in real time before its process is killed.
	// Zero: for ever.
	Timeout time.Duration
	// Command makes a process that calls [Work], such as [Self].
	Command func() *exec.Cmd
	// Progress, if set, shows how far the batch is.
	Progress *Progress
	// Failed, if set, is called with each failure as it becomes known, on the goroutine
	// of Run. An error from it ends the batch.
	Failed func(Verdict) error

	r           *reactor.Reactor
	now         *fleet
	begun       uint64 // seeds handed out
	began       time.Duration
	interrupted bool
	err         error
	sum         Summary
}

// Summary is what became of a batch.
type Summary struct {
	// Ran is how many seeds were run, and Failed how many of them failed.
	Ran, Failed uint64
	// Interrupted is true if not all seeds were run, because the context ended.
	Interrupted bool
	// Simulated is the simulated time of all seeds, and Took the real time.
	Simulated, Took time.Duration
	// Sometimes are the states that should be reached in some run, by name, and how many
	// seeds reached each.
	Sometimes []Reach
	// Explained are the failures of the lowest seeds, at most three, in order. Unless the
	// batch was interrupted, they say which faults matter, except those without a phase.
	Explained []Verdict
}

// Reach tells how many seeds reached a state of sim.Net.Sometimes.
type Reach struct {
	Name  string `json:"name"`
	Seeds uint64 `json:"seeds"`
}

// Never are the names of the states that no seed reached.
func (s *Summary) Never() (names []string) {
	for _, x := range s.Sometimes {
		if x.Seeds == 0 {
			names = append(names, x.Name)
		}
	}
	return names
}

// reach counts the states that a seed reached.
func (s *Summary) reach(states []sim.State) {
	for _, x := range states {
		i, known := slices.BinarySearchFunc(s.Sometimes, x.Name, func(r Reach, name string) int { return strings.Compare(r.Name, name) })
		if !known {
			s.Sometimes = slices.Insert(s.Sometimes, i, Reach{Name: x.Name})
		}
		if x.Reached {
			s.Sometimes[i].Seeds++
		}
	}
}

// Rate is how many seeds were run in a second of real time.
func (s *Summary) Rate() float64 { return s.rate(s.Took) }

func (s *Summary) rate(took time.Duration) float64 {
	return float64(s.Ran) / max(took.Seconds(), 0.001)
}

// Run runs the seeds and then finds out which faults matter. It runs r, a reactor on a
// native kernel that nothing else uses. The end of ctx ends the batch: Summary is what is known
// by then. An error is why no process could be started, or what Failed returned.
func (b *Batch) Run(ctx context.Context, r *reactor.Reactor) (Summary, error) {
	b.r, b.began = r, r.Now()
	b.Progress.start(b)
	r.Post(func() { b.fleet(b.Timeout, b.next, b.done, b.explain) })
	// The loop takes what is posted in order, so that there is a fleet to interrupt.
	stop := context.AfterFunc(ctx, func() { r.Post(b.interrupt) })
	defer stop()
	if err := r.Run(context.Background()); err != nil {
		return b.sum, err
	}
	b.sum.Interrupted = b.interrupted
	return b.sum, b.err
}

// fleet has processes do jobs.
func (b *Batch) fleet(timeout time.Duration, next func() (Job, bool), done func(Verdict), over func(error)) {
	processes := b.Processes
	if processes <= 0 {
		processes = runtime.NumCPU()
	}
	b.now = &fleet{r: b.r, command: b.Command, timeout: timeout, next: next, done: done, over: over}
	b.now.run(int(min(uint64(processes), b.Count)))
}

func (b *Batch) next() (Job, bool) {
	if b.begun == b.Count {
		return Job{}, false
	}
	b.begun++
	return Job{World: b.World, Seed: b.First + b.begun - 1, Faults: b.Faults, Once: b.Once}, true
}

// done counts a seed, and reports it if it failed.
func (b *Batch) done(v Verdict) {
	s := &b.sum
	s.Ran++
	s.Simulated += v.Now
	s.reach(v.Sometimes)
	if v.Error == "" {
		return
	}
	s.Failed++
	i, _ := slices.BinarySearchFunc(s.Explained, v.Seed, func(x Verdict, seed uint64) int {
		if x.Seed < seed {
			return -1
		}
		return 1
	})
	s.Explained = slices.Insert(s.Explained, i, v)
	s.Explained = s.Explained[:min(len(s.Explained), few)]
	b.Progress.clear()
	if b.Failed == nil {
		return
	}
	if err := b.Failed(v); err != nil && b.err == nil {
		b.err = err
		b.interrupt()
	}
}

// interrupt leaves it at what is known.
func (b *Batch) interrupt() {
	b.interrupted = true
	b.now.stop()
}

// explain finds out which faults matter for the first few failures, when all seeds were run.
func (b *Batch) explain(err error) {
	b.sum.Took = b.r.Now() - b.began
	b.Progress.end()
	if b.err == nil {
		b.err = err
	}
	list, i := b.sum.Explained, 0
	next := func() (Job, bool) {
		for ; i < len(list); i++ {
			if v := &list[i]; v.Phase != "" { // else its process is gone, and the next would be, too
				i++
				return Job{World: v.World, Seed: v.Seed, Faults: b.Faults, Once: b.Once, Minimise: true}, true
			}
		}
		return Job{}, false
	}
	done := func(m Verdict) {
		for j := range list {
			if v := &list[j]; v.Seed == m.Seed {
				v.Least, v.Matter = m.Least, m.Matter
				v.LeastError, v.LeastPhase, v.LeastAt = m.LeastError, m.LeastPhase, m.LeastAt
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
	const runs = 170 // at least as many as the minimiser makes, and those before it
	b.fleet(b.Timeout*runs, next, done, over)
}
