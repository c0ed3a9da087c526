package report_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/examples/worlds"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/sim/report"
)

// element is a tag of a page with its attributes, what it is in, and the text right behind
// its start.
type element struct {
	name   string
	in     []string // ids
	attr   map[string]string
	text   string
	title  string // of a title right in it
	number int
}

func (e *element) class(name string) bool {
	return strings.Contains(" "+e.attr["class"]+" ", " "+name+" ")
}

func (e *element) num(t *testing.T, attr string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(e.attr[attr], 64)
	if err != nil {
		t.Fatalf("%s of %v: %v", attr, e, err)
	}
	return f
}

// parse reads a page, which must be well-formed, script and style aside.
func parse(t *testing.T, text string) (all []*element) {
	t.Helper()
	raw := regexp.MustCompile(`(?s)<(script|style)>.*?</(script|style)>`)
	if n := len(raw.FindAllString(text, -1)); n != 2 {
		t.Fatalf("%d scripts and styles, want one of each", n)
	}
	d := xml.NewDecoder(strings.NewReader(raw.ReplaceAllString(text, "")))
	var open []*element
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			e := &element{name: x.Name.Local, attr: map[string]string{}, number: len(all)}
			for _, a := range x.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			for _, o := range open {
				if id := o.attr["id"]; id != "" {
					e.in = append(e.in, id)
				}
			}
			open, all = append(open, e), append(all, e)
		case xml.EndElement:
			if len(open) > 1 && x.Name.Local == "title" {
				open[len(open)-2].title = open[len(open)-1].text
			}
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text += string(x)
			}
		}
	}
	return all
}

// within are the elements of that name in the one with that id.
func within(all []*element, id, name string) (found []*element) {
	for _, e := range all {
		if e.name == name && len(e.in) > 0 && e.in[len(e.in)-1] == id {
			found = append(found, e)
		}
	}
	return found
}

func byID(t *testing.T, all []*element, id string) *element {
	t.Helper()
	for _, e := range all {
		if e.attr["id"] == id {
			return e
		}
	}
	t.Fatalf("nothing has the id %s", id)
	return nil
}

func render(t *testing.T, p report.Page) (string, []*element) {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String(), parse(t, b.String())
}

// result is how a run with the hosts a, b and c ended after 400 ms.
func result(err error) sim.Result {
	n := sim.New(9)
	for _, name := range []string{"a", "b", "c"} {
		n.Host(name)
	}
	return sim.Result{World: sim.World{Name: "by-hand", About: "<b>bold</b>", Length: 350 * ms}, Seed: 9, Err: err, Now: 400 * ms, Net: n, Hash: 0xabc}
}

// page is a page as the tool has it made.
func page(r sim.Result, events []sim.TraceEvent, from, until time.Duration) report.Page {
	return report.Page{Result: r, Events: events, Replay: "replay it", From: from, Until: until}
}

