// Package pool runs blocking work on a bounded number of goroutines, for a loop that must
// not wait. Such work is looking up a name, reading a file, or a long computation.
//
//	p := pool.New(pool.Config{Max: 4})
//	p.Start()
//	defer p.Stop()
//	err := p.Submit(func() { os.Remove(name) })
//
// Goroutines start when there is work and end when there is none. An idle pool has
// Config.Min of them, by default none.
package pool

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync"
)

// The defaults of [Config].
const (
	DefaultMax      = 10      // workers
	DefaultMaxQueue = 1 << 20 // tasks
)

// Errors of this package.
var (
	// ErrStopped: the pool has quit and takes no more work (THR-30).
	ErrStopped = errors.New("pool is stopped")
	// ErrFull: MaxQueue tasks are waiting for a worker.
	ErrFull = errors.New("pool's queue is full")
	// ErrSize: the minimum is negative or above the maximum, or the maximum is not
	// positive (THR-22).
	ErrSize = errors.New("bad size of pool")
	// ErrGoexit: a function given to Call has called runtime.Goexit, as t.FailNow does, so
	// it has no result.
	ErrGoexit = errors.New("the work ended its goroutine (runtime.Goexit)")
)

// Config holds the options of a Pool. The zero value is the defaults.
type Config struct {
	// Min is how many workers an idle pool keeps. Max is how many workers there are at
	// most. Zero Max: 10, or Min if that is more (THR-10).
	Min, Max int
	// MaxQueue is how many tasks may wait for a worker. Zero: 1<<20; negative: no
	// limit.
	MaxQueue int
	// Panicked is called with each panic of a task or of a done function, on the worker's
	// goroutine. Several workers may call it at the same time. It must not panic. If it
	// is nil the panic is dropped. The worker goes on in either case (THR-25).
	Panicked func(*PanicError)
}

// state is the state of a Pool. It only goes forward.
type state uint8

const (
	fresh state = iota // tasks are queued
	started
	quitting // no new tasks; queued ones still run
)

// Pool is a bounded number of workers and a queue of tasks. Tasks start in the order in
// which they were submitted. The methods may be called from any goroutine.
type Pool struct {
	panicked func(*PanicError)
	maxQueue int
	done     chan struct{} // closed once the pool has quit and its last worker has ended

	mu      sync.Mutex
	work    sync.Cond // signalled when there is a task or a reason to end
	state   state
	min     int
	max     int
	workers int
	idle    int // workers that wait for work
	queue   []work
	running []uintptr // work.pc of what the workers do, in the order in which they began
}

// work is a task, and the address of the function that names it.
type work struct {
	task func()
	pc   uintptr
}

// Stats are the counters of a Pool at one moment (THR-28).
type Stats struct {
	Workers int // goroutines: Idle and Working
	Idle    int // waiting for work
	Working int // running a task
	Queued  int // tasks waiting for a worker
}

// New returns a pool that has not started. It panics with [ErrSize] for sizes that Resize
// refuses (THR-22).
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

// Start starts the workers: Min of them, or more, up to Max, if more tasks wait already
// (THR-22, THR-23). A second call does nothing. After Quit it does nothing.
func (p *Pool) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == fresh {
		p.state = started
		p.grow()
	}
}

// Quit makes the pool refuse new work. Idle workers end now. Busy workers end when the
// queue is empty (THR-29, THR-30). If the pool was never started, its queue is dropped
// (THR-12). Quit does not wait; [Pool.Done] is closed at the end. A second call does
// nothing.
func (p *Pool) Quit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == quitting {
		return
	}
	if p.state == fresh {
		p.queue = nil
	}
	p.state = quitting
	p.work.Broadcast()
	p.ended()
}

// Done returns a channel that is closed once the pool has quit and its last worker has
// ended.
func (p *Pool) Done() <-chan struct{} { return p.done }

// Stop calls Quit and waits until every queued task has run and every worker has ended
// (THR-29). A task must not call it, because it would wait for itself.
func (p *Pool) Stop() {
	p.Quit()
	<-p.done
}

// Resize changes the minimum and maximum of workers. It may be called at any time. The
// error is [ErrSize]; then nothing changes.
//
// Resize does not wait. Missing workers start now if there is work for them. Idle workers
// above min end now. Busy workers above max end after their task (THR-30). If the pool
// does not run, only the numbers change (THR-24).
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

// Submit makes a worker call task once. It never waits: before Start, and while all
// workers are busy, task is queued (THR-23). The error is [ErrStopped] after Quit, or
// [ErrFull]. With an error, task is not called. A nil task panics. A task that calls
// runtime.Goexit ends its worker; the pool starts another one.
func (p *Pool) Submit(task func()) error { return p.SubmitNamed(task, task) }

