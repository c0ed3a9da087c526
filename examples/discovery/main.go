// Discovery leases names on the local network. `discovery serve desk` is a server with the name "desk", which announces
// itself to a multicast group. `discovery hold desk printer` finds it there, and leases the name "printer" from it until
// it is interrupted. Start it twice: the second gets the name when the first ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"

	"github.com/whorl-go/whorl/examples/discovery/leasing"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
)

func main() {
	iface := flag.String("on", "", "the network interface; without it, the system chooses. 127.0.0.1 is this machine alone")
	flag.Parse()
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{Signals: reactor.StopSignals()})
	if err := start(r, *iface, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), flag.Args()); err != nil {
		log.Fatal(err)
	}
	if err := r.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// start does what args say.
func start(r *reactor.Reactor, iface string, random retry.Source, args []string) error {
	for _, word := range args {
		if !leasing.Plain(word) {
			return fmt.Errorf("%q: a name is one word", word)
		}
	}
	switch {
	case len(args) == 2 && args[0] == "serve":
		return (&leasing.Server{ID: args[1], Interface: iface}).Start(r)
	case len(args) == 3 && args[0] == "hold":
		c := &leasing.Client{ID: fmt.Sprintf("%08x", uint64(random.Float64()*(1<<52))), Interface: iface, Random: random}
		if err := c.Start(r); err != nil {
			return err
		}
		hold(r, c, args[1], args[2])
		return nil
	}
	return errors.New("usage: discovery [-on INTERFACE] serve SERVER, or hold SERVER NAME")
}

// hold leases the name until the reactor stops, and then gives it back.
func hold(r *reactor.Reactor, c *leasing.Client, server, name string) *leasing.Lease {
	l := c.Lease(server, name, func(held bool) {
		what := "lost"
		if held {
			what = "held"
		}
		fmt.Printf("%s: %s by %s\n", name, what, c.ID)
	})
	r.AddTrigger(reactor.Before, reactor.Shutdown, l.Release)
	return l
}
