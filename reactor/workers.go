package reactor

import (
	"sync/atomic"

	"github.com/whorl-go/whorl/pool"
)

// Workers does one kind of blocking work for a reactor, off the loop, on at most so many
// goroutines at a time. Kinds that must not wait for one another have Workers of their own:
// those of the program (InThread), look-ups of names, handshakes.
//
// On a kernel that is a kernel.Worker, such as a simulated one, the kernel does the work: on
// the loop's goroutine, after a virtual time. There the work must not wait for the loop.
type Workers struct {
	r       *Reactor
	pool    *pool.Pool
	stopped atomic.Bool
}

const (
	defaultPoolSize = 10
	lookUpWorkers   = 10
)

// workerSet is all Workers of a reactor.
type workerSet struct {
	all      []*Workers
	program  *Workers // InThread, CallInThread
	lookUps  *Workers
	started  bool
	inKernel atomic.Bool // the kernel does some work on the loop's goroutine
}

func (f *workerSet) init(r *Reactor) {
	size := r.cfg.PoolSize
	if size <= 0 {
		size = defaultPoolSize
	}
	f.program = NewWorkers(r, size)
	f.lookUps = NewWorkers(r, lookUpWorkers)
}

// start lets all work begin, with the first turn (THR-11, THR-12).
func (f *workerSet) start() {
	if !f.started {
		f.started = true
		for _, w := range f.all {
			w.pool.Start()
		}
	}
}

// NewWorkers makes Workers of size goroutines, which come with the work and go with it. size
// must be above 0. They start with Run or the first Turn, and are joined when the reactor
// stops, as its own are. It is for the loop's goroutine.
func NewWorkers(r *Reactor, size int) *Workers {
	w := &Workers{r: r}
	w.pool = pool.New(pool.Config{Max: size, Panicked: func(e *PanicError) {
		// Reported on the loop, as any other panic.
		r.Post(func() { r.report(e) })
	}})
	f := &r.work
	f.all = append(f.all, w)
	if f.started {
		w.pool.Start()
	}
	if r.is(lifeEnding) || r.is(lifeStopped) { // the others have been joined
		w.stopped.Store(true)
		w.pool.Stop()
	}
	return w
}

// Submit has fn called once, off the loop. It may be called from any goroutine. Before the
// reactor's first turn the work waits. A panic of fn is reported. After the reactor has
// stopped, Submit fails with pool.ErrStopped; with too much work queued, with pool.ErrFull.
func (w *Workers) Submit(fn func()) error {
	k := w.r.caps.worker
	switch {
	case k == nil:
		return w.pool.Submit(fn)
	case w.stopped.Load():
		return pool.ErrStopped
	}
	k.Work(func() {
		inKernel := &w.r.work.inKernel
		inKernel.Store(true)
		defer inKernel.Store(false)
		_ = w.r.guard(poolName, fn)
	})
	return nil
}

// poolName is the name of what panicked there.
const poolName = "pool"

// Work has fn called off the loop by w, and then done called once, on the loop's goroutine,
// with the results of fn. If fn panics, the error is a [*PanicError]; if w takes no work, it
// is that of Submit. Work may be called from any goroutine. Results that come while the
// reactor stops are still delivered (THR-17). fn must not be nil.
func Work[T any](w *Workers, fn func() (T, error), done func(T, error)) {
	err := w.Submit(pool.Task(fn, func(v T, err error) {
		w.r.Post(func() { done(v, err) })
	}))
	if err != nil {
		w.r.Post(func() {
			var none T
			done(none, err)
		})
	}
}

// Pool returns the pool of InThread, always the same one. It starts with Run or the first
// Turn, and is joined when the reactor stops (THR-10, THR-11). On a kernel that is a
// kernel.Worker nothing comes to it.
func (r *Reactor) Pool() *pool.Pool { return r.work.program.pool }

// CallInThread has fns called in order on one goroutine of the pool, off the loop
// (THR-13, THR-20). It may be called from any goroutine. Before Run the work waits. After
// the reactor has stopped, CallInThread fails with pool.ErrStopped.
func (r *Reactor) CallInThread(fns ...func()) error {
	return r.work.program.Submit(func() {
		for _, fn := range fns {
			fn()
		}
	})
}

// InThread has fn called on a goroutine of the pool, and then done called once, on the
// loop's goroutine, with the results of fn. If fn panics, the error is a [*PanicError]
// (THR-19). InThread may be called from any goroutine. Results that come while the reactor
// stops are still delivered (THR-17). fn must not be nil.
func InThread[T any](r *Reactor, fn func() (T, error), done func(T, error)) {
	Work(r.work.program, fn, done)
}

// SuggestPoolSize sets how many goroutines the pool may have, more or fewer than before
// (THR-14). It may be called at any time. It fails with pool.ErrSize if n is below 1.
func (r *Reactor) SuggestPoolSize(n int) error { return r.work.program.pool.Resize(0, n) }

// joinWorkers is the last During step of shutdown. It returns when running and queued work is
// finished. Meanwhile it runs posted functions, so that a worker that asks the loop something
// is answered (THR-16, THR-17).
func (r *Reactor) joinWorkers() {
	all := r.work.all
	for _, w := range all {
		w.stopped.Store(true)
	}
	if k := r.caps.worker; k != nil && r.work.started {
		k.FinishWork()
	}
	joined := false
	go func() {
		for _, w := range all {
			w.pool.Stop()
		}
		r.Post(func() { joined = true })
	}()
	for r.runPosted(); !joined; r.runPosted() {
		r.posts.await()
	}
}

// await returns when something is posted.
func (p *posts) await() {
	p.mu.Lock()
	for len(p.queue) == 0 {
		p.posted.Wait()
	}
	p.mu.Unlock()
}
