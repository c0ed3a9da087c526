package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/examples/discovery/leasing"
	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

// half is a source that always draws the same.
type half struct{}

func (half) Float64() float64     { return 0.5 }
func (half) NormFloat64() float64 { return 0 }

func TestMain(m *testing.M) {
	leaktest.Overlap(8) // they mostly wait
	m.Run()
}

// On a real kernel too, a server is found on the loopback, and two clients have a name one after the other.
func TestHold(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // a server that starts grants nothing for three seconds
			r := w.Alone().New(t, reactor.Config{})
			server := strings.ReplaceAll(t.Name(), "/", "-") // others may be announced there too
			err := start(r, "127.0.0.1", half{}, []string{"serve", server})
			if errors.Is(err, kernel.ErrUnsupported) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			var leases []*leasing.Lease
			for _, id := range []string{"ann", "bob"} {
				c := &leasing.Client{ID: id, Interface: "127.0.0.1", Random: half{}}
				if err := c.Start(r); err != nil {
					t.Fatal(err)
				}
				leases = append(leases, hold(r, c, server, "printer"))
			}
			a, b := leases[0], leases[1]
			testworld.Until(t, func() bool {
				if a.Holds() && b.Holds() {
					t.Error("both hold it")
				}
				return a.Holds() || b.Holds()
			}, r)
			if b.Holds() {
				a, b = b, a
			}
			a.Release()
			testworld.Until(t, func() bool { return a.Over() && b.Holds() }, r)
			if a.Holds() {
				t.Error("who has released it holds it")
			}
		})
	}
}

// What is no command is an error.
func TestUsage(t *testing.T) {
	r := sim.New(1).Host("a").Reactor
	for _, args := range []string{"", "serve", "hold desk", "serve two words here", "lend desk printer", "serve -"} {
		if err := start(r, "", half{}, strings.Fields(args)); err == nil {
			t.Errorf("%q is a command", args)
		}
	}
}
