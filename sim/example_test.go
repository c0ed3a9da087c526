package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// sumServer answers each byte with the sum of all bytes so far.
type sumServer struct {
	reactor.Base
	sum byte
}

func (s *sumServer) DataReceived(p []byte) {
	for _, b := range p {
		s.sum += b
		s.T.Write([]byte{s.sum})
	}
}

// sumClient sends a one every second, and keeps the answers.
type sumClient struct {
	reactor.Base
	tick    reactor.DelayedCall
	answers []byte
	lost    func(error)
}

func (c *sumClient) ConnectionMade(t reactor.Transport) {
	c.Base.ConnectionMade(t)
	c.tick.Init(t.Reactor(), c.ask)
	c.ask()
}

func (c *sumClient) ask() {
	c.T.Write([]byte{1})
	c.tick.Reset(time.Second)
}

func (c *sumClient) DataReceived(p []byte) { c.answers = append(c.answers, p...) }

func (c *sumClient) ConnectionLost(err error) {
	c.tick.Cancel()
	c.lost(err)
}

func serveSums(h *sim.Host) {
	h.Reactor.Listen(h.Addr(7), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return new(sumServer) }), nil)
}

// follow connects to srv, and again a second after each failure and each end.
func follow(h *sim.Host, srv kernel.Addr, now **sumClient) {
	c := new(sumClient)
	c.lost = func(error) { h.Reactor.CallLater(time.Second, func() { follow(h, srv, now) }) }
	*now = c
	h.Reactor.Dial(srv, reactor.One(c), nil,
		func(_ reactor.Protocol, err error) {
			if err != nil {
				c.lost(err)
			}
		})
}

func Example() {
	n := sim.New(42)
	n.Options.Chunk = 3 // at most three bytes in a read or a write
	n.Options.Latency = sim.Latency{Min: 5 * time.Millisecond, Max: 40 * time.Millisecond}
	srv, cli := n.Host("srv"), n.Host("cli")
	srv.Start(serveSums)
	var c *sumClient
	cli.Start(func(h *sim.Host) { follow(h, srv.Addr(7), &c) })

	n.Run(10 * time.Second)
	fmt.Println("after ten seconds:", len(c.answers))
	heal := n.Partition("srv", "cli")
	n.Run(30 * time.Second)
	fmt.Println("cut off for thirty:", len(c.answers))
	heal()
	err := n.RunUntil(func() bool { return len(c.answers) == 40 }, time.Minute)
	fmt.Println("and healed:", len(c.answers), err)
	// Output:
	// after ten seconds: 10
	// cut off for thirty: 10
	// and healed: 40 <nil>
}

// A World is a program that can be run under any seed, and what must hold in it.
func ExampleWorld() {
	failed := 0
	for seed := range uint64(50) {
		if r := sums.Check(seed, sim.Swarm(seed)); r.Err != nil {
			failed++
			fmt.Println(r.Err)
		}
	}
	fmt.Println(failed, "of 50 seeds failed")
	// Output: 0 of 50 seeds failed
}

var sums = sim.World{
	Name:   "sums",
	About:  "a server that adds, and a client that comes back",
	Length: 20 * time.Second,
	Setup: func(n *sim.Net) sim.Checks {
		srv, cli := n.Host("srv"), n.Host("cli")
		var c *sumClient
		srv.Start(serveSums)
		cli.Start(func(h *sim.Host) { follow(h, srv.Addr(7), &c) })
		return sim.Checks{
			Always: func() error { // safety, after every step
				for i := 0; c != nil && i < len(c.answers); i++ {
					if c.answers[i] != byte(i+1) {
						return sim.Breach("right sums", "answer %d is %d", i+1, c.answers[i])
					}
				}
				return nil
			},
			Eventually: []sim.Condition{ // liveness, once the faults are off
				{Name: "answers come", Holds: func() bool { return len(c.answers) > 3 }},
			},
		}
	},
}

func TestSums(t *testing.T) { sim.Test(t, sums, 50) }
