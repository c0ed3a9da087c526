package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/whorl-go/whorl/pool"
)

// World is a program on a simulated network that can be run under any seed. One goroutine
// calls its functions in a run. Several runs may be under way at a time, so that all state
// must be made in Setup.
type World struct {
	// Name is one word. About describes the world in a few words.
	Name, About string
	// Setup makes the hosts, and starts what runs on them. A program that is to survive
	// crashes is started with Host.Start.
	Setup func(n *Net) Checks
	// Faults, if set, takes away classes of options that the world is not made for. Given
	// what it has returned, it must return the same.
	Faults func(o Options) Options
	// Length is how long the phase with faults lasts. Zero: a minute.
	Length time.Duration
	// Settle is how long the liveness phase may last. Zero: two minutes.
	Settle time.Duration
}

// Checks are functions that tell whether a world is as it must be; nil ones are not called.
// They are called between steps, as functions given to At are.
type Checks struct {
	// Always is safety: it is called after every step of both phases.
	Always func() error
	// Eventually and Done are liveness: once the faults are off, there must be a moment at
	// which all conditions hold and Done is true. If there is none, a [WaitError] names the
	// conditions that do not hold. Conditions behind one that does not hold are not asked.
	Eventually []Condition
	Done       func() bool
	// Sometimes are states that should be reached in some run, though not in each, as with
	// [Net.Sometimes]. They are asked after every step until they hold. One without Holds
	// is only made known: Net.Sometimes tells when it is reached.
	Sometimes []Condition
	// End is called last, when the world has become what Eventually and Done demand.
	End func() error
}

// Result is the result of one run.
type Result struct {
	// World, Seed and Options are what was run. Options are without what World.Faults took
	// away.
	World   World
	Seed    uint64
	Options Options
	// Hash is Net.Hash at the end.
	Hash uint64
	// Err is nil if everything held. Else it is a *RunError, in which errors.Is finds the
	// cause: ErrLimit, ErrDiverged, an error of the world's ...
	Err error
	// Now is how long the run took in simulated time, and Steps in steps.
	Now   time.Duration
	Steps int
	// Sometimes are the states that should be reached in some run, and whether this one was.
	Sometimes []State
	// Net is the network, closed, for its trace.
	Net *Net

	content uint64 // what was written, which is no part of Hash
}

// Length is how long the phase with faults lasts in this run: Options.Length, or else
// World.Length.
func (r *Result) Length() time.Duration {
	return or(r.Options.Length, or(r.World.Length, time.Minute))
}

// Phase is a part of a run.
type Phase string

// The phases of a run, in order.
const (
	InSetup    Phase = "setup"
	InFaults   Phase = "faults"
	InLiveness Phase = "liveness"
	InEnd      Phase = "end"
	InClose    Phase = "close"
	// InCheck is not part of a run: World.Check compares two.
	InCheck Phase = "check"
)

// RunError tells what did not hold, in which run and phase.
type RunError struct {
	// World is its name.
	World string
	Seed  uint64
	Phase Phase
	// What says who found it: "always", "done" or "end" of the Checks, "invariant" of the
	// network, "run" for a livelock, "hash" for runs that diverge, or "panic".
	What string
	// Rule is the name of the rule that is broken: that of a [BreachError] or
	// [InvariantError], or the first unmet condition of a [WaitError]. An error without a
	// name has one made of its first line, with "#" for numbers and quoted texts. It is
	// never empty.
	Rule string
	// At is when it was.
	At time.Duration
	// Err is what was found.
	Err error
}

// Error has all of it, and may have many lines.
func (e *RunError) Error() string {
	return fmt.Sprintf("%s: seed %d: %s, in phase %s at %v: %v", e.World, e.Seed, e.What, e.Phase, e.At, e.Err)
}

// Unwrap is Err.
func (e *RunError) Unwrap() error { return e.Err }

