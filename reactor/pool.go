package reactor

import (
	"github.com/whorl-go/whorl/pool"
)

const defaultPoolSize = 10

// reactorPool is the reactor's pool of goroutines for blocking work.
type reactorPool struct {
	r       *Reactor
	pool    *pool.Pool
	started bool
}

func (p *reactorPool) init(r *Reactor) {
	size := r.cfg.PoolSize
	if size <= 0 {
		size = defaultPoolSize
	}
	p.r = r
	p.pool = pool.New(pool.Config{Max: size, Panicked: func(e *PanicError) {
		// Reported on the loop, as any other panic.
		r.Post(func() { r.report(e) })
	}})
}

// start starts the pool, with the first turn (THR-11, THR-12).
func (p *reactorPool) start() {
	if !p.started {
		p.started = true
		p.pool.Start()
	}
}

// Pool returns the reactor's pool, always the same one. It starts with Run or the first
// Turn, and is joined when the reactor stops (THR-10, THR-11).
func (r *Reactor) Pool() *pool.Pool { return r.pool.pool }

// CallInThread has fns called in order on one goroutine of the pool, off the loop
// (THR-13, THR-20). It may be called from any goroutine. Before Run the work waits. After
// the reactor has stopped, CallInThread fails with pool.ErrStopped.
func (r *Reactor) CallInThread(fns ...func()) error {
	return r.pool.pool.Submit(func() {
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
	err := pool.Call(r.pool.pool, fn, func(v T, err error) {
		r.Post(func() { done(v, err) })
	})
	if err != nil {
		r.Post(func() {
			var none T
			done(none, err)
		})
	}
}

// SuggestPoolSize sets how many goroutines the pool may have, more or fewer than before
// (THR-14). It may be called at any time. It fails with pool.ErrSize if n is below 1.
func (r *Reactor) SuggestPoolSize(n int) error { return r.pool.pool.Resize(0, n) }

// joinPool is the last During step of shutdown. It returns when running and queued work is
// finished. Meanwhile it runs posted functions, so that a worker that asks the loop something
// is answered (THR-16, THR-17).
func (r *Reactor) joinPool() {
	joined := false
	go func() {
		r.pool.pool.Stop()
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
		p.bell.Wait()
	}
	p.mu.Unlock()
}
