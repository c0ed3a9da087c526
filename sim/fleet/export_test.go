package fleet

import (
	"os/exec"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// Half is a batch that has begun now, of which so much is known.
func Half(r *reactor.Reactor, world string, count uint64, s Summary) *Batch {
	return &Batch{World: world, Count: count, r: r, began: r.Now(), sum: s}
}

func (b *Batch) Standing(took time.Duration) string { return b.standing(took) }
func (b *Batch) Bar(took time.Duration) string      { return b.bar(took) }

// Show shows how far b is.
func (p *Progress) Show(b *Batch) {
	p.b = b
	p.show()
}

// RunFleet runs jobs in one process at a time.
func RunFleet(r *reactor.Reactor, command func() *exec.Cmd, next func() (Job, bool), done func(Verdict), over func(error)) {
	f := &fleet{r: r, command: command, next: next, done: done, over: over}
	f.run(1)
}
