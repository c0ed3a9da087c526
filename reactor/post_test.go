package reactor_test

import (
	"runtime"
	"testing"
	"weak"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// What is posted to a stopped reactor is not kept.
func TestPostAfterStop(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		r.Close()
		p := weak.Make(func() *[64]byte {
			big := new([64]byte)
			r.Post(func() { big[0]++; t.Error("called after the end") })
			return big
		}())
		for i := 0; i < 100 && p.Value() != nil; i++ {
			runtime.GC()
		}
		if p.Value() != nil {
			t.Error("the reactor keeps what was posted after its end")
		}
		runtime.KeepAlive(r)
	})
}

// A queue that was emptied keeps nothing of what it had, and after a burst no memory for as much.
func TestPostedIsFreed(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := weak.Make(func() *[64]byte {
			big := new([64]byte)
			r.Post(func() { big[0]++ })
			return big
		}())
		testworld.Turns(t, r, 1)
		for i := 0; i < 100 && p.Value() != nil; i++ {
			runtime.GC()
		}
		if p.Value() != nil {
			t.Error("the reactor keeps what it has called")
		}
		if w.Simulated() {
			return // the network remembers what has happened
		}
		const burst = 1 << 20
		before, called := int(heap()), 0
		again := func() { called++ }
		for range burst {
			r.Post(again)
		}
		testworld.Turns(t, r, 2)
		if kept := int(heap()) - before; called != burst || kept > burst {
			t.Errorf("%d functions were called, and %d bytes are kept", called, kept)
		}
		runtime.KeepAlive(r)
	})
}