// A page has a lane for each host, an arrow for each leg of a segment from where and when it
// was sent to where and when it arrived, and what else happened.
func TestPage(t *testing.T) {
	_, all := render(t, page(result(nil), events(), 0, 0))
	lanes := map[string]float64{}
	for _, e := range all {
		if e.class("name") {
			lanes[e.text] = e.num(t, "y")
		}
	}
	if n := len(within(all, "lanes", "line")); n != 3 || len(lanes) != 3 {
		t.Fatalf("%d lanes, and the names %v", n, lanes)
	}
	x := func(d time.Duration) float64 { return float64(d) / float64(400*ms) * report.PageWidth }
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 0.01 {
			t.Errorf("%s is at %v, want %v", what, got, want)
		}
	}
	arrows := within(all, "arrows", "line")
	if len(arrows) != 4 { // the syn, two legs of the data, the reset
		t.Fatalf("%d arrows", len(arrows))
	}
	for i, want := range []struct {
		id         string
		start, end time.Duration
		from, to   string
		lost       bool
	}{
		{"1", 2 * ms, 9 * ms, "a", "b", false},
		{"2", 10 * ms, 10*ms + 2*ms*85/100, "a", "b", true},
		{"2", 12 * ms, 212 * ms, "a", "b", false},
		{"3", 250 * ms, 0, "b", "a", true},
	} {
		a := arrows[i]
		if a.attr["data-i"] != want.id || a.class("lost") != want.lost || a.title == "" {
			t.Errorf("arrow %d is %v", i, a)
		}
		near("its start", a.num(t, "x1"), x(want.start))
		near("its start's lane", a.num(t, "y1"), lanes[want.from])
		if want.end != 0 {
			near("its end", a.num(t, "x2"), x(want.end))
		}
		if got := a.num(t, "y2"); !want.lost {
			near("its end's lane", got, lanes[want.to])
		} else if got <= min(lanes["a"], lanes["b"]) || got >= max(lanes["a"], lanes["b"]) {
			t.Errorf("a lost one ends at %v, not between the lanes", got)
		}
	}
	if !arrows[2].class("again") || !strings.Contains(arrows[2].title, "arrived 0.212000s") {
		t.Errorf("sent again: %v", arrows[2])
	}
	points := map[string]int{}
	for _, p := range within(all, "points", "g") {
		points[p.attr["class"]]++
	}
	if want := map[string]int{"p mark": 1, "p fault": 2, "p callback": 4}; fmt.Sprint(points) != fmt.Sprint(want) {
		t.Errorf("points %v, want %v", points, want)
	}
	rows := 0
	for _, e := range all {
		if e.name == "tr" {
			rows++
		}
	}
	if rows != 2 {
		t.Errorf("%d rows of connections, with the head", rows)
	}
}

// Faults that last shade the lanes concerned, for as long.
func TestPageSpans(t *testing.T) {
	_, all := render(t, page(result(nil), events(), 0, 0))
	var got []string
	for _, s := range within(all, "spans", "g") {
		got = append(got, s.attr["class"]+"|"+s.title)
	}
	want := []string{
		"span cut|cut: a <> b, 0.030000s to 0.060000s",
		"span down|down: c, 0.040000s to 0.300000s",
		"span clog|clog: b > c, 0.050000s to 0.070000s",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q", got)
	}
	bands := within(all, "spans", "rect")
	if len(bands) != 2+1+2 {
		t.Fatalf("%d bands", len(bands))
	}
	if w := bands[0].num(t, "width"); math.Abs(w-30.0/400*report.PageWidth) > 0.01 {
		t.Errorf("30 ms are %v wide", w)
	}
}

// The top says how it ended and how to see it again, the moment it failed is marked, and
// what programs say is no markup.
func TestPageTop(t *testing.T) {
	err := &sim.RunError{World: "by-hand", Seed: 9, Phase: sim.InFaults, What: "always", Rule: "no <script>", At: 300 * ms, Err: fmt.Errorf("a </pre><script>x</script>")}
	list := append(events(), sim.TraceEvent{At: 310 * ms, Host: "a", Op: sim.OpMark, Text: "</title><script>alert(1)</script>"})
	r := result(err)
	r.Sometimes = []sim.State{{Name: "stale", Reached: true, At: 20 * ms}, {Name: "away"}}
	text, all := render(t, page(r, list, 0, 0))
	var states []string
	for _, e := range all {
		if e.class("state") {
			states = append(states, e.text)
		}
	}
	if strings.Join(states, "|") != "stale at 0.020000s|no: away" {
		t.Errorf("states %q", states)
	}
	for id, want := range map[string]string{
		"seed": "9", "faults": "none", "hash": "0000000000000abc", "replay": "replay it",
		"rule": "no <script>", "outcome": "always, in phase faults at 0.300000s",
	} {
		if e := byID(t, all, id); e.text != want {
			t.Errorf("%s is %q, want %q", id, e.text, want)
		}
	}
	if !strings.Contains(text, "&lt;script&gt;alert(1)") || strings.Contains(text, "<b>bold") {
		t.Error("what a program says is markup")
	}
	moments := within(all, "moments", "line")
	if len(moments) != 2 || !moments[0].class("calm") || !moments[1].class("failed") {
		t.Errorf("moments %v", moments)
	}
	for _, e := range all {
		if e.name == "link" || e.name == "img" || e.name == "iframe" || e.attr["src"] != "" || e.attr["href"] != "" {
			t.Errorf("the page needs %v", e)
		}
	}
	if strings.Contains(text, "://") || strings.Contains(text, "import(") || strings.Contains(text, "url(h") {
		t.Error("the page names something elsewhere")
	}
}

