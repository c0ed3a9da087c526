//go:build !race

// One goroutine does it all: the race detector could find nothing here, and makes it take
// seconds.

package sim_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/sim"
)

// arrivals keeps when data arrives between two hosts, since start.
type arrivals struct {
	start time.Duration
	data  []time.Duration
}

func (a *arrivals) rule(s *sim.Segment) (v sim.Verdict) {
	if s.Kind == sim.DATA {
		a.data = append(a.data, s.At-a.start)
	}
	return v
}

// lan is two hosts without latency, both of which serve.
func lan(t *testing.T, seed uint64) (n *sim.Net, srv, cli *sim.Host) {
	t.Helper()
	n, srv, cli = two(t, seed, readers())
	n.Options.Latency = sim.Latency{}
	serve(t, cli, readers())
	return n, srv, cli
}

// sample is how long many segments travel, sorted.
func sample(t *testing.T, n *sim.Net, cli, srv *sim.Host) []time.Duration {
	t.Helper()
	const count, gap = 20_000, time.Hour
	n.KeepTrace = false
	s := raw(t, n, cli, srv.Addr(7))
	var times []time.Duration
	sent := time.Duration(0)
	n.AddRule(func(seg *sim.Segment) (v sim.Verdict) {
		if seg.Kind == sim.DATA {
			times = append(times, seg.At-sent)
		}
		return v
	})
	var next func()
	next = func() {
		sent = n.Now()
		write(t, s, "x")
		if len(times) < count {
			n.At(sent+gap, next)
		}
	}
	n.At(n.Now(), next)
	for len(times) < count {
		if err := n.Run(gap); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(times)
	return times
}

// Each distribution keeps its bounds and has its mean and its tail; on the network and
// on a link.
func TestLatencyDistributions(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		l    sim.Latency
		mean float64 // in ms, of what is cut off too; 0: it has none to rely on
		tail time.Duration
		over float64 // how many take longer than tail
	}{
		{sim.Latency{Min: 2 * ms, Max: 10 * ms}, 6, 8 * ms, .25},
		{sim.Latency{Kind: sim.Exponential, Min: 1 * ms, Mean: 5 * ms}, 5, 1*ms + 18420*time.Microsecond, .01},
		{sim.Latency{Kind: sim.Exponential, Min: 1 * ms, Mean: 5 * ms, Max: 9 * ms}, 1 + 4*(1-math.Exp(-2)), 5 * ms, math.Exp(-1)},
		{sim.Latency{Kind: sim.LongTail, Min: 1 * ms, Mean: 5 * ms}, 0, 37 * ms, .01},
		{sim.Latency{Kind: sim.LongTail, Min: 1 * ms, Mean: 5 * ms, Max: 41 * ms}, 1 + 4*40./44, 37 * ms, .01},
		{sim.Latency{Kind: sim.Exponential, Min: 3 * ms, Mean: 2 * ms}, 3, 3 * ms, 0},
		{sim.Latency{Kind: sim.LongTail, Min: 3 * ms, Mean: 9 * ms, Max: 2 * ms}, 3, 3 * ms, 0},
	} {
		for _, link := range []bool{false, true} {
			n, srv, cli := lan(t, 7)
			if link {
				n.Options.Latency = sim.Latency{Max: time.Hour}
				n.SetLinkLatency("srv", "cli", c.l)
			} else {
				n.Options.Latency = c.l
			}
			times := sample(t, n, cli, srv)
			sum, over := 0., 0.
			for _, d := range times {
				sum += d.Seconds() * 1000
				if d > c.tail {
					over++
				}
			}
			mean, count := sum/float64(len(times)), float64(len(times))
			if times[0] < c.l.Min || times[0] > c.l.Min+c.l.Min/100 {
				t.Errorf("%+v: the least is %v", c.l, times[0])
			}
			if last := times[len(times)-1]; c.l.Max > 0 && last > max(c.l.Max, c.l.Min) {
				t.Errorf("%+v: the most is %v", c.l, last)
			}
			if c.mean > 0 && math.Abs(mean-c.mean) > c.mean/40 {
				t.Errorf("%+v: the mean is %.3f ms, want %.3f", c.l, mean, c.mean)
			}
			if math.Abs(over/count-c.over) > c.over/4 {
				t.Errorf("%+v: %.4f take longer than %v, want %.4f", c.l, over/count, c.tail, c.over)
			}
		}
	}
}

// ends is when count segments of size bytes have left at rate, one behind the other.
func ends(rate, size uint64, count int) (list []time.Duration) {
	for i := range uint64(count) {
		list = append(list, time.Duration(((i+1)*(size+40)*1e9+rate-1)/rate))
	}
	return list
}

