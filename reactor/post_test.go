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
