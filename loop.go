package whorl

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// loop is what a server and a client have in common: a reactor, the signals and the drain.
// All of it runs on the loop's goroutine, on any reactor.
type loop struct {
	r       *reactor.Reactor
	log     *slog.Logger
	drain   drain
	caught  int    // signals so far
	hurried bool   // a signal has come during the shutdown
	release func() // gives the signals their default action back; may be called again
}

// open opens the kernel and makes a reactor on it. The caller closes the loop.
func (c *Config) open() (*loop, error) {
	k, err := native.Open(c.Kernel)
	if err != nil {
		return nil, err
	}
	o := c.Reactor
	if o.Logger == nil {
		o.Logger = c.Logger
	}
	if o.ShutdownTimeout == 0 {
		o.ShutdownTimeout = c.grace() + restOfShutdown
	}
	return c.loopOn(reactor.New(k, o)), nil
}

// restOfShutdown is how long a shutdown may wait besides draining: for the program's own
// triggers and for blocking work.
const restOfShutdown = 30 * time.Second

// loopOn makes a loop of r and takes the signals. Until r runs, signals wait.
func (c *Config) loopOn(r *reactor.Reactor) *loop {
	l := &loop{r: r, log: c.logger(), release: func() {}}
	l.drain.init(r, c.grace())
	sigs := c.signals()
	if n, ok := kernel.As[kernel.Signals](r.Kernel()); ok && len(sigs) > 0 {
		l.release = n.Notify(func(sig os.Signal) {
			r.Post(func() { l.signalled(sig) })
		}, sigs...)
	}
	return l
}

// signalled ends the program in order, or at once if it is ending already.
func (l *loop) signalled(sig os.Signal) {
	l.caught++
	l.log.Info("caught a signal", slog.String("signal", sig.String()))
	if l.r.Stop() == nil {
		return
	}
	because := "a second signal"
	if l.caught == 1 {
		because = "a signal" // something else has stopped it
	}
	l.hurried = true
	l.drain.cutShort(because)
	if l.drain.over {
		l.r.StopWaiting()
	}
	l.release()
}

// drained returns what the drain calls at its end. After a second signal the reactor waits for
// nothing else.
func (l *loop) drained(done func()) func() {
	return func() {
		done()
		if l.hurried {
			l.r.StopWaiting()
		}
	}
}

// run runs the reactor until it has stopped.
func (l *loop) run(ctx context.Context) error { return l.r.Run(ctx) }

// close gives everything back, however far things have come.
func (l *loop) close() {
	l.release()
	l.r.Close()
}
