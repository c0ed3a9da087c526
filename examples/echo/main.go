// Echo sends everything back.
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
	if err := whorl.Serve(context.Background(), reactor.Each[echo](), "tcp:8007"); err != nil {
		log.Fatal(err)
	}
}
