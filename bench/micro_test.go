package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// pendings are how many calls are pending while one is measured.
var pendings = []struct {
	name string
	n    int
}{{"1k", 1_000}, {"1M", 1_000_000}}

func newReactor(b *testing.B) *reactor.Reactor {
	k, err := native.Open("")
	if err != nil {
		b.Skip(err)
	}
	return reactor.New(k, reactor.Config{})
}

// onLoop calls fn on r's goroutine, inside a turn, and closes r.
func onLoop(b *testing.B, r *reactor.Reactor, fn func()) {
	r.Post(fn)
	if err := r.Turn(0); err != nil {
		b.Fatal(err)
	}
	r.Close()
}

// delays returns delays of one to two hours. None of them ends while the benchmark runs.
func delays() []time.Duration {
	rnd := rand.New(rand.NewPCG(3, 5))
	d := make([]time.Duration, 1<<12)
	for i := range d {
		d[i] = time.Hour + time.Duration(rnd.Int64N(int64(time.Hour)))
	}
	return d
}

// fill schedules n calls on r.
func fill(r *reactor.Reactor, n int, d []time.Duration) {
	calls := make([]reactor.DelayedCall, n)
	for i := range calls {
		calls[i].Init(r, func() {})
		calls[i].Reset(d[i%len(d)])
	}
}

func fillTime(b *testing.B, n int, d []time.Duration) {
	calls := make([]*time.Timer, n)
	for i := range calls {
		calls[i] = time.AfterFunc(d[i%len(d)], func() {})
	}
	b.Cleanup(func() {
		for _, t := range calls {
			t.Stop()
		}
	})
}

// BenchmarkScheduleCancel schedules a call and cancels it, while many others are pending.
func BenchmarkScheduleCancel(b *testing.B) {
	d := delays()
	for _, p := range pendings {
		b.Run("whorl-embedded/"+p.name, func(b *testing.B) {
			r := newReactor(b)
			onLoop(b, r, func() {
				fill(r, p.n, d)
				var call reactor.DelayedCall
				call.Init(r, func() {})
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					call.Reset(d[i%len(d)])
					call.Cancel()
				}
			})
		})
		b.Run("whorl-CallLater/"+p.name, func(b *testing.B) {
			r := newReactor(b)
			onLoop(b, r, func() {
				fill(r, p.n, d)
				fn := func() {}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					r.CallLater(d[i%len(d)], fn).Cancel()
				}
			})
		})
		b.Run("time-AfterFunc/"+p.name, func(b *testing.B) {
			fillTime(b, p.n, d)
			fn := func() {}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				time.AfterFunc(d[i%len(d)], fn).Stop()
			}
		})
	}
}

// BenchmarkPostpone moves one pending call later and later, as an idle timeout does with
// each message.
func BenchmarkPostpone(b *testing.B) {
	d := delays()
	for _, p := range pendings {
		b.Run("whorl/"+p.name, func(b *testing.B) {
			r := newReactor(b)
			fill(r, p.n, d)
			var call reactor.DelayedCall
			call.Init(r, func() {})
			call.Reset(time.Minute)
			// The clock is read once a turn. So postponing is cheap only in a turn
			// after the one that scheduled.
			if err := r.Turn(0); err != nil {
				b.Fatal(err)
			}
			onLoop(b, r, func() {
				b.ReportAllocs()
				for b.Loop() {
					call.Reset(time.Minute)
				}
			})
		})
		b.Run("time-Reset/"+p.name, func(b *testing.B) {
			fillTime(b, p.n, d)
			t := time.AfterFunc(time.Minute, func() {})
			defer t.Stop()
			b.ReportAllocs()
			for b.Loop() {
				t.Reset(time.Minute)
			}
		})
	}
}

// burst is how many functions are posted before the poster waits for the last one.
const burst = 1000

// BenchmarkPost hands functions to another goroutine, in bursts. One operation is one
// function.
func BenchmarkPost(b *testing.B) {
	for _, busy := range []bool{false, true} {
		name := "whorl"
		if busy {
			name = "whorl-busy" // the loop never sleeps, so nobody has to wake it
		}
		b.Run(name, func(b *testing.B) {
			r, stop := running(b)
			defer stop()
			if busy {
				var spin func()
				spin = func() { r.Post(spin) }
				r.Post(spin)
			}
			done := make(chan struct{})
			count := 0
			fn := func() {
				if count++; count%burst == 0 {
					done <- struct{}{}
				}
			}
			b.ReportAllocs()
			handOver(b, func() { r.Post(fn) }, done)
		})
	}
	for _, c := range []struct {
		name string
		size int
	}{{"channel-0", 0}, {"channel-1000", burst}} {
		b.Run(c.name, func(b *testing.B) {
			work, done := make(chan func(), c.size), make(chan struct{})
			defer close(work)
			go func() {
				for fn := range work {
					fn()
				}
			}()
			count := 0
			fn := func() {
				if count++; count%burst == 0 {
					done <- struct{}{}
				}
			}
			b.ReportAllocs()
			handOver(b, func() { work <- fn }, done)
		})
	}
}

// handOver calls post in bursts and waits for each burst to be done.
func handOver(b *testing.B, post func(), done <-chan struct{}) {
	i := 0
	for b.Loop() {
		i++
		if post(); i%burst == 0 {
			<-done
		}
	}
	for ; i%burst != 0; i++ { // complete the last burst: its last function sends on done
		post()
		if (i+1)%burst == 0 {
			<-done
		}
	}
}

// BenchmarkPostBack posts one function and waits until it was called.
func BenchmarkPostBack(b *testing.B) {
	b.Run("whorl", func(b *testing.B) {
		r, stop := running(b)
		defer stop()
		done := make(chan struct{}, 1)
		fn := func() { done <- struct{}{} }
		b.ReportAllocs()
		for b.Loop() {
			r.Post(fn)
			<-done
		}
	})
	b.Run("channel", func(b *testing.B) {
		work, done := make(chan func()), make(chan struct{}, 1)
		defer close(work)
		go func() {
			for fn := range work {
				fn()
			}
		}()
		fn := func() { done <- struct{}{} }
		b.ReportAllocs()
		for b.Loop() {
			work <- fn
			<-done
		}
	})
}

// running returns a reactor that runs until stop is called.
func running(b *testing.B) (*reactor.Reactor, func()) {
	r := newReactor(b)
	started := make(chan struct{})
	r.CallWhenRunning(func() { close(started) })
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	<-started
	return r, func() {
		cancel()
		wg.Wait()
	}
}
