package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/sim"
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
	hosts := hostsOf(r.Net)
	for _, h := range c.Host {
		if !slices.Contains(hosts, h) {
			return usage(fmt.Errorf("--host=%s: no such host in %s, there are: %s", h, w.Name, strings.Join(hosts, ", ")))
		}
	}
	out := newPrinter(t.out)
	switch {
	case c.HTML != "":
		if err := c.draw(r, all); err != nil {
			return err
		}
	case c.Timeline || c.All || c.Host != nil || c.From != 0 || c.Until != 0:
		l := timeline{out: out, all: c.All, hosts: c.Host, from: c.From, until: c.Until}
		l.print(all)
		out.printf("\n")
	}
	c.outcome(out, r, len(all))
	if err := out.flush(); err != nil {
		return err
	}
	if r.Err != nil {
		return errFailed
	}
	return nil
}

// outcome prints how a run ended.
func (c *simCommand) outcome(out *printer, r sim.Result, events int) {
	v := judge(r)
	if c.JSON {
		out.object(struct {
			Type string `json:"type"`
			verdict
			Events int    `json:"events"`
			Replay string `json:"replay"`
			HTML   string `json:"html,omitempty"`
		}{"run", v, events, v.replay(), c.HTML})
		return
	}
	how := "everything held"
	if r.Err != nil {
		how = v.What + ", in phase " + v.Phase + " at " + at(v.At)
	}
	out.printf("world:   %s\nseed:    %d\nfaults:  %s\noutcome: %s\n", v.World, v.Seed, v.Faults, how)
	if v.Error != "" {
		for line := range strings.SplitSeq(strings.TrimSpace(v.Error), "\n") {
			out.printf("         %s\n", printable(strings.ReplaceAll(line, "\t", "    ")))
		}
	}
	out.printf("took:    %s of simulated time, %s, %d events\nhash:    %s\nreplay:  %s\n",
		at(r.Now), counted(uint64(r.Steps), "step"), events, v.Hash, v.replay())
	if c.HTML != "" {
		out.printf("page:    %s\n", c.HTML)
	}
}

// hostsOf are the names of the hosts, in the order in which they were made.
func hostsOf(n *sim.Net) (names []string) {
	for _, h := range n.Hosts() {
		names = append(names, h.Name())
	}
	return names
}
