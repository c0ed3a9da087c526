package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// row is what a scenario has shown.
type row struct {
	Name          string
	Did           string // what was done, with counts
	Unit          string // of Due, Served and Lost
	Due, Served   int64
	Lost, Wrong   int64
	Quiet, Load   trips
	Late          time.Duration
	Before, After serverStats
	Took          time.Duration
	Impossible    string   // why it cannot be done here
	Notes         []string // figures that are no column
	Failures      []string
}

func (r *row) verdict() string {
	switch {
	case len(r.Failures) > 0:
		return "FAILED"
	case r.Impossible != "":
		return "not possible here"
	}
	return "ok"
}

// ms shows milliseconds.
func ms(d time.Duration) string {
	switch f := float64(d) / 1e6; {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 1:
		return fmt.Sprintf("%.1f", f)
	default:
		return fmt.Sprintf("%.2f", f)
	}
}

// count shows a number of connections or bytes.
func count(n int64, unit string) string {
	if unit == "bytes" && n >= 10<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprint(n)
}

func (t trips) String() string {
	if t.N == 0 {
		return "-"
	}
	return ms(t.P50) + " " + ms(t.P99) + " " + ms(t.Max)
}

// cells are the columns of a row.
func (r *row) cells() []string {
	if r.Impossible != "" {
		return []string{r.Name, "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", r.verdict()}
	}
	stall, files, heap := "-", "-", "-"
	if r.After.Files > 0 {
		stall = ms(r.Late)
		files = fmt.Sprintf("%d %d", r.Before.Files, r.After.Files)
		heap = fmt.Sprintf("%d %d", r.Before.Heap>>10, r.After.Heap>>10)
	}
	return []string{
		r.Name, count(r.Due, r.Unit) + " " + r.Unit, count(r.Served, r.Unit), count(r.Lost, r.Unit), fmt.Sprint(r.Wrong),
		r.Quiet.String(), r.Load.String(), stall, files, heap, fmt.Sprintf("%.1f", r.Took.Seconds()), r.verdict(),
	}
}

// report prints the table, and below it what was done and what went wrong.
func report(w io.Writer, rows []*row) {
	table := [][]string{{
		"scenario", "due", "served", "lost", "wrong", "quiet ms", "meanwhile ms", "stall ms", "descriptors", "heap KiB", "s", "verdict",
	}}
	for _, r := range rows {
		table = append(table, r.cells())
	}
	widths := make([]int, len(table[0]))
	for _, cells := range table {
		for i, c := range cells {
			widths[i] = max(widths[i], len(c))
		}
	}
	for _, cells := range table {
		for i, c := range cells {
			cells[i] = fmt.Sprintf("%-*s", widths[i], c)
			if i > 0 && i < len(cells)-1 {
				cells[i] = fmt.Sprintf("%*s", widths[i], c)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "  "), " "))
	}
	fmt.Fprintln(w, "\nquiet and meanwhile: round trips of the bystanders, p50 p99 worst. descriptors and heap: of the server, before and after.")
	for _, r := range rows {
		did := r.Did
		if r.Impossible != "" {
			did = "not possible here: " + r.Impossible
		}
		fmt.Fprintf(w, "%s: %s\n", r.Name, strings.Join(append([]string{did}, r.Notes...), "; "))
		for _, f := range r.Failures {
			fmt.Fprintf(w, "  FAILED: %s\n", f)
		}
	}
}
