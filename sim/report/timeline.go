package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/sim"
)

// Timeline prints what happened in a run, a line each: callbacks, marks and faults, and now
// and then the number of segments.
type Timeline struct {
	// All prints every event, each segment and kernel call too.
	All bool
	// Hosts are the names of the hosts to print; none: all.
	Hosts []string
	// From and Until are the times to print, both included. Zero Until: to the end.
	From, Until time.Duration
}

// timeline is a Timeline at work.
type timeline struct {
	Timeline
	out   io.Writer
	err   error // the first of out
	width int   // of the longest name
	sum   segments
}

// segments counts what happened to segments since the last summary.
type segments struct {
	since, until time.Duration
	ways         []way // in the order of their first segment
}

// way counts the segments from one host to another.
type way struct {
	from, to                   string
	sent, bytes, arrived, lost int
}

// summary is the longest time for which one line sums up segments.
const summary = time.Second

// Print prints events to w, with one Write for each line. It returns the first error of w.
func (t Timeline) Print(w io.Writer, events []sim.TraceEvent) error {
	l := timeline{Timeline: t, out: w}
	l.print(events)
	return l.err
}

func (l *timeline) print(all []sim.TraceEvent) {
	for i := range all {
		l.width = max(l.width, len(Printable(all[i].Host)))
	}
	for i := range all {
		e := &all[i]
		if e.At < l.From || l.Until > 0 && e.At > l.Until || !l.concerns(e) {
			continue
		}
		switch {
		case l.All:
			l.line(e.At, e.Host, describeAll(e))
		case e.ID != 0:
			l.count(e)
		case shown(e):
			if e.Op.Fault() || e.At >= l.sum.since+summary {
				l.flush()
			}
			l.line(e.At, e.Host, describe(e))
		}
	}
	l.flush()
}

// concerns tells whether e is about one of the hosts that are shown.
func (l *timeline) concerns(e *sim.TraceEvent) bool {
	return len(l.Hosts) == 0 || e.Host == "" || slices.ContainsFunc(l.Hosts, func(h string) bool {
		return h == e.Host || h == e.From || h == e.To
	})
}

func (l *timeline) line(t time.Duration, host, text string) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.out, "%s\n", strings.TrimRight(fmt.Sprintf("%13s  %-*s  %s", Moment(t), l.width, Printable(host), text), " "))
	}
}

// count adds a segment to the next summary.
func (l *timeline) count(e *sim.TraceEvent) {
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
	switch e.Op {
	case sim.OpSend:
		w.sent++
		if e.Kind == sim.DATA || e.Kind == sim.DATAGRAM {
			w.bytes += e.N
		}
	case sim.OpArrive:
		w.arrived++
	case sim.OpDrop, sim.OpGiveUp:
		w.lost++
	}
}

// flush prints the summary of segments, if there are any.
func (l *timeline) flush() {
	if len(l.sum.ways) == 0 {
		return
	}
	var parts []string
	for _, w := range l.sum.ways {
		s := fmt.Sprintf("%s > %s %d sent", Printable(w.from), Printable(w.to), w.sent)
		if w.bytes > 0 {
			s += fmt.Sprintf(" (%d bytes)", w.bytes)
		}
		s += fmt.Sprintf(" %d arrived", w.arrived)
		if w.lost > 0 {
			s += fmt.Sprintf(" %d lost", w.lost)
		}
		parts = append(parts, s)
	}
	l.line(l.sum.until, "", ". segments since "+Moment(l.sum.since)+": "+strings.Join(parts, ", "))
	l.sum = segments{}
}

// shown tells whether e is printed when not everything is asked for. Segments are summed up.
// Kernel calls and the reactor's own business are left out.
func shown(e *sim.TraceEvent) bool {
	switch e.Op {
	case sim.OpNote:
		switch e.Note {
		case probe.NotePosted, probe.NoteBuild, probe.NoteTrigger:
			return false
		case probe.NoteDialed:
			return e.Text != "" // without an error, NoteMade says the same
		}
		return true
	case sim.OpListen, sim.OpStart, sim.OpMark, sim.OpReached:
		return true
	}
	return e.Op.Fault()
}

// describe is e in words.
func describe(e *sim.TraceEvent) string {
	sock := ""
	if e.Sock > 0 {
		sock = fmt.Sprintf(" #%d", e.Sock)
	}
	text := Printable(e.Text)
	switch e.Op {
	case sim.OpMark:
		return text
	case sim.OpReached:
		return "= reached: " + text
	case sim.OpListen:
		return "listens" + sock
	case sim.OpStart:
		return "the program starts"
	case sim.OpClog:
		return fmt.Sprintf("* %v %s > %s for %v", e.Op, Printable(e.From), Printable(e.To), e.Lasts)
	case sim.OpCut, sim.OpHeal:
		return strings.TrimSpace(fmt.Sprintf("* %v %s > %s %s", e.Op, Printable(e.From), Printable(e.To), text))
	}
	if e.Op.Fault() {
		return "* " + e.Op.String()
	}
	return "- " + callback(e)
}

// callback is an OpNote in words.
func callback(e *sim.TraceEvent) string {
	s := e.Note.String()
	if e.Sock > 0 {
		s += fmt.Sprintf(" #%d", e.Sock)
	}
	switch {
	case e.Note == probe.NoteData:
		s += fmt.Sprintf(", %d bytes", e.N)
	case e.Text != "":
		s += ": " + Printable(e.Text)
	}
	return s
}

// describeAll is e with all its fields.
func describeAll(e *sim.TraceEvent) string {
	s := e.What()
	if e.Sock > 0 {
		s += fmt.Sprintf(" #%d", e.Sock)
	}
	switch {
	case e.ID != 0:
		s += fmt.Sprintf(" %v %s > %s no. %d", e.Kind, Printable(e.From), Printable(e.To), e.ID)
	case e.From != "":
		s += fmt.Sprintf(" %s > %s", Printable(e.From), Printable(e.To))
	}
	if e.N != 0 {
		s += fmt.Sprintf(" %d", e.N)
	}
	if e.Text != "" {
		s += " " + Printable(e.Text)
	}
	return s
}
