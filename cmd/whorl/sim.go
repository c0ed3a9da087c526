package main

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	examples "github.com/whorl-go/whorl/examples/worlds"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/sim/simmain"
)

type simCommand struct {
	World   string        `arg:"" optional:"" help:"Which world. Without it they are listed."`
	Seeds   string        `placeholder:"N|A..B" help:"Run seeds 0 to N-1, or A to B, both included (100)."`
	Seed    *uint64       `placeholder:"N" help:"Run this seed alone, and show it."`
	Faults  *string       `placeholder:"MIX" help:"Faults for every seed, as in 'chunk=3,drop=0.01', or none. Without it each seed draws its own."`
	Once    bool          `help:"Run each seed once, not twice: what the seed does not decide goes unnoticed."`
	JSON    bool          `name:"json" help:"Print JSON, an object a line, as with --log-format=json."`
	Jobs    int           `short:"j" placeholder:"N" help:"So many processes at a time. Without it, one for each CPU."`
	Timeout time.Duration `default:"1m" placeholder:"DURATION" help:"How long a seed may take in real time before its process is killed (${default}); 0 is for ever."`

	Timeline bool          `help:"Print what happened in the run of --seed, a line each."`
	All      bool          `help:"In a timeline, every kernel call, segment and rare branch."`
	Host     []string      `placeholder:"NAME" help:"In a timeline, these hosts alone."`
	From     time.Duration `placeholder:"TIME" help:"In a timeline or page, what happened from then on, as in 1.5s of simulated time."`
	Until    time.Duration `placeholder:"TIME" help:"In a timeline or page, what happened until then."`
	HTML     string        `name:"html" aliases:"page" placeholder:"FILE" help:"Draw the run of --seed as a page that needs nothing else. A file that is there is replaced."`
}

// Help is shown by --help.
func (*simCommand) Help() string {
	return `A world is a program, whole with its hosts, on a simulated network. A seed decides all that is left to chance: what the
network does, and which faults strike. The same seed is the same run, as often as you like and with all that happened in
view. So run many seeds; when one fails, replay it.

Each seed is run twice, and must come out the same: what is left to chance in the program itself is a failure, too. Of the
first few that fail it is said which faults matter: those without which the failure does not happen.

Examples:

    whorl sim                                       list the worlds
    whorl sim lease --seeds 1000                    run seeds 0 to 999
    whorl sim lease --seeds 100..200 --json         for programs: an object for each failure, and a summary
    whorl sim lease --seeds 50 --faults drop=0.05,crash=0.1
    whorl sim lease --seed 17                       how seed 17 ends
    whorl sim lease --seed 17 --timeline --host n1  what happened on n1
    whorl sim lease --seed 17 --html run.html       the same as a picture
    whorl sim demo-bug --seeds 200                  fails on purpose: find out why

The world demo-bug is lease with one line wrong, to practise on. Its lease runs from when an answer came, not from when the
question was asked. Most seeds do not notice.

Fault classes: ` + strings.Join(sim.ClassNames(), ", ") + `.

Exit status: 0 if everything held, 1 if something failed or Ctrl-C came first, 2 if the command line is wrong.`
}

// known are the worlds that the tool has; the hidden ones are not listed.
type known struct{ worlds, hidden []sim.World }

func builtIn() known { return known{examples.All(), []sim.World{examples.DemoBug()}} }

// Run lists the worlds, runs many seeds, or one.
func (c *simCommand) Run(g *globals, t terminal, k known) error {
	_, engine := g.logger(t)
	x := k.command(t)
	x.Kernel, x.Log, x.Quiet = g.Kernel, engine, g.Quiet
	x.ProgressLog = slog.New(slog.NewJSONHandler(t.err, &slog.HandlerOptions{Level: g.level()}))
	x.World, x.Seeds, x.Seed, x.Faults, x.Once = c.World, c.Seeds, c.Seed, c.Faults, c.Once
	x.JSON, x.Jobs, x.Timeout = c.JSON || g.LogFormat == "json", c.Jobs, c.Timeout
	x.Timeline, x.All, x.Hosts, x.From, x.Until, x.Page = c.Timeline, c.All, c.Host, c.From, c.Until, c.HTML
	return ended(x.Run())
}

// command makes a command on the worlds of k, without anything to do yet.
func (k known) command(t terminal) *simmain.Command {
	return &simmain.Command{Worlds: k.worlds, Hidden: k.hidden, Program: "whorl sim", Listing: "whorl sim",
		Worker: []string{"sim-worker"}, PageFlag: "--html", Out: t.out, Err: t.err}
}

// ended turns the result of a command on worlds into the error that the tool reports.
func ended(err error) error {
	if errors.Is(err, simmain.ErrFailed) {
		return errQuiet
	}
	if e, ok := errors.AsType[*simmain.UsageError](err); ok {
		return usage(e.Err)
	}
	return err
}

// simWorkerCommand runs seeds for a parent process, which is this tool too.
type simWorkerCommand struct{}

// Run works until the parent asks it to stop, or has ended.
func (*simWorkerCommand) Run(t terminal, k known) error { return ended(k.command(t).Work(t.in)) }
