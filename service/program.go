package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/reactor"
)

// MainConfig are the options of [Main] and [NewProgram]. The zero value is the defaults.
type MainConfig struct {
	// Name is the name of the tree, which the paths of its services begin with. Empty: "program".
	Name string
	// Kernel is the name of the kernel, one of native.Names. Empty: the best one that works here. It is for Main.
	Kernel string
	// Logger hears what becomes of the program. For Main, its Handler is called on another goroutine, by a logqueue.Queue, so it may block. Nil: slog.Default for Main,
	// and that of the reactor for NewProgram.
	Logger *slog.Logger
	// Reactor is what else the reactor is told. Its Logger is Logger unless set. Its Signals must be nil: they would end the reactor without the program. It is for Main.
	Reactor reactor.Config
	// Signals end the program. Nil: [reactor.StopSignals]. Empty but not nil: none are taken, SIGHUP and SIGPIPE included.
	Signals []os.Signal
	// StartLimit is how long the start of the tree may take, by the reactor's clock. After that it is given up and undone, and the program ends with ErrStartLimit. Zero:
	// DefaultStartLimit; negative: no limit.
	StartLimit time.Duration
	// StopLimit is the StopLimit of the tree, unless the program sets that itself.
	StopLimit time.Duration
	// Grace is how long connections that are left may go on when the services have stopped: each is asked to end, as [reactor.Reactor.Drain] does, and aborted after this
	// time. Zero: DefaultGrace; negative: nobody is asked, and connections end with the reactor.
	Grace time.Duration
	// Notify is the service manager that hears of the program. Nil: for Main, that of the process (activation.TakeNotifier); for NewProgram, none.
	Notify *activation.Notifier
}

// DefaultGrace is the Grace of a MainConfig that has none.
const DefaultGrace = 10 * time.Second

// Program is the tree of services of a process. It starts when the loop runs, and stops when the reactor does, also by a signal. [Main] makes one and runs it; a
// program with a reactor of its own calls [NewProgram]. It is for the goroutine of the loop.
type Program struct {
	Collection
	c       MainConfig
	log     *slog.Logger
	signals *program.Signals
	notify  *program.Notify

	phase   programPhase
	runs    bool                     // Run, which gives the signals back, was called
	hurried bool                     // another signal has come while it ended
	stop    *deferred.Deferred[None] // of the tree, in phase programStopping
	drain   *reactor.Drain           // of the connections that are left, in phase programDraining
	reloads bool                     // a reload is in progress
	again   bool                     // SIGHUP has come meanwhile
	err     error                    // why the program fails
}

type programPhase uint8

const (
	programFresh    programPhase = iota
	programBegun                 // the tree starts when the reactor runs, or has started
	programStopping              // the tree stops, as the reactor does
	programDraining              // it has stopped, and connections are left
	programOver
)

// NewProgram makes a program without services on r, and takes its signals (SVC-28), until r has shut down. That waits for the stop of the services. A start follows in Begin or Run.
//
// NewProgram panics if r is one of a group.
func NewProgram(r *reactor.Reactor, c MainConfig) *Program {
	if r.Group() != nil {
		panic("service: the reactor of a Program is one of a group")
	}
	p := &Program{c: c, log: c.Logger}
	if p.log == nil {
		p.log = r.Logger()
	}
	if c.Name == "" {
		p.c.Name = "program"
	}
	p.names = make(map[string]*Service)
	p.init(r, (*members)(&p.Collection))
	p.name, p.StopLimit = p.c.Name, c.StopLimit
	if c.Signals == nil {
		c.Signals = reactor.StopSignals()
	}
	p.signals = program.Take(r, p.log, c.Signals, r.Stop, p.hurry)
	p.signals.OnHangup(func(sig os.Signal) {
		p.log.Info("caught a signal: reloading", slog.String("signal", sig.String()))
		p.reload()
	})
	p.notify = program.NewNotify(r, c.Notify, p.log)
	r.AddWaitTrigger(reactor.Shutdown, p.end)
	r.AddTrigger(reactor.After, reactor.Shutdown, func() {
		if !p.runs {
			p.signals.GiveBack()
		}
	})
	return p
}

