package main

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// The sizes of a drawing, in pixels.
const (
	plotBar   = 14  // a bar, with the gap below it
	plotGroup = 12  // more between two workloads
	plotNames = 190 // names stand left of the bars
	plotUnit  = 150 // of the ratio 1
	plotEdge  = 70  // right of the longest bar, for its figure
	plotHead  = 46
)

// plotColours are those of the servers, in their order. They differ in lightness too.
var plotColours = [...]string{"#1b6ca8", "#b0b0b0", "#e08a1e", "#5a9e6f", "#8c4a8c", "#444444"}

// bar is one server of one workload.
type bar struct {
	name      string
	ratio     float64
	low, high float64 // 10 and 90 % of the sets
	colour    string
}

// plot draws the ratios of speed as bars, in SVG: a bar for each server, a group for each workload. The line is the reference. A
// longer bar is better.
func plot(w io.Writer, results []result, reference string) error {
	colours := make(map[string]string)
	type group struct {
		workload string
		bars     []bar
	}
	var groups []group
	longest, rows := 1.0, 0
	for i := range results {
		r := &results[i]
		g := group{workload: r.Workload}
		for _, s := range r.Servers {
			ratios := r.ratios(s, reference)
			if len(ratios) == 0 || r.failed(s) {
				continue
			}
			if colours[s] == "" {
				colours[s] = plotColours[len(colours)%len(plotColours)]
			}
			b := bar{s, median(ratios), quantile(ratios, .1), quantile(ratios, .9), colours[s]}
			g.bars = append(g.bars, b)
			longest = max(longest, b.high)
		}
		if len(g.bars) > 0 {
			groups = append(groups, g)
			rows += len(g.bars)
		}
	}
	if rows == 0 {
		return fmt.Errorf("nothing to draw: no workload has a server beside %q", reference)
	}
	unit := math.Min(plotUnit, 900/longest) // long bars make all shorter
	x := func(ratio float64) float64 { return plotNames + ratio*unit }
	width, height := x(longest)+plotEdge, float64(plotHead+rows*plotBar+len(groups)*plotGroup+8)
	out := new(strings.Builder)
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintf(out, `<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n")
	fmt.Fprintf(out, `<text x="10" y="18" font-size="13">Messages per second of server CPU, times %s. Longer is better.</text>`+"\n", html.EscapeString(reference))
	fmt.Fprintf(out, `<text x="10" y="34" fill="#666666">Thin lines: from 10 to 90 %% of the measurements. Churn and TLS connections count connections.</text>`+"\n")
	y := float64(plotHead)
	for _, g := range groups {
		fmt.Fprintf(out, `<text x="10" y="%.0f" font-weight="bold">%s</text>`+"\n", y+10, html.EscapeString(g.workload))
		for _, b := range g.bars {
			middle := y + float64(plotBar)/2 - 1
			fmt.Fprintf(out, `<text x="%d" y="%.0f" text-anchor="end">%s</text>`, plotNames-6, y+10, html.EscapeString(b.name))
			fmt.Fprintf(out, `<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>`, plotNames, y, b.ratio*unit, plotBar-3, b.colour)
			fmt.Fprintf(out, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#000000"/>`, x(b.low), x(b.high), middle, middle)
			fmt.Fprintf(out, `<text x="%.1f" y="%.0f">%.2f</text>`+"\n", x(b.high)+5, y+10, b.ratio)
			y += plotBar
		}
		y += plotGroup
	}
	fmt.Fprintf(out, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%.0f" stroke="#888888" stroke-dasharray="3 3"/>`+"\n</svg>\n", x(1), x(1), plotHead-4, y)
	_, err := io.WriteString(w, out.String())
	return err
}
