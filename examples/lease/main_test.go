package main

import (
	"errors"
	"flag"
	"net/netip"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/examples/lease/lease"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// caller notes what it is told.
type caller struct {
	reactor.Base
	heard string
}

func (c *caller) DataReceived(p []byte) { c.heard += string(p) }

// freePorts are ports nobody uses.
func freePorts(t *testing.T, r *reactor.Reactor, n int) (free []uint16) {
	t.Helper()
	var ports []*reactor.Port
	for range n {
		p, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), reactor.Each[caller](), nil)
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, p)
		free = append(free, p.Addr().Port())
	}
	closed := 0
	for _, p := range ports {
		p.StopListening(func(error) { closed++ })
	}
	testworld.Until(t, func() bool { return closed == n }, r)
	return free
}

// started is three nodes on free ports. One of those may be taken by somebody else
// before a node listens there: then it tries others.
func started(t *testing.T, w testworld.World) (*reactor.Reactor, []*lease.Node) {
	t.Helper()
	for {
		r := w.New(t, reactor.Config{})
		nodes, err := cluster(r, freePorts(t, r, 3)...)
		if err == nil {
			return r, nodes
		}
		if !errors.Is(err, kernel.ErrAddrInUse) {
			t.Fatal(err)
		}
	}
}

// TestMain has tests that wait run all at a time, however few Ps there are.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "8")
	m.Run()
}

// On a real kernel three nodes choose one, who adds to the log.
func TestCluster(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // choosing takes a second or two
			r, nodes := started(t, w)
			var leader *lease.Node
			testworld.Until(t, func() bool {
				for _, n := range nodes {
					if n.Holds() {
						leader = n
					}
				}
				return leader != nil
			}, r)
			c := new(caller)
			r.Dial(leader.Nodes[leader.ID-1], reactor.One(c), nil, nil)
			testworld.Until(t, func() bool { return c.T != nil }, r)
			c.T.Write([]byte("add hello\nlen\n"))
			testworld.Until(t, func() bool { return strings.Count(c.heard, "\n") == 2 }, r)
			// The length is told at once, the other when it is safe.
			if c.heard != "ok 1\nok 2\n" {
				t.Errorf("heard %q", c.heard)
			}
			c.T.Write([]byte("add " + strings.Repeat("x", 1001) + "\n"))
			testworld.Until(t, func() bool { return strings.HasSuffix(c.heard, "too long\n") }, r)
			for _, n := range nodes {
				testworld.Until(t, func() bool { return n.Committed() == 2 }, r)
				if e := n.Disk.Log[1]; e.Text != "hello" {
					t.Errorf("node %d has %v", n.ID, e)
				}
			}
		})
	}
}
