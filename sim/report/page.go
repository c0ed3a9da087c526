package report

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whorl-go/whorl/sim"
)

//go:embed page.html
var pageText string

// The sizes of the picture in pixels, before it is zoomed.
const (
	pageWidth  = 1200
	laneHeight = 132
	laneTop    = 110
	axisHeight = 24
)

// pageLimit is the largest number of arrows and points on a page; with more, browsers get slow.
const pageLimit = 20_000

// connLimit is the largest number of rows in the table of connections.
const connLimit = 2_000

// Page is a run as a page of HTML that needs nothing else: hosts are lanes, segments are
// arrows, faults are shaded, and the outcome and the way to replay it are at the top.
type Page struct {
	// Result is the run, and Events are its events.
	Result sim.Result
	Events []sim.TraceEvent
	// Replay is the command that shows the run again.
	Replay string
	// From and Until are the times to draw. Zero Until: to the end. Of a run that is too
	// large for a browser the last part is drawn, or the first part if From is not 0.
	From, Until time.Duration
}

// Write writes the page.
func (p Page) Write(w io.Writer) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return err
	}
	return t.Execute(w, p.layOut())
}

// page has the fields that the template reads.
type page struct {
	World, About, Faults, How, Error, Hash, Replay string
	Rule                                           string
	States                                         []string
	Seed                                           uint64
	Failed                                         bool
	Notice                                         string // what is not shown
	Width, Height, Bottom                          int
	From, Until                                    float64 // seconds
	Lanes                                          []laneView
	Ticks                                          []tickView
	Lines                                          []tickView // moments that concern all hosts
	Spans                                          []spanView
	Arrows                                         []arrowView
	Points                                         []pointView
	Conns                                          []connView
	Took, Events                                   string
	ConnsLeft                                      int
}

type laneView struct {
	Name  string
	Y, Up int
}

type tickView struct{ X, Text, Class string }

type spanView struct {
	Class, Text, X, Width string
	Bands                 []bandView
}

type bandView struct{ Y, Height int }

type arrowView struct {
	Class, X1, X2, Text string
	ID                  uint64
	Y1                  int
	Y2                  string
}

type pointView struct {
	Class, X, Text, Label string
	Y                     int
}

type connView struct {
	From, To, Start, End, Last string
	Sent, Got, Segments, Lost  int
}

// view is the window of time that a page shows.
type view struct {
	from, until time.Duration
	lanes       map[string]int // y
	page        *page
}

// x is the position of a moment.
func (v *view) x(t time.Duration) string {
	f := float64(t-v.from) / float64(max(v.until-v.from, 1)) * pageWidth
	return strconv.FormatFloat(f, 'f', 5, 64)
}

// layOut makes the picture.
func (in *Page) layOut() *page {
	r, all := in.Result, in.Events
	p := &page{
		World: r.World.Name, About: r.World.About, Seed: r.Seed, Faults: r.Options.String(), Hash: fmt.Sprintf("%016x", r.Hash),
		Replay: in.Replay, How: Outcome(r), Failed: r.Err != nil, Width: pageWidth, Took: Moment(r.Now),
		Events: strconv.Itoa(len(all)), Rule: Rule(r),
	}
	for _, s := range r.Sometimes {
		p.States = append(p.States, State(s))
	}
	end := r.Now
	if len(all) > 0 {
		end = max(end, all[len(all)-1].At)
	}
	failure, found := errors.AsType[*sim.RunError](r.Err)
	switch {
	case found:
		p.Error = strings.Join(Lines(failure.Err.Error()), "\n") + "\n"
	case r.Err != nil:
		p.Error = strings.Join(Lines(r.Err.Error()), "\n") + "\n"
	}
	v := &view{from: in.From, until: end, lanes: map[string]int{}, page: p}
	if in.Until > 0 {
		v.until = min(in.Until, end)
	}
	calm := r.Length()
	s := build(all, end, calm)
	v.lane("") // what concerns no host in particular
	for _, name := range Hosts(r) {
		v.lane(name)
	}
	v.cut(s, in.From > 0)
	if shown := v.until - v.from; shown < end {
		p.Notice = strings.TrimSpace(fmt.Sprintf("Shown is %s to %s of a run of %s. %s", Moment(v.from), Moment(v.until), Moment(end), p.Notice))
	}
	p.From, p.Until = v.from.Seconds(), v.until.Seconds()
	v.draw(s)
	if v.has(calm) {
		p.Lines = append(p.Lines, tickView{v.x(calm), "the faults end", "calm"})
	}
	if found && v.has(failure.At) {
		p.Lines = append(p.Lines, tickView{v.x(failure.At), "failed: " + FirstLine(failure.Err.Error()), "failed"})
	}
	const ticks = 10
	for i := range ticks {
		t := v.from + (v.until-v.from)*time.Duration(i)/ticks
		p.Ticks = append(p.Ticks, tickView{X: v.x(t), Text: Moment(t)})
	}
	return p
}

func (v *view) lane(name string) {
	p := v.page
	y := axisHeight
	if name != "" {
		y = axisHeight + len(p.Lanes)*laneHeight + laneTop
		p.Lanes = append(p.Lanes, laneView{Printable(name), y, y - laneTop})
	}
	v.lanes[name] = y
	p.Height = axisHeight + len(p.Lanes)*laneHeight + 24
	p.Bottom = p.Height - 12
}