// A window shows what is in it, and says so; too much is cut, to the end unless the
// beginning was asked for.
func TestPageWindow(t *testing.T) {
	_, all := render(t, page(result(nil), events(), 11*ms, 100*ms))
	if n := len(within(all, "arrows", "line")); n != 2 { // both legs of the data; the first is cut
		t.Errorf("%d arrows", n)
	}
	if got := byID(t, all, "notice").text; got != "Shown is 0.011000s to 0.100000s of a run of 0.400000s." {
		t.Errorf("notice %q", got)
	}
	if raced {
		return // one goroutine draws pages, and large ones take it seconds
	}
	var many []sim.TraceEvent
	for i := range 30_000 {
		many = append(many, sim.TraceEvent{At: 10*ms + time.Duration(i)*10*time.Microsecond, Host: "a", Op: sim.OpMark, Text: strconv.Itoa(i)})
	}
	for _, x := range []struct {
		from                time.Duration
		first, last, notice string
	}{
		{0, "10000", "29999", "the last of them"},
		{10 * ms, "0", "19999", "the first of them"},
	} {
		text, all := render(t, page(result(nil), many, x.from, 0))
		points := within(all, "points", "g")
		if len(points) != report.PageLimit || !strings.HasSuffix(points[0].title, " "+x.first) || !strings.HasSuffix(points[len(points)-1].title, " "+x.last) {
			t.Errorf("%d points, %v to %v", len(points), points[0], points[len(points)-1])
		}
		if got := byID(t, all, "notice").text; !strings.Contains(got, "30000 arrows and points") || !strings.Contains(got, x.notice) {
			t.Errorf("notice %q", got)
		}
		if len(text) > 6<<20 {
			t.Errorf("%d bytes", len(text))
		}
	}
}

// A real run is drawn whole: as many arrows as segments took ways.
func TestPageOfRun(t *testing.T) {
	w := worlds.Lease()
	setup := w.Setup
	w.Setup = func(n *sim.Net) sim.Checks {
		n.KeepTrace = true
		return setup(n)
	}
	for seed := range uint64(3) {
		r := w.Run(seed, sim.Options{Drop: 0.1, Crash: 0.1, Partition: 0.1})
		var list []sim.TraceEvent
		ways, losses := 0, 0
		waiting := map[uint64]bool{}
		for e := range r.Net.Events() {
			list = append(list, e)
			switch e.Op {
			case sim.OpSend:
				waiting[e.ID] = true
			case sim.OpDrop:
				ways++
				losses++
			case sim.OpArrive:
				ways++
				delete(waiting, e.ID)
			case sim.OpGiveUp:
				ways++
				losses++
				delete(waiting, e.ID)
			}
		}
		_, all := render(t, page(r, list, 0, 0))
		lost := 0
		arrows := within(all, "arrows", "line")
		for _, a := range arrows {
			if a.class("lost") {
				lost++
			}
		}
		if len(arrows) != ways+len(waiting) || lost != losses+len(waiting) || ways < 100 || losses == 0 {
			t.Errorf("%d arrows, %d of them lost; there were %d ways, %d losses, %d never arrived", len(arrows), lost, ways, losses, len(waiting))
		}
		if n := len(within(all, "lanes", "line")); n != 4 {
			t.Errorf("%d lanes", n)
		}
	}
}
