// Chat is a room on a port. Try it with `nc localhost 8008`, in two windows.
package main

import (
	"context"
	"log"

	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/examples/chat/room"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

func main() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{Signals: reactor.StopSignals()})
	place, err := std.Schemes(nil).Server("tcp:8008")
	if err == nil {
		_, err = place.Listen(r, new(room.Room))
	}
	if err == nil {
		err = r.Run(context.Background())
	}
	if err != nil {
		log.Fatal(err)
	}
}