func (v *view) has(t time.Duration) bool { return t >= v.from && t <= v.until }

// cut removes what is not in the window. If too much is left it narrows the window: to its
// beginning if the user chose that, else to its end, where the run was decided.
func (v *view) cut(s *story, beginning bool) {
	s.arrows = slices.DeleteFunc(s.arrows, func(a arrow) bool { return a.start > v.until || a.end < v.from })
	s.points = slices.DeleteFunc(s.points, func(p point) bool { return !v.has(p.at) })
	s.conns = slices.DeleteFunc(s.conns, func(c *conn) bool { return c.start > v.until || c.end < v.from })
	n := len(s.arrows) + len(s.points)
	if n <= pageLimit {
		return
	}
	which := "last"
	times := make([]time.Duration, 0, n)
	for _, a := range s.arrows {
		if beginning {
			times = append(times, a.start)
		} else {
			times = append(times, a.end)
		}
	}
	for _, p := range s.points {
		times = append(times, p.at)
	}
	slices.Sort(times)
	if beginning {
		which, v.until = "first", times[pageLimit]-1
	} else {
		v.from = times[n-pageLimit-1] + 1
	}
	v.page.Notice = fmt.Sprintf("There are %d arrows and points, and these are the %s of them, so that the page stays small; "+
		"choose others with --from and --until.", n, which)
	v.cut(s, beginning)
}

// draw puts what is left of the story on the page.
func (v *view) draw(s *story) {
	typical := typicalLatency(s.arrows)
	for i := range s.arrows {
		v.arrow(&s.arrows[i], typical)
	}
	for i := range s.spans {
		v.span(&s.spans[i])
	}
	for _, p := range s.points {
		view := pointView{Class: p.class, X: v.x(p.at), Y: v.lanes[p.host], Text: fmt.Sprintf("%s %s: %s", Moment(p.at), Printable(p.host), Printable(p.text))}
		if p.class != "callback" {
			view.Label = Printable(p.text)
		}
		v.page.Points = append(v.page.Points, view)
	}
	for i, c := range s.conns {
		if i == connLimit {
			v.page.ConnsLeft = len(s.conns) - connLimit
			break
		}
		to := Printable(c.to)
		if c.toSock > 0 {
			to += fmt.Sprintf(" #%d", c.toSock)
		}
		v.page.Conns = append(v.page.Conns, connView{
			From: fmt.Sprintf("%s #%d", Printable(c.from), c.sock), To: to, Start: Moment(c.start), End: Moment(c.end), Last: c.last,
			Sent: c.bytes[0], Got: c.bytes[1], Segments: c.segments, Lost: c.lost,
		})
	}
}

// typicalLatency is the length of an arrow whose end is not known: the median of the others.
func typicalLatency(all []arrow) time.Duration {
	var known []time.Duration
	for _, a := range all {
		if !a.lost {
			known = append(known, a.end-a.start)
		}
	}
	if known == nil {
		return 10 * time.Millisecond
	}
	slices.Sort(known)
	return max(known[len(known)/2], time.Millisecond)
}

// arrow draws a leg. The arrow of a lost segment stops short: at 85 % if the sender noticed
// the loss, at 40 % if nobody did.
func (v *view) arrow(a *arrow, typical time.Duration) {
	const noticed, unnoticed = 0.85, 0.4
	y1, y2 := v.lanes[a.from], float64(v.lanes[a.to])
	end, share, fate := a.end, 1.0, "arrived "+Moment(a.end)
	switch {
	case a.never:
		end, share, fate = a.start+typical, unnoticed, "never arrived"
	case a.lost:
		end, share, fate = a.start+time.Duration(float64(a.end-a.start)*noticed), noticed, "lost "+Moment(a.end)
	}
	view := arrowView{Class: "m " + a.kind.String(), X1: v.x(a.start), X2: v.x(end), ID: a.id, Y1: y1}
	y := float64(y1) + (y2-float64(y1))*share
	if a.from == a.to {
		y = float64(y1) - 10 // a host talks to itself
	}
	view.Y2 = strconv.FormatFloat(y, 'f', 1, 64)
	if a.lost {
		view.Class += " lost"
	}
	sent := "sent "
	if a.again {
		view.Class += " again"
		sent = "sent again after "
	}
	size := ""
	if a.n > 0 {
		size = " " + Count(uint64(a.n), "byte")
	}
	view.Text = fmt.Sprintf("%v%s no. %d: %s #%d > %s, %s%s, %s", a.kind, size, a.id, Printable(a.from), a.sock, Printable(a.to), sent, Moment(a.start), fate)
	v.page.Arrows = append(v.page.Arrows, view)
}

// span shades the lanes of a span, where it is in the window.
func (v *view) span(s *span) {
	start, end := max(s.start, v.from), min(s.end, v.until)
	if start >= end {
		return
	}
	width := float64(end-start) / float64(max(v.until-v.from, 1)) * pageWidth
	view := spanView{Class: "span " + s.what, X: v.x(start), Width: strconv.FormatFloat(width, 'f', 5, 64),
		Text: fmt.Sprintf("%s, %s to %s", s.text(), Moment(s.start), Moment(s.end))}
	for _, h := range s.hosts {
		view.Bands = append(view.Bands, bandView{v.lanes[h] - laneTop + 8, laneHeight - 8})
	}
	v.page.Spans = append(v.page.Spans, view)
}
