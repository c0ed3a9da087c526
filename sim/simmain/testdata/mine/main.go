// Mine is somebody's program with a world of their own.
package main

import (
	"errors"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/sim/simmain"
)

func main() { simmain.Main(greetings) }

var greetings = sim.World{
	Name:   "greetings",
	About:  "a client that says hello, and a server that counts",
	Length: 10 * time.Second,
	Setup: func(n *sim.Net) sim.Checks {
		srv, cli := n.Host("srv"), n.Host("cli")
		heard := 0
		srv.Start(func(h *sim.Host) {
			h.Reactor.Listen(h.Addr(7), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
				return &listener{heard: &heard}
			}), nil)
		})
		cli.Start(func(h *sim.Host) { greet(h, srv.Addr(7)) })
		return sim.Checks{Done: func() bool { return heard > 3 }}
	},
}

// listener counts what it hears.
type listener struct {
	reactor.Base
	heard *int
}

func (l *listener) DataReceived(p []byte) { *l.heard += len(p) }

// greet connects, says hello and hangs up, every second.
func greet(h *sim.Host, to kernel.Addr) {
	h.Reactor.CallLater(time.Second, func() { greet(h, to) })
	h.Reactor.Dial(to, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return new(greeter) }), nil,
		func(reactor.Protocol, error) {})
}

type greeter struct{ reactor.Base }

func (g *greeter) ConnectionMade(t reactor.Transport) {
	t.Write([]byte("hello"))
	t.Close()
}

func (g *greeter) DataReceived([]byte) {}

// cut is greetings with something that does not hold: it breaks at the first cut link.
func cut() sim.World {
	w := greetings
	setup := w.Setup
	w.Name = "cut"
	w.Setup = func(n *sim.Net) sim.Checks {
		n.KeepTrace = true
		checks, seen := setup(n), 0
		checks.Always = func() error {
			events := 0
			for e := range n.Events() {
				if events++; events > seen && e.Op == sim.OpCut {
					return errors.New("a link is cut")
				}
			}
			seen = events
			return nil
		}
		return checks
	}
	return w
}
