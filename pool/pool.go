// Package pool runs blocking work on a bounded number of goroutines, for a loop
// that must not wait: name look-ups, files, computing.
//
//	p := pool.New(pool.Config{Max: 4})
//	p.Start()
//	defer p.Stop()
//	err := p.Submit(func() { os.Remove(name) })
//
// Goroutines come with the work and go with it: an idle pool holds Config.Min of
// them, which is none by default.
package pool

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// The defaults of [Config].
const (
	DefaultMax      = 10      // workers
	DefaultMaxQueue = 1 << 20 // tasks
)

// Errors of this package.
var (
	// ErrStopped: the pool was stopped and takes no more work (THR-30).
	ErrStopped = errors.New("pool is stopped")
	// ErrFull: as many tasks wait as may.
	ErrFull = errors.New("pool's queue is full")
	// ErrSize: a negative minimum, or one above the maximum (THR-22).
	ErrSize = errors.New("bad size of pool")
)

// Config is what a Pool may be told. The zero value is the defaults.
type Config struct {
	// Min is how many workers are kept while there is nothing to do, Max how many
	// there are at most. Zero Max: 10 (THR-10).
	Min, Max int
	// MaxQueue is how many tasks may wait for a worker. Zero: 1<<20; negative: no
	// limit.
	MaxQueue int
	// Panicked is called with each panic of a task, and of a done function, on the
	// worker's goroutine. Several workers may call it at a time. Nil: the panic is
	// dropped. The worker goes on either way (THR-25). It must not panic.
	Panicked func(*PanicError)
}

// life is where a pool stands. It only goes forward.
type life uint8

const (
	fresh life = iota // tasks queue up
	started
	quitting // no new tasks; those there are end
)

// Pool is a bounded set of workers and a queue of tasks, which start in the order
// they were submitted. Its methods may be called from any goroutine.
type Pool struct {
	panicked func(*PanicError)
	maxQueue int
	done     chan struct{} // closed when the last worker of a pool that quits has ended

	mu      sync.Mutex
	work    sync.Cond // something to do, or a reason to end
	life    life
	min     int
	max     int
	workers int
	idle    int // workers that wait for work
	queue   []func()
}

// Stats is a moment of a Pool (THR-28).
type Stats struct {
	Workers int // goroutines: Idle and Working
	Idle    int // waiting for work
	Working int // running a task
	Queued  int // tasks waiting for a worker
}

// New makes a pool that has not started. Sizes that Resize would refuse panic with
// [ErrSize] (THR-22).
func New(c Config) *Pool {
	if c.Max == 0 {
		c.Max = max(DefaultMax, c.Min)
	}
	if err := check(c.Min, c.Max); err != nil {
		panic(err)
	}
	if c.MaxQueue == 0 {
		c.MaxQueue = DefaultMaxQueue
	}
	p := &Pool{panicked: c.Panicked, maxQueue: c.MaxQueue, min: c.Min, max: c.Max, done: make(chan struct{})}
	p.work.L = &p.mu
	return p
}

func check(min, max int) error {
	if min < 0 || max < min || max == 0 {
		return fmt.Errorf("%w: from %d to %d workers", ErrSize, min, max)
	}
	return nil
}

// Start lets the work begin: with Min workers, or more, up to Max, if tasks wait
// already (THR-22, THR-23). A second call does nothing, nor does one after Quit.
func (p *Pool) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life == fresh {
		p.life = started
		p.grow()
	}
}

// Quit refuses new work from now on. Idle workers end now, busy ones when what is
// queued is done (THR-29, THR-30); what was queued in a pool that never started is
// dropped (THR-12). It does not wait; [Pool.Done] tells when all is over. A second
// call does nothing.
func (p *Pool) Quit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life == quitting {
		return
	}
	if p.life == fresh {
		p.queue = nil
	}
	p.life = quitting
	p.work.Broadcast()
	p.ended()
}

// Done is closed when the pool has quit and its last worker has ended.
func (p *Pool) Done() <-chan struct{} { return p.done }

// Stop is Quit, and then waits until every queued task has run and every worker
// has ended (THR-29). A task must not call it: it would wait for itself.
func (p *Pool) Stop() {
	p.Quit()
	<-p.done
}

