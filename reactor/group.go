package reactor

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// GroupConfig configures a Group. Kernel must be set for NewGroup; the zero value of everything
// else is the defaults.
type GroupConfig struct {
	// Loops is how many loops the group has. Zero or negative: GOMAXPROCS, one for each core.
	Loops int
	// Kernel opens the kernel of the loop with that index, from 0. A program uses
	// native.OpenWith, with Options.Loops set to loops, so that the kernels leave the cores to each
	// other. NewGroup calls it for each loop on the caller's goroutine; a restart calls it on a
	// goroutine of its own.
	Kernel func(index, loops int) (kernel.Kernel, error)
	// Reactor configures each loop. Its Logger, Panicked and Resolver are called on several
	// goroutines at a time. Signals are taken by the first loop alone, and stop the group.
	// MaxBufferedTotal is for the group as a whole: each loop takes its part of it in pieces, as
	// it needs them, and if none is left, ends those of its own connections that hold the most
	// (GROUP-15).
	Reactor Config
	// Setup is called for each loop before it runs: by NewGroup on the caller's goroutine, and
	// for a loop that is started anew on that loop's, as a callback of it that may use the Group, Each too. What each loop is to have for itself is
	// made here: a table, a timer, a port of its own. An error of NewGroup's calls is NewGroup's; that of a
	// restart counts as the loss of the loop. Nil: nothing is called.
	Setup func(r *Reactor) error
	// Restarts is how often each loop that was lost is started anew, in the life of the group: on
	// a new kernel, with a new Reactor, which listens at the group's ports. The connections
	// of the lost loop are gone (GROUP-10). Zero or negative: a lost loop stays lost.
	Restarts int
	// Steer binds loops to CPUs: the thread of each loop to one of those that the process may use, in turn, and its listeners of a
	// port that is spread ([GroupPort.Spread]) to the connections whose first packet that CPU handles. So a connection is served on the CPU
	// that its packets come to, if the network card has a queue for each; otherwise it costs more than it gives. docs/cores.md says when
	// it pays. A program that package process starts may use all CPUs, one that a callback starts by os/exec only that of its loop.
	// NewGroup fails with kernel.ErrUnsupported where the kernels are no [kernel.Steerer], such as outside of Linux.
	Steer bool
	// Lost is told of each loss of a loop: Run of its reactor has ended without Stop, because its
	// kernel failed, a panic came out of Run, or a callback ended its goroutine. It is
	// called on the goroutine of that loop, which is over, and may use the Group, Each too. Nil: the log alone is told.
	Lost func(e *LoopError)
	// StopTimeout limits how long Stop waits for functions of AddStopTrigger and for the other
	// loops, before it ends the last one. The time of each loop's own Config.ShutdownTimeout begins when the stop has come to
	// that loop. Zero: one minute; negative: no limit.
	StopTimeout time.Duration
}

// ErrNoKernel: GroupConfig.Kernel is nil.
var ErrNoKernel = kernel.Sentinel("GroupConfig.Kernel is nil, and the loops need kernels")

// LoopError says what went wrong in one loop of a group.
type LoopError struct {
	// Loop is the index of the loop.
	Loop int
	// Restarted tells whether the loop is started anew.
	Restarted bool
	// Err is what Run of its reactor returned, a [*PanicError], [ErrGoroutineEnded], or what a function
	// given to Each returned.
	Err error
}

// Error is "loop 2: " and the cause.
func (e *LoopError) Error() string { return fmt.Sprintf("loop %d: %v", e.Loop, e.Err) }

// Unwrap is Err.
func (e *LoopError) Unwrap() error { return e.Err }

var (
	// ErrGoroutineEnded: a callback has ended the goroutine of a loop by runtime.Goexit.
	ErrGoroutineEnded = kernel.Sentinel("a callback has ended the loop's goroutine")
	// ErrLoopCrashed: Crash was called on a loop of a group.
	ErrLoopCrashed = kernel.Sentinel("the loop was crashed")
)

// Group is several loops, each a [Reactor] on a kernel and a goroutine of its own, so that a
// server uses more than one core. A connection belongs to the loop that has accepted or dialled it,
// from its first callback to its last (GROUP-3). Code of one loop never runs together with other
// code of that loop, and always together with that of other loops: what protocols of several
// loops share needs a lock, or a loop that owns it ([Group.PostTo]). docs/cores.md has patterns.
//
// The methods of a Group are for any goroutine, unless they say otherwise. Before Run, the
// goroutine that sets the group up counts as that of each loop.
type Group struct {
	cfg      GroupConfig
	log      *slog.Logger
	driven   bool    // somebody else turns the loops: GroupOf
	budget   *budget // of output; nil: no limit
	scarce   scarcity
	cpus     []int         // of Steer; nil: without
	comeBack time.Duration // defaultComeBack, but in tests

	next atomic.Uint32 // where the search for the least loaded loop begins

	mu      sync.Mutex
	state   groupState
	direct  int       // calls in progress on loops that do not run, on the goroutines of the callers; Run waits for them
	settled sync.Cond // signalled when direct is 0
	loops   []*member
	ports   []*GroupPort // not stopped, in the order in which they were made
	orphans []*errand    // for the next loop that starts, because none lives
	hears   *Reactor     // has the signals; nil: none has
	stopFns []func(done func())
	phase   stopPhase
	waiting int           // functions of stopFns that have not called done
	cut     bool          // a stop waits no longer
	last    *member       // is stopped last; nil before stopOthers
	lost    []error       // of loops that were not started anew
	timing  chan deadline // for Run
	done    chan struct{}
}

