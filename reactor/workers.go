package reactor

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/whorl-go/whorl/pool"
)

// Workers does one kind of blocking work for a reactor, off the loop, on a limited number of
// goroutines. Kinds of work that must not wait for one another have Workers of their own: the
// program's work (InThread), look-ups of names, handshakes.
//
// If the kernel is a kernel.Worker, such as a simulated one, it does the work instead: on the
// loop's goroutine, after a virtual time. Such work must not wait for the loop.
type Workers struct {
	r       *Reactor
	pool    *pool.Pool
	stopped atomic.Bool
}

const (
	defaultPoolSize = 10
	// lookUpWorkers are many, because a look-up whose servers are silent waits for some ten seconds, and the others must not wait for it.
	lookUpWorkers = 100
)

// workerSet is all Workers of a reactor.
type workerSet struct {
	all      []*Workers
	program  *Workers // InThread, CallInThread
	lookUps  *Workers
	started  bool
	inKernel atomic.Bool // work is running on the loop's goroutine, in the kernel
}

// awaited names the work in progress, and counts what has not begun.
func (f *workerSet) awaited() string {
	var names []string
	queued := 0
	for _, w := range f.all {
		names = append(names, w.pool.Running()...)
		queued += w.pool.Stats().Queued
	}
	text := "the blocking work " + listed(names)
	if queued > 0 {
		text += fmt.Sprintf(", and %d more that has not begun", queued)
	}
	return text
}

// quit has all workers end when their work is finished, and takes no more. It returns a
// function, for the loop, that tells whether they have. The last of them wakes the loop.
func (f *workerSet) quit(r *Reactor) (joined func() bool) {
	var busy []*Workers
	for _, w := range f.all {
		w.pool.Quit()
		select {
		case <-w.pool.Done():
		default:
			busy = append(busy, w)
		}
	}
	left := len(busy)
	if left > 0 {
		go func() {
			for _, w := range busy {
				<-w.pool.Done()
			}
			r.Post(func() { left = 0 })
		}()
	}
	return func() bool { return left == 0 }
}

// giveUp drops the work that has not begun, and waits no longer for the rest.
func (f *workerSet) giveUp(r *Reactor) {
	r.giveUp(f.awaited())
	for _, w := range f.all {
		w.pool.Drop()
	}
}

func (f *workerSet) init(r *Reactor) {
	size := r.cfg.PoolSize
	if size <= 0 {
		size = defaultPoolSize
	}
	f.program = NewWorkers(r, size)
	f.lookUps = NewWorkers(r, lookUpWorkers)
}

// start lets work begin. It is called by Run, Start and the first Turn (THR-11, THR-12).
func (f *workerSet) start() {
	if !f.started {
		f.started = true
		for _, w := range f.all {
			w.pool.Start()
		}
	}
}

// NewWorkers makes Workers with at most size goroutines. It panics with pool.ErrSize if size
// is not above 0. A goroutine starts when there is work for it, and ends when there is none.
// Work begins with Run, Start or the first Turn. When the reactor stops, it waits for the
// work, as Config.ShutdownTimeout says. NewWorkers is for the loop's goroutine.
func NewWorkers(r *Reactor, size int) *Workers {
	if size < 1 {
		panic(fmt.Errorf("reactor: NewWorkers: %w: at most %d goroutines, want at least 1", pool.ErrSize, size))
	}
	w := &Workers{r: r}
	w.pool = pool.New(pool.Config{Max: size, Panicked: func(e *PanicError) {
		// Reported on the loop, like any other panic.
		r.Post(func() { r.report(e) })
	}})
	f := &r.work
	f.all = append(f.all, w)
	if f.started {
		w.pool.Start()
	}
	if r.is(lifeEnding) || r.is(lifeStopped) { // the others are joined, or will be at once
		w.stopped.Store(true)
		w.pool.Stop()
	}
	return w
}

