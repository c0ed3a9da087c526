package main

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// table is rows of cells. The first row holds the headings.
type table [][]string

// write prints t in aligned columns, or as markdown. The first text columns are text and
// stand left; the others are numbers and stand right.
func (t table) write(w io.Writer, markdown bool, text int) {
	widths := make([]int, len(t[0]))
	for _, row := range t {
		for i, c := range row {
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	for n, row := range t {
		cells := make([]string, len(row))
		for i, c := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(c)))
			if cells[i] = pad + c; i < text {
				cells[i] = c + pad
			}
		}
		if !markdown {
			fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "  "), " "))
			continue
		}
		fmt.Fprintln(w, "| "+strings.Join(cells, " | ")+" |")
		if n == 0 {
			for i, width := range widths {
				line := strings.Repeat("-", width+1)
				if i < text {
					fmt.Fprint(w, "|"+line+"-")
				} else {
					fmt.Fprint(w, "|"+line+":")
				}
			}
			fmt.Fprintln(w, "|")
		}
	}
}

// report writes the results: tables of speed, of how late calls were, of memory and of
// simulations, and then who was left out.
func report(w io.Writer, results []result, reference string, markdown bool) {
	speed := table{{"workload", "server", "per CPU-s", "× " + reference, "[10-90 %]", "per s", "p50 µs", "p99 µs", "CPU"}}
	late := table{{"workload", "server", "p50 ms", "p99 ms", "max ms", "worst max", "took ms"}}
	space := table{{"workload", "server", "RSS new", "RSS used", "RSS kept", "heap", "stacks", "µs to accept"}}
	simulated := table{{"workload", "events per CPU-s", "per s", "allocs per event", "simulated s", "took s"}}
	var notes []string
	for i := range results {
		r := &results[i]
		if len(r.Sim) > 0 {
			simulated = append(simulated, simRow(r))
		}
		for _, s := range r.Servers {
			switch {
			case r.failed(s):
			case len(r.Idle) > 0:
				space = append(space, idleRow(r, s))
			case len(r.column(s, func(sample) float64 { return 0 })) > 0:
				speed = append(speed, speedRow(r, s, reference))
				if len(r.stalls(s, func(stall) float64 { return 0 })) > 0 {
					late = append(late, lateRow(r, s))
				}
			}
		}
		for _, f := range r.Failed {
			notes = append(notes, fmt.Sprintf("%s: %s was left out: %s", r.Workload, f.Server, f.Error))
		}
		if r.Disturbed > 0 {
			notes = append(notes, fmt.Sprintf("%s: %d of %d sets were disturbed by other processes", r.Workload, r.Disturbed, len(r.Sets)))
		}
	}
	for _, part := range []struct {
		head string
		table
		text int
	}{
		{"Messages (churn, tlsconn, tlsresume, tlsstorm: connections) per second of server CPU, and what others mean beside it:", speed, 2},
		{"How late calls on every millisecond were while all clients shook hands:", late, 2},
		{"Bytes per connection, and server CPU to accept one:", space, 2},
		{"Simulation, on one CPU:", simulated, 1},
	} {
		if len(part.table) > 1 {
			fmt.Fprintf(w, "%s\n\n", part.head)
			part.write(w, markdown, part.text)
			fmt.Fprintln(w)
		}
	}
	for _, n := range notes {
		fmt.Fprintln(w, "- "+n)
	}
}

func simRow(r *result) []string {
	of := func(figure func(simSample) float64) float64 {
		var v []float64
		for _, s := range r.Sim {
			v = append(v, figure(s))
		}
		return median(v)
	}
	return []string{
		r.Workload,
		number(of(func(s simSample) float64 { return s.PerCPU })),
		number(of(func(s simSample) float64 { return s.PerSecond })),
		fmt.Sprintf("%.4f", of(func(s simSample) float64 { return s.Allocs })),
		number(of(func(s simSample) float64 { return s.Virtual })),
		fmt.Sprintf("%.2f", of(func(s simSample) float64 { return s.Seconds })),
	}
}

// lateRow shows medians, and the maximum of all sets.
func lateRow(r *result, server string) []string {
	ms := func(us float64) string { return fmt.Sprintf("%.2f", us/1e3) }
	worst := r.stalls(server, func(s stall) float64 { return s.Max })
	return []string{
		fmt.Sprintf("%s %d", r.Workload, r.Conns), r.shown(server),
		ms(median(r.stalls(server, func(s stall) float64 { return s.P50 }))),
		ms(median(r.stalls(server, func(s stall) float64 { return s.P99 }))),
		ms(median(worst)), ms(quantile(worst, 1)),
		ms(float64(r.Conns) * 1e6 / median(r.column(server, func(s sample) float64 { return s.PerSecond }))),
	}
}

func speedRow(r *result, server, reference string) []string {
	of := func(figure func(sample) float64) float64 { return median(r.column(server, figure)) }
	ratios := r.ratios(server, reference)
	ratio, spread := "-", ""
	if len(ratios) > 0 {
		ratio = fmt.Sprintf("%.2f", median(ratios))
	}
	if len(ratios) > 2 && server != reference {
		spread = fmt.Sprintf("[%.2f-%.2f]", quantile(ratios, .1), quantile(ratios, .9))
	}
	return []string{
		r.Workload, r.shown(server),
		number(of(func(s sample) float64 { return s.PerCPU })), ratio, spread,
		number(of(func(s sample) float64 { return s.PerSecond })),
		number(of(func(s sample) float64 { return s.P50 })),
		number(of(func(s sample) float64 { return s.P99 })),
		fmt.Sprintf("%.0f %%", 100*of(func(s sample) float64 { return s.CPUShare })),
	}
}

func idleRow(r *result, server string) []string {
	of := func(figure func(idleSample) float64) string { return number(median(r.idleColumn(server, figure))) }
	return []string{
		fmt.Sprintf("%s %d", r.Workload, r.Conns), r.shown(server),
		of(func(s idleSample) float64 { return s.New }),
		of(func(s idleSample) float64 { return s.Used }),
		of(func(s idleSample) float64 { return s.Kept }),
		of(func(s idleSample) float64 { return s.Heap }),
		of(func(s idleSample) float64 { return s.Stacks }),
		of(func(s idleSample) float64 { return s.Accept }),
	}
}

// number formats x with about three digits. More would not be certain.
func number(x float64) string {
	switch a := math.Abs(x); {
	case math.IsNaN(x):
		return "-"
	case a >= 1e6:
		return fmt.Sprintf("%.2fM", x/1e6)
	case a >= 1e4:
		return fmt.Sprintf("%.1fk", x/1e3)
	case a >= 100:
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.1f", x)
}