type groupState uint8

const (
	groupFresh groupState = iota
	groupRunning
	groupStopping
	groupStopped
)

const defaultStopTimeout = time.Minute

// NewGroup makes a group of loops that do not run yet. If it fails, nothing is left open.
func NewGroup(c GroupConfig) (*Group, error) {
	if c.Kernel == nil {
		return nil, ErrNoKernel
	}
	if c.Loops <= 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	g := newGroup(c, c.Loops)
	for _, m := range g.loops {
		r, err := g.make(m)
		if err == nil {
			g.join(m, r)
			if err = g.setUp(r); err == nil {
				g.started(m)
				g.attendAll(r)
			}
		}
		if err != nil {
			g.Close()
			return nil, &LoopError{Loop: m.index, Err: err}
		}
	}
	return g, nil
}

// GroupOf makes a group of loops that somebody else turns or runs: simulated hosts, foreign
// loops, tests. Run is not for it. Of c, Kernel, Loops, Reactor, Setup, Steer and Restarts are not used, so each reactor
// has the MaxBufferedTotal of its own Config. One that was lost is replaced by
// [Group.Replace]. It panics if there is no reactor, or one that is in another group.
func GroupOf(c GroupConfig, rs ...*Reactor) *Group {
	if len(rs) == 0 {
		panic("reactor: GroupOf of no reactors")
	}
	g := newGroup(c, len(rs))
	g.driven, g.budget, g.state = true, nil, groupRunning
	for i, r := range rs {
		g.join(g.loops[i], r)
	}
	return g
}

func newGroup(c GroupConfig, n int) *Group {
	g := &Group{cfg: c, log: c.Reactor.Logger, comeBack: defaultComeBack, timing: make(chan deadline, 3), done: make(chan struct{})}
	if g.log == nil {
		g.log = slog.New(errorsToDefault{})
	}
	g.settled.L = &g.mu
	g.cfg.StopTimeout = cmp.Or(c.StopTimeout, defaultStopTimeout)
	g.budget = newBudget(g, c.Reactor.MaxBufferedTotal, n)
	for i := range n {
		g.loops = append(g.loops, &member{g: g, index: i})
	}
	return g
}

// make makes the reactor of m.
func (g *Group) make(m *member) (*Reactor, error) {
	k, err := g.cfg.Kernel(m.index, len(g.loops))
	if err != nil {
		return nil, err
	}
	c := g.cfg.Reactor
	c.Signals = nil // one loop has them: join
	if c.Logger != nil {
		c.Logger = c.Logger.With(slog.Int("loop", m.index))
	}
	r := New(k, c)
	if err := g.steer(r); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (g *Group) setUp(r *Reactor) error {
	if g.cfg.Setup == nil {
		return nil
	}
	_, err := protect(r, "GroupConfig.Setup", func() (struct{}, error) { return struct{}{}, g.cfg.Setup(r) })
	return err
}

// Close closes a group that was never run: each reactor, as [Reactor.Close] does. It is for the
// goroutine that has set the group up. During Run and on a stopped group it does nothing.
func (g *Group) Close() {
	g.mu.Lock()
	if g.state != groupFresh {
		g.mu.Unlock()
		return
	}
	g.state, g.phase = groupStopping, stopLast
	for _, m := range g.loops {
		m.stop = stopReleased
	}
	g.mu.Unlock()
	for i := len(g.loops) - 1; i >= 0; i-- {
		if r := g.Loop(i); r != nil {
			r.Close()
		}
	}
	g.finish()
}

// Len is how many loops the group has, those that are lost included.
func (g *Group) Len() int { return len(g.loops) }

// Loop is the reactor with that index, which must be at least 0 and below Len. After a restart it is another
// one. What is not for any goroutine is for the goroutine of that loop.
func (g *Group) Loop(index int) *Reactor { return g.loops[index].r.Load() }

// Group is the group that r is in, or nil. It may be called from any goroutine once the group is made.
func (r *Reactor) Group() *Group {
	if r.member == nil {
		return nil
	}
	return r.member.g
}

// Index is the index of r in its group; 0 if it is in none.
func (r *Reactor) Index() int {
	if r.member == nil {
		return 0
	}
	return r.member.index
}

// Running tells whether the group runs and was not asked to stop.
func (g *Group) Running() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state == groupRunning
}

// Done returns a channel that is closed when all loops have ended.
func (g *Group) Done() <-chan struct{} { return g.done }

// finish marks the end. It is called once or more, when no loop runs any more but those that were left behind.
func (g *Group) finish() {
	g.mu.Lock()
	if g.state == groupStopped {
		g.mu.Unlock()
		return
	}
	g.state = groupStopped
	orphans := g.orphans
	g.orphans = nil
	g.mu.Unlock()
	g.stopFactories()
	for _, e := range orphans {
		e.end(errandNever)
	}
	close(g.done)
}

// result is what Run returns.
func (g *Group) result() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	errs := append([]error(nil), g.lost...)
	for _, m := range g.loops {
		if m.state == loopLeft {
			errs = append(errs, &LoopError{Loop: m.index, Err: fmt.Errorf("%w: for the loop, which has not come back from a callback", ErrUnfinished)})
		}
	}
	return errors.Join(errs...)
}