// Submit has fn called once, off the loop. It may be called from any goroutine. Before Run,
// Start or the first Turn, the work waits. A panic in fn is reported. Submit fails with
// pool.ErrStopped after the reactor has stopped, and with pool.ErrFull if too much work is
// queued.
func (w *Workers) Submit(fn func()) error { return w.submit(fn, fn) }

// submit is Submit of a task that calls fn.
func (w *Workers) submit(fn any, task func()) error {
	k := w.r.caps.worker
	switch {
	case k == nil:
		return w.pool.SubmitNamed(fn, task)
	case w.stopped.Load():
		return pool.ErrStopped
	}
	k.Work(func() {
		inKernel := &w.r.work.inKernel
		inKernel.Store(true)
		defer inKernel.Store(false)
		_ = w.r.guard(poolName, task)
	})
	return nil
}

// Unwind has fn called, now or soon, where work that w has begun may be ended: a coroutine, for
// instance, which a loop that is locked to its thread cannot continue. That is a goroutine of
// its own, or the caller's if the kernel does the work. So it does not wait for workers that
// are blocked, and it works when the reactor has stopped. fn must not block. Unwind is for the
// loop's goroutine.
func (w *Workers) Unwind(fn func()) {
	if w.r.caps.worker != nil {
		fn()
		return
	}
	go fn()
}

// poolName is the PanicError.In of work.
const poolName = "pool"

// Work has fn called off the loop by w. Then done is called once, on the loop's goroutine,
// with the results of fn. If fn panics, the error is a [*PanicError]; if it calls
// runtime.Goexit, pool.ErrGoexit. If w does not take the work, it is the error of Submit.
// Work may be called from any goroutine. Results that come while the reactor stops are still
// delivered (THR-17); if the shutdown gives the work up, done is not called (CORE-50). If the
// reactor has stopped, done is called before Work returns, on the caller's goroutine (THR-32). fn must not be nil.
func Work[T any](w *Workers, fn func() (T, error), done func(T, error)) {
	err := w.submit(fn, pool.Task(fn, func(v T, err error) {
		w.r.Post(func() { done(v, err) })
	}))
	if err != nil {
		w.r.Tell(func(error) {
			var none T
			done(none, err)
		})
	}
}

// Pool returns the pool of InThread and CallInThread, always the same one. It starts with Run,
// Start or the first Turn, and is joined when the reactor stops (THR-10, THR-11). If the
// kernel is a kernel.Worker, the pool gets no work from the reactor.
func (r *Reactor) Pool() *pool.Pool { return r.work.program.pool }

// CallInThread has fns called in order on one goroutine of the pool, off the loop (THR-13,
// THR-20). It keeps no reference to the slice. A panic in one is reported, and those behind it are not called. It may be called
// from any goroutine. Before Run the work waits. Errors are those of [Workers.Submit].
func (r *Reactor) CallInThread(fns ...func()) error {
	fns = slices.Clone(fns) // the work may begin when the caller has changed it
	if len(fns) == 0 {
		fns = []func(){func() {}}
	}
	for _, fn := range fns {
		mustCall("CallInThread", fn != nil)
	}
	return r.work.program.submit(fns[0], func() {
		for _, fn := range fns {
			fn()
		}
	})
}

// InThread has fn called on a goroutine of the pool. Then done is called once, on the loop's
// goroutine, with the results of fn. If fn panics, the error is a [*PanicError] (THR-19). If
// the pool does not take the work, it is the error of [Workers.Submit]. InThread may be
// called from any goroutine. Results that come while the reactor stops are still delivered
// (THR-17); if the shutdown gives the work up, done is not called (CORE-50). If the reactor has
// stopped, done is called before InThread returns, on the caller's goroutine (THR-32). fn must not be nil.
func InThread[T any](r *Reactor, fn func() (T, error), done func(T, error)) {
	Work(r.work.program, fn, done)
}

// SuggestPoolSize sets how many goroutines the pool may have (THR-14). It may be called at
// any time, from any goroutine. It fails with pool.ErrSize if n is below 1.
func (r *Reactor) SuggestPoolSize(n int) error { return r.work.program.pool.Resize(0, n) }
