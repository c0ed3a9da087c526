package simmain

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/whorl-go/whorl/sim"
)

// worker is the argument with which Main's program is a worker of itself.
const worker = "sim-worker"

// Main is the main function of a program that runs worlds: it reads the flags of os.Args,
// does what they say and ends the process. The flag --help tells the rest.
//
// The exit status is 0 if everything held, 1 if something failed or was interrupted, and 2
// if the command line is wrong.
func Main(worlds ...sim.World) {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, worlds))
}

// run is Main with arguments and streams of its own; it returns the exit status.
func run(args []string, in io.Reader, out, errs io.Writer, worlds []sim.World) int {
	c := &Command{Worlds: worlds, Program: invocation(), Worker: []string{worker}, Out: out, Err: errs, Timeout: time.Minute}
	c.Listing = c.Program + " --list"
	err := c.distinct()
	if err == nil {
		err = c.do(args, in)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrFailed):
		return 1
	}
	fmt.Fprintf(errs, "%s: %v\n", filepath.Base(os.Args[0]), err)
	if _, ok := errors.AsType[*UsageError](err); ok {
		return 2
	}
	return 1
}

// distinct finds worlds that cannot be told apart or run.
func (c *Command) distinct() error {
	for i, w := range c.Worlds {
		if w.Setup == nil {
			return fmt.Errorf("world %q has no Setup", w.Name)
		}
		for _, other := range c.Worlds[:i] {
			if other.Name == w.Name {
				return fmt.Errorf("two worlds have the name %q: a world is named by it on the command line", w.Name)
			}
		}
	}
	if len(c.Worlds) == 0 {
		return errors.New("Main was given no world")
	}
	return nil
}

// do reads args and runs the command.
func (c *Command) do(args []string, in io.Reader) error {
	if len(args) == 1 && args[0] == worker {
		return c.Work(in)
	}
	fs := c.flags()
	switch err := c.parse(fs, args); {
	case errors.Is(err, flag.ErrHelp):
		out := newPrinter(c.Out)
		c.help(out, fs)
		return out.flush()
	case err != nil:
		return usage("%w (try: %s --help)", err, c.Program)
	}
	if c.World == "" && !c.List && len(c.Worlds) > 1 && fs.NFlag() > 0 {
		return usage("which world? There are: %s (try: %s)", c.names(), c.Listing)
	}
	return c.Run()
}

// flags are those of Main. A word in back quotes is what stands for the value in help.
func (c *Command) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&c.List, "list", false, "List the worlds.")
	fs.StringVar(&c.Seeds, "seeds", "", "Run the seeds `N|A..B`: 0 to N-1, or A to B, both included. Without it, 0 to 99.")
	fs.Func("seed", "Run seed `N` alone, and show how it ends.", func(s string) error {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return errors.New("expected a whole number, as in --seed 17")
		}
		c.Seed = &seed
		return nil
	})
	fs.Func("faults", "Faults for every seed, a `MIX` as in 'chunk=3,drop=0.01', or none. Without it each seed draws its own.", func(s string) error {
		c.Faults = &s
		return nil
	})
	fs.BoolVar(&c.Timeline, "timeline", false, "Print what happened in the run of --seed, a line each.")
	fs.StringVar(&c.Page, "page", "", "Draw the run of --seed to `FILE`, a page of HTML that needs nothing else. A file that is there is replaced.")
	fs.BoolVar(&c.All, "all", false, "In a timeline, every kernel call, segment and rare branch.")
	fs.Func("host", "In a timeline, only the host of this `NAME`; several flags or a comma for several.", func(s string) error {
		c.Hosts = append(c.Hosts, strings.Split(s, ",")...)
		return nil
	})
	fs.DurationVar(&c.From, "from", 0, "In a timeline or page, what happened from that `TIME` on, as in 1.5s of simulated time.")
	fs.DurationVar(&c.Until, "until", 0, "In a timeline or page, what happened until that `TIME`.")
	fs.BoolVar(&c.Once, "once", false, "Run each seed once, not twice: what the seed does not decide goes unnoticed.")
	fs.IntVar(&c.Jobs, "jobs", 0, "Run `N` processes at a time. Without it, one for each CPU.")
	fs.DurationVar(&c.Timeout, "timeout", c.Timeout, "Kill the process of a seed that takes longer than this `DURATION` in real time. Without it, 1m; 0 is for ever.")
	fs.BoolVar(&c.JSON, "json", false, "Print JSON, an object a line.")
	fs.BoolVar(&c.Quiet, "quiet", false, "Show no progress.")
	return fs
}

