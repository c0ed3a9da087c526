package main

import (
	"runtime"
	"testing"

	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// A server whose loops have all Ps gets one more, and no other server does.
func TestSpareP(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	g, err := reactor.NewGroup(reactor.GroupConfig{Loops: 3, Kernel: native.OpenGroup("", native.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	k, err := native.Open("")
	if err != nil {
		t.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	defer r.Close()
	for _, c := range []struct {
		of            *reactor.Reactor
		before, after int
	}{{g.Loop(0), 3, 4}, {g.Loop(2), 2, 4}, {g.Loop(0), 4, 4}, {r, 1, 1}} {
		runtime.GOMAXPROCS(c.before)
		spareP(c.of)
		if after := runtime.GOMAXPROCS(0); after != c.after {
			t.Errorf("%d Ps become %d, want %d", c.before, after, c.after)
		}
	}
}
