package reactor

import (
	"log/slog"
	"time"

	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/pool"
)

// waitPolicy tells whether a turn that has called something still waits.
type waitPolicy bool

const (
	waitAnyway waitPolicy = true  // for Run: one turn comes after the other
	waitIfIdle waitPolicy = false // for Turn, whose caller wants to see the effect
)

// turn makes one turn, or as many as Run needs.
//
// What runs between two waits is in few functions on purpose: the processor does not foresee where a function returns to after a
// system call, so each function that is on the stack meanwhile costs some 20 ns.
func (r *Reactor) turn(timeout time.Duration, p waitPolicy) {
	for {
		r.inTurn = true
		until, goesOn := r.beforeWait(timeout, p)
		if !goesOn {
			break // the kernel is closed and must not be asked again (CORE-27)
		}
		n, err := r.k.Wait(r.ready, until)
		r.afterWait(n, err)
		// A panic ends the source whose event was being handled, and then the rest of the batch is handled.
		for r.next < r.batch || r.replies.held() {
			if e := r.dispatch(); e != nil {
				r.eventPanicked(e)
			}
		}
		r.current = nil
		r.runDirty()
		r.recycle()
		if p == waitIfIdle {
			r.slow.suspends(r)
			break
		}
		if r.is(lifeCrashed) || r.is(lifeStopped) {
			break
		}
	}
	r.inTurn = false
}

// beforeWait makes the part of a turn that comes before the kernel waits. It returns until when that may wait, and false if the reactor has
// stopped.
func (r *Reactor) beforeWait(timeout time.Duration, p waitPolicy) (until time.Duration, goesOn bool) {
	if p == waitIfIdle {
		r.slow.resumes(r)
	}
	r.stats.Turns++
	called := r.stats.Posted + r.stats.DelayedCalls
	if r.timers.Unsettled() {
		r.timers.Settle(r.k.Now())
	}
	// A forcer may leave posted functions for the next turn, as if they had come later. It
	// may not if Stop was called, because what was posted before Stop runs before the
	// shutdown.
	if r.posts.waiting() && (!r.posts.nonEmpty.Load() || r.is(lifeRunningStopPending) || !r.forced(probe.SitePostsLater)) {
		r.runPosted()
	}
	r.runDue()
	switch life(r.life.Load()) {
	case lifeStartingStopPending, lifeStopping:
		r.awaitEnd() // triggers may have been added
	case lifeRunningStopPending:
		r.life.Store(int32(lifeStopping))
		r.event(Shutdown).Fire()
		r.awaitEnd()
		if p == waitIfIdle {
			timeout = 0
		}
	}
	if r.is(lifeStopped) {
		return 0, false
	}
	if p == waitIfIdle && (called != r.stats.Posted+r.stats.DelayedCalls || len(r.dirty) > 0) {
		timeout = 0
	}
	r.runDirty()
	return r.fallAsleep(r.waitDeadline(timeout)), true
}

// waitDeadline is the time until which the kernel may wait, on its clock. Zero means that it
// must not wait.
func (r *Reactor) waitDeadline(timeout time.Duration) time.Duration {
	if timeout == 0 || len(r.dirty) > 0 || r.is(lifeCrashed) {
		return 0
	}
	if r.timers.Unsettled() {
		r.timers.Settle(r.k.Now())
	}
	until := r.timers.Next()
	if timeout > 0 {
		until = min(until, after(r.k.Now(), timeout))
	}
	return until
}

// fallAsleep is called before the kernel waits until a time, and returns until when it may.
func (r *Reactor) fallAsleep(until time.Duration) time.Duration {
	p := &r.posts
	if until != 0 {
		// Whoever posts from here on sees a sleeping loop and rings; what was
		// posted before is seen here. So no wake-up is lost (THR-4, THR-5).
		p.sleep.Store(asleep)
		if p.nonEmpty.Load() || r.is(lifeRunningStopPending) {
			until = 0
		}
	}
	r.slow.ends(r)
	return until
}

// afterWait takes the n events of a wait, and its error.
func (r *Reactor) afterWait(n int, err error) {
	r.slow.begins(r)
	r.posts.sleep.Store(awake)
	r.next, r.batch = 0, n
	r.stats.Events += uint64(n)
	if err == nil {
		r.waitFailed = 0
		return
	}
	r.limits.waits.Log(r, r.log, slog.LevelError, "the kernel cannot wait", slog.Any("err", err))
	if r.waitFailed++; r.waitFailed >= waitFailuresLimit && r.waitErr == nil && !r.is(lifeFresh) {
		r.waitErr = err
		r.Stop()
	}
}

// eventPanicked ends the source whose event was being handled.
func (r *Reactor) eventPanicked(e *PanicError) {
	src := r.current
	if r.lent {
		r.noteDataDone()
	}
	e.In = nameOf(src)
	r.report(e)
	src.panicked(e)
	r.current = nil
}

// dispatch hands the rest of the batch to its sources, and sends the answers that they hold back. A panic leaves it before the end,
// and is returned. So there is one deferred recover a batch, not one an event.
func (r *Reactor) dispatch() (e *PanicError) {
	defer pool.Caught(&e)
	q := &r.replies
	for {
		for r.next < r.batch && !q.full() {
			ev := r.ready[r.next]
			r.next++
			// A slot is empty if its source ended earlier in this batch (FDS-14).
			if src := r.slots.At(int(ev.Token)); src != nil {
				r.current = src
				// Right after a system call, an indirect call costs more than this comparison.
				if s, ok := src.(*Stream); ok {
					s.ready(ev.Ready)
				} else {
					src.ready(ev.Ready)
				}
				if r.slow.limit > 0 {
					r.slow.returned(r, src)
				}
			}
		}
		if !q.held() {
			return nil
		}
		for q.held() {
			s := q.next()
			r.current = s
			b := s.out.Single()
			if b == nil || r.hooked || !s.steady() {
				s.settle()
				continue
			}
			// Nearly every answer is one piece, which the socket takes whole. It is sent here, as settle would.
			s.direct = 0
			n, err := s.conn.Write(b)
			if n < len(b) || err != nil {
				s.wrote(n, true, err)
				s.settle()
				continue
			}
			s.sent += uint64(n)
			s.out.DropSingle(&r.chunks)
		}
		q.first, q.to = 0, 0
	}
}
