package sim_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/sim"
)

// Events are the trace as data: every callback is there, in order, and each arrival has
// the number, the hosts and the kind of its sending, which came before.
func TestEvents(t *testing.T) {
	n, _, p := connected(t, 5)
	say(n, p, "hello")
	must(t, n, func() bool { return p.got.Len() == 5 })
	n.Mark("cli", "enough")
	n.At(n.Now(), func() { p.T.Close() })
	must(t, n, func() bool { return p.lost != nil })
	n.Run(time.Second)
	n.Close()
	sent := map[uint64]sim.TraceEvent{}
	var mine []string
	lines, arrivals := 0, 0
	for e := range n.Events() {
		lines++
		switch e.Op {
		case sim.OpSend:
			if sent[e.ID].ID != 0 || e.ID == 0 || e.From != e.Host {
				t.Errorf("sending %+v", e)
			}
			sent[e.ID] = e
		case sim.OpArrive:
			arrivals++
			s := sent[e.ID]
			if s.Kind != e.Kind || s.N != e.N || s.From != e.From || s.To != e.To || e.To != e.Host || e.At <= s.At {
				t.Errorf("%+v arrives as %+v", s, e)
			}
		}
		if e.Host == "cli" && (e.Op == sim.OpNote || e.Op == sim.OpMark) {
			mine = append(mine, strings.TrimSpace(e.What()+" "+e.Text))
		}
	}
	want := "on posted,on build,on made,on dialed,on data,mark enough,on lost connection closed,on trigger shutdown"
	if got := strings.Join(mine, ","); got != want {
		t.Errorf("the client's are %s", got)
	}
	if text := n.Trace(); lines != strings.Count(text, "\n") || arrivals < 5 || !strings.Contains(text, "mark enough") || !strings.Contains(text, "on data 5") {
		t.Errorf("%d events, %d arrivals\n%s", lines, arrivals, text)
	}
}

// A mark is part of the hash.
func TestMark(t *testing.T) {
	hash := func(text string) uint64 {
		n := sim.New(1)
		n.Host("a")
		n.Mark("a", text)
		return n.Hash()
	}
	first, again := hash("x"), hash("x")
	if first == hash("y") || first != again {
		t.Error("the hash does not tell marks apart")
	}
}

// A callback's panic is in the trace by its place alone: its value may be a pointer.
func TestTracePanic(t *testing.T) {
	n, _, p := connected(t, 1)
	n.Config.Panicked = nil
	p.onData = func([]byte) { panic(io.Discard) }
	say(n, p, "x")
	func() {
		defer func() { recover() }() // Config.Panicked is the default: the run ends
		n.Run(time.Second)
	}()
	if text := n.Trace(); !strings.Contains(text, "on panic panic in ") || strings.Contains(text, "0x") {
		t.Errorf("the trace is\n%s", text)
	}
}

// Every operation has a word of its own, and those that are faults are known.
func TestOps(t *testing.T) {
	seen := map[string]sim.Op{}
	var faults []string
	for o := sim.OpCall; o <= sim.OpLeave; o++ {
		if other, ok := seen[o.String()]; ok || o.String() == "" || o.String() == "unknown" {
			t.Errorf("%d and %d are %q", o, other, o)
		}
		if seen[o.String()] = o; o.Fault() {
			faults = append(faults, o.String())
		}
	}
	if got := strings.Join(faults, " "); got != "crash kill restart cut heal clog pause resume clock stop" {
		t.Errorf("faults are %s", got)
	}
	if o := sim.OpSignal + 1; o.String() != "unknown" || o.Fault() {
		t.Errorf("the operation behind the last is %v", o)
	}
}
