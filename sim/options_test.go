//go:build !race

// One goroutine does it all: the race detector could find nothing here, and makes it take
// seconds.

package sim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/sim"
)

// What String writes ParseOptions reads, for whatever Swarm draws.
func TestOptionsRoundTrip(t *testing.T) {
	for seed := range uint64(5000) {
		o := sim.Swarm(seed)
		back, err := sim.ParseOptions(o.String())
		if err != nil || back != o {
			t.Fatalf("seed %d: %v\nread as %v, %v", seed, o, back, err)
		}
		if again := sim.Swarm(seed); again != o {
			t.Fatalf("seed %d: drawn as %v and %v", seed, o, again)
		}
		parts := strings.Split(o.String(), ",")
		if len(parts) != len(o.Classes()) && o != (sim.Options{}) {
			t.Fatalf("seed %d: %v has classes %v", seed, o, o.Classes())
		}
		for _, c := range o.Classes() {
			less := o.Without(c)
			want := slices.DeleteFunc(o.Classes(), func(x string) bool { return x == c })
			if !slices.Equal(less.Classes(), want) {
				t.Fatalf("%v without %s is %v", o, c, less)
			}
		}
	}
	for _, none := range []string{"", "none", " "} {
		if o, err := sim.ParseOptions(none); err != nil || o != (sim.Options{}) {
			t.Errorf("%q: %v, %v", none, o, err)
		}
	}
	if s := (sim.Options{}).String(); s != "none" {
		t.Errorf("the zero Options are %q", s)
	}
	if o := (sim.Options{Chunk: 3}); o.Without("nonsense") != o {
		t.Error("Without a name that is no class changes something")
	}
	o, err := sim.ParseOptions("partition=0.2, chunk=3,latency=1ms-40ms")
	if err != nil || o.String() != "chunk=3,latency=1ms-40ms,partition=0.2" {
		t.Errorf("%v, %v", o, err)
	}
}

// Sizes of buffers may differ, and the time of retries is a class that is not drawn.
func TestOptionsOfConnections(t *testing.T) {
	for text, want := range map[string]sim.Options{
		"buffers=300":         {SendBuffer: 300, RecvBuffer: 300},
		"buffers=300/200":     {SendBuffer: 300, RecvBuffer: 200},
		"buffers=0/200":       {RecvBuffer: 200},
		"buffers=64,retry=4s": {SendBuffer: 64, RecvBuffer: 64, RetryTimeout: 4 * time.Second},
	} {
		o, err := sim.ParseOptions(text)
		if err != nil || o != want || o.String() != text {
			t.Errorf("%q is read as %+v, written as %v, %v", text, o, o, err)
		}
		if less := o.Without("buffers"); less.SendBuffer != 0 || less.RecvBuffer != 0 || less.RetryTimeout != o.RetryTimeout {
			t.Errorf("%v without buffers is %v", o, less)
		}
	}
}

// A latency may be one time: the shortest and the longest are the same.
func TestOptionsOfOneLatency(t *testing.T) {
	for text, want := range map[string]sim.Latency{
		"5ms-5ms":           {Min: 5 * time.Millisecond, Max: 5 * time.Millisecond},
		"longtail:1s-1s:1s": {Kind: sim.LongTail, Min: time.Second, Max: time.Second, Mean: time.Second},
	} {
		text = "latency=" + text
		if o, err := sim.ParseOptions(text); err != nil || o.Latency != want || o.String() != text {
			t.Errorf("%q is read as %+v, written as %v, %v", text, o.Latency, o, err)
		}
	}
}

// An error names the class, the value and what is expected.
func TestOptionsMalformed(t *testing.T) {
	for _, c := range []struct {
		text  string
		wants []string
	}{
		{"chunk=x", []string{`"chunk"`, `"x"`, "a positive whole number"}},
		{"chunk=0", []string{`"chunk"`, `"0"`, "a positive whole number"}},
		{"chunk", []string{`"chunk"`, `""`, "a positive whole number"}},
		{"buffers=0", []string{`"buffers"`, `"0"`, "a positive whole number"}},
		{"buffers=0/0", []string{`"buffers"`, `"0/0"`, "buffers=300/200"}},
		{"buffers=-1/9", []string{`"buffers"`, `"-1/9"`, "one for sending"}},
		{"retry=0s", []string{`"retry"`, `"0s"`, "a positive time"}},
		{"drop=2", []string{`"drop"`, `"2"`, "a probability from 0 to 1"}},
		{"drop=NaN", []string{`"drop"`, `"NaN"`, "a probability from 0 to 1"}},
		{"chunk=3,crash=-1", []string{`"crash"`, `"-1"`, "a rate in faults per second"}},
		{"crash=101", []string{`"crash"`, `"101"`, "from 0 to 100"}},
		{"latency=5ms", []string{`"latency"`, `"5ms"`, "a shortest and a longest time"}},
		{"latency=5ms-1ms", []string{`"latency"`, `"5ms-1ms"`, "1ms-40ms"}},
		{"latency=-5ms-1ms", []string{`"latency"`, `"-5ms-1ms"`, "1ms-40ms"}},
		{"skew=-1s", []string{`"skew"`, `"-1s"`, "a positive time"}},
		{"drift=1", []string{`"drift"`, `"1"`, "below 1"}},
		{"sites=4.5", []string{`"sites"`, `"4.5"`, "from 0 to 4"}},
		{"partion=0.1", []string{`"partion"`, `"0.1"`, "partition"}},
		{"chunk=3,chunk=4", []string{`"chunk"`, `"4"`, "once"}},
		{"chunk=3,", []string{`""`, "one of chunk, latency"}},
	} {
		o, err := sim.ParseOptions(c.text)
		if err == nil || o != (sim.Options{}) {
			t.Errorf("%q: read as %v, %v", c.text, o, err)
			continue
		}
		for _, want := range c.wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v\nwhich does not say %s", c.text, err, want)
			}
		}
	}
}

// Each class is on in about half of the draws, and two are on together in a quarter.
func TestSwarmDrawsHalf(t *testing.T) {
	const seeds = 4000
	on := map[string]int{}
	both := map[string]int{}
	for seed := range uint64(seeds) {
		classes := sim.Swarm(seed).Classes()
		for i, a := range classes {
			on[a]++
			for _, b := range classes[:i] {
				both[a+" and "+b]++
			}
		}
	}
	names := sim.ClassNames()
	if want := strings.Fields("chunk latency bandwidth buffers backlog descriptors spurious drop duplicate reorder packetbuffer clog partition " +
		"oneway swizzle hold crash kill killchild stop rolling pause skew jump drift resolve spawn work slow sites rare resets"); !slices.Equal(names, want) {
		t.Errorf("classes are %v", names)
	}
	for i, a := range names {
		if on[a] < seeds*45/100 || on[a] > seeds*55/100 {
			t.Errorf("%s is on in %d of %d", a, on[a], seeds)
		}
		for _, b := range names[:i] {
			if n := both[a+" and "+b]; n < seeds*20/100 || n > seeds*30/100 {
				t.Errorf("%s and %s are on in %d of %d", a, b, n, seeds)
			}
		}
	}
}
