package service

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// Main is a program that is a tree of services. It opens a kernel, makes a reactor and an empty tree, calls build to add the services, and runs them until a signal, ctx or
// [Program.Fail] ends the program. It returns the exit status, and ends no process itself:
//
//	func main() { os.Exit(service.Main(context.Background(), service.MainConfig{}, build)) }
//
// When the loop runs, the services start in order; if one fails, those before it are stopped again (SVC-27). SIGINT and SIGTERM stop the tree in the reverse order and then let connections
// that are left end, for Grace. Another signal ends the program at once; two within 300 ms count as one (SVC-28), and so do the end of ctx and a signal that comes with it. SIGHUP has the services that are a [Reloader] reload (SVC-29).
//
// A service manager that has said so in the environment, as systemd does for a unit of Type=notify, hears when all services have started, when they reload and stop, and, if it has a watchdog, that the loop
// lives (SVC-30 to SVC-33). docs/services.md has a unit.
//
// The status is 0 if the tree has started and stopped in order; otherwise it is that of [ExitCode], and the log says why. The calling goroutine becomes the loop's.
func Main(ctx context.Context, c MainConfig, build func(p *Program) error) int {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Reactor.Logger == nil {
		c.Reactor.Logger = c.Logger
	}
	finish := program.QueueLogs(&c.Logger, &c.Reactor.Logger)
	defer finish()
	if c.Notify == nil {
		c.Notify = activation.TakeNotifier()
		defer c.Notify.Close()
	}
	p, err := c.open()
	if err != nil {
		return report(c.Logger, err)
	}
	p.runs = true // the signals are given back here
	p.signals.UseSystemClock()
	if e := p.r.Guard("build of the program", func() { err = build(p) }); e != nil {
		err = e
	}
	if err == nil {
		err = p.run(ctx)
	} else {
		p.notify.Status("failed: " + err.Error())
		p.r.Close()
	}
	code := report(c.Logger, err)
	finish() // before SIGPIPE has its default action again
	p.signals.End()
	return code
}

var errReactorSignals = errors.New("service: MainConfig.Reactor.Signals must be nil: use Signals")

// open makes a program on a kernel of its own.
func (c *MainConfig) open() (*Program, error) {
	if c.Reactor.Signals != nil {
		return nil, errReactorSignals
	}
	if c.Reactor.ShutdownTimeout == 0 {
		c.Reactor.ShutdownTimeout = c.shutdownTimeout()
	}
	k, err := native.Open(c.Kernel)
	if err != nil {
		return nil, err
	}
	return NewProgram(reactor.New(k, c.Reactor), *c), nil
}

// shutdownTimeout is how long the reactor may wait for the program: for the services, the connections and blocking work.
func (c *MainConfig) shutdownTimeout() time.Duration {
	const rest = 30 * time.Second
	stop, grace := c.StopLimit, c.Grace
	if stop < 0 {
		return -1
	}
	if stop == 0 {
		stop = DefaultStopLimit
	}
	if grace == 0 {
		grace = DefaultGrace
	}
	return kernel.After(kernel.After(rest, stop), max(grace, 0))
}
