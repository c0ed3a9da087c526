package report_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/sim/report"
)

const ms = time.Millisecond

// events are a little run, by hand.
func events() []sim.TraceEvent {
	return []sim.TraceEvent{
		{At: 1, Host: "a", Op: sim.OpStart},
		{At: 1, Host: "b", Op: sim.OpListen, Sock: 1},
		{At: 2 * ms, Host: "a", Op: sim.OpDial, Sock: 2},
		{At: 2 * ms, Host: "a", Sock: 2, Op: sim.OpSend, Kind: sim.SYN, ID: 1, From: "a", To: "b"},
		{At: 9 * ms, Host: "b", Sock: 3, Op: sim.OpArrive, Kind: sim.SYN, ID: 1, From: "a", To: "b"},
		{At: 9 * ms, Host: "b", Sock: 3, Op: sim.OpNote, Note: probe.NoteMade},
		{At: 10 * ms, Host: "a", Sock: 2, Op: sim.OpSend, Kind: sim.DATA, N: 5, ID: 2, From: "a", To: "b"},
		{At: 12 * ms, Host: "b", Sock: 3, Op: sim.OpDrop, Kind: sim.DATA, N: 5, ID: 2, From: "a", To: "b"},
		{At: 20 * ms, Host: "a", Op: sim.OpMark, Text: "waits\x1b[2J\n"},
		{At: 30 * ms, Host: "a", Op: sim.OpCut, From: "a", To: "b"},
		{At: 30 * ms, Host: "b", Op: sim.OpCut, From: "b", To: "a"},
		{At: 40 * ms, Host: "c", Op: sim.OpCrash},
		{At: 50 * ms, Host: "b", Op: sim.OpClog, From: "b", To: "c", Lasts: 20 * ms, Text: "20ms"},
		{At: 60 * ms, Host: "a", Op: sim.OpHeal, From: "a", To: "b"},
		{At: 60 * ms, Host: "b", Op: sim.OpHeal, From: "b", To: "a"},
		{At: 212 * ms, Host: "b", Sock: 3, Op: sim.OpArrive, Kind: sim.DATA, N: 5, ID: 2, From: "a", To: "b"},
		{At: 212 * ms, Host: "b", Sock: 3, Op: sim.OpRead, N: 5},
		{At: 212 * ms, Host: "b", Sock: 3, Op: sim.OpNote, Note: probe.NoteData, N: 5},
		{At: 213 * ms, Host: "b", Op: sim.OpRare, Site: sim.SiteReadOne},
		{At: 250 * ms, Host: "b", Sock: 3, Op: sim.OpSend, Kind: sim.RST, ID: 3, From: "b", To: "a"},
		{At: 300 * ms, Host: "c", Op: sim.OpRestart},
	}
}

func printed(l report.Timeline) string {
	var b bytes.Buffer
	if err := l.Print(&b, events()); err != nil {
		panic(err)
	}
	return b.String()
}

// A timeline has callbacks, marks, faults and, in short, segments; nothing in it moves the
// cursor.
func TestTimeline(t *testing.T) {
	want := `    0.000000s  a  the program starts
    0.000000s  b  listens #1
    0.009000s  b  - made #3
    0.020000s  a  waits\x1b[2J\n
    0.012000s     . segments since 0.002000s: a > b 2 sent (5 bytes) 1 arrived 1 lost
    0.030000s  a  * cut a > b
    0.030000s  b  * cut b > a
    0.040000s  c  * crash
    0.050000s  b  * clog b > c for 20ms
    0.060000s  a  * heal a > b
    0.060000s  b  * heal b > a
    0.212000s  b  - data #3, 5 bytes
    0.250000s     . segments since 0.212000s: a > b 0 sent 1 arrived, b > a 1 sent 0 arrived
    0.300000s  c  * restart
`
	if got := printed(report.Timeline{}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What to see can be chosen: everything, some hosts, some of the time.
func TestTimelineChosen(t *testing.T) {
	all := printed(report.Timeline{All: true})
	if n := strings.Count(all, "\n"); n != len(events()) {
		t.Errorf("%d lines of %d events\n%s", n, len(events()), all)
	}
	for _, line := range []string{
		"    0.002000s  a  send #2 syn a > b no. 1\n",
		"    0.012000s  b  drop #3 data a > b no. 2 5\n",
		"    0.213000s  b  rare read-one\n",
		"    0.212000s  b  read #3 5\n",
	} {
		if !strings.Contains(all, line) {
			t.Errorf("no line %q in\n%s", line, all)
		}
	}
	want := "    0.040000s  c  * crash\n    0.050000s  b  * clog b > c for 20ms\n    0.300000s  c  * restart\n"
	if got := printed(report.Timeline{Hosts: []string{"c"}}); got != want {
		t.Errorf("of c alone:\n%s", got)
	}
	want = "    0.050000s  b  * clog b > c for 20ms\n    0.060000s  a  * heal a > b\n    0.060000s  b  * heal b > a\n"
	if got := printed(report.Timeline{From: 45 * ms, Until: 100 * ms}); got != want {
		t.Errorf("from 45 to 100 ms:\n%s", got)
	}
}
