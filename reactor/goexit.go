package reactor

import (
	"log/slog"

	"github.com/whorl-go/whorl/internal/pages"
)

// asLoop calls fn, which runs the loop or a part of it. If fn ends the goroutine, the reactor
// ends too: nobody could turn it any more.
func (r *Reactor) asLoop(fn func()) {
	returned := false
	defer func() {
		if !returned {
			r.inTurn = false
			r.die()
		}
	}()
	fn()
	returned = true
}

// die ends a reactor whose goroutine is ending inside a callback. It is like the end of the
// process: sockets are reset, and nothing more is called (CORE-49).
func (r *Reactor) die() {
	if r.is(lifeStopped) {
		return
	}
	in := "a callback"
	if r.current != nil {
		in = nameOf(r.current)
	}
	r.log.Error("the loop's goroutine ends inside a callback (runtime.Goexit, or a panic that nobody recovers); all connections are reset",
		slog.String("in", in))
	r.life.Store(int32(lifeEnding))
	for _, src := range r.slots.All() {
		if src != nil {
			src.drop()
		}
	}
	r.slots, r.free, r.freed = pages.Table[source]{}, nil, nil
	r.releaseSignals()
	for _, w := range r.work.all {
		w.stopped.Store(true)
		w.pool.Quit()
		w.pool.Drop()
	}
	r.k.Close() // the sockets are closed, so an error tells nothing more
	r.posts.close(r)
	close(r.stopped)
	for _, fn := range r.AtDeath() {
		fn()
	}
	r.limits.flushAll()
}

// OnDeath has fn called when a callback has ended the loop's goroutine, as the last thing (CORE-49). It is for what the garbage
// collector does not free, such as the stacks of coroutines. fn runs on the goroutine that is ending. The reactor has stopped: its
// connections are gone, and nobody was told. A reactor that stops in order does not call fn. OnDeath is for the loop's goroutine.
func (r *Reactor) OnDeath(fn func()) { r.atDeath = append(r.atDeath, fn) }

// AtDeath returns the functions of OnDeath, in the order in which they were added, for who ends a reactor without its loop: a simulation in which a
// host has crashed. They are called at most once.
func (r *Reactor) AtDeath() []func() {
	fns := r.atDeath
	r.atDeath = nil
	return fns
}
