package coro

import (
	"github.com/whorl-go/whorl/internal/linked"
	"github.com/whorl-go/whorl/reactor"
)

// loop is what the coroutines of one reactor share.
type loop struct {
	r       *reactor.Reactor
	current *Coroutine             // the innermost one that runs; nil: none does
	live    linked.List[Coroutine] // all that have begun and not ended, in the order in which they began
	exited  []*Coroutine           // ended the loop's goroutine, by runtime.Goexit, and nobody was told
	gone    error                  // the reactor has ended, and nothing can be waited for any more
	errors  reactor.LogLimit
}

// loopOf returns the loop of r.
func loopOf(r *reactor.Reactor) *loop {
	return reactor.Shared(r, func() *loop {
		l := &loop{r: r, live: linked.New(func(c *Coroutine) *linked.Links[Coroutine] { return &c.links })}
		r.AddTrigger(reactor.During, reactor.Shutdown, l.end)
		r.OnDeath(l.end)
		return l
	})
}

// end tells of those that have ended the goroutine, and unwinds all others, in the order in which they began. It goes on with the rest if one of
// them ends the goroutine.
func (l *loop) end() {
	l.gone, l.current = reactor.ErrStopped, nil
	over := false
	defer func() {
		if !over {
			l.end()
		}
	}()
	for len(l.exited) > 0 {
		c := l.exited[0]
		l.exited = l.exited[1:]
		c.finish()
	}
	for c := l.waiting(); c != nil; c = l.waiting() {
		c.giveUp(l.gone)
	}
	over = true
}

// waiting returns the first coroutine that waits, or nil. One that runs ends by itself: its next wait fails.
func (l *loop) waiting() *Coroutine {
	c := l.live.First()
	for c != nil && c.state != suspended {
		c = l.live.Next(c)
	}
	return c
}

// running returns the coroutine that runs now. It panics on the loop itself, which must not wait.
func (l *loop) running(what string) *Coroutine {
	if l.current == nil {
		panic("coro: " + what + " outside of a coroutine: it would block the loop; use it in the body of a Protocol or of Go")
	}
	return l.current
}