// A segment takes its bytes and a header of 40, at the rate of the link, to the nanosecond,
// and nothing is lost by rounding however many there are.
func TestBandwidth(t *testing.T) {
	for _, c := range []struct {
		rate, size uint64
		count      int
		set        bool
	}{{1_000_003, 1000, 3, false}, {3, 1, 1000, false}, {1_000_000_000, 100, 100, false}, {999_999_937, 7, 1000, true}, {20_000_000_001, 1, 500, true}} {
		if c.rate > math.MaxInt {
			continue // there is no such rate where an int has 32 bits
		}
		n, srv, cli := lan(t, 1)
		s := raw(t, n, cli, srv.Addr(7))
		if n.Options.Bandwidth = int(c.rate); c.set {
			n.Options.Bandwidth = 1
			n.SetBandwidth("cli", "srv", int(c.rate))
		}
		n.Run(time.Hour) // the link is idle then
		a := arrivals{start: n.Now()}
		n.AddRule(a.rule)
		n.At(n.Now(), func() {
			for range c.count {
				write(t, s, strings.Repeat("x", int(c.size)))
			}
		})
		n.Run(24 * time.Hour)
		if want := ends(c.rate, c.size, c.count); !slices.Equal(a.data, want) {
			t.Errorf("%+v: arrived\n%v, want\n%v", c, a.data, want)
		}
	}
}

// The queue of a link is its connections' in common, and each direction has its own;
// latency comes on top; within a host there is no queue.
func TestBandwidthShared(t *testing.T) {
	n, srv, cli := lan(t, 1)
	one, two := raw(t, n, cli, srv.Addr(7)), raw(t, n, cli, srv.Addr(7))
	back, self := raw(t, n, srv, cli.Addr(7)), raw(t, n, cli, cli.Addr(7))
	n.Options.Bandwidth = 1000
	n.SetBandwidth("cli", "cli", 1)
	n.SetLinkLatency("srv", "cli", sim.Latency{Min: time.Minute, Max: time.Minute})
	start := n.Now()
	got := map[string][]time.Duration{}
	n.AddRule(func(s *sim.Segment) (v sim.Verdict) {
		key := s.FromHost + " " + s.ToHost + " " + s.Kind.String()
		got[key] = append(got[key], s.At-start)
		return v
	})
	n.At(start, func() {
		write(t, one, strings.Repeat("x", 60))
		write(t, two, strings.Repeat("x", 160))
		one.CloseWrite()
		write(t, two, strings.Repeat("x", 960))
		write(t, back, strings.Repeat("x", 60))
		write(t, self, strings.Repeat("x", 10_000))
	})
	n.Run(time.Hour)
	const ms = time.Millisecond
	for key, want := range map[string][]time.Duration{
		"cli srv data": {time.Minute + 100*ms, time.Minute + 300*ms, time.Minute + 1340*ms},
		"cli srv fin":  {time.Minute + 340*ms},
		"srv cli data": {time.Minute + 100*ms},
		"cli cli data": {0},
	} {
		if !slices.Equal(got[key], want) {
			t.Errorf("%s: at %v, want %v", key, got[key], want)
		}
	}
}

// What is lost takes its time on the link again; what waited behind it does not.
func TestBandwidthOfLoss(t *testing.T) {
	n, srv, cli := lan(t, 1)
	s := raw(t, n, cli, srv.Addr(7))
	n.SetBandwidth("cli", "srv", 1000)
	start := n.Now()
	var got []time.Duration
	remove := n.AddRule(func(s *sim.Segment) (v sim.Verdict) {
		if v.Drop = got == nil && s.Try == 0; !v.Drop {
			got = append(got, s.At-start)
		}
		return v
	})
	n.At(start, func() {
		for range 3 {
			write(t, s, strings.Repeat("x", 60))
		}
	})
	n.Run(time.Hour)
	// On the link until 100 ms, lost, sent again at 300 ms; the link was free from then on.
	const at = 400 * time.Millisecond
	if want := []time.Duration{at, at, at}; !slices.Equal(got, want) {
		t.Errorf("arrived %v, want %v", got, want)
	}

	// A partition loses all of it.
	heal := n.Partition("cli", "srv")
	got = nil
	remove()
	n.AddRule(func(s *sim.Segment) (v sim.Verdict) {
		got = append(got, s.At-start)
		return v
	})
	start = n.Now()
	n.At(start, func() {
		for range 3 {
			write(t, s, strings.Repeat("x", 60))
		}
	})
	n.At(start+10*time.Second, heal)
	n.Run(time.Hour)
	const sec, tenth = time.Second, 100 * time.Millisecond
	if want := []time.Duration{10*sec + tenth, 10*sec + 2*tenth, 10*sec + 3*tenth}; !slices.Equal(got, want) {
		t.Errorf("after a partition: arrived %v, want %v", got, want)
	}
}

