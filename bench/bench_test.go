package main

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestHistogramQuantiles(t *testing.T) {
	var h histogram
	if got := h.quantile(.5); got != 0 {
		t.Errorf("quantile of nothing = %v, want 0", got)
	}
	for i := range 10_000 {
		h.add(time.Duration(i+1) * time.Microsecond)
	}
	for _, q := range []float64{.01, .1, .5, .9, .99, 1} {
		want := q * 10_000
		if got := h.quantile(q); math.Abs(got-want) > want*.016 {
			t.Errorf("quantile %v = %v µs, want %v within 1.6 %%", q, got, want)
		}
	}
}

func TestHistogramClasses(t *testing.T) {
	last := -1
	for n := uint64(0); n < 1<<40; n += 1 + n/100 {
		c := classOf(n)
		if c < last {
			t.Fatalf("class of %d is %d, below that of less", n, c)
		}
		if m := middle(c); math.Abs(m-float64(n)) > float64(n)/64+1 {
			t.Fatalf("the middle of %d's class is %v", n, m)
		}
		last = c
	}
	if c := classOf(math.MaxUint64); c >= len((&histogram{}).counts) {
		t.Errorf("the longest duration has class %d, beyond the table", c)
	}
}

func TestQuantileBetweenNeighbours(t *testing.T) {
	v := []float64{4, 1, 3, 2}
	if got := median(v); got != 2.5 {
		t.Errorf("median = %v, want 2.5", got)
	}
	if got := quantile(v, .1); math.Abs(got-1.3) > 1e-9 {
		t.Errorf("10 %% quantile = %v, want 1.3", got)
	}
	if !math.IsNaN(median(nil)) {
		t.Error("the median of nothing is a number")
	}
	if v[0] != 4 {
		t.Error("the values were sorted in place")
	}
}

// A ratio is computed within a set. So a machine that gets twice as fast between two sets
// changes no ratio.
func TestRatiosWithinSets(t *testing.T) {
	r := result{Sets: []set{
		{"a": {PerCPU: 120}, "net": {PerCPU: 100}},
		{"a": {PerCPU: 240}, "net": {PerCPU: 200}},
		{"a": {PerCPU: 999}}, // net was not measured
	}}
	got := r.ratios("a", "net")
	if len(got) != 2 || got[0] != 1.2 || got[1] != 1.2 {
		t.Errorf("ratios = %v, want 1.2 twice", got)
	}
}

func TestReportLeavesOutWhatFailed(t *testing.T) {
	r := result{Workload: "echo100", Servers: []string{"a", "net"}, Sets: []set{{"a": {PerCPU: 5e5}, "net": {PerCPU: 1e5}}}}
	r.leaveOut("a", errors.New("echoed nonsense"))
	var out bytes.Buffer
	report(&out, []result{r}, "net", true)
	if s := out.String(); strings.Contains(s, "500.0k") || !strings.Contains(s, "echo100: a was left out: echoed nonsense") || !strings.Contains(s, "100.0k") {
		t.Errorf("report:\n%s", s)
	}
}

func TestChoices(t *testing.T) {
	if w, err := chooseWorkloads("idle, one"); err != nil || len(w) != 2 || w[0].name != "idle" || w[1].name != "one" {
		t.Errorf("chooseWorkloads = %v, %v", w, err)
	}
	if _, err := chooseWorkloads("one,none"); err == nil {
		t.Error("an unknown workload was taken")
	}
	if w, err := chooseWorkloads("tls,simday"); err != nil || len(w) != 8 || w[0].name != "tlsconn" || !w[6].tls || w[7].name != "simday" {
		t.Errorf("chooseWorkloads of a group = %v, %v", w, err)
	}
	known := func(name string) bool { return name != "nobody" }
	s, err := chooseServers("a,net,a", known)
	if err != nil || len(s) != 3 || s[2] != (choice{"a#2", "a"}) {
		t.Errorf("chooseServers = %v, %v", s, err)
	}
	if got := reference(s); got != "net" {
		t.Errorf("reference = %q, want net", got)
	}
	if got := reference(s[2:]); got != "a#2" {
		t.Errorf("reference without net = %q, want the first", got)
	}
	if got := reference(nil); got != "net" {
		t.Errorf("reference of the usual = %q, want net", got)
	}
	if _, err := chooseServers("a,nobody", known); err == nil {
		t.Error("an unknown server was taken")
	}
}

// A stall counts once for each beat in it, with how late that beat was.
func TestLateness(t *testing.T) {
	var l lateness
	at := time.Unix(1000, 0)
	call := func(after time.Duration, next time.Duration) {
		t.Helper()
		at = at.Add(after)
		if got := l.called(at); got != next {
			t.Errorf("next call in %v, want %v", got, next)
		}
	}
	call(0, beat)
	call(beat+beat/4, beat*3/4)
	call(beat*3/4, beat)
	if s := l.take(); s.Beats != 3 || s.Max != 250 || s.P50 != 0 || s.P99 < 245 || s.P99 > 255 {
		t.Errorf("one call of three a quarter of a millisecond late: %+v", s)
	}
	call(11*beat, beat) // ten late: 10 ms, 9 ms and so on
	if s := l.take(); s.Beats != 11 || s.Max != 10_000 || s.P50 < 4_900 || s.P50 > 5_100 || s.P99 < 9_800 {
		t.Errorf("a stall of 10 ms: %+v", s)
	}
	if s := l.take(); s != (stall{}) {
		t.Errorf("after it was taken: %+v", s)
	}
}

func TestReportOfAllTables(t *testing.T) {
	late := &stall{Beats: 500, P50: 100, P99: 2000, Max: 3000}
	results := []result{
		{Workload: "tlsstorm", Conns: 1000, Servers: []string{"whorl", "net"}, Workers: map[string]int{"whorl": 2, "net": 0},
			Sets: []set{{"whorl": {PerCPU: 3, PerSecond: 2000, Stall: late}, "net": {PerCPU: 2, PerSecond: 1000, Stall: late}}}},
		{Workload: "tlsidle", Conns: 5000, Servers: []string{"net"}, Idle: []idleSample{{Server: "net", Kept: 18_900}}},
		{Workload: "simday", Sim: []simSample{{Virtual: 86400, Seconds: 4.56, PerCPU: 7e5, Allocs: .001}}},
	}
	var out bytes.Buffer
	report(&out, results, "net", false)
	for _, want := range []string{"whorl, 2 workers", "1.50", "tlsstorm 1000", "2.00", "3.00", "500.00", "18.9k", "86.4k", "4.56", "700.0k", "0.0010"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in the report:\n%s", want, out.String())
		}
	}
}
