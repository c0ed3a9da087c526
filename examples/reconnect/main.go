// Reconnect prints the lines of a feed, and the states of the connection to it. Make a feed
// with `nc -lk localhost 8009`. Then end it and start it again.
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"time"

	"github.com/whorl-go/whorl/examples/reconnect/watch"
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
	follow(r, kernel.HostAddr("localhost", 8009), func(line string) { fmt.Println(line) })
	if err := r.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// follow prints the lines of a feed, and the states of the connection to it.
func follow(r *reactor.Reactor, feed kernel.Addr, print func(string)) *watch.Watch {
	w := &watch.Watch{
		Reactor: r,
		Feed:    feed,
		Random:  rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		Idle:    time.Minute,
		Line:    print,
		Changed: func(s watch.State, err error) {
			if err != nil {
				print(fmt.Sprintf("[%s: %v]", s, err))
				return
			}
			print(fmt.Sprintf("[%s]", s))
		},
	}
	w.Start()
	return w
}