// A clog of one way leaves the other alone.
func TestClogOneWay(t *testing.T) {
	for _, from := range []string{"cli", "srv"} {
		n, _, p := connected(t, 4)
		to := map[string]string{"cli": "srv", "srv": "cli"}[from]
		n.ClogOneWay(from, to, 10*time.Second)
		start := n.Now()
		at := map[string]time.Duration{}
		n.AddRule(func(s *sim.Segment) (v sim.Verdict) {
			at[s.FromHost] = s.At - start
			return v
		})
		say(n, p, "x")
		must(t, n, func() bool { return p.got.Len() == 1 })
		first, second := at["cli"], at["srv"]-at["cli"]
		if from == "srv" {
			first, second = second, first
		}
		if first < 9*time.Second || first > 11*time.Second || second > 5*time.Millisecond {
			t.Errorf("clogged from %s: asked after %v, answered after %v", from, at["cli"], at["srv"])
		}
		n.Run(10 * time.Second)
		start = n.Now()
		say(n, p, "y")
		must(t, n, func() bool { return p.got.Len() == 2 })
		if at["srv"] > 10*time.Millisecond {
			t.Errorf("after the clog: answered after %v", at["srv"])
		}
	}
}

// Drop loses as many segments between hosts as it says, each once, and never a
// connection.
func TestDrop(t *testing.T) {
	for _, lossy := range []float64{.25, 1} {
		n, srv, cli := two(t, 5, echoes())
		n.Options.Drop = lossy
		first, again := 0., 0.
		n.AddRule(func(s *sim.Segment) (v sim.Verdict) {
			switch {
			case s.Try > 1, s.FromHost == s.ToHost && s.Try > 0:
				t.Errorf("%v from %s to %s lost %d times", s.Kind, s.FromHost, s.ToHost, s.Try)
			case s.FromHost == s.ToHost:
			case s.Try == 1:
				again++
			default:
				first++
			}
			return v
		})
		far, near := new(recorder), new(recorder)
		dial(cli, srv.Addr(7), far)
		dial(srv, srv.Addr(7), near)
		must(t, n, func() bool { return far.T != nil && near.T != nil })
		for i := range 1000 {
			say(n, far, "x")
			say(n, near, "x")
			must(t, n, func() bool { return far.got.Len() == i+1 && near.got.Len() == i+1 })
		}
		if share := again / (first + again); math.Abs(share-lossy) > .03 || !strings.Contains(n.Trace(), "drop data 1") {
			t.Errorf("%.3f are lost, want %.3f", share, lossy)
		}
	}
}

// To a stream a duplicate is nothing but a line in the trace, and damage is a loss.
func TestVerdicts(t *testing.T) {
	for _, v := range []sim.Verdict{{Duplicate: true}, {Duplicate: true, Delay: time.Second}, {Corrupt: true}, {Corrupt: true, Duplicate: true}} {
		n, _, p := connected(t, 6)
		tries := 0
		n.AddRule(func(s *sim.Segment) sim.Verdict {
			if s.FromHost != "cli" || s.Kind != sim.DATA {
				return sim.Verdict{}
			}
			if tries = s.Try; v.Corrupt && tries > 0 {
				return sim.Verdict{}
			}
			return v
		})
		say(n, p, "once")
		n.Run(time.Minute)
		if p.got.String() != "once" || p.lost != nil || strings.Contains(n.Trace(), "drop data 4") != v.Corrupt {
			t.Errorf("%+v: got %q, lost %v\n%s", v, p.got.String(), p.lost, n.Trace())
		}
		want, lost := 1, 0
		if v.Corrupt {
			want, lost = 0, 1
		}
		if got := strings.Count(n.Trace(), "arrive again data 4"); got != want || tries != lost {
			t.Errorf("%+v: %d arrive again, %d tries", v, got, tries)
		}
	}
}

