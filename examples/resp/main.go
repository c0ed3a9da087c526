// Resp is a small server of the Redis protocol. Try it with `redis-cli -p 6379`, or with
// `nc localhost 6379` and the line PING.
package main

import (
	"context"
	"log"
	"log/slog"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/examples/resp/kv"
	"github.com/whorl-go/whorl/reactor"
)

func main() {
	c := whorl.Config{
		Logger: slog.Default(),
		Limits: reactor.PortLimits{MaxConnections: 10_000},
	}
	// Without keepalive a subscriber that is gone would be noticed with the next message only.
	if err := c.Serve(context.Background(), new(kv.Server), "tcp:6379:interface=127.0.0.1:keepalive=yes"); err != nil {
		log.Fatal(err)
	}
}
