package whorl

import (
	"context"
	"log/slog"
	"time"

	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
)

// loop is what a server and a client have in common: a reactor, the signals and the drain.
// All of it runs on the loop's goroutine, on any reactor.
type loop struct {
	r       *reactor.Reactor
	g       *reactor.Group // of which r is the first loop; nil: r is alone
	log     *slog.Logger
	drain   drain
	signals *program.Signals
	hurried bool                   // a signal has come during the shutdown
	moved   func(*reactor.Reactor) // called by the first loop that lives, when one is lost; nil: nothing
}

// open opens so many kernels and makes reactors on them. The caller closes the loop.
func (c *Config) open(loops int) (*loop, error) {
	o := c.Reactor
	if o.Logger == nil {
		o.Logger = c.Logger
	}
	if o.ShutdownTimeout == 0 {
		if o.ShutdownTimeout = c.grace() + restOfShutdown; c.Services != nil {
			o.ShutdownTimeout += service.DefaultStopLimit
		}
	}
	if loops > 1 {
		return c.openGroup(loops, o)
	}
	k, err := native.Open(c.Kernel)
	if err != nil {
		return nil, err
	}
	return c.programOn(reactor.New(k, o)), nil
}

// programOn is loopOn for a program.
func (c *Config) programOn(r *reactor.Reactor) *loop {
	l := c.loopOn(r)
	l.signals.UseSystemClock()
	return l
}

// restOfShutdown is how long a shutdown may wait besides draining: for the program's own
// triggers and for blocking work.
const restOfShutdown = 30 * time.Second

// loopOn makes a loop of r and takes the signals. Until r runs, signals wait.
func (c *Config) loopOn(r *reactor.Reactor) *loop {
	l := &loop{r: r, log: c.logger()}
	l.drain.init(r, c.grace())
	l.signals = program.Take(r, l.log, c.signals(), func() error { return l.stop() }, l.hurry)
	return l
}

// comeBack is how long a step of the end waits for the answer of each loop. One that does not come back from a callback never gives it.
const comeBack = 3 * time.Second

// hurry ends the program at once.
func (l *loop) hurry(because string) {
	l.hurried = true
	l.drain.cutShort(because)
	switch {
	case l.drain.over:
		l.stopWaiting()
	case l.g != nil: // the drain does not end before all loops have answered
		l.signals.After(comeBack, l.stopWaiting)
	}
}

// drained returns what the drain calls at its end. After a second signal the reactor waits for
// nothing else.
func (l *loop) drained(done func()) func() {
	return func() {
		done()
		if l.hurried {
			l.stopWaiting()
		}
	}
}

// run runs the reactor, or the group, until it has stopped.
func (l *loop) run(ctx context.Context) error {
	defer l.signals.Until(ctx)()
	if l.g != nil {
		return l.g.Run(ctx)
	}
	return l.r.Run(ctx)
}

// close gives everything back, however far things have come. Before SIGPIPE is given back, it has
// finish write the rest of the log.
func (l *loop) close(finish func()) {
	if l.g != nil {
		l.g.Close()
	} else {
		l.r.Close()
	}
	finish()
	l.signals.End()
}
