package main

import (
	"log/slog"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// drain is the end of a server: it accepts no more, and the connections that are
// left may finish, for so long. It is a step before the reactor's own shutdown.
type drain struct {
	s     *server
	grace time.Duration
	done  func() // nil before it began and after its end
	hasty bool   // there is no patience, or no more
	look  reactor.DelayedCall
	limit reactor.DelayedCall
}

// lookEvery is how often a drain looks whether connections are left. Only their
// end matters, so nothing is kept up per connection for it.
const lookEvery = 10 * time.Millisecond

func (d *drain) init(s *server, grace time.Duration) {
	d.s, d.grace = s, grace
	d.look.Init(s.r, d.check)
	d.limit.Init(s.r, func() { d.abort("the time for it is over") })
}

// begin stops listening and waits; done ends the wait.
func (d *drain) begin(done func()) {
	d.done = done
	for _, p := range d.s.ports {
		p.StopListening(nil)
	}
	n := d.count()
	d.s.log.Info("stopping: no longer listening", slog.Int("connections", n), slog.Duration("grace", d.grace))
	switch {
	case n > 0 && d.hasty:
		d.abort("a second signal")
	case n > 0 && d.grace == 0:
		d.abort("there is no time for it")
	case n > 0:
		d.limit.Reset(d.grace)
	}
	d.check()
}

// hurry aborts what is left, now or as soon as begin is called.
func (d *drain) hurry() {
	d.hasty = true
	if d.done != nil {
		d.abort("a second signal")
	}
}

// abort ends the connections that did not end themselves.
func (d *drain) abort(because string) {
	for s := range d.s.r.Streams() {
		s.Abort()
	}
	d.s.log.Warn("aborting connections that have not finished",
		slog.Int("connections", d.count()), slog.String("because", because))
}

// check ends the wait if nobody is left, or looks again later.
func (d *drain) check() {
	for range d.s.r.Streams() {
		d.look.Reset(lookEvery)
		return
	}
	if done := d.done; done != nil {
		d.done = nil
		d.limit.Cancel()
		done()
	}
}

func (d *drain) count() int {
	n := 0
	for range d.s.r.Streams() {
		n++
	}
	return n
}
