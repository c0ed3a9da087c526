package simmain

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/sim/fleet"
)

// ErrFailed ends a command that has printed what failed, or whose output nobody reads:
// nothing is left to say, and the exit status is 1.
var ErrFailed = errors.New("something failed, which was printed")

// UsageError is a mistake in the command line: the exit status is 2.
type UsageError struct {
	// Err says what is wrong, and what would be right.
	Err error
}

// Error is Err's.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap is Err.
func (e *UsageError) Unwrap() error { return e.Err }

func usage(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }

// Command is one command on worlds: list them, run one under many seeds, or run one seed and
// show it. [Main] makes one of its flags, for which the fields are named; a program with flags
// of its own fills it in itself. Call Run or Work, once.
type Command struct {
	// Worlds are those that are listed, and Hidden others that can be named.
	Worlds, Hidden []sim.World
	// Program is how a shell calls the program up to the flags: replay lines begin with it.
	Program string
	// Listing is the command that lists the worlds.
	Listing string
	// Worker are arguments with which this program calls Work.
	Worker []string
	// PageFlag is the name of the flag that sets Page. Empty: "--page".
	PageFlag string

	// Out and Err are standard output and error.
	Out, Err io.Writer
	// Kernel is the native kernel on which the parent of processes runs. Empty: the best.
	Kernel string
	// Log is the parent's reactor's; nil: nothing is logged.
	Log *slog.Logger
	// ProgressLog, if set, is told the progress when JSON is set and Err is no terminal.
	ProgressLog *slog.Logger
	// Quiet shows no progress.
	Quiet bool

	// World is the name of the world to run. Empty: the only world; if there are several,
	// they are listed.
	World string
	// List lists the worlds, and nothing else.
	List bool
	// Seeds says which seeds to run, as in [sim.ParseSeeds]; empty: 100. Seed is one seed to
	// run and show instead.
	Seeds string
	Seed  *uint64
	// Faults are the options of every seed as text; nil: each seed draws its own.
	Faults *string
	// Once runs each seed once rather than twice.
	Once bool
	// JSON prints an object a line rather than text.
	JSON bool
	// Jobs is how many processes run at a time. Zero: one for each CPU.
	Jobs int
	// Timeout is how long a seed may take in real time. Zero: for ever.
	Timeout time.Duration

	// Timeline prints what happened in the run of Seed. All, Hosts, From and Until choose
	// what, as in [report.Timeline], and each of them asks for a timeline too.
	Timeline, All bool
	Hosts         []string
	From, Until   time.Duration
	// Page is the name of a file to which the run of Seed is drawn, see [report.Page].
	// A file that is there is replaced.
	Page string
}

// Run does what the fields say. It returns nil if everything held; ErrFailed if something
// did not, and was printed; a *UsageError for fields that are wrong or do not go together; or
// why it could not be done.
func (c *Command) Run() error {
	if c.List || c.World == "" && len(c.all()) != 1 {
		return c.list()
	}
	w, err := c.find(c.World)
	if err != nil {
		return err
	}
	first, count, err := c.check()
	if err != nil {
		return err
	}
	if c.Seed != nil {
		return c.replay(w)
	}
	return c.many(w, first, count)
}

// Work makes this process a worker of another one's Run, see [fleet.Work].
func (c *Command) Work(in io.Reader) error { return fleet.Work(in, c.Out, c.find) }

// all are the worlds that can be named.
func (c *Command) all() []sim.World {
	return append(c.Worlds[:len(c.Worlds):len(c.Worlds)], c.Hidden...)
}

// find is the world of that name; "" is the only world.
func (c *Command) find(name string) (sim.World, error) {
	all := c.all()
	if name == "" && len(all) == 1 {
		return all[0], nil
	}
	for _, w := range all {
		if w.Name == name {
			return w, nil
		}
	}
	return sim.World{}, usage("no world %q, there are: %s (try: %s)", name, c.names(), c.Listing)
}

// names are those of the worlds that are listed.
func (c *Command) names() string {
	var names []string
	for _, w := range c.Worlds {
		names = append(names, w.Name)
	}
	return strings.Join(names, ", ")
}

// list prints the worlds.
func (c *Command) list() error {
	out := newPrinter(c.Out)
	for _, w := range c.Worlds {
		if c.JSON {
			out.object(struct {
				Type  string `json:"type"`
				Name  string `json:"name"`
				About string `json:"about"`
			}{"world", w.Name, w.About})
			continue
		}
		out.printf("%-12s %s\n", w.Name, w.About)
	}
	return out.flush()
}

// check finds fields that are wrong, or do not go together, and reads the range of seeds.
func (c *Command) check() (first, count uint64, err error) {
	if c.Faults != nil {
		if _, err := sim.ParseOptions(*c.Faults); err != nil {
			return 0, 0, usage("--faults: %w", err)
		}
	}
	if c.Seed != nil {
		return 0, 0, c.checkOne()
	}
	switch {
	case c.timeline() || c.Page != "":
		return 0, 0, usage("--timeline, --all, --host, --from, --until and %s show one run: say which with --seed N", c.pageFlag())
	case c.Jobs < 0:
		return 0, 0, usage("--jobs=%d: must not be negative", c.Jobs)
	case c.Timeout < 0:
		return 0, 0, usage("--timeout=%v: must not be negative", c.Timeout)
	}
	if c.Seeds == "" {
		return 0, 100, nil
	}
	if first, count, err = sim.ParseSeeds(c.Seeds); err != nil {
		err = usage("--seeds=%s: %w", c.Seeds, err)
	}
	return first, count, err
}

func (c *Command) checkOne() error {
	lines := c.Timeline || c.All || c.Hosts != nil
	switch {
	case c.Seeds != "":
		return usage("--seed and --seeds exclude each other: --seed N is one run, --seeds N are many")
	case c.Page != "" && lines:
		return usage("%s draws all of a run, for a window of time with --from and --until: leave out --timeline, --all and --host", c.pageFlag())
	case c.JSON && lines:
		return usage("a timeline is text: leave out --json, or --timeline, --all and --host")
	case c.From < 0 || c.Until < 0 || c.Until != 0 && c.Until <= c.From:
		return usage("--from=%v --until=%v: expected times from 0 on, the second after the first", c.From, c.Until)
	}
	return nil
}

// timeline tells whether a timeline is asked for, unless it is a page.
func (c *Command) timeline() bool {
	return c.Timeline || c.All || c.Hosts != nil || c.From != 0 || c.Until != 0
}

func (c *Command) pageFlag() string {
	if c.PageFlag == "" {
		return "--page"
	}
	return c.PageFlag
}

// replayLine is the command that shows a run again, with the faults that matter if they are
// known.
func (c *Command) replayLine(v *fleet.Verdict) string {
	line := c.Program
	if len(c.all()) > 1 {
		line += " " + v.World
	}
	line += fmt.Sprintf(" --seed %d", v.Seed)
	faults := v.Least
	if faults == "" {
		faults = v.Faults
	}
	if faults != "" {
		line += fmt.Sprintf(" --faults '%s'", faults)
	}
	return line
}