// Begin has the tree started when the loop runs, at once if it does (SVC-27). If the start fails, the reactor is stopped. A second call does nothing.
func (p *Program) Begin() {
	if p.phase == programFresh {
		p.phase = programBegun
		p.r.CallWhenRunning(p.begin)
	}
}

// Run runs the reactor until it is stopped, by a signal, by ctx, by Stop or by Fail, and the tree with it. The result is nil if the tree has started and stopped in order, or
// else all that has failed. The calling goroutine becomes the loop's.
func (p *Program) Run(ctx context.Context) error {
	defer p.signals.End()
	return p.run(ctx)
}

func (p *Program) run(ctx context.Context) error {
	p.runs = true
	p.signals.UseSystemClock()
	p.Begin()
	defer p.signals.Until(ctx)()
	err := p.r.Run(ctx)
	return join(p.err, err)
}

// Err is why the program fails; nil: nothing has failed yet.
func (p *Program) Err() error { return p.err }

// Fail ends the program because of err: the services stop, and the exit status is that of err ([ExitCode]). With a nil err it ends the program in order.
func (p *Program) Fail(err error) {
	p.err = join(p.err, err)
	_ = p.r.Stop() // it may be stopping
}

// Status tells the service manager in a line what the program does.
func (p *Program) Status(text string) { p.notify.Status(text) }

// begin starts the tree.
func (p *Program) begin() {
	switch {
	case p.phase != programBegun:
		return
	case p.err != nil: // Fail was called before
		_ = p.r.Stop() // it runs
		return
	}
	p.notify.Begin()
	p.StartWithin(p.c.StartLimit).Done(func(_ None, err error) {
		switch {
		case err == nil:
			p.log.Info("started", slog.Int("services", len(p.services)))
			p.notify.Ready("running")
		case p.phase == programBegun, !errors.Is(err, reactor.ErrCancelled):
			p.Fail(err)
		} // else it was given up, because the program ends
	})
}

// reload has the services reload, for SIGHUP. One that comes during a reload is another one, after it.
func (p *Program) reload() {
	switch {
	case p.reloads:
		p.again = true
		return
	case !p.Running():
		p.log.Warn("nothing is reloaded, because the program is " + p.State().String())
		return
	}
	p.reloads = true
	p.notify.Reloading("reloading")
	within(p.Reload(), p.c.StartLimit).Done(func(_ None, err error) {
		p.reloads = false
		if err != nil {
			p.log.Error("not all services have reloaded, and those go on as before", slog.Any("err", err))
		}
		p.notify.Reloaded("running")
		if p.again {
			p.again = false
			p.reload()
		}
	})
}

// end stops the tree, and then the connections that are left. The shutdown waits for done.
func (p *Program) end(done func()) {
	p.phase = programStopping
	p.log.Info("stopping", slog.Int("services", len(p.services)))
	status := "stopping"
	if p.err != nil {
		status = "failed: " + p.err.Error()
	}
	p.notify.Stopping(status, func() string {
		if p.phase == programDraining {
			return fmt.Sprintf("stopping: %d connections are left", p.r.Stats().Connections)
		}
		return status
	})
	stop := p.Stop()
	p.stop = stop
	stop.Done(func(_ None, err error) {
		p.err = join(p.err, err)
		p.drainRest(func() {
			p.phase = programOver
			done()
			if p.hurried {
				p.r.StopWaiting()
			}
		})
	})
	if p.hurried {
		stop.Cancel()
	}
}

// drainRest ends the connections that are left.
func (p *Program) drainRest(done func()) {
	grace := p.c.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	if grace < 0 {
		done()
		return
	}
	p.phase = programDraining
	p.drain = p.r.Drain(reactor.DrainConfig{Limit: grace, Done: func(int) { done() }})
	if p.hurried {
		p.drain.Cut("a second signal")
	}
}

// hurry ends what the end of the program waits for.
func (p *Program) hurry(because string) {
	p.hurried = true
	switch p.phase {
	case programStopping:
		p.log.Warn("services are no longer waited for", slog.String("because", because))
		p.stop.Cancel()
	case programDraining:
		p.drain.Cut(because)
	case programOver:
		p.r.StopWaiting()
	} // else end looks at it, in this turn
}
