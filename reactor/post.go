package reactor

import (
	"sync"
	"sync/atomic"

	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/pool"
)

// posts is the queue of posted functions, and the state of the loop's sleep.
type posts struct {
	mu       sync.Mutex
	queue    []func()
	batch    []func()     // is being run; queue reuses its memory afterwards
	at       int          // the next of batch
	nonEmpty atomic.Bool  // queue is not empty
	sleep    atomic.Int32 // awake, asleep or woken
	posted   sync.Cond    // signalled by each post, for a join that waits without the kernel
}

// Values of posts.sleep. Only the first post after the loop fell asleep makes it woken, so
// only that one calls Kernel.Wake.
const (
	awake int32 = iota
	asleep
	woken
)

// Post has fn called on the loop's goroutine. It may be called from any goroutine, the
// loop's own included, and never calls fn itself (THR-1, THR-2). Functions are called in the
// order of posting. A function that is posted by one of them waits for the next turn
// (THR-3). If the loop sleeps, Post wakes it; any number of posts make one system call. A
// panic in fn is logged, and the rest run (THR-7). Before Run, fn waits for the loop.
//
// Post returns false if the reactor has stopped: then fn is never called. A function that
// was taken is not called either if the reactor ends first, in a crash.
func (r *Reactor) Post(fn func()) bool {
	mustCall("Post", fn != nil)
	p := &r.posts
	p.mu.Lock()
	stopped := r.is(lifeStopped)
	if !stopped {
		p.queue = append(p.queue, fn)
		p.nonEmpty.Store(true)
		p.posted.Signal()
	}
	p.mu.Unlock()
	if !stopped {
		r.wake()
	}
	return !stopped
}

// mustCall panics unless there is a function to call. It does so at the call that names it, because later, on the loop, nobody could tell whose it is.
func mustCall(name string, there bool) {
	if !there {
		panic("reactor: " + name + " of a nil function")
	}
}

// Tell has fn called later with nil, as Post does. If the reactor has stopped, it calls fn with ErrStopped instead, before it
// returns, on the caller's goroutine (THR-32). It may be called from any goroutine. It is for functions that tell their result by a callback: one that is called after
// the end tells that, and nobody waits for ever. A panic of fn is reported either way.
func (r *Reactor) Tell(fn func(stopped error)) {
	mustCall("Tell", fn != nil)
	if r.Post(func() { fn(nil) }) {
		return
	}
	if e := pool.Catch(func() { fn(ErrStopped) }); e != nil {
		e.In = postedFunction
		r.reportLate(e)
	}
}

// tellStopped tells done, unless nil, that what it waits for has ended.
func (r *Reactor) tellStopped(done func(error)) {
	if done != nil {
		r.Tell(func(error) { done(nil) })
	}
}

// closeEmpty marks the reactor stopped if nothing is in the queue, and tells whether it has. So no function that was taken is lost
// in an orderly end.
func (p *posts) closeEmpty(r *Reactor) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) > 0 {
		return false
	}
	r.life.Store(int32(lifeStopped))
	return true
}

// close marks the reactor stopped and drops the queue. Post adds nothing after it.
func (p *posts) close(r *Reactor) {
	p.mu.Lock()
	r.life.Store(int32(lifeStopped))
	p.queue = nil
	p.nonEmpty.Store(false)
	p.mu.Unlock()
}

// wake wakes the loop if it sleeps or is about to. Whoever turns the loops of a group turns one when its kernel is woken, so
// there a post between two turns wakes it too.
func (r *Reactor) wake() {
	if r.posts.sleep.Load() == asleep && r.posts.sleep.CompareAndSwap(asleep, woken) || r.member != nil && r.member.g.driven {
		r.k.Wake()
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

// waiting tells whether runPosted has something to do.
func (p *posts) waiting() bool { return p.nonEmpty.Load() || p.at < len(p.batch) }

// runPosted calls the functions that were in the queue when it began. A shutdown may call
// it inside a posted function. It then calls the rest of the batch in progress first.
func (r *Reactor) runPosted() {
	p := &r.posts
	for p.at < len(p.batch) && r.guard(postedFunction, r.runBatch) != nil {
	}
	if !p.nonEmpty.Load() {
		return
	}
	p.mu.Lock()
	p.queue, p.batch = p.batch[:0], p.queue
	p.nonEmpty.Store(false)
	p.mu.Unlock()
	for p.at = 0; r.guard(postedFunction, r.runBatch) != nil; {
	}
	clear(p.batch)
	if cap(p.batch) > 4096 {
		p.batch = nil // release the memory of an unusually long queue
	}
}

// Names in a PanicError.
const (
	postedFunction = "posted function"
	askedFunction  = "asked function"
)

// runBatch calls the rest of the batch. A panic leaves it before the end.
func (r *Reactor) runBatch() {
	p := &r.posts
	for p.at < len(p.batch) {
		fn := p.batch[p.at]
		p.at++
		r.stats.Posted++
		if r.observer != nil && !r.is(lifeEnding) {
			r.observe(probe.Note{Kind: probe.NotePosted, Call: fn})
		}
		fn()
		r.slow.returned(r, fn)
	}
}
