package coro_test

import (
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// sleeper is a coroutine that waits again whenever it is cancelled: the cheapest event that there is.
func sleeper(t testing.TB) *coro.Coroutine {
	c := coro.Go(newReactor(t), func(c *coro.Coroutine) error {
		for {
			if err := c.Sleep(coro.NoDeadline); err == reactor.ErrStopped {
				return nil
			}
		}
	})
	return c
}

// newReactor is one that runs, on the first native kernel.
func newReactor(t testing.TB) *reactor.Reactor {
	for _, w := range testworld.Native() {
		r := w.New(t, reactor.Config{})
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	panic("no kernel")
}

// echoBody answers what it reads.
func echoBody(s *coro.Session) error {
	var buf [64]byte
	for {
		n, err := s.Read(buf[:])
		if err != nil {
			return nil
		}
		s.Write(buf[:n])
	}
}

// CORO-9: a switch, a read and a write take no memory.
func TestAllocs(t *testing.T) {
	c := sleeper(t)
	if n := testing.AllocsPerRun(1000, c.Cancel); n != 0 {
		t.Errorf("CORO-9: %v allocations for a switch", n)
	}
	p := coro.Protocol(echoBody)
	k := &sink{r: newReactor(t)}
	p.ConnectionMade(k)
	msg := make([]byte, 64)
	if n := testing.AllocsPerRun(1000, func() { p.DataReceived(msg) }); n != 0 {
		t.Errorf("CORO-9: %v allocations for a message", n)
	}
	if k.written < 64*1000 {
		t.Errorf("%d bytes were answered", k.written)
	}
	p.ConnectionLost(reactor.ErrClosed)
}

// CORO-9: a switch takes less than 150 ns. It is the best of many short series, because other programs may have the processor meanwhile. Where the switch of stacks, which is
// the runtime's part of it, takes longer than where that was measured, the machine is slower, and so the limit is longer in proportion.
func TestSwitchTime(t *testing.T) {
	if raced {
		t.Skip("the detector takes its time")
	}
	const limit, stacks = 150 * time.Nanosecond, 65 * time.Nanosecond
	c := sleeper(t)
	p := coro.Protocol(echoBody)
	p.ConnectionMade(&sink{r: newReactor(t)})
	msg := make([]byte, 64)
	pull, stop := iter.Pull(func(yield func(int) bool) {
		for yield(0) {
		}
	})
	defer stop()
	took := best(c.Cancel, func() { p.DataReceived(msg) }, func() { pull() })
	t.Logf("a switch takes %v, a message that is read and answered %v, a switch of stacks %v", took[0], took[1], took[2])
	if want := limit * max(stacks, took[2]) / stacks; took[0] >= want {
		t.Errorf("CORO-9: a switch takes %v, want less than %v, as a switch of stacks takes %v", took[0], want, took[2])
	}
	p.ConnectionLost(reactor.ErrClosed)
}

// best is the time that each of fns takes, in the best of a thousand series. They take turns, so that what slows one down slows all.
func best(fns ...func()) []time.Duration {
	const series, calls = 1000, 100
	least := slices.Repeat([]time.Duration{time.Hour}, len(fns))
	for range series {
		for i, fn := range fns {
			begin := time.Now()
			for range calls {
				fn()
			}
			least[i] = min(least[i], time.Since(begin)/calls)
		}
	}
	return least
}

// BenchmarkSwitch resumes a coroutine, which waits again.
func BenchmarkSwitch(b *testing.B) {
	c := sleeper(b)
	b.ReportAllocs()
	for b.Loop() {
		c.Cancel()
	}
}

// BenchmarkStack is the part of it that is not the loop's.
func BenchmarkStack(b *testing.B) {
	var k coro.Stack
	k.Begin(func() {
		for k.Suspend() {
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		k.Resume()
	}
	k.Unwind()
}

// BenchmarkGo starts a coroutine that ends at once.
func BenchmarkGo(b *testing.B) {
	r := newReactor(b)
	b.ReportAllocs()
	for b.Loop() {
		coro.Go(r, func(*coro.Coroutine) error { return nil })
	}
}

// BenchmarkSession is a message of 64 bytes that a coroutine reads and answers, without a socket.
func BenchmarkSession(b *testing.B) {
	p := coro.Protocol(echoBody)
	p.ConnectionMade(&sink{r: newReactor(b)})
	msg := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		p.DataReceived(msg)
	}
	p.ConnectionLost(reactor.ErrClosed)
}