// parse reads flags and the name of a world, in any order.
func (c *Command) parse(fs *flag.FlagSet, args []string) error {
	for {
		if err := fs.Parse(args); err != nil {
			return err
		}
		if args = fs.Args(); len(args) == 0 {
			return nil
		}
		if c.World != "" {
			return fmt.Errorf("%q: there is a world already, %q", args[0], c.World)
		}
		c.World, args = args[0], args[1:]
	}
}

// help teaches.
func (c *Command) help(out *printer, fs *flag.FlagSet) {
	world, which := " WORLD", " [WORLD]"
	if len(c.Worlds) == 1 {
		world, which = "", ""
	}
	out.printf("Usage: %s [FLAGS]%s\n\n%s\n\nWorlds:\n\n", c.Program, which, teaching)
	for _, w := range c.Worlds {
		out.printf("    %-12s %s\n", w.Name, w.About)
	}
	out.printf("\nFlags:\n\n")
	fs.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
			value = ""
		}
		out.printf("    %-20s %s\n", strings.TrimSpace("--"+f.Name+" "+value), text)
	})
	out.printf("\nExamples:\n\n")
	for _, e := range []struct{ flags, about string }{
		{"--seeds 1000", "run seeds 0 to 999"},
		{"--seeds 100..200 --json", "for programs: an object for each failure, and a summary"},
		{"--seeds 50 --faults drop=0.05,crash=0.1", "with these faults"},
		{"--seed 17", "how seed 17 ends"},
		{"--seed 17 --timeline", "what happened in it"},
		{"--seed 17 --page run.html", "the same as a picture"},
	} {
		out.printf("    %s%s %-40s %s\n", c.Program, world, e.flags, e.about)
	}
	out.printf("\nFault classes: %s.\n\nExit status: 0 if everything held, 1 if something failed or Ctrl-C came first, 2 if the command line is wrong.\n",
		strings.Join(sim.ClassNames(), ", "))
}

// teaching is the first part of the help.
const teaching = `A world is a program, whole with its hosts, on a simulated network. A seed decides everything that is left to
chance: what the network does, and which faults happen. The same seed is the same run, as often as you like. So run many
seeds; when one fails, replay it.

Each seed is run twice, and must come out the same: what is left to chance in the program itself is a failure, too. Of the
first few failures it is said which faults matter: those without which the failure does not happen.`

// invocation is how a shell calls this program: as it was called, or by go run.
func invocation() string {
	self, err := os.Executable()
	if err != nil || !fromGoRun(self) {
		return quoted(os.Args[0])
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Path == "" || info.Path == "command-line-arguments" {
		return "go run ."
	}
	return "go run " + info.Path
}

// fromGoRun tells whether a program is where go run puts it: in a directory of its own in the
// cache, with a hash for a name, or in a temporary one.
func fromGoRun(program string) bool {
	const hash = 64
	dir := filepath.Base(filepath.Dir(program))
	cached := len(dir) == hash+len("-d") && strings.HasSuffix(dir, "-d")
	return cached || strings.Contains(program, string(filepath.Separator)+"go-build")
}

// quoted is a word as a shell reads it.
func quoted(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("/._-+=:@%", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
