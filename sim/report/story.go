package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/whorl-go/whorl/sim"
)

// story is a run as a picture shows it: segments that travel, faults that last, moments, and
// connections.
type story struct {
	arrows []arrow
	spans  []span
	points []point
	conns  []*conn
}

// arrow is one leg of a segment's way. A segment that was lost and sent again has several.
type arrow struct {
	id           uint64
	kind         sim.Kind
	n            int
	from, to     string
	start, end   time.Duration
	lost         bool // the segment did not arrive
	again        bool // it is not the first leg
	never        bool // nobody noticed the loss, so that its time is not known
	sock, toSock int
}

// span is a fault that lasts, and the hosts concerned.
type span struct {
	what       string // "cut", "hold", "clog", "pause" or "down"
	ways       [][2]string
	hosts      []string
	start, end time.Duration
}

// point is something that happens on a host at a moment.
type point struct {
	at    time.Duration
	host  string
	class string // "fault", "mark", "callback"
	text  string
}

// conn is a connection, made from its segments.
type conn struct {
	from, to       string
	sock, toSock   int
	start, end     time.Duration
	bytes          [2]int // sent, from the one who connected and to it
	segments, lost int
	last           string // how it ended
}

// builder makes a story of events.
type builder struct {
	story
	end   time.Duration // of the run
	calm  time.Duration // when the faults end
	legs  map[uint64]*leg
	ids   []uint64 // of legs, in order
	down  map[string]int
	stops map[string]int
	cuts  map[cut][]int // spans that have not ended, the oldest first
	socks map[int]*conn
}

// cut is a link that is cut, and why.
type cut struct {
	from, to string
	held     bool
}

// leg is a segment under way.
type leg struct {
	arrow
	arrived bool // or its way is over
}

// build makes the story of a run. Its faults ended at calm.
func build(all []sim.TraceEvent, end, calm time.Duration) *story {
	t := &builder{end: end, calm: calm, legs: map[uint64]*leg{}, down: map[string]int{}, stops: map[string]int{},
		cuts: map[cut][]int{}, socks: map[int]*conn{}}
	for i := range all {
		e := &all[i]
		if e.ID != 0 {
			t.segment(e)
		} else {
			t.event(e)
		}
	}
	for _, id := range t.ids {
		if l := t.legs[id]; !l.arrived {
			l.lost, l.never, l.end = true, true, end
			t.arrows = append(t.arrows, l.arrow)
		}
	}
	slices.SortStableFunc(t.arrows, func(a, b arrow) int { return cmp.Compare(a.start, b.start) })
	t.spans = merged(t.spans)
	return &t.story
}

func (t *builder) segment(e *sim.TraceEvent) {
	l := t.legs[e.ID]
	switch {
	case e.Op == sim.OpSend:
		l = &leg{arrow: arrow{id: e.ID, kind: e.Kind, n: e.N, from: e.From, to: e.To, start: e.At, sock: e.Sock}}
		t.legs[e.ID] = l
		t.ids = append(t.ids, e.ID)
	case l == nil || l.arrived:
		return // it arrives twice, which is nothing
	default:
		l.end = e.At
		final := e.Kind == sim.DATAGRAM || e.Kind == sim.REFUSAL // these are not sent again
		l.arrived = e.Op == sim.OpArrive || e.Op == sim.OpGiveUp || final
		l.lost = e.Op != sim.OpArrive
		if e.Op != sim.OpGiveUp {
			l.toSock = e.Sock
		}
		t.arrows = append(t.arrows, l.arrow)
		l.start, l.again = e.At, true
	}
	t.connect(e, l)
}

// connect enters a segment in the table of connections.
func (t *builder) connect(e *sim.TraceEvent, l *leg) {
	c := t.socks[l.sock]
	if e.Op == sim.OpSend && e.Kind == sim.SYN {
		c = &conn{from: e.From, to: e.To, sock: e.Sock, start: e.At, last: "open"}
		t.socks[e.Sock] = c
		t.conns = append(t.conns, c)
	}
	if c == nil {
		return
	}
	switch e.Op {
	case sim.OpSend:
		c.segments++
		if e.Kind == sim.DATA && l.sock == c.sock {
			c.bytes[0] += e.N
		} else if e.Kind == sim.DATA {
			c.bytes[1] += e.N
		}
	case sim.OpDrop:
		c.lost++
	case sim.OpArrive:
		if e.Kind == sim.SYN && e.Sock > 0 {
			c.toSock = e.Sock
			t.socks[e.Sock] = c
		}
	case sim.OpGiveUp:
		c.last = "given up"
	}
	switch {
	case e.Kind == sim.RST:
		c.last = "reset"
	case e.Kind == sim.FIN && c.last == "open":
		c.last = "closed"
	}
	c.end = e.At
}