// Rules are asked in the order in which they were added, the first that decides stands, and
// each is asked as long as it is in force.
func TestRules(t *testing.T) {
	n, _, p := connected(t, 7)
	n.Options.Latency = sim.Latency{}
	var asked []string
	rule := func(name string, v sim.Verdict) sim.Rule {
		return func(s *sim.Segment) sim.Verdict {
			if s.FromHost != "cli" || s.Kind != sim.DATA || s.Try > 0 {
				return sim.Verdict{}
			}
			asked = append(asked, name)
			return v
		}
	}
	ask := func(want string, takes time.Duration) {
		t.Helper()
		asked = nil
		got, start := p.got.Len(), n.Now()
		say(n, p, "x")
		must(t, n, func() bool { return p.got.Len() > got })
		if got := strings.Join(asked, " "); got != want || n.Now()-start != takes {
			t.Errorf("asked %q, and it took %v; want %q and %v", got, n.Now()-start, want, takes)
		}
	}
	n.AddRule(rule("first", sim.Verdict{}))
	drop := n.AddRuleFor(time.Hour, rule("drop", sim.Verdict{Drop: true}))
	n.AddRuleFor(time.Minute, rule("minute", sim.Verdict{Delay: time.Second}))
	remove := n.AddRule(rule("last", sim.Verdict{Delay: 2 * time.Second}))
	n.AddRuleFor(0, rule("never", sim.Verdict{Drop: true}))
	ask("first drop", 200*time.Millisecond)
	drop()
	drop()
	ask("first minute", time.Second)
	n.Run(time.Minute)
	ask("first last", 2*time.Second)
	remove()
	ask("first", 0)
}

// A clog within another does not shorten it, and a later end makes it longer.
func TestClogIsNotShortened(t *testing.T) {
	for _, c := range []struct{ first, second, want time.Duration }{
		{10 * time.Second, time.Second, 10 * time.Second},
		{time.Second, 10 * time.Second, 10 * time.Second},
	} {
		n, _, p := connected(t, 4)
		start := n.Now()
		n.ClogOneWay("cli", "srv", c.first)
		n.ClogOneWay("cli", "srv", c.second)
		say(n, p, "x")
		must(t, n, func() bool { return p.got.Len() == 1 })
		if took := n.Now() - start; took < c.want || took > c.want+20*time.Millisecond {
			t.Errorf("clogged for %v and then for %v: an answer after %v", c.first, c.second, took)
		}
	}
}

// Latency, bandwidth and loss can be set for one direction of a link; the other keeps its own.
func TestOneDirection(t *testing.T) {
	both := map[string]string{"cli": "srv", "srv": "cli"}
	for from, to := range both {
		n, srv, cli := two(t, 6, echoes())
		n.SetLatency("cli", "srv", 2*time.Millisecond, 2*time.Millisecond)
		p := new(recorder)
		dial(cli, srv.Addr(7), p)
		must(t, n, func() bool { return p.T != nil })
		way := func(text string) (there, back time.Duration) {
			start, at := n.Now(), map[string]time.Duration{}
			remove := n.AddRule(func(s *sim.Segment) (v sim.Verdict) {
				if s.Kind == sim.DATA {
					at[s.FromHost] = s.At
				}
				return v
			})
			defer remove()
			p.got.Reset()
			say(n, p, text)
			must(t, n, func() bool { return p.got.Len() == len(text) })
			there, back = at["cli"]-start, at["srv"]-at["cli"]
			n.Run(time.Minute)
			if from == "srv" {
				there, back = back, there
			}
			return there, back
		}
		near := func(what string, got, want time.Duration) {
			t.Helper()
			if got < want || got > want+5*time.Millisecond {
				t.Errorf("%s, %s > %s: %v, want %v", what, from, to, got, want)
			}
		}
		const normal = 2 * time.Millisecond
		there, back := way("x")
		near("before", there, normal)
		near("before, back", back, normal)

		n.SetLatencyOneWay(from, to, sim.Latency{Min: time.Second, Max: time.Second})
		there, back = way("x")
		near("latency", there, time.Second)
		near("latency, back", back, normal)
		n.SetLatencyOneWay(from, to, sim.Latency{Min: normal, Max: normal})

		n.SetBandwidthOneWay(from, to, 41) // a byte with its header in a second
		there, back = way("x")
		near("bandwidth", there, time.Second+normal)
		near("bandwidth, back", back, normal)
		n.SetBandwidthOneWay(from, to, 0)

		n.SetDropOneWay(from, to, 1)
		there, back = way("x")
		near("loss", there, 200*time.Millisecond+2*normal)
		near("loss, back", back, normal)
		n.SetDrop(from, to, 0)
		n.Options.Drop = 1
		there, back = way("x")
		near("no loss", there, normal)
		near("no loss, back", back, normal)
	}
}
