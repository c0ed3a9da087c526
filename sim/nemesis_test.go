//go:build !race

// One goroutine does it all: the race detector could find nothing here, and makes it take
// seconds.

package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// storm is a network of so many hosts under o for d, and its trace.
func storm(t *testing.T, seed uint64, hosts int, o sim.Options, d time.Duration) *sim.Net {
	t.Helper()
	n := sim.New(seed)
	n.KeepTrace = true
	n.Config.ReadBuffer = readBuffer
	for i := range hosts {
		host(n, fmt.Sprintf("h%d", i))
	}
	n.Apply(o)
	if err := n.Run(d); err != nil {
		t.Fatal(err)
	}
	return n
}

// lines are those of n's trace with one of the words.
func lines(n *sim.Net, words ...string) (found []string) {
	for line := range strings.Lines(n.Trace()) {
		if f := strings.Fields(line); len(f) > 2 && slices.Contains(words, f[2]) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// A class does the same with and without others.
func TestStreamsAreApart(t *testing.T) {
	all := sim.Options{Chunk: 3, Latency: sim.Latency{Max: time.Second}, Bandwidth: 5000, Skew: time.Second, Drift: .1, Spurious: .3, Drop: .1, Clog: 1, Swizzle: 1, Resolve: .3}
	for _, c := range []struct {
		words string
		alone sim.Options
	}{
		{"cut heal", sim.Options{Partition: .5}},
		{"cut heal", sim.Options{OneWay: .5}},
		{"cut heal", sim.Options{Hold: .5}},
		{"crash restart", sim.Options{Crash: .5}},
		{"kill", sim.Options{Kill: .5}},
		{"pause resume", sim.Options{Pause: .5}},
	} {
		with := all
		with.Partition, with.OneWay, with.Hold = c.alone.Partition, c.alone.OneWay, c.alone.Hold
		with.Crash, with.Kill, with.Pause = c.alone.Crash, c.alone.Kill, c.alone.Pause
		for seed := range uint64(5) {
			words := strings.Fields(c.words)
			a := lines(storm(t, seed, 4, c.alone, 5*time.Minute), words...)
			b := lines(storm(t, seed, 4, with, 5*time.Minute), words...)
			if len(a) < 10 || !slices.Equal(a, b) {
				t.Fatalf("%v, seed %d: alone\n%s\nwith others\n%s", c.alone, seed, strings.Join(a, "\n"), strings.Join(b, "\n"))
			}
		}
	}
}

// What crashes is restarted within twenty seconds, and one host is always up; Calm restarts
// all.
func TestCrashesEnd(t *testing.T) {
	for seed := range uint64(5) {
		n := storm(t, seed, 4, sim.Options{Crash: 10, Kill: 10, Pause: 10}, 5*time.Minute)
		down := map[string]time.Duration{}
		var seen [5]int // how often so many were up
		for _, line := range lines(n, "crash", "restart") {
			f := strings.Fields(line)
			at, err := time.ParseDuration(f[0])
			if err != nil {
				t.Fatal(err)
			}
			since, is := down[f[1]]
			switch f[2] {
			case "crash":
				if is {
					t.Fatalf("seed %d: crashed twice: %s", seed, line)
				}
				down[f[1]] = at
			case "restart":
				if d := at - since; !is || d < 10*time.Millisecond || d > 20*time.Second {
					t.Fatalf("seed %d: down for %v: %s", seed, d, line)
				}
				delete(down, f[1])
			}
			seen[4-len(down)]++
		}
		if seen[0] > 0 || seen[1] == 0 || seen[3] == 0 || seen[4] == 0 {
			t.Errorf("seed %d: 0 to 4 hosts were up so many times: %v", seed, seen)
		}
		up := func() (up int) {
			for i := range 4 {
				if n.Host(fmt.Sprintf("h%d", i)).Up() {
					up++
				}
			}
			return up
		}
		n.Apply(sim.Options{Crash: 100})
		must(t, n, func() bool { return up() < 4 })
		n.Calm()
		if up() != 4 {
			t.Errorf("seed %d: %d hosts up in the calm", seed, up())
		}
		n.Run(time.Minute)
		if up() != 4 {
			t.Errorf("seed %d: %d hosts up a minute later", seed, up())
		}
	}
}

// A host alone is never taken down, and no link of its own is cut.
func TestNemesisOfOne(t *testing.T) {
	o := sim.Options{Clog: 10, Partition: 10, OneWay: 10, Swizzle: 10, Hold: 10, Crash: 10, Kill: 10, Pause: 10}
	for seed := range uint64(20) {
		if got := lines(storm(t, seed, 1, o, time.Minute), "cut", "crash"); len(got) > 0 {
			t.Fatalf("seed %d: %v", seed, got)
		}
		storm(t, seed, 0, o, time.Minute)
	}
}

// In the calm everything is as on the perfect network: an answer comes at once.
func TestCalm(t *testing.T) {
	for seed := range uint64(100) {
		n, srv, cli := two(t, seed, echoes())
		o := sim.Swarm(seed).Without("crash").Without("kill").Without("resolve")
		o.Partition, o.Clog, o.Hold, o.Swizzle = 5, 5, 5, 5
		n.Apply(o)
		n.Run(20 * time.Second)
		n.Calm()
		n.Run(2 * time.Minute) // what was under way arrives
		p := new(recorder)
		dial(cli, srv.Addr(7), p)
		start := n.Now()
		must(t, n, func() bool { return p.T != nil })
		say(n, p, "hello")
		must(t, n, func() bool { return p.got.String() == "hello" })
		if d := n.Now() - start; d > 20*time.Millisecond {
			t.Errorf("seed %d: an answer takes %v after %v", seed, d, o)
		}
		if n.Options.Chunk != 0 || n.Options.Latency.Max != 5*time.Millisecond || n.Options.Descriptors != 0 || n.Options.Spurious != 0 || n.Options.Backlog != 0 {
			t.Errorf("seed %d: fields are not as before", seed)
		}
		n.Close()
	}
}

// Apply lays its options over those of the network, and begins what both have at a rate;
// Calm takes its own away.
func TestApplyOver(t *testing.T) {
	n := sim.New(1)
	n.KeepTrace = true
	host(n, "a")
	host(n, "b")
	base := sim.Options{Chunk: 3, RecvBuffer: 200, RetryTimeout: time.Second, Pause: 1}
	n.Options = base
	n.Apply(sim.Options{Chunk: 5, Drop: .5, Partition: 1})
	want := base
	want.Chunk, want.Drop, want.Partition = 5, .5, 1
	if n.Options != want {
		t.Errorf("options are %v, want %v", n.Options, want)
	}
	n.Run(time.Minute)
	for _, what := range []string{" pause", " cut"} {
		if !strings.Contains(n.Trace(), what) {
			t.Errorf("there is no%s in\n%s", what, n.Trace())
		}
	}
	if n.Calm(); n.Options != base {
		t.Errorf("options are %v after all, want %v", n.Options, base)
	}
}

// host is one with a program to come back with.
func host(n *sim.Net, name string) *sim.Host {
	h := n.Host(name)
	h.Start(func(*sim.Host) {})
	return h
}

// caller looks a name up and connects, asks something long, and closes; again and again.
func caller(n *sim.Net) sim.Checks {
	n.Config.ReadBuffer = readBuffer
	n.Host("srv").Start(func(h *sim.Host) {
		if _, err := h.Reactor.Listen(h.Addr(7), echoes(), nil); err != nil {
			panic(err)
		}
	})
	for i := range 3 {
		n.Host(fmt.Sprintf("cli%d", i)).Start(func(h *sim.Host) {
			var call reactor.DelayedCall
			call.Init(h.Reactor, func() {
				call.Reset(100 * time.Millisecond)
				for range 4 {
					p := new(recorder)
					p.onData = func([]byte) {
						if p.got.Len() == 1000 {
							p.T.Close()
						}
					}
					h.Reactor.Dial(kernel.HostAddr("srv", 7), single(p), nil, func(_ reactor.Protocol, err error) {
						if err == nil {
							p.T.Write(make([]byte, 1000))
						}
					})
				}
			})
			call.Reset(0)
		})
	}
	return sim.Checks{}
}

// Every class changes what happens, in the way of its own.
func TestEveryClassStrikes(t *testing.T) {
	w := sim.World{Name: "caller", Setup: caller, Length: 5 * time.Second}
	none := w.Run(1, sim.Options{}).Hash
	seen := map[uint64]string{none: "none"}
	for _, c := range strings.Fields("chunk=3 latency=1ms-5ms latency=exponential:1ms-0s:5ms latency=longtail:1ms-1s:5ms " +
		"bandwidth=10000 buffers=100 backlog=1 descriptors=8 spurious=0.1 drop=0.01 clog=1 partition=1 oneway=1 " +
		"swizzle=1 hold=1 crash=1 kill=1 stop=1 rolling=1 pause=1 skew=1s jump=1 drift=0.01 resolve=0.1 slow=50ms sites=4 resets=0.01") {
		o, err := sim.ParseOptions(c)
		if err != nil || o.String() != c {
			t.Fatalf("%s: %v, %v", c, o, err)
		}
		r := w.Check(1, o)
		if r.Err != nil {
			t.Errorf("%s: %v", c, r.Err)
		}
		if seen[r.Hash] != "" {
			t.Errorf("%s is no other run than %s", c, seen[r.Hash])
		}
		seen[r.Hash] = c
	}
}

// Crash and Kill take no host without a program: nothing would bring it back.
func TestNoProgramNoCrash(t *testing.T) {
	n := sim.New(1)
	n.KeepTrace = true
	n.Host("a")
	n.Host("b")
	n.Apply(sim.Options{Crash: 10, Kill: 10})
	n.Run(time.Minute)
	if got := lines(n, "crash", "kill"); got != nil {
		t.Error(got)
	}
}

// In the calm clocks run right and do not stand still, paused hosts run, and what a
// narrow link was to carry for minutes arrives.
func TestCalmIsQuick(t *testing.T) {
	n, _, p := connected(t, 1)
	cli := n.Host("cli")
	n.Apply(sim.Options{Skew: time.Hour, Drift: .5, Bandwidth: 10, Pause: 100, Clog: 100})
	say(n, p, strings.Repeat("x", 10_000))
	n.Run(time.Minute)
	n.Calm()
	shown, at := cli.Reactor.Now(), n.Now()
	if ahead := cli.Kernel.Now() - at; ahead < time.Second {
		t.Errorf("the clock is %v ahead", ahead)
	}
	must(t, n, func() bool { return p.got.Len() == 10_000 })
	if d := n.Now() - at; d > time.Second {
		t.Errorf("it took %v", d)
	}
	before := cli.Kernel.Now()
	n.Run(time.Minute)
	if d := cli.Kernel.Now() - before; d != time.Minute || cli.Reactor.Now() < shown {
		t.Errorf("a minute took %v by the clock", d)
	}
}

// A negative Skew, or Drift, is off, also beside the other one.
func TestNegativeClocksAreOff(t *testing.T) {
	for _, c := range []struct{ here, laid sim.Options }{
		{sim.Options{Skew: -time.Second}, sim.Options{Drift: 0.01}},
		{sim.Options{Drift: -0.5}, sim.Options{Skew: time.Second}},
	} {
		n := sim.New(1)
		n.Options = c.here
		h := n.Host("a")
		n.Apply(c.laid)
		if err := n.Run(time.Hour); err != nil {
			t.Fatal(err)
		}
		if off := h.Reactor.Now() - n.Now(); off < -time.Minute || off > time.Minute {
			t.Errorf("%+v, %v laid over: the clock is wrong by %v", c.here, c.laid, off)
		}
	}
}
