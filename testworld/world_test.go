package testworld_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// watched is a test whose failures are looked at.
type watched struct {
	testing.TB
	failures []string
}

func (w *watched) Helper()             {}
func (w *watched) Logf(string, ...any) {}
func (w *watched) Errorf(form string, v ...any) {
	w.failures = append(w.failures, fmt.Sprintf(form, v...))
}
func (w *watched) Fatalf(form string, v ...any) { w.Errorf(form, v...); runtime.Goexit() }

// failures are those of body.
func failures(t *testing.T, body func(t testing.TB)) []string {
	w := &watched{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		body(w)
	}()
	<-done
	return w.failures
}

// oneFailure checks that body fails once, with these words.
func oneFailure(t *testing.T, words string, body func(t testing.TB)) {
	t.Helper()
	if got := failures(t, body); len(got) != 1 || !strings.Contains(got[0], words) {
		t.Errorf("failures %q, want one with %q", got, words)
	}
}

// Every native kernel and the simulated one; X-7: for every chunk size.
func TestWorlds(t *testing.T) {
	var all, cut []string
	for name, w := range testworld.Worlds() {
		all = append(all, name)
		if w.Name() != name || w.Chunk() != 0 || w.Simulated() != (name == "sim") || w.Simulated() != (w.Net() != nil) {
			t.Errorf("%s is %q, simulated %v", name, w.Name(), w.Simulated())
		}
	}
	if want := append(native.Names(), "sim"); !slices.Equal(all, want) {
		t.Errorf("worlds %q, want %q", all, want)
	}
	var real []string
	for name := range testworld.Native() {
		real = append(real, name)
	}
	if !slices.Equal(real, native.Names()) {
		t.Errorf("native worlds %q", real)
	}
	for name, w := range testworld.Chunked() {
		cut = append(cut, name)
		if name != fmt.Sprintf("%s/%d", w.Name(), w.Chunk()) {
			t.Errorf("%s is %s, cut at %d", name, w.Name(), w.Chunk())
		}
		if w.Simulated() && w.Net().Options.Chunk != w.Chunk() {
			t.Errorf("%s cuts at %d", name, w.Net().Options.Chunk)
		}
	}
	var want []string
	for _, name := range all {
		for _, n := range testworld.ChunkSizes() {
			want = append(want, fmt.Sprintf("%s/%d", name, n))
		}
	}
	if !slices.Equal(cut, want) {
		t.Errorf("chunked worlds %q, want %q", cut, want)
	}
}

// Each walk has a network of its own, and a walk may be broken off.
func TestWalksShareNothing(t *testing.T) {
	seen := map[any]bool{}
	for range 2 {
		for _, walk := range []func(func(string, testworld.World) bool){testworld.Worlds(), testworld.Chunked()} {
			for _, w := range walk {
				if w.Simulated() {
					if seen[w.Net()] {
						t.Error("two worlds on one network")
					}
					seen[w.Net()] = true
				}
			}
		}
	}
	if want := 2 * (1 + len(testworld.ChunkSizes())); len(seen) != want {
		t.Errorf("%d networks, want %d", len(seen), want)
	}
	for _, walk := range []func(func(string, testworld.World) bool){testworld.Worlds(), testworld.Native(), testworld.Chunked()} {
		n := 0
		for range walk {
			n++
			break
		}
		if n != 1 {
			t.Errorf("a walk broken off made %d steps", n)
		}
	}
}

// The time of a simulated world does not run away while a goroutine outside works.
func TestUntilAwaitsGoroutines(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			late := false
			r.CallLater(testworld.Limit/2, func() { late = true })
			heard := false
			go func() {
				sum := 0
				for i := range 100_000_000 { // longer than it takes to turn half the limit away
					sum += i & 3
				}
				r.Post(func() { heard = sum > 0 })
			}()
			testworld.Until(t, func() bool { return heard }, r)
			if late {
				t.Error("half of the limit has passed before a goroutine had its turn")
			}
		})
	}
}

// Until fails by the reactor's clock, in a simulated world without waiting for real.
func TestUntilFails(t *testing.T) {
	for _, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue // half a minute each
		}
		r := w.Alone().New(t, reactor.Config{})
		start := r.Now()
		oneFailure(t, "nothing came of it in 30s", func(t testing.TB) {
			testworld.Until(t, func() bool { return false }, r)
		})
		if took := r.Now() - start; took < testworld.Limit || took > testworld.Limit+time.Second {
			t.Errorf("it took %v", took)
		}
	}
}
