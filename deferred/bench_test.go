package deferred_test

import (
	"testing"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
)

// A result with one function is one allocation, and a step is one more.
func TestAllocations(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	r := simulated(t, reactor.Config{})
	n := 0
	done := func(i int, _ error) { n += i }
	then := func(i int) (int, error) { return i + 1, nil }
	for name, c := range map[string]struct {
		limit float64
		fn    func()
	}{
		"one function": {1, func() {
			d := deferred.New[int](r, nil)
			d.Done(done)
			d.Succeed(1)
		}},
		"there before": {1, func() { deferred.Of(r, 1).Done(done) }},
		"a step":       {2, func() { d := deferred.New[int](r, nil); deferred.Then(d, then).Done(done); d.Succeed(1) }},
		"given up":     {1, func() { d := deferred.New[int](r, nil); d.Done(done); d.Cancel() }},
	} {
		if got := testing.AllocsPerRun(100, c.fn); got > c.limit {
			t.Errorf("%s: %v allocations, want %v", name, got, c.limit)
		}
	}
}

func BenchmarkDone(b *testing.B) {
	r := simulated(b, reactor.Config{})
	n := 0
	done := func(i int, _ error) { n += i }
	b.ReportAllocs()
	for b.Loop() {
		d := deferred.New[int](r, nil)
		d.Done(done)
		d.Succeed(1)
	}
}

func BenchmarkThen(b *testing.B) {
	r := simulated(b, reactor.Config{})
	n := 0
	done := func(i int, _ error) { n += i }
	then := func(i int) (int, error) { return i + 1, nil }
	b.ReportAllocs()
	for b.Loop() {
		d := deferred.New[int](r, nil)
		deferred.Then(d, then).Done(done)
		d.Succeed(1)
	}
}

// A chain of 100 steps; the time is that of all.
func BenchmarkChain100(b *testing.B) {
	r := simulated(b, reactor.Config{})
	then := func(i int) (int, error) { return i + 1, nil }
	b.ReportAllocs()
	for b.Loop() {
		first := deferred.New[int](r, nil)
		d := first
		for range 100 {
			d = deferred.Then(d, then)
		}
		first.Succeed(1)
	}
}

func BenchmarkTimeout(b *testing.B) {
	r := simulated(b, reactor.Config{})
	b.ReportAllocs()
	for b.Loop() {
		d := deferred.New[int](r, nil)
		d.Timeout(1 << 30).Ignore()
		d.Succeed(1)
	}
}