// SubmitNamed is Submit of a task that does its work by calling the function fn, such as one
// that [Task] has made: in Running it has the name of fn.
func (p *Pool) SubmitNamed(fn any, task func()) error {
	if task == nil {
		panic("pool: Submit of a nil task")
	}
	pc := reflect.ValueOf(fn).Pointer()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.state == quitting:
		return ErrStopped
	case p.maxQueue > 0 && len(p.queue) >= p.maxQueue:
		return ErrFull
	}
	p.queue = append(p.queue, work{task, pc})
	p.grow()
	p.work.Signal()
	return nil
}

// Call makes a worker call fn once, and then done with the results of fn, on the same
// goroutine (THR-25). If fn panics, done gets a [*PanicError], and if fn calls
// runtime.Goexit, ErrGoexit. If done panics, Config.Panicked is called.
//
// The error is that of Submit; then neither function is called. A nil function panics. To
// get the result on a loop, post it there in done.
func Call[T any](p *Pool, fn func() (T, error), done func(T, error)) error {
	return p.SubmitNamed(fn, Task(fn, done))
}

// Task returns what [Call] submits: a function that calls fn, and then done with what fn
// returned, or with a [*PanicError] or ErrGoexit.
func Task[T any](fn func() (T, error), done func(T, error)) func() {
	if fn == nil || done == nil {
		panic("pool: Task of a nil function")
	}
	return func() {
		var v T
		err, ended := ErrGoexit, false
		defer func() {
			if !ended {
				done(v, err)
			}
		}()
		if e := catchTask(func() { v, err = fn() }); e != nil {
			err = e
		}
		ended = true
		done(v, err)
	}
}

// Drop takes the tasks that no worker has begun out of the queue, and returns how many
// there were. They are never called.
func (p *Pool) Drop() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.queue)
	p.queue = nil
	return n
}

// Stats returns the numbers of workers and tasks, all of the same moment (THR-28).
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Workers: p.workers, Idle: p.idle, Working: p.workers - p.idle, Queued: len(p.queue)}
}

// Running returns the names of the functions that workers call now, in the order in which they
// began: for a log that says what somebody waits for.
func (p *Pool) Running() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for _, pc := range p.running {
		name := "a function"
		if f := runtime.FuncForPC(pc); f != nil {
			name = f.Name()
		}
		names = append(names, name)
	}
	return names
}

// grow starts the workers that are missing: at least min, and up to max one for each task
// that no idle worker will take. A new worker counts as idle until it has looked at the
// queue. p.mu is held.
func (p *Pool) grow() {
	least := p.min
	switch p.state {
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
	var now uintptr // work.pc of the task
	defer func() {
		if !locked { // the task has called runtime.Goexit
			p.mu.Lock()
			p.ran(now)
		}
		p.workers--
		p.grow()
		p.ended()
		p.mu.Unlock()
	}()
	p.mu.Lock()
	p.idle--
	for p.next() {
		p.one(&now)
	}
	locked = true
}

// next waits for a task. It returns false if the worker is to end. p.mu is held.
func (p *Pool) next() bool {
	for {
		switch {
		case p.workers > p.max:
			return false
		case len(p.queue) > 0:
			return true
		case p.state == quitting || p.workers > p.min:
			return false
		}
		p.idle++
		p.work.Wait()
		p.idle--
	}
}

// one takes a task from the queue and runs it, with p.mu released. Then it yields the
// processor: a goroutine that the task has given its result goes on before the next task.
// one is a function of its own so that a waiting worker holds nothing of its last task
// (THR-26).
func (p *Pool) one(now *uintptr) {
	w := p.queue[0]
	p.queue[0] = work{}
	if p.queue = p.queue[1:]; len(p.queue) == 0 {
		p.queue = nil
	}
	*now = w.pc
	p.running = append(p.running, w.pc)
	p.mu.Unlock()
	if e := catchTask(w.task); e != nil && p.panicked != nil {
		p.panicked(e)
	}
	runtime.Gosched()
	p.mu.Lock()
	p.ran(w.pc)
}

// ran takes pc out of running. p.mu is held.
func (p *Pool) ran(pc uintptr) {
	i := slices.Index(p.running, pc)
	p.running = slices.Delete(p.running, i, i+1)
}

// ended closes done if the pool has quit and no worker is left. p.mu is held.
func (p *Pool) ended() {
	if p.state == quitting && p.workers == 0 {
		close(p.done)
	}
}

// catchTask calls task and returns its panic, or nil.
func catchTask(task func()) *PanicError {
	e := Catch(task)
	if e != nil {
		e.In = "pool"
	}
	return e
}
