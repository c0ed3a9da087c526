// Command smallest is the smallest server that the front door makes: an echo. Its size is watched.
package main

import (
	"context"
	"log"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/reactor"
)

type echo struct{ reactor.Base }

func (e *echo) DataReceived(p []byte) { e.T.Write(p) }

func main() {
	if err := whorl.Serve(context.Background(), reactor.Each[echo](), "tcp:0:interface=127.0.0.1"); err != nil {
		log.Fatal(err)
	}
}