// run is a World under way.
type run struct {
	World
	n       *Net
	checks  Checks
	phase   Phase
	steps   int
	reached []bool // of Checks.Sometimes
	broken  error  // what Always said
}

// Run runs the world once: Setup, the faults for Length, Calm, the wait for Done, End, and
// Close, which finds what is left over. The first thing that does not hold ends the run and
// is the result's Err. A panic is one too, with its stack.
func (w World) Run(seed uint64, o Options) Result { return w.run(seed, o, false) }

func (w World) run(seed uint64, o Options, keep bool) Result {
	if w.Faults != nil {
		o = w.Faults(o)
	}
	x := &run{World: w, n: New(seed)}
	x.n.KeepTrace, x.n.trace.content.keep = keep, keep
	err := x.guard(func() error { return x.live(o) })
	now := x.n.Now()
	if shut := x.guard(x.close); err == nil {
		err = shut
	}
	return Result{World: w, Seed: seed, Options: o, Hash: x.n.Hash(), Err: err, Now: now, Steps: x.steps, Sometimes: x.n.States(), Net: x.n,
		content: x.n.trace.content.sum}
}

// guard calls part, and turns a panic into an error.
func (x *run) guard(part func() error) (err error) {
	e := pool.Catch(func() { err = part() })
	if e == nil {
		return err
	}
	if e.In == "" { // else a reactor has caught it, and has named the callback
		e.In = "world"
	}
	return x.fail("panic", fmt.Errorf("%w\n%s", e, e.Stack))
}

func (x *run) fail(what string, err error) error {
	return &RunError{World: x.Name, Seed: x.n.seed, Phase: x.phase, What: what, Rule: ruleOf(err), At: x.n.Now(), Err: err}
}

// live is a run without its close.
func (x *run) live(o Options) error {
	x.phase = InSetup
	x.checks = x.Setup(x.n)
	x.reached = make([]bool, len(x.checks.Sometimes))
	for _, c := range x.checks.Sometimes {
		x.n.Sometimes(c.Name, false)
	}
	x.n.Apply(o)
	x.phase = InFaults
	end := x.n.Now() + or(o.Length, or(x.Length, time.Minute))
	if _, err := x.until(func() bool { return false }, end); err != nil {
		return err
	}
	// If nothing was left to happen, until has ended early, and the rest of the time passes.
	if err := x.n.Run(end - x.n.Now()); err != nil {
		return x.fail("run", err)
	}
	x.watch()
	x.phase = InLiveness
	x.n.Calm()
	if x.checks.waits() {
		late, err := x.until(x.checks.met, x.n.Now()+or(x.Settle, 2*time.Minute))
		if late != nil {
			if unmet := x.checks.unmet(); len(unmet) > 0 {
				err = x.fail("done", &WaitError{unmet, late})
			}
		}
		if err != nil {
			return err
		}
	}
	x.phase = InEnd
	if x.checks.End != nil {
		if err := x.checks.End(); err != nil {
			return x.fail("end", err)
		}
	}
	return nil
}

// until runs until done or end, and calls Always after every step. late is why it was not
// done: time is over, or nothing is left that could happen.
func (x *run) until(done func() bool, end time.Duration) (late, err error) {
	over := func() bool {
		x.steps++
		x.watch()
		if x.checks.Always != nil {
			x.broken = x.checks.Always()
		}
		return x.broken != nil || done()
	}
	err = x.n.RunUntil(over, end-x.n.Now())
	switch {
	case x.n.Err() != nil: // it may be why the world thinks that something is wrong
		return nil, x.fail("invariant", x.n.Err())
	case x.broken != nil:
		return nil, x.fail("always", x.broken)
	case errors.Is(err, ErrLimit) || errors.Is(err, ErrDeadlock):
		return err, nil
	case err != nil:
		return nil, x.fail("run", err)
	}
	return nil, nil
}

func (x *run) close() error {
	x.phase = InClose
	if err := x.n.Close(); err != nil {
		return x.fail("invariant", err)
	}
	return nil
}
