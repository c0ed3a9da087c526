// Echoloop sends everything back, as echo does. It opens the kernel, the reactor and the port
// itself.
package main

import (
	"context"
	"log"
	"net/netip"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

type echo struct{ reactor.Base }

func (e *echo) DataReceived(p []byte) { e.T.Write(p) }

func main() {
	k, err := native.Open("") // the best kernel of this machine
	if err == nil {
		r := reactor.New(k, reactor.Config{Signals: reactor.StopSignals()})
		if _, err = r.Listen(kernel.TCPAddr(netip.IPv4Unspecified(), 8007), reactor.Each[echo](), nil); err == nil {
			err = r.Run(context.Background())
		}
	}
	if err != nil {
		log.Fatal(err)
	}
}