func (t *builder) event(e *sim.TraceEvent) {
	key := cut{e.From, e.To, e.Held}
	switch e.Op {
	case sim.OpMark:
		t.point(e, "mark", e.Text)
	case sim.OpReached:
		t.point(e, "mark", describe(e))
	case sim.OpCut:
		what := "cut"
		if e.Held {
			what = "hold"
		}
		t.cuts[key] = append(t.cuts[key], len(t.spans))
		t.span(what, e.At, t.end, e.From, e.To)
	case sim.OpHeal:
		if open := t.cuts[key]; len(open) > 0 {
			t.spans[open[0]].end = e.At
			t.cuts[key] = open[1:]
		}
	case sim.OpClog:
		end := e.At + min(e.Lasts, t.end-e.At) // a clog may last for ever
		if e.At < t.calm {
			end = min(end, t.calm)
		}
		t.span("clog", e.At, end, e.From, e.To)
	case sim.OpNote:
		if shown(e) {
			t.point(e, "callback", callback(e))
		}
	default:
		switch {
		case e.Op.Fault():
			t.fault(e)
		case shown(e):
			t.point(e, "callback", describe(e))
		}
	}
}

// fault enters a fault of a host.
func (t *builder) fault(e *sim.TraceEvent) {
	t.point(e, "fault", e.Op.String())
	over := func(open map[string]int) {
		if i := open[e.Host]; i > 0 {
			t.spans[i-1].end = e.At
			open[e.Host] = 0
		}
	}
	if e.Op != sim.OpClock && e.Op != sim.OpPause {
		over(t.stops)
	}
	switch e.Op {
	case sim.OpRestart:
		over(t.down)
	case sim.OpCrash:
		t.span("down", e.At, t.end, e.Host)
		t.down[e.Host] = len(t.spans)
	case sim.OpPause:
		t.span("pause", e.At, t.end, e.Host)
		t.stops[e.Host] = len(t.spans)
	}
}

func (t *builder) point(e *sim.TraceEvent, class, text string) {
	t.points = append(t.points, point{e.At, e.Host, class, text})
}

// span enters a span. Two hosts are the ends of a link, in this direction.
func (t *builder) span(what string, start, end time.Duration, hosts ...string) {
	s := span{what: what, hosts: hosts, start: start, end: end}
	if len(hosts) == 2 {
		s.ways = [][2]string{{hosts[0], hosts[1]}}
	}
	t.spans = append(t.spans, s)
}

// merged joins spans of links that begin and end together, such as those of a partition.
func merged(all []span) (list []span) {
	for _, s := range all {
		i := slices.IndexFunc(list, func(o span) bool {
			return o.what == s.what && o.start == s.start && o.end == s.end && len(s.ways) > 0
		})
		if i < 0 {
			list = append(list, s)
			continue
		}
		list[i].ways = append(list[i].ways, s.ways...)
		for _, h := range s.hosts {
			if !slices.Contains(list[i].hosts, h) {
				list[i].hosts = append(list[i].hosts, h)
			}
		}
	}
	return list
}

// text is a span in words: "cut: a <> b, a > c".
func (s *span) text() string {
	var parts []string
	for _, w := range s.ways {
		back := slices.Contains(s.ways, [2]string{w[1], w[0]})
		switch {
		case back && w[0] > w[1]: // in the text of the other direction
		case back:
			parts = append(parts, Printable(w[0])+" <> "+Printable(w[1]))
		default:
			parts = append(parts, Printable(w[0])+" > "+Printable(w[1]))
		}
	}
	if parts == nil {
		parts = []string{Printable(s.hosts[0])}
	}
	slices.Sort(parts)
	return s.what + ": " + strings.Join(slices.Compact(parts), ", ")
}
