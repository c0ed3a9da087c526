package interop

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/whorl-go/whorl/examples/resp/kv"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// NETCONN-21: go-redis talks through a Dialer: single commands and pipelines on many connections, and a subscription.
func TestRedis(t *testing.T) {
	each(t, testworld.Worlds(), func(t *testing.T, s *site) {
		p, err := reactor.Ask(s.r, func() (*reactor.Port, error) { return s.r.Listen(loopback(), new(kv.Server), nil) })
		if err != nil {
			t.Fatal(err)
		}
		ctx := limited(t)
		c := redis.NewClient(&redis.Options{
			Addr: p.Addr().String(),
			Dialer: func(ctx context.Context, network, a string) (net.Conn, error) {
				return s.d.DialContext(ctx, network, a)
			},
			Protocol: 2,
		})
		defer c.Close()
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() { commands(t, ctx, c, fmt.Sprint("key", i)) })
		}
		all.Wait()
		sub := c.Subscribe(ctx, "news")
		defer sub.Close()
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			want := fmt.Sprint("message ", i)
			if n, err := c.Publish(ctx, "news", want).Result(); n != 1 || err != nil {
				t.Errorf("%d subscribers, and %v", n, err)
			}
			if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != want {
				t.Fatalf("%v and %v came", m, err)
			}
		}
	})
}

// commands does to key what the server knows.
func commands(t *testing.T, ctx context.Context, c *redis.Client, key string) {
	for _, want := range []string{"", "short", strings.Repeat("long ", 50_000)} {
		if err := c.Set(ctx, key, want, 0).Err(); err != nil {
			t.Error(err)
		}
		if got, err := c.Get(ctx, key).Result(); got != want || err != nil {
			t.Errorf("%d bytes of %d came back, and %v", len(got), len(want), err)
		}
	}
	if err := c.Get(ctx, key+"?").Err(); err != redis.Nil {
		t.Errorf("a key that is not there is %v", err)
	}
	many := make([]*redis.IntCmd, 100)
	if _, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range many {
			many[i] = p.Incr(ctx, key+" count")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	for i, n := range many {
		if n.Val() != int64(i+1) {
			t.Errorf("count %d is %d", i+1, n.Val())
		}
	}
}
