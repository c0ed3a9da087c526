package reactor_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

const millionCalls = 1_000_000

// benchReactor is a reactor on the best kernel here.
func benchReactor(b *testing.B) *reactor.Reactor {
	b.Helper()
	k, err := native.Open("")
	if err != nil {
		b.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	b.Cleanup(r.Close)
	return r
}

// spread is a delay that differs from call to call and is never reached.
func spread(i int) time.Duration {
	return time.Hour + time.Duration(uint32(i)*2654435761)*time.Microsecond
}

// BenchmarkDelayedCall schedules and cancels a call among a million.
func BenchmarkDelayedCall(b *testing.B) {
	r := benchReactor(b)
	calls := make([]reactor.DelayedCall, millionCalls)
	for i := range calls {
		calls[i].Init(r, func() {})
		calls[i].Reset(spread(i))
	}
	var d reactor.DelayedCall
	d.Init(r, func() {})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d.Reset(spread(i))
		d.Cancel()
		i++
	}
}

// BenchmarkAfterFunc is the same with package time.
func BenchmarkAfterFunc(b *testing.B) {
	timers := make([]*time.Timer, millionCalls)
	for i := range timers {
		timers[i] = time.AfterFunc(spread(i), func() {})
	}
	b.Cleanup(func() {
		for _, t := range timers {
			t.Stop()
		}
	})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		time.AfterFunc(spread(i), func() {}).Stop()
		i++
	}
}

// BenchmarkPostpone moves each of a million calls later, as idle timeouts do, 512
// in a turn.
func BenchmarkPostpone(b *testing.B) {
	r := benchReactor(b)
	calls := make([]reactor.DelayedCall, millionCalls)
	for i := range calls {
		calls[i].Init(r, func() {})
		calls[i].Reset(spread(i))
	}
	at := 0
	batch := func() {
		for range 512 {
			calls[at%millionCalls].Reset(3 * time.Hour)
			at++
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Post(batch)
		r.Turn(0)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(at), "ns/call")
}

// BenchmarkPost posts a function and calls it, 512 in a turn.
func BenchmarkPost(b *testing.B) {
	r := benchReactor(b)
	n := 0
	fn := func() { n++ }
	b.ReportAllocs()
	for b.Loop() {
		for range 512 {
			r.Post(fn)
		}
		r.Turn(0)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/call")
}

// BenchmarkChannel sends functions through a channel and calls them, 512 at a
// time.
func BenchmarkChannel(b *testing.B) {
	c := make(chan func(), 512)
	n := 0
	fn := func() { n++ }
	b.ReportAllocs()
	for b.Loop() {
		for range 512 {
			c <- fn
		}
		for range 512 {
			(<-c)()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/call")
}

// BenchmarkAsk asks a running loop from another goroutine and waits.
func BenchmarkAsk(b *testing.B) {
	r := benchReactor(b)
	ended := make(chan error)
	go func() { ended <- r.Run(b.Context()) }()
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if _, err := reactor.Ask(r, func() (int, error) { n++; return n, nil }); err != nil {
			b.Fatal(err)
		}
	}
	r.Stop()
	<-ended
}
