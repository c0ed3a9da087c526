package sim

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"runtime/debug"
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

// fewFailures is how many failures a test shows before it stops.
const fewFailures = 3

// Test checks the world ([World.Check]) under seeds 0 to seeds-1, each with the options that
// [Swarm] draws from it. As many seeds run at a time as there are Ps. Test stops after the
// third seed that fails. Of each failure it tells what failed in the minimised run, which rule
// that is, which fault classes matter, and the command that replays it.
//
// A state of [Net.Sometimes] that no seed has reached fails the test, if it ran at least a
// hundred seeds, and the environment did not choose the runs.
//
// The environment can choose other runs: WHORL_SEED=17 is that seed alone, WHORL_SEEDS=5000
// is seeds 0 to 4999, WHORL_SEEDS=100..200 is a range with both ends, and
// WHORL_FAULTS='drop=0.1', text for [ParseOptions], is the options of every seed.
func Test(t TB, w World, seeds int) {
	t.Helper()
	plan, err := planFrom(environ(), seeds)
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	b := &batch{World: w, plan: plan, drawn: make([]int, len(classes)), states: map[string]int{}, asked: seeds}
	began := time.Now()
	b.run()
	b.report(t, time.Since(began))
}

// batch is the runs of one Test.
type batch struct {
	World
	plan
	asked int           // seeds that the caller of Test asked for
	next  atomic.Uint64 // seeds begun

	mu     sync.Mutex
	ran    int
	now    time.Duration  // simulated, of all of them
	drawn  []int          // how often each class was on
	states map[string]int // in how many seeds each state of Sometimes was reached
	failed []Result
}

// run runs all seeds, some at a time.
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

// work runs seeds until none is left or enough have failed.
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
	for _, s := range r.Sometimes {
		count := b.states[s.Name] // a state that is known has an entry
		if s.Reached {
			count++
		}
		b.states[s.Name] = count
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
	b.reportStates(t)
	for _, r := range b.failed[:min(len(b.failed), fewFailures)] {
		t.Errorf("%s", b.explain(t.Name(), r))
	}
}

// ruleName is the name of the rule that a run's error says is broken.
func ruleName(err error) string {
	if e, ok := errors.AsType[*RunError](err); ok {
		return e.Rule
	}
	return ""
}

// enoughSeeds is with how many seeds a state that none has reached fails a test.
const enoughSeeds = 100

// reportStates tells how many seeds have reached each state of Sometimes. One that none has
// reached fails the test, unless the environment chose the runs, or there were few of them.
func (b *batch) reportStates(t TB) {
	t.Helper()
	var reached, never []string
	for _, name := range slices.Sorted(maps.Keys(b.states)) {
		if count := b.states[name]; count > 0 {
			reached = append(reached, fmt.Sprintf("%s %d", name, count))
		} else {
			never = append(never, name)
		}
	}
	if reached != nil {
		t.Logf("%s: seeds that reached each state: %s", b.Name, strings.Join(reached, ", "))
	}
	for _, name := range never {
		text := fmt.Sprintf("%s: no seed of %d reached %q: what is checked there was never checked", b.Name, b.ran, name)
		if b.chosen || b.ran < max(enoughSeeds, b.asked) {
			t.Logf("%s", text)
		} else {
			t.Errorf("%s", text)
		}
	}
}

// explain describes a run that failed in a test: first how the minimised run fails, which is
// the one that the last line replays.
func (b *batch) explain(test string, r Result) string {
	least, matter := b.Minimise(r)
	which := "none: it fails on the perfect network too"
	if matter != nil {
		which = strings.Join(matter, ", ")
	}
	found := ""
	if r.Err.Error() != least.Err.Error() {
		first, _, _ := strings.Cut(r.Err.Error(), "\n")
		found = "\nfound:   " + first
	}
	return fmt.Sprintf("%v%s\nworld:   %s\nrule:    %s\nseed:    %d\nfaults:  %v\nmatter:  %s\nreplay:  %s",
		least.Err, found, r.World.Name, ruleName(r.Err), r.Seed, r.Options, which, replayLine(testPackage(), test, r.Seed, least.Options))
}

// testPackage is the import path of the package that is being tested, "." if the go command
// was given files rather than a package.
func testPackage() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "."
	}
	path := strings.TrimSuffix(info.Path, ".test") // a main package has none
	if path == "" || path == "command-line-arguments" {
		return "."
	}
	return path
}

// replayLine is the command that runs a test with one seed, for a shell in the module. It
// names nothing but the test, and so works for any world.
func replayLine(pkg, test string, seed uint64, o Options) string {
	var pattern []string
	for name := range strings.SplitSeq(test, "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(name)+"$")
	}
	run := strings.ReplaceAll(strings.Join(pattern, "/"), "'", `'\''`)
	return fmt.Sprintf("WHORL_SEED=%d WHORL_FAULTS='%v' go test -run '%s' %s", seed, o, run, pkg)
}
