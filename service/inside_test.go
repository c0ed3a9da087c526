package service_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
)

// SVC-22: a stop in Changed, when the connection was lost during its preparation, ends the client. It does not connect again.
func TestClientStopWhenRejected(t *testing.T) {
	p := newPair(t, service.ClientConfig{})
	p.listen()
	var c *service.Client
	var end *deferred.Deferred[service.None]
	c = service.NewClient(p.cli.Reactor, p.place, reactor.Each[silent](), &service.ClientConfig{
		Policy: waits{},
		Prepare: func(reactor.Protocol) *deferred.Deferred[service.None] {
			return deferred.New[service.None](p.cli.Reactor, nil)
		},
		Changed: func(s service.ClientState, err error) {
			if s == service.ClientRejecting {
				end = c.Stop()
			}
		},
	})
	w := c.WhenConnected(0)
	p.run(10*s, map[time.Duration]func(){0: func() { c.Start() }, s: p.hangUp})
	if c.State() != service.ClientStopped || end == nil || failure(end) != nil || failure(w) != reactor.ErrCancelled {
		t.Fatalf("SVC-22: %v, waiting: %v", c.State(), failure(w))
	}
}
