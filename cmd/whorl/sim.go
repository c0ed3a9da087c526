package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	examples "github.com/whorl-go/whorl/examples/worlds"
	"github.com/whorl-go/whorl/sim"
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
	HTML     string        `name:"html" placeholder:"FILE" help:"Draw the run of --seed as a page that needs nothing else. A file that is there is replaced."`
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

// known are the worlds that the tool has. Those after the first listed are not listed.
type known struct {
	worlds []sim.World
	listed int
}

func builtIn() known {
	all := examples.All()
	return known{append(all, examples.DemoBug()), len(all)}
}

// find is the world of that name.
func (k known) find(name string) (sim.World, error) {
	var names []string
	for i, w := range k.worlds {
		if w.Name == name {
			return w, nil
		}
		if i < k.listed {
			names = append(names, w.Name)
		}
	}
	return sim.World{}, usage(fmt.Errorf("no world %q, there are: %s (try: whorl sim)", name, strings.Join(names, ", ")))
}

// Run lists the worlds, runs many seeds, or one.
func (c *simCommand) Run(g *globals, t terminal, k known) error {
	c.JSON = c.JSON || g.LogFormat == "json"
	if c.World == "" {
		return c.list(t, k)
	}
	w, err := k.find(c.World)
	if err != nil {
		return err
	}
	first, count, err := c.check()
	if err != nil {
		return err
	}
	if c.Seed != nil {
		return c.replay(t, w)
	}
	return c.many(g, t, w, first, count)
}

// list prints the worlds.
func (c *simCommand) list(t terminal, k known) error {
	out := newPrinter(t.out)
	for _, w := range k.worlds[:k.listed] {
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

// check finds flags that are wrong, or do not go together, and reads the range of seeds.
func (c *simCommand) check() (first, count uint64, err error) {
	if c.Faults != nil {
		if _, err := sim.ParseOptions(*c.Faults); err != nil {
			return 0, 0, usage(fmt.Errorf("--faults: %w", err))
		}
	}
	if c.Seed != nil {
		return 0, 0, c.checkOne()
	}
	switch {
	case c.Timeline || c.All || c.Host != nil || c.From != 0 || c.Until != 0 || c.HTML != "":
		return 0, 0, usage(errors.New("--timeline, --all, --host, --from, --until and --html show one run: say which with --seed N"))
	case c.Jobs < 0:
		return 0, 0, usage(fmt.Errorf("--jobs=%d: must not be negative", c.Jobs))
	case c.Timeout < 0:
		return 0, 0, usage(fmt.Errorf("--timeout=%v: must not be negative", c.Timeout))
	}
	if c.Seeds == "" {
		return 0, 100, nil
	}
	if first, count, err = sim.ParseSeeds(c.Seeds); err != nil {
		err = usage(fmt.Errorf("--seeds=%s: %w", c.Seeds, err))
	}
	return first, count, err
}

func (c *simCommand) checkOne() error {
	switch {
	case c.Seeds != "":
		return usage(errors.New("--seed and --seeds exclude each other: --seed N is one run, --seeds N are many"))
	case c.HTML != "" && (c.Timeline || c.All || c.Host != nil):
		return usage(errors.New("--html draws all of a run, for a window of time with --from and --until: leave out --timeline, --all and --host"))
	case c.JSON && (c.Timeline || c.All || c.Host != nil):
		return usage(errors.New("a timeline is text: leave out --json, or --timeline, --all and --host"))
	case c.From < 0 || c.Until < 0 || c.Until != 0 && c.Until <= c.From:
		return usage(fmt.Errorf("--from=%v --until=%v: expected times from 0 on, the second after the first", c.From, c.Until))
	}
	return nil
}

// mix is the faults for a seed: those of text, or without it the seed's own.
func mix(seed uint64, text *string) (sim.Options, error) {
	if text == nil {
		return sim.Swarm(seed), nil
	}
	return sim.ParseOptions(*text)
}
