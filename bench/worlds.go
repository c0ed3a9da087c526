package main

import (
	"fmt"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// world is a simulated network in which something happens.
type world struct {
	net   *sim.Net
	hosts []*sim.Host
}

const worldPort = 7

func newWorld(hosts int) (*world, error) {
	w := &world{net: sim.New(1)}
	w.net.Options.Latency = sim.Latency{Min: time.Millisecond, Max: 2 * time.Millisecond}
	for i := range hosts {
		h := w.net.Host(fmt.Sprintf("host%d", i))
		if _, err := h.Reactor.Listen(h.Addr(worldPort), reactor.Each[echo](), nil); err != nil {
			return nil, err
		}
		w.hosts = append(w.hosts, h)
	}
	return w, nil
}

// dial connects p from one host to another.
func (w *world) dial(from, to int, p reactor.Protocol) {
	f := reactor.One(p)
	w.hosts[from].Reactor.Dial(w.hosts[to].Addr(worldPort), f, nil, func(reactor.Protocol, error) {})
}

// events returns how many ready sockets the kernels of all hosts have reported.
func (w *world) events() (sum uint64) {
	for _, h := range w.hosts {
		sum += h.Reactor.Stats().Events
	}
	return sum
}

// busyWorld returns two hosts with ten connections. On each a message goes back and forth
// without end. The world has run until nothing more is allocated.
func busyWorld() (*world, error) {
	w, err := newWorld(2)
	if err != nil {
		return nil, err
	}
	for range 10 {
		w.dial(1, 0, new(rally))
	}
	return w, w.net.Run(time.Minute)
}

// rally sends a message, and then sends back what it receives.
type rally struct{ echo }

func (p *rally) ConnectionMade(t reactor.Transport) {
	p.echo.ConnectionMade(t)
	_, _ = t.Write([]byte("0123456789"))
}

// quietWorld returns ten hosts. Each has a connection to the next and sends a message a
// second on it, which is echoed.
func quietWorld() (*world, error) {
	w, err := newWorld(10)
	if err != nil {
		return nil, err
	}
	for i := range w.hosts {
		w.dial(i, (i+1)%len(w.hosts), new(ticker))
	}
	return w, nil
}

// ticker sends a message a second.
type ticker struct {
	reactor.Base
	call    reactor.DelayedCall
	message []byte
}

func (p *ticker) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	p.message = []byte("tick")
	p.call.Init(t.Reactor(), p.tick)
	p.tick()
}

func (p *ticker) tick() {
	_, _ = p.T.Write(p.message)
	p.call.Reset(time.Second)
}

func (p *ticker) DataReceived([]byte) {}

func (p *ticker) ConnectionLost(error) { p.call.Cancel() }

// echo is a protocol that sends back what it receives.
type echo struct{ reactor.Base }

func (e *echo) DataReceived(p []byte) { _, _ = e.T.Write(p) }