// Resize changes how many workers there may be, at any time; the error is
// [ErrSize], and then nothing changes. It does not wait: missing workers start now
// if there is work for them, idle ones above min end now, and busy ones above max
// when they are done with their task (THR-30). On a pool that does not run only
// the numbers change (THR-24).
func (p *Pool) Resize(min, max int) error {
	if err := check(min, max); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.min, p.max = min, max
	p.grow()
	p.work.Broadcast()
	return nil
}

// Submit has a worker call task once. It never waits: before Start, and while all
// workers are busy, task is queued (THR-23). The error is [ErrStopped] after Quit,
// or [ErrFull]; task is then not called. A task that ends its goroutine with
// runtime.Goexit costs a worker, which is replaced.
func (p *Pool) Submit(task func()) error {
	if task == nil {
		panic("pool: Submit of a nil task")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.life == quitting:
		return ErrStopped
	case p.maxQueue > 0 && len(p.queue) >= p.maxQueue:
		return ErrFull
	}
	p.queue = append(p.queue, task)
	p.grow()
	p.work.Signal()
	return nil
}

// Call has a worker call fn, and then done with what it returned, once, on the
// same goroutine (THR-25). A panic of fn is handed to done as a [*PanicError]; one
// of done goes to Config.Panicked. Where fn calls runtime.Goexit, done is not
// called. Errors are as with Submit; neither is called then. To have the result on a loop, let done post it there.
func Call[T any](p *Pool, fn func() (T, error), done func(T, error)) error {
	return p.Submit(Task(fn, done))
}

// Task returns what [Call] submits: a function that calls fn, and then done with what fn
// returned, or with a [*PanicError].
func Task[T any](fn func() (T, error), done func(T, error)) func() {
	if fn == nil || done == nil {
		panic("pool: Task of a nil function")
	}
	return func() {
		var v T
		var err error
		if e := catchTask(func() { v, err = fn() }); e != nil {
			err = e
		}
		done(v, err)
	}
}

// Stats counts workers and tasks, all at one moment (THR-28).
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Workers: p.workers, Idle: p.idle, Working: p.workers - p.idle, Queued: len(p.queue)}
}

// grow starts the workers that are missing: one for each task that no idle worker
// will take, up to max, and min in any case. A new one counts as idle until it has
// looked at the queue. p.mu is held.
func (p *Pool) grow() {
	least := p.min
	switch p.life {
	case fresh:
		return
	case quitting:
		least = 0
	}
	for p.workers < p.max && (p.workers < least || len(p.queue) > p.idle) {
		p.workers++
		p.idle++
		go p.run()
	}
}

// run is a worker.
func (p *Pool) run() {
	locked := false
	defer func() {
		if !locked { // the task ended this goroutine by runtime.Goexit
			p.mu.Lock()
		}
		p.workers--
		p.grow()
		p.ended()
		p.mu.Unlock()
	}()
	p.mu.Lock()
	p.idle--
	for p.await() {
		p.one()
	}
	locked = true
}

// await waits for a task, and tells whether to go on. p.mu is held.
func (p *Pool) await() bool {
	for {
		switch {
		case p.workers > p.max:
			return false
		case len(p.queue) > 0:
			return true
		case p.life == quitting || p.workers > p.min:
			return false
		}
		p.idle++
		p.work.Wait()
		p.idle--
	}
}

// one takes a task and runs it, without p.mu meanwhile, and then lets others have the
// processor: whoever the task has told its result, before the next task. It is a function
// of its own so that nothing of the task is left in a worker that waits (THR-26).
func (p *Pool) one() {
	task := p.queue[0]
	p.queue[0] = nil
	if p.queue = p.queue[1:]; len(p.queue) == 0 {
		p.queue = nil
	}
	p.mu.Unlock()
	if e := catchTask(task); e != nil && p.panicked != nil {
		p.panicked(e)
	}
	runtime.Gosched()
	p.mu.Lock()
}

// ended closes done when all is over. p.mu is held.
func (p *Pool) ended() {
	if p.life == quitting && p.workers == 0 {
		close(p.done)
	}
}

func catchTask(task func()) *PanicError {
	e := Catch(task)
	if e != nil {
		e.In = "pool"
	}
	return e
}
