package simmain

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/sim/fleet"
	"github.com/whorl-go/whorl/sim/report"
)

// many runs count seeds from first on.
func (c *Command) many(w sim.World, first, count uint64) error {
	k, err := native.Open(c.Kernel)
	if err != nil {
		return err
	}
	r := reactor.New(k, reactor.Config{Logger: c.Log})
	out := newPrinter(c.Out)
	b := &fleet.Batch{
		World: w.Name, First: first, Count: count, Faults: c.Faults, Once: c.Once, Processes: c.Jobs, Timeout: c.Timeout,
		Command: fleet.Self(c.Worker...), Progress: c.progress(),
		Failed: func(v fleet.Verdict) error { return c.failed(out, &v) },
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	sum, err := b.Run(ctx, r)
	if flushed := c.summary(out, b, &sum); err == nil {
		err = flushed
	}
	return err
}

// progress is nil if none is to be shown.
func (c *Command) progress() *fleet.Progress {
	if c.Quiet {
		return nil
	}
	p := &fleet.Progress{Out: c.Err, Bar: isTerminal(c.Err)}
	if p.Log = c.ProgressLog; c.JSON && p.Log == nil {
		p.Log = slog.New(slog.NewJSONHandler(c.Err, nil))
	}
	if !c.JSON {
		p.Log = nil
	}
	return p
}

// failed prints a failure as it becomes known.
func (c *Command) failed(out *printer, v *fleet.Verdict) error {
	if c.JSON {
		out.object(failureObject{"failure", v, c.replayLine(v)})
	} else {
		out.printf("FAIL %s seed %d: %s\n", v.World, v.Seed, reason(v))
	}
	return out.flush()
}

// summary prints what is known, and returns ErrFailed if something failed or is not known.
func (c *Command) summary(out *printer, b *fleet.Batch, s *fleet.Summary) error {
	if c.JSON {
		out.object(c.summaryObject(b, s))
	} else {
		c.printSummary(out, b, s)
	}
	if err := out.flush(); err != nil {
		return err
	}
	if s.Failed > 0 || s.Interrupted {
		return ErrFailed
	}
	return nil
}

func (c *Command) printSummary(out *printer, b *fleet.Batch, s *fleet.Summary) {
	for i := range s.Explained {
		v := &s.Explained[i]
		out.printf("\n%s seed %d: %s\n", v.World, v.Seed, reason(v))
		if rest := strings.Split(strings.TrimSpace(v.Error), "\n")[1:]; len(rest) > 0 {
			out.printf("    %s\n", report.Printable(rest[0]))
			if len(rest) > 1 {
				out.printf("    ... %s more: replay it to see them\n", report.Count(uint64(len(rest)-1), "line"))
			}
		}
		if v.Rule != "" {
			out.printf("  rule:   %s\n", report.Printable(v.Rule))
		}
		out.printf("  faults: %s\n  matter: %s\n", v.Faults, matters(v))
		if v.LeastError != "" {
			out.printf("  least:  %s, in phase %s at %s: %s\n", v.What, v.LeastPhase, report.Moment(v.LeastAt), report.FirstLine(v.LeastError))
		}
		out.printf("  replay: %s --timeline\n", c.replayLine(v))
	}
	if len(s.Explained) > 0 {
		out.printf("\n")
	}
	if more := s.Failed - uint64(len(s.Explained)); more > 0 {
		out.printf("%s: %s failed; each is a line above\n", b.World, report.Count(more, "more seed"))
	}
	c.printStates(out, b, s)
	of := ""
	if s.Ran < b.Count {
		of = fmt.Sprintf(" of %d", b.Count)
	}
	if s.Interrupted {
		out.printf("%s: interrupted\n", b.World)
	}
	out.printf("%s: %d%s seeds, %d failed, %v of simulated time in %v, %.0f seeds/s\n", b.World, s.Ran, of, s.Failed,
		s.Simulated.Round(time.Second), s.Took.Round(10*time.Millisecond), s.Rate())
}

// reason is why a seed failed, on one line.
func reason(v *fleet.Verdict) string {
	if v.Phase == "" { // its process is gone, and nobody knows when
		return v.What + ": " + report.FirstLine(v.Error)
	}
	return fmt.Sprintf("%s, in phase %s at %s: %s", v.What, v.Phase, report.Moment(v.At), report.FirstLine(v.Error))
}

// printStates prints how many seeds reached each state of sim.Net.Sometimes.
func (c *Command) printStates(out *printer, b *fleet.Batch, s *fleet.Summary) {
	var reached []string
	for _, x := range s.Sometimes {
		if x.Seeds == 0 {
			out.printf("%s: NEVER reached: %s\n", b.World, report.Printable(x.Name))
		} else {
			reached = append(reached, fmt.Sprintf("%s %d", report.Printable(x.Name), x.Seeds))
		}
	}
	if reached != nil {
		out.printf("%s: seeds that reached each state: %s\n", b.World, strings.Join(reached, ", "))
	}
}

// matters says which faults matter.
func matters(v *fleet.Verdict) string {
	switch {
	case v.Least == "":
		return "not known"
	case len(v.Matter) == 0:
		return "none: it fails on the perfect network, too"
	}
	return strings.Join(v.Matter, ", ")
}

// failureObject and summaryObject are printed with JSON.
type failureObject struct {
	Type string `json:"type"`
	*fleet.Verdict
	Replay string `json:"replay"`
}

type summaryObject struct {
	Type        string        `json:"type"`
	World       string        `json:"world"`
	Seeds       uint64        `json:"seeds"` // asked for
	Ran         uint64        `json:"ran"`
	Failed      uint64        `json:"failed"`
	Interrupted bool          `json:"interrupted"`
	Simulated   time.Duration `json:"simulated_ns"`
	Took        time.Duration `json:"took_ns"`
	// Sometimes are the states that should be reached, and Never those that were not.
	Sometimes []fleet.Reach `json:"sometimes"`
	Never     []string      `json:"never"`
	// Explained are the first few failures, with the faults that matter.
	Explained []explanation `json:"explained"`
}

type explanation struct {
	Seed   uint64   `json:"seed"`
	Least  string   `json:"least"` // "" if it is not known
	Matter []string `json:"matter"`
	// Rule is the one that is broken, and Error, Phase and At are those of the run with
	// Least; "" and 0 if that is not known.
	Rule   string        `json:"rule"`
	Error  string        `json:"least_error"`
	Phase  string        `json:"least_phase"`
	At     time.Duration `json:"least_at_ns"`
	Replay string        `json:"replay"`
}

func (c *Command) summaryObject(b *fleet.Batch, sum *fleet.Summary) summaryObject {
	s := summaryObject{"summary", b.World, b.Count, sum.Ran, sum.Failed, sum.Interrupted, sum.Simulated, sum.Took,
		append([]fleet.Reach{}, sum.Sometimes...), append([]string{}, sum.Never()...), []explanation{}}
	for i := range sum.Explained {
		v := &sum.Explained[i]
		s.Explained = append(s.Explained, explanation{v.Seed, v.Least, append([]string{}, v.Matter...),
			v.Rule, v.LeastError, v.LeastPhase, v.LeastAt, c.replayLine(v)})
	}
	return s
}
