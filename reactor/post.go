package reactor

import (
	"sync"
	"sync/atomic"

	"github.com/whorl-go/whorl/kernel/probe"
)

// posts is the queue of functions from outside, and the loop's bell.
type posts struct {
	mu       sync.Mutex
	queue    []func()
	batch    []func() // being run, from at on; its memory is the next queue's
	at       int
	nonEmpty atomic.Bool  // queue is not empty
	sleep    atomic.Int32 // awake, asleep or woken
	posted   sync.Cond    // rings with each post, for a loop that waits without its kernel
}

const (
	awake int32 = iota
	asleep
	woken
)

// Post has fn called on the loop's goroutine. It may be called from any goroutine, the
// loop's own included, and never calls fn itself (THR-1, THR-2). Functions are called in the
// order of posting. A function that is posted by one of them waits for the next turn
// (THR-3). A loop that sleeps is woken, by one system call for any number of functions. A
// panic in fn is logged, and the rest run (THR-7). Before Run, fn waits for the loop. After
// the reactor has stopped, fn is never called.
func (r *Reactor) Post(fn func()) {
	if fn == nil {
		panic("reactor: Post of nil")
	}
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
}

// close marks the reactor stopped and drops the queue. Post adds nothing after it.
func (p *posts) close(r *Reactor) {
	p.mu.Lock()
	r.life.Store(int32(lifeStopped))
	p.queue = nil
	p.nonEmpty.Store(false)
	p.mu.Unlock()
}

// wake wakes the loop if it sleeps or is about to.
func (r *Reactor) wake() {
	if r.posts.sleep.Load() == asleep && r.posts.sleep.CompareAndSwap(asleep, woken) {
		r.k.Wake()
	}
}

// runPosted calls the functions that had been posted when it began. A shutdown may call it
// inside a posted function. Then it calls the rest of the batch in progress first.
func (r *Reactor) runPosted() {
	p := &r.posts
	for r.guard(postedFunction, r.runBatch) != nil {
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
		p.batch = nil // a flood is over; its memory need not stay
	}
}

// Names of what panicked.
const (
	postedFunction = "posted function"
	askedFunction  = "asked function"
)

// runBatch calls the rest of the batch, up to its end or a panic.
func (r *Reactor) runBatch() {
	p := &r.posts
	for p.at < len(p.batch) {
		fn := p.batch[p.at]
		p.at++
		r.stats.Posted++
		if r.observer != nil && !r.is(lifeEnding) {
			r.observe(probe.Note{Kind: probe.NotePosted})
		}
		fn()
	}
}

// Ask has fn called on the loop's goroutine and returns its results. It is for other
// goroutines: on the loop's own it would wait for ever (THR-21). It fails with ErrStopped if
// the reactor stops first, and with a [*PanicError] if fn panics.
func Ask[T any](r *Reactor, fn func() (T, error)) (T, error) {
	return AskLater(r, func(done func(T, error)) {
		v, err := protect(r, askedFunction, fn)
		done(v, err)
	})
}

// AskLater is Ask for an fn whose result comes later: fn, or what it starts, calls done with
// it, on the loop's goroutine. Calls of done after the first do nothing.
func AskLater[T any](r *Reactor, fn func(done func(T, error))) (T, error) {
	type answer struct {
		v   T
		err error
	}
	if r.work.inKernel.Load() {
		panic("reactor: Ask in blocking work that the kernel does on the loop's goroutine: the answer could never come; use Post")
	}
	c := make(chan answer, 1)
	done := func(v T, err error) {
		select {
		case c <- answer{v, err}:
		default:
		}
	}
	r.Post(func() {
		if e := r.guard(askedFunction, func() { fn(done) }); e != nil {
			var none T
			done(none, e)
		}
	})
	select {
	case a := <-c:
		return a.v, a.err
	case <-r.stopped:
	}
	select {
	case a := <-c: // it came with the last posts
		return a.v, a.err
	default:
		var none T
		return none, ErrStopped
	}
}
