package report

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/whorl-go/whorl/sim"
)

// Outcome says in a line how a run ended: "everything held", or who found the failure, in
// which phase and when. What was found is in [sim.RunError.Err].
func Outcome(r sim.Result) string {
	if r.Err == nil {
		return "everything held"
	}
	e, ok := errors.AsType[*sim.RunError](r.Err)
	if !ok {
		return "failed"
	}
	return fmt.Sprintf("%s, in phase %s at %s", e.What, e.Phase, Moment(e.At))
}

// Rule is the name of the rule that a run broke, "" if everything held. See [sim.RunError].
func Rule(r sim.Result) string {
	if e, ok := errors.AsType[*sim.RunError](r.Err); ok {
		return Printable(e.Rule)
	}
	return ""
}

// State says of a state that should be reached in some run when this run was in it first:
// "stale read at 3.500000s", or "no: stale read".
func State(s sim.State) string {
	if !s.Reached {
		return "no: " + Printable(s.Name)
	}
	return Printable(s.Name) + " at " + Moment(s.At)
}

// Hosts are the names of the hosts of a run, in the order in which they were made.
func Hosts(r sim.Result) (names []string) {
	for _, h := range r.Net.Hosts() {
		names = append(names, h.Name())
	}
	return names
}

// Printable is s with everything escaped that would move a terminal's cursor or end the
// line.
func Printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(fmt.Sprintf("%q", r), "'"))
		}
	}
	return b.String()
}

// Lines are the lines of s, each Printable, with spaces in place of tabs.
func Lines(s string) (lines []string) {
	for line := range strings.SplitSeq(strings.TrimSpace(s), "\n") {
		lines = append(lines, Printable(strings.ReplaceAll(line, "\t", "    ")))
	}
	return lines
}

// FirstLine is the first line of s, Printable.
func FirstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return Printable(line)
}

// Moment is a moment of a run in seconds, to the microsecond: "17.349694s".
func Moment(d time.Duration) string { return fmt.Sprintf("%.6fs", d.Seconds()) }

// Count is "1 seed", "2 seeds".
func Count(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
