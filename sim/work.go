package sim

import (
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

var _ kernel.Worker = (*simKernel)(nil)

// defaultWork is how long blocking work takes if Options.Work does not say.
var defaultWork = Latency{Min: 10 * time.Microsecond, Max: time.Millisecond}

// job is blocking work that a program has given away.
type job struct {
	fn  func()
	id  int
	due bool // its time is over
}

// Work is kernel.Worker. The time until fn is called is drawn from Options.Work.
func (k *simKernel) Work(fn func()) {
	n := k.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if k.gone {
		return
	}
	k.jobsMade++
	j := &job{fn: fn, id: k.jobsMade}
	k.jobs = append(k.jobs, j)
	takes := n.Options.Work
	if takes == (Latency{}) {
		takes = defaultWork
	}
	n.schedule(kernel.After(n.now, takes.draw(&n.works)), n.works.next()|1<<63, event{what: ready, fn: func() {
		j.due = true
		k.touched = true
		n.rouse()
	}})
}

// runJobs calls the work that is due, without the lock.
func (k *simKernel) runJobs() {
	for {
		i := slices.IndexFunc(k.jobs, func(j *job) bool { return j.due })
		if i < 0 {
			return
		}
		k.runJob(i)
	}
}

func (k *simKernel) runJob(i int) {
	j := k.jobs[i]
	k.jobs = slices.Delete(k.jobs, i, i+1)
	k.n.noteKernel(OpWork, k, j.id)
	k.n.mu.Unlock()
	defer k.n.mu.Lock()
	j.fn()
}

// FinishWork is kernel.Worker. No time passes.
func (k *simKernel) FinishWork() {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	for len(k.jobs) > 0 {
		k.runJob(0)
	}
}
