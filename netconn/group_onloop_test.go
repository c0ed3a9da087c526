package netconn_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// THR-21: what would wait for the loops of a group panics on each of them, not on the first alone.
func TestListenGroupOnLoop(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			g := w.RunGroup(t, reactor.GroupConfig{Loops: 3, StopTimeout: time.Second})
			l, err := netconn.Listen(g, loopback(), nil)
			if err != nil {
				t.Fatal(err)
			}
			calls := map[string]func(){
				"Accept": func() { _, _ = l.Accept() },
				"Close":  func() { _ = l.Close() },
			}
			for what, call := range calls {
				for i := range g.Len() {
					panicked := make(chan bool, 1)
					g.PostTo(i, func(*reactor.Reactor) {
						defer func() { panicked <- recover() != nil }()
						call()
					})
					select {
					case did := <-panicked:
						if !did {
							t.Errorf("%s on loop %d returns", what, i)
						}
					case <-time.After(testworld.Limit):
						t.Fatalf("%s on loop %d waits for ever", what, i)
					}
				}
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
