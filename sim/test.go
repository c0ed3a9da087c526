package sim

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// TB is what Test needs of testing.TB.
type TB interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
}

// fewFailures are as many as a test shows before it stops.
const fewFailures = 3

// Test checks the world (World.Check) under seeds 0 to seeds-1, each with the faults that
// Swarm draws from it, as many at a time as there are Ps. It stops after the third seed
// that fails, and says of each what failed, which fault classes matter, and how to replay it.
//
// The environment says otherwise: WHORL_SEED=17 is that seed alone, WHORL_SEEDS=5000 so
// many, WHORL_SEEDS=100..200 from the one to the other, both included; with
// WHORL_FAULTS, written as for ParseOptions, every seed has those faults.
func Test(t TB, w World, seeds int) {
	t.Helper()
	plan, err := planFrom(environ(), seeds)
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	b := &batch{World: w, plan: plan, drawn: make([]int, len(classes))}
	began := time.Now()
	b.run()
	b.report(t, time.Since(began))
}

// batch is the runs of one Test.
type batch struct {
	World
	plan
	next atomic.Uint64 // seeds begun

	mu     sync.Mutex
	ran    int
	now    time.Duration // simulated, of all of them
	drawn  []int         // how often each class was on
	failed []Result
}

// run runs them all, some at a time.
func (b *batch) run() {
	var all sync.WaitGroup
	for range min(uint64(runtime.GOMAXPROCS(0)), b.count) {
		all.Add(1)
		go func() {
			defer all.Done()
			b.work()
		}()
	}
	all.Wait()
	slices.SortFunc(b.failed, func(x, y Result) int {
		if x.Seed < y.Seed {
			return -1
		}
		return 1
	})
}

// work runs seeds until there are none, or too many have failed.
func (b *batch) work() {
	for {
		i := b.next.Add(1) - 1
		if i >= b.count || b.enough() {
			return
		}
		b.note(b.Check(b.first+i, b.faults(b.first+i)))
	}
}

func (b *batch) enough() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.failed) >= fewFailures
}

func (b *batch) note(r Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ran++
	b.now += r.Now
	for i, c := range classes {
		if c.get(&r.Options) != "" {
			b.drawn[i]++
		}
	}
	if r.Err != nil {
		b.failed = append(b.failed, r)
	}
}

// report logs what ran and shows what failed.
func (b *batch) report(t TB, took time.Duration) {
	t.Helper()
	t.Logf("%s: %d seeds, each twice, %v of simulated time, %.0f seeds/s", b.Name, b.ran, b.now.Round(time.Second),
		float64(b.ran)/took.Seconds())
	var drawn []string
	for i, c := range classes {
		if c.draw == nil {
			continue
		}
		drawn = append(drawn, fmt.Sprintf("%s %d", c.name, b.drawn[i]))
	}
	t.Logf("%s: seeds with each fault: %s", b.Name, strings.Join(drawn, ", "))
	for _, r := range b.failed[:min(len(b.failed), fewFailures)] {
		t.Errorf("%s", b.explain(t.Name(), r))
	}
}

// explain is all there is to know of a run that failed in a test.
func (b *batch) explain(test string, r Result) string {
	o, matter := b.Minimise(r)
	which := "none: it fails on the perfect network too"
	if matter != nil {
		which = strings.Join(matter, ", ")
	}
	return fmt.Sprintf("%v\nworld:   %s\nseed:    %d\nfaults:  %v\nmatter:  %s\nreplay:  %s\n    or:  %s",
		r.Err, r.World.Name, r.Seed, r.Options, which, r.replayTest(test, o), r.replayTool(o))
}

// replayTest is the line that runs a test with one seed.
func (r Result) replayTest(test string, o Options) string {
	var pattern []string
	for name := range strings.SplitSeq(test, "/") {
		pattern = append(pattern, "^"+name+"$")
	}
	return fmt.Sprintf("WHORL_SEED=%d WHORL_FAULTS='%v' go test -run '%s' .", r.Seed, o, strings.Join(pattern, "/"))
}

// replayTool is the line that has the tool do it.
func (r Result) replayTool(o Options) string {
	return fmt.Sprintf("whorl sim %s --seed %d --faults '%v'", r.World.Name, r.Seed, o)
}
