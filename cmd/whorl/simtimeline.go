package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/whorl-go/whorl/sim"
)

// timeline prints what happened in a run, a line each.
type timeline struct {
	out         *printer
	all         bool     // every event, rather than what a reader wants to know
	hosts       []string // these alone; none: all
	from, until time.Duration
	width       int // of the longest name
	sum         segments
}

// segments are what has happened to segments since a line said so.
type segments struct {
	since, until time.Duration
	ways         []way // in the order of their first segment
}

// way is the segments from one host to another.
type way struct {
	from, to                   string
	sent, bytes, arrived, lost int
}

// summary is how much time one line tells of segments at most.
const summary = time.Second

// print prints events.
func (l *timeline) print(all []sim.TraceEvent) {
	for i := range all {
		l.width = max(l.width, len(printable(all[i].Host)))
	}
	for _, e := range all {
		if e.At < l.from || l.until > 0 && e.At > l.until || !l.concerns(e) {
			continue
		}
		switch {
		case l.all:
			l.line(e.At, e.Host, everything(e))
		case e.ID != 0:
			l.count(e)
		case shown(e):
			if strings.HasPrefix(told(e), "*") || e.At >= l.sum.since+summary {
				l.flush()
			}
			l.line(e.At, e.Host, told(e))
		}
	}
	l.flush()
}

// concerns tells whether one of the hosts that are shown has to do with e.
func (l *timeline) concerns(e sim.TraceEvent) bool {
	return len(l.hosts) == 0 || e.Host == "" || slices.ContainsFunc(l.hosts, func(h string) bool {
		return h == e.Host || h == e.From || h == e.To
	})
}

func (l *timeline) line(t time.Duration, host, text string) {
	l.out.printf("%s\n", strings.TrimRight(fmt.Sprintf("%13s  %-*s  %s", at(t), l.width, printable(host), text), " "))
}

// count adds a segment to the next summary.
func (l *timeline) count(e sim.TraceEvent) {
	if len(l.sum.ways) > 0 && e.At >= l.sum.since+summary {
		l.flush()
	}
	if len(l.sum.ways) == 0 {
		l.sum.since = e.At
	}
	l.sum.until = e.At
	i := slices.IndexFunc(l.sum.ways, func(w way) bool { return w.from == e.From && w.to == e.To })
	if i < 0 {
		i = len(l.sum.ways)
		l.sum.ways = append(l.sum.ways, way{from: e.From, to: e.To})
	}
	w := &l.sum.ways[i]
	switch e.What {
	case "send":
		w.sent++
		if e.Kind == sim.DATA {
			w.bytes += e.N
		}
	case "arrive":
		w.arrived++
	case "drop", "give up":
		w.lost++
	}
}

// flush prints the summary of segments.
func (l *timeline) flush() {
	if len(l.sum.ways) == 0 {
		return
	}
	var parts []string
	for _, w := range l.sum.ways {
		s := fmt.Sprintf("%s > %s %d sent", printable(w.from), printable(w.to), w.sent)
		if w.bytes > 0 {
			s += fmt.Sprintf(" (%d bytes)", w.bytes)
		}
		s += fmt.Sprintf(" %d arrived", w.arrived)
		if w.lost > 0 {
			s += fmt.Sprintf(" %d lost", w.lost)
		}
		parts = append(parts, s)
	}
	l.line(l.sum.until, "", ". segments since "+at(l.sum.since)+": "+strings.Join(parts, ", "))
	l.sum = segments{}
}

// quiet is what goes on all the time, or is about the machinery alone.
var quiet = []string{"call", "wait", "dial", "accept", "read", "write", "closewrite", "close", "abort", "arm", "connected",
	"on posted", "on build", "on trigger"}

// shown tells whether e is for a reader who did not ask for all.
func shown(e sim.TraceEvent) bool {
	connected := e.What == "on dialed" && e.Text == "" // as "made" says
	return e.ID == 0 && !connected && !slices.Contains(quiet, e.What) && !strings.HasPrefix(e.What, "rare ")
}

// told is e in words.
func told(e sim.TraceEvent) string {
	sock := ""
	if e.Sock > 0 {
		sock = fmt.Sprintf(" #%d", e.Sock)
	}
	text := printable(e.Text)
	switch e.What {
	case "mark":
		return text
	case "on data":
		return fmt.Sprintf("- data%s, %d bytes", sock, e.N)
	case "cut", "heal", "clog":
		s := fmt.Sprintf("* %s %s > %s", e.What, printable(e.From), printable(e.To))
		if e.What == "clog" {
			return s + " for " + text
		}
		return strings.TrimSpace(s + " " + text)
	case "listen":
		return "listens" + sock
	case "start":
		return "the program starts"
	case "crash", "kill", "restart", "pause", "resume", "clock":
		return "* " + e.What
	}
	s := "- " + strings.TrimPrefix(e.What, "on ") + sock
	if text != "" {
		s += ": " + text
	}
	return s
}

// everything is e with all there is.
func everything(e sim.TraceEvent) string {
	s := e.What
	if e.Sock > 0 {
		s += fmt.Sprintf(" #%d", e.Sock)
	}
	switch {
	case e.ID != 0:
		s += fmt.Sprintf(" %v %s > %s no. %d", e.Kind, printable(e.From), printable(e.To), e.ID)
	case e.From != "":
		s += fmt.Sprintf(" %s > %s", printable(e.From), printable(e.To))
	}
	if e.N != 0 {
		s += fmt.Sprintf(" %d", e.N)
	}
	if e.Text != "" {
		s += " " + printable(e.Text)
	}
	return s
}
