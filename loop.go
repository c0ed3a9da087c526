package whorl

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// loop is what a server and a client have in common: a reactor, the signals and the drain.
// All of it runs on the loop's goroutine, on any reactor.
type loop struct {
	r       *reactor.Reactor
	g       *reactor.Group // of which r is the first loop; nil: r is alone
	log     *slog.Logger
	drain   drain
	caught  int           // signals so far, those that count
	last    time.Duration // when the last of them came
	hurried bool          // a signal has come during the shutdown
	release func()        // gives the signals that end the program their default action back; may be called again
	// after calls a function when a time has passed: on the loop's clock in a test, on the
	// system's in a program, which must hear a signal also if a callback blocks the loop.
	after  func(time.Duration, func())
	others []func() // the same for the other signals
}

// open opens so many kernels and makes reactors on them. The caller closes the loop.
func (c *Config) open(loops int) (*loop, error) {
	o := c.Reactor
	if o.Logger == nil {
		o.Logger = c.Logger
	}
	if o.ShutdownTimeout == 0 {
		o.ShutdownTimeout = c.grace() + restOfShutdown
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
	l.after = func(d time.Duration, f func()) { time.AfterFunc(d, f) }
	return l
}

// restOfShutdown is how long a shutdown may wait besides draining: for the program's own
// triggers and for blocking work.
const restOfShutdown = 30 * time.Second

// loopOn makes a loop of r and takes the signals. Until r runs, signals wait.
func (c *Config) loopOn(r *reactor.Reactor) *loop {
	l := &loop{r: r, log: c.logger(), release: func() {}}
	l.after = func(d time.Duration, f func()) { r.CallLater(d, f) }
	l.drain.init(r, c.grace())
	sigs := c.signals()
	n, ok := kernel.As[kernel.Signals](r.Kernel())
	if !ok || len(sigs) == 0 {
		return l
	}
	l.release = n.Notify(func(sig os.Signal) {
		r.Post(func() { l.signalled(sig) })
	}, sigs...)
	if !slices.Contains(sigs, os.Signal(syscall.SIGPIPE)) {
		// Go ends a program that writes to standard output or standard error when nobody can
		// read that any more, unless the program takes SIGPIPE. A log is no reason to end.
		l.others = append(l.others, n.Notify(func(os.Signal) {}, syscall.SIGPIPE))
	}
	return l
}

// onHangup has the server read its certificates again on SIGHUP, unless first does something else, SIGHUP is
// one of sigs, which end it, or no signals are taken.
func (l *loop) onHangup(sigs []os.Signal, first func(*reactor.Reactor) bool) {
	n, ok := kernel.As[kernel.Signals](l.r.Kernel())
	if !ok || len(sigs) == 0 || slices.Contains(sigs, os.Signal(syscall.SIGHUP)) {
		return
	}
	l.others = append(l.others, n.Notify(func(sig os.Signal) {
		l.r.Post(func() {
			if first != nil && first(l.r) {
				return
			}
			l.log.Info("caught a signal: looking at the certificates", slog.String("signal", sig.String()),
				slog.Int("places", tlsio.CheckAll(l.r)))
		})
	}, syscall.SIGHUP))
}

// signalTwins is the time in which a second signal counts as the first. A program often gets one
// order twice: a terminal sends Ctrl-C to every process in the foreground, and a parent that has
// got it too, such as a service manager's wrapper, passes it on.
const signalTwins = 300 * time.Millisecond

// signalled ends the program in order, or at once if it is ending already. Then signals get
// their default action back, but not before a twin of this one would have come.
func (l *loop) signalled(sig os.Signal) {
	now := l.r.Now()
	if l.caught > 0 && now-l.last < signalTwins {
		l.log.Info("caught a signal again, which counts as the one before", slog.String("signal", sig.String()))
		return
	}
	l.caught++
	l.last = now
	l.log.Info("caught a signal", slog.String("signal", sig.String()))
	if l.stop() == nil {
		return
	}
	because := "a second signal"
	if l.caught == 1 {
		because = "a signal" // something else has stopped it
	}
	l.hurried = true
	l.drain.cutShort(because)
	if l.drain.over {
		l.stopWaiting()
	}
	l.after(signalTwins, l.release)
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
	if l.g != nil {
		return l.g.Run(ctx)
	}
	return l.r.Run(ctx)
}

// close gives everything back, however far things have come. Before SIGPIPE is given back, it has
// finish write the rest of the log. If a twin of the last signal that counted may still come, all of
// them are taken until it cannot: it would end the program with the status of a signal, although it
// has ended in order.
func (l *loop) close(finish func()) {
	if l.g != nil {
		l.g.Close()
	} else {
		l.r.Close()
	}
	finish()
	if left := signalTwins - (l.r.Now() - l.last); l.caught > 0 && left > 0 {
		l.after(left, l.giveBack)
	} else {
		l.giveBack()
	}
}

// giveBack gives all signals their default action back. It may be called on any goroutine.
func (l *loop) giveBack() {
	l.release()
	for _, stop := range l.others {
		stop()
	}
}
