package main

import (
	"testing"
	"time"
)

// BenchmarkSimEvents measures a busy simulated network. One operation is one event of its
// kernels.
func BenchmarkSimEvents(b *testing.B) {
	w, err := busyWorld()
	if err != nil {
		b.Fatal(err)
	}
	first := w.events()
	b.ReportAllocs()
	b.ResetTimer()
	for w.events()-first < uint64(b.N) {
		if err := w.net.Run(10 * time.Millisecond); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSimDay simulates a day of ten hosts. Each sends a message a second.
func BenchmarkSimDay(b *testing.B) {
	for b.Loop() {
		w, err := quietWorld()
		if err != nil {
			b.Fatal(err)
		}
		if err := w.net.Run(24 * time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}

// In the busy world all messages are under way for ever. In the quiet one each host sends
// one message a second, which is echoed.
func TestWorlds(t *testing.T) {
	w, err := busyWorld()
	if err != nil {
		t.Fatal(err)
	}
	before := w.events()
	allocs := testing.AllocsPerRun(5, func() {
		if err := w.net.Run(time.Second); err != nil {
			t.Error(err)
		}
	})
	// Ten messages go there and back in 2 to 4 ms. Each way is an event.
	if got := w.events() - before; got < 6*10*2*250 || got > 6*10*2*500 {
		t.Errorf("%d events in six seconds", got)
	}
	if allocs > 0 {
		t.Errorf("%v allocations in a second of the busy world", allocs)
	}

	if w, err = quietWorld(); err != nil {
		t.Fatal(err)
	}
	if err := w.net.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	before = w.events()
	if err := w.net.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	if got, want := w.events()-before, uint64(10*60*2); got < want-20 || got > want+20 {
		t.Errorf("%d events in a minute of the quiet world, want %d", got, want)
	}
}
