package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/sim/report"
)

// replay runs one seed and shows it.
func (c *simCommand) replay(t terminal, w sim.World) error {
	o, err := mix(*c.Seed, c.Faults)
	if err != nil {
		return err
	}
	setup := w.Setup
	w.Setup = func(n *sim.Net) sim.Checks {
		n.KeepTrace = true
		return setup(n)
	}
	again := w.Check
	if c.Once {
		again = w.Run
	}
	r := again(*c.Seed, o)
	all := slices.Collect(r.Net.Events())
	hosts := report.Hosts(r)
	for _, h := range c.Host {
		if !slices.Contains(hosts, h) {
			return usage(fmt.Errorf("--host=%s: no such host in %s, there are: %s", h, w.Name, strings.Join(hosts, ", ")))
		}
	}
	out, v := newPrinter(t.out), judge(r)
	switch {
	case c.HTML != "":
		if err := c.draw(r, all, v.replay()); err != nil {
			return err
		}
	case c.Timeline || c.All || c.Host != nil || c.From != 0 || c.Until != 0:
		l := report.Timeline{All: c.All, Hosts: c.Host, From: c.From, Until: c.Until}
		if out.err = l.Print(out.w, all); out.err == nil {
			out.printf("\n")
		}
	}
	c.outcome(out, r, &v, len(all))
	if err := out.flush(); err != nil {
		return err
	}
	if r.Err != nil {
		return errFailed
	}
	return nil
}

// outcome prints how a run ended.
func (c *simCommand) outcome(out *printer, r sim.Result, v *verdict, events int) {
	if c.JSON {
		out.object(struct {
			Type string `json:"type"`
			*verdict
			Events int    `json:"events"`
			Replay string `json:"replay"`
			HTML   string `json:"html,omitempty"`
		}{"run", v, events, v.replay(), c.HTML})
		return
	}
	out.printf("world:   %s\nseed:    %d\nfaults:  %s\noutcome: %s\n", v.World, v.Seed, v.Faults, report.Outcome(r))
	if v.Error != "" {
		for _, line := range report.Lines(v.Error) {
			out.printf("         %s\n", line)
		}
	}
	out.printf("took:    %s of simulated time, %s, %d events\nhash:    %s\nreplay:  %s\n",
		report.Moment(r.Now), report.Count(uint64(r.Steps), "step"), events, v.Hash, v.replay())
	if c.HTML != "" {
		out.printf("page:    %s\n", c.HTML)
	}
}
