package service

import (
	"fmt"
	"slices"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// The limits of a round of a [Cooperator] that has no others.
const (
	DefaultRound = 10 * time.Millisecond
	DefaultSteps = 1000
)

var (
	// ErrTaskStopped: the task was stopped by Stop.
	ErrTaskStopped = kernel.Sentinel("the task was stopped")
	// ErrTaskDone: Pause, Resume or Stop of a task that has done its work.
	ErrTaskDone = kernel.Sentinel("the task is done")
	// ErrTaskFailed: Pause, Resume or Stop of a task that has failed. The error that wraps it has the failure too.
	ErrTaskFailed = kernel.Sentinel("the task has failed")
	// ErrNotPaused: Resume of a task that is not paused.
	ErrNotPaused = kernel.Sentinel("the task is not paused")
	// ErrCooperatorStopped: the cooperator was stopped.
	ErrCooperatorStopped = kernel.Sentinel("the cooperator was stopped")
)

// Step is one slice of a long work. It returns true if there is more to do. With a result, the task waits for that before its next step, or before its
// end; a failure of it is the task's (COOP-2). A step must be short: nothing else happens on the loop meanwhile.
type Step func() (wait *deferred.Deferred[None], more bool)

// Cooperator does long works in slices, so that the loop goes on between them. It is a [Member], and for the goroutine of its reactor's loop. [NewCooperator]
// makes one.
type Cooperator struct {
	// Round and Steps limit a round, which is made in one turn of the loop: the round ends after the first step with which it has taken that long, or
	// that has that number (COOP-1). Zero: DefaultRound, DefaultSteps; negative: one step. In simulation a step takes no time, so Steps is the limit there.
	Round time.Duration
	Steps int

	r       *reactor.Reactor
	state   cooperatorState
	timer   reactor.DelayedCall
	ready   []*Task // that take turns
	next    int     // whose turn is next
	inRound bool
}

type cooperatorState uint8

const (
	cooperatorNew cooperatorState = iota // not started yet
	cooperatorRunning
	cooperatorStopped
)

// NewCooperator makes a cooperator, which does not run. Tasks that are added before its first start wait for it.
func NewCooperator(r *reactor.Reactor) *Cooperator {
	c := &Cooperator{r: r}
	c.timer.Init(r, c.round)
	return c
}

// Start lets the tasks take turns. The result is nil.
func (c *Cooperator) Start() *deferred.Deferred[None] {
	c.state = cooperatorRunning
	c.schedule()
	return nil
}

// Stop fails all tasks with ErrCooperatorStopped: those that take turns now, those that wait or are paused when they would go on, and those that are added before
// the next Start (COOP-5). It may be called inside a step and inside an answer. The result is nil.
func (c *Cooperator) Stop() *deferred.Deferred[None] {
	c.state = cooperatorStopped
	c.timer.Cancel()
	ready := c.ready
	c.ready = nil
	for _, t := range ready {
		if t.ended() == nil { // an answer may have stopped it
			t.finish(taskFailed, ErrCooperatorStopped)
		}
	}
	return nil
}

// Running tells whether tasks take turns (COOP-5).
func (c *Cooperator) Running() bool { return c.state == cooperatorRunning }

// Add adds a task, which takes its turns from the next round on.
func (c *Cooperator) Add(step Step) *Task {
	if step == nil {
		panic("service: a task needs a Step")
	}
	t := &Task{c: c, step: step}
	t.goOn()
	return t
}

// schedule has a round made in the next turn of the loop, if there is a task for it.
func (c *Cooperator) schedule() {
	if c.state == cooperatorRunning && len(c.ready) > 0 && !c.inRound && !c.timer.Active() {
		c.timer.Reset(0)
	}
}

// round has the tasks take turns, one step each, until its limit.
func (c *Cooperator) round() {
	limit, steps := orDefault(c.Round, DefaultRound), orDefault(c.Steps, DefaultSteps)
	begin := c.r.Now()
	c.inRound = true
	for n := 1; len(c.ready) > 0; n++ {
		if c.next >= len(c.ready) {
			c.next = 0
		}
		t := c.ready[c.next]
		c.next++
		t.turn()
		if n >= steps || c.r.Now()-begin >= limit {
			break
		}
	}
	c.inRound = false
	c.schedule()
}

// orDefault is v, or the default if v is zero.
func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// leave takes t out of those that take turns.
func (c *Cooperator) leave(t *Task) {
	if i := slices.Index(c.ready, t); i >= 0 {
		c.ready = slices.Delete(c.ready, i, i+1)
		if i < c.next {
			c.next--
		}
	}
	if len(c.ready) == 0 {
		c.timer.Cancel() // without tasks nothing is scheduled
	}
}

// Task is a long work that a [Cooperator] does in steps. [Cooperator.Add] makes one.
type Task struct {
	c       *Cooperator
	step    Step
	state   taskState
	pauses  int
	wait    *deferred.Deferred[None] // in state taskWaiting
	err     error                    // of an end that is a failure
	waiting []*deferred.Deferred[None]
}

type taskState uint8

const (
	taskReady   taskState = iota // it takes turns, unless it is paused
	taskWaiting                  // for a result
	taskDone
	taskFailed
	taskStopped
)

// Pause has the task take no turns until each Pause was followed by a Resume (COOP-3). The error says how the task has ended, if it has.
func (t *Task) Pause() error {
	if err := t.ended(); err != nil {
		return err
	}
	if t.pauses++; t.pauses == 1 && t.state == taskReady {
		t.c.leave(t)
	}
	return nil
}

// Resume ends a Pause. A task that waits for a result needs that too to go on. It fails with ErrNotPaused, or with the way in which the task has ended.
func (t *Task) Resume() error {
	if err := t.ended(); err != nil {
		return err
	}
	if t.pauses == 0 {
		return ErrNotPaused
	}
	if t.pauses--; t.pauses == 0 && t.state == taskReady {
		t.goOn()
	}
	return nil
}

// Stop ends the task: those who wait for its end get ErrTaskStopped, and what it waits for is given up. If it has ended, the error says how (COOP-4).
func (t *Task) Stop() error {
	if err := t.ended(); err != nil {
		return err
	}
	t.c.leave(t)
	t.finish(taskStopped, ErrTaskStopped)
	return nil
}

// Done returns a result of the caller's own, which comes when the task has done its work, and fails with its failure, with ErrTaskStopped or with
// ErrCooperatorStopped (COOP-4). If the task has ended, it is there at once. Giving it up leaves the task alone.
func (t *Task) Done() *deferred.Deferred[None] {
	d := deferred.New[None](t.c.r, func(d *deferred.Deferred[None]) {
		if i := slices.Index(t.waiting, d); i >= 0 {
			t.waiting = slices.Delete(t.waiting, i, i+1)
		}
	})
	if t.ended() != nil {
		d.Give(None{}, t.err)
	} else {
		t.waiting = append(t.waiting, d)
	}
	return d
}

// ended is how the task has ended, or nil.
func (t *Task) ended() error {
	switch t.state {
	case taskDone:
		return ErrTaskDone
	case taskFailed:
		return fmt.Errorf("%w: %w", ErrTaskFailed, t.err)
	case taskStopped:
		return ErrTaskStopped
	}
	return nil
}

// goOn lets the task take turns.
func (t *Task) goOn() {
	switch {
	case t.c.state == cooperatorStopped:
		t.finish(taskFailed, ErrCooperatorStopped)
	case t.pauses == 0:
		t.c.ready = append(t.c.ready, t)
		t.c.schedule()
	}
}

// turn makes one step.
func (t *Task) turn() {
	var wait *deferred.Deferred[None]
	var more bool
	e := t.c.r.Guard("step of a task", func() { wait, more = t.step() })
	switch {
	case t.ended() != nil: // the step has stopped the task, or the cooperator
		if wait != nil {
			wait.Ignore()
			wait.Cancel()
		}
	case e != nil:
		t.c.leave(t)
		t.finish(taskFailed, e)
	case wait != nil:
		t.c.leave(t)
		t.state, t.wait = taskWaiting, wait
		wait.Done(func(_ None, err error) { t.came(wait, more, err) })
	case !more:
		t.c.leave(t)
		t.finish(taskDone, nil)
	}
}

// came is called with the outcome of what the task has waited for.
func (t *Task) came(wait *deferred.Deferred[None], more bool, err error) {
	if t.wait != wait {
		return // the task was stopped
	}
	t.state, t.wait = taskReady, nil
	switch {
	case err != nil:
		t.finish(taskFailed, err)
	case !more:
		t.finish(taskDone, nil)
	default:
		t.goOn()
	}
}

// finish ends the task, and answers those who wait for its end. A failure of its own that nobody waits for is reported.
func (t *Task) finish(s taskState, err error) {
	wait := t.wait
	t.state, t.err, t.wait = s, err, nil
	if wait != nil {
		wait.Cancel()
	}
	waiting := t.waiting
	t.waiting = nil
	for _, d := range waiting {
		if _, given := d.Outcome(); !given {
			d.Give(None{}, err)
		}
	}
	if len(waiting) == 0 && s == taskFailed && err != ErrCooperatorStopped {
		deferred.Failed[None](t.c.r, err)
	}
}
