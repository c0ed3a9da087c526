// Lease runs three nodes of a replicated log in one process, and prints which one holds the
// lease. Try `nc localhost 8101`, with lines such as "add hello" and "len". If the answer is
// "no 2", ask the second node, on port 8102.
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"net/netip"

	"github.com/whorl-go/whorl/examples/lease/lease"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

func main() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{Signals: reactor.StopSignals()})
	nodes, err := cluster(r, 8101, 8102, 8103)
	if err == nil {
		printHolder(r, nodes)
		err = r.Run(context.Background())
	}
	if err != nil {
		log.Fatal(err)
	}
}

// cluster starts a node on each port.
func cluster(r *reactor.Reactor, ports ...uint16) (nodes []*lease.Node, err error) {
	var addrs []kernel.Addr
	for _, p := range ports {
		addrs = append(addrs, kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), p))
	}
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	for i := range addrs {
		n := &lease.Node{ID: i + 1, Nodes: addrs, Disk: new(lease.Disk), Random: random}
		if err := n.Start(r); err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// printHolder prints which node holds the lease, whenever that changes.
func printHolder(r *reactor.Reactor, nodes []*lease.Node) {
	last := 0
	look := new(reactor.DelayedCall)
	look.Init(r, func() {
		look.Reset(lease.Beat)
		for _, n := range nodes {
			if n.Holds() && n.ID != last {
				last = n.ID
				term, _ := n.Leads()
				fmt.Printf("node %d holds the lease, in term %d\n", last, term)
			}
		}
	})
	look.Reset(0)
}
