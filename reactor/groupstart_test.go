package reactor_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// A call for all loops that comes just before Run, on another goroutine, is over before the loops run: what it does on the caller's goroutine never
// happens together with a callback (GROUP-3).
func TestGroupCallWhileItStarts(t *testing.T) {
	g, err := reactor.NewGroup(reactor.GroupConfig{Loops: 2, Kernel: native.OpenGroup("", native.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	var inside atomic.Int32
	var together atomic.Bool
	for i := range g.Len() {
		g.Loop(i).Post(func() {
			if inside.Load() > 0 {
				together.Store(true)
			}
		})
	}
	ran := make(chan error, 1)
	err = g.Each(func(r *reactor.Reactor) error {
		inside.Add(1)
		defer inside.Add(-1)
		if r.Index() == 0 {
			go func() { ran <- g.Run(context.Background()) }()
		}
		for range 1000 {
			runtime.Gosched()
		}
		return nil
	})
	if err != nil {
		t.Errorf("Each: %v", err)
	}
	if err := g.Each(func(*reactor.Reactor) error { return nil }); err != nil {
		t.Errorf("Each: %v", err)
	}
	for g.Stop() != nil { // Run may be about to begin
		runtime.Gosched()
	}
	if err := <-ran; err != nil || together.Load() {
		t.Errorf("GROUP-3: Run: %v; a loop ran while its call was in progress elsewhere: %v", err, together.Load())
	}
}
