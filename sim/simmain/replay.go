package simmain

import (
	"slices"
	"strings"

	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/sim/fleet"
	"github.com/whorl-go/whorl/sim/report"
)

// replay runs one seed and shows it.
func (c *Command) replay(w sim.World) error {
	o, err := fleet.Options(*c.Seed, c.Faults)
	if err != nil {
		return err
	}
	setup := w.Setup
	w.Setup = func(n *sim.Net) sim.Checks {
		n.KeepTrace = true
		return setup(n)
	}
	r := fleet.Run(w, *c.Seed, o, c.Once)
	all := slices.Collect(r.Net.Events())
	hosts := report.Hosts(r)
	for _, h := range c.Hosts {
		if !slices.Contains(hosts, h) {
			return usage("--host=%s: no such host in %s, there are: %s", h, w.Name, strings.Join(hosts, ", "))
		}
	}
	out, v := newPrinter(c.Out), fleet.Judge(r)
	switch {
	case c.Page != "":
		if err := c.draw(r, all, c.replayLine(&v)); err != nil {
			return err
		}
	case c.timeline():
		l := report.Timeline{All: c.All, Hosts: c.Hosts, From: c.From, Until: c.Until}
		if out.err = l.Print(out.w, all); out.err == nil {
			out.printf("\n")
		}
	}
	c.outcome(out, r, &v, len(all))
	if err := out.flush(); err != nil {
		return err
	}
	if r.Err != nil {
		return ErrFailed
	}
	return nil
}

// outcome prints how a run ended.
func (c *Command) outcome(out *printer, r sim.Result, v *fleet.Verdict, events int) {
	if c.JSON {
		out.object(struct {
			Type string `json:"type"`
			*fleet.Verdict
			Events int    `json:"events"`
			Replay string `json:"replay"`
			HTML   string `json:"html,omitempty"`
		}{"run", v, events, c.replayLine(v), c.Page})
		return
	}
	out.printf("world:   %s\nseed:    %d\nfaults:  %s\noutcome: %s\n", v.World, v.Seed, v.Faults, report.Outcome(r))
	if v.Error != "" {
		for _, line := range report.Lines(v.Error) {
			out.printf("         %s\n", line)
		}
	}
	if v.Rule != "" {
		out.printf("rule:    %s\n", report.Printable(v.Rule))
	}
	for _, s := range r.Sometimes {
		out.printf("reached: %s\n", report.State(s))
	}
	out.printf("took:    %s of simulated time, %s, %d events\nhash:    %s\nreplay:  %s\n",
		report.Moment(r.Now), report.Count(uint64(r.Steps), "step"), events, v.Hash, c.replayLine(v))
	if c.Page != "" {
		out.printf("page:    %s\n", c.Page)
	}
}
