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

// A ratio is formed within a set: a machine that gets twice as fast between two
// sets changes none.
func TestRatiosWithinSets(t *testing.T) {
	r := result{Sets: []set{
		{"a": {PerCPU: 120}, "net": {PerCPU: 100}},
		{"a": {PerCPU: 240}, "net": {PerCPU: 200}},
		{"a": {PerCPU: 999}}, // net had nothing to show
	}}
	got := r.ratios("a", "net")
	if len(got) != 2 || got[0] != 1.2 || got[1] != 1.2 {
		t.Errorf("ratios = %v, want 1.2 twice", got)
	}
}

func TestReportLeavesOutWhatFailed(t *testing.T) {
	r := result{Workload: "echo100", Servers: []string{"a", "net"}, Sets: []set{{"a": {PerCPU: 5e5}, "net": {PerCPU: 1e5}}}}
	r.fail("a", errors.New("echoed nonsense"))
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
	if _, err := chooseServers("a,nobody", known); err == nil {
		t.Error("an unknown server was taken")
	}
}
