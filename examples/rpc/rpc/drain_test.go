package rpc

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
	"github.com/whorl-go/whorl/sim"
)

// A server that ends in order costs no call, whichever it is: the client goes to the other.
func TestDrain(t *testing.T) {
	for seed := range uint64(20) {
		n := sim.New(seed)
		n.Options.Work = sim.Latency{Min: time.Millisecond, Max: 300 * time.Millisecond}
		n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: 100 * time.Millisecond}
		a, b, cli := n.Host("a"), n.Host("b"), n.Host("cli")
		served := map[string]int{}
		for _, h := range []*sim.Host{a, b} {
			serve := func() *reactor.Port {
				port, err := h.Reactor.Listen(h.Addr(7), &Server{Handlers: map[string]Handler{
					"where": func(p json.RawMessage) (any, error) { served[h.Name()]++; return p, nil },
				}}, nil)
				if err != nil {
					t.Fatal(err)
				}
				return port
			}
			at := map[*sim.Host]time.Duration{a: 2 * time.Second, b: 8 * time.Second}[h]
			h.Start(func(*sim.Host) {
				port := serve()
				h.Reactor.CallLater(at, func() {
					port.StopListening(nil)
					h.Reactor.Drain(reactor.DrainConfig{Done: func(aborted int) {
						if serve(); aborted > 0 {
							t.Errorf("seed %d: %d aborted", seed, aborted)
						}
					}})
				})
			})
		}
		made, ended := 0, 0
		cli.Start(func(h *sim.Host) {
			c := &Client{
				Reactor: h.Reactor,
				Servers: []kernel.Addr{kernel.HostAddr("a", 7), kernel.HostAddr("b", 7)},
				Backoff: retry.Exponential{Jitter: -1},
			}
			c.Start()
			h.Reactor.Every(20*time.Millisecond, func() {
				made++
				want := fmt.Sprint(made)
				c.Call("where", made, Options{}, func(p json.RawMessage, err error) {
					if ended++; err != nil || string(p) != want {
						t.Errorf("seed %d, call %s: %s and %v", seed, want, p, err)
					}
				})
			})
		})
		if err := n.Run(15 * time.Second); err != nil {
			t.Fatal(err)
		}
		if made < 700 || made-ended > 40 || served["a"] < 300 || served["b"] < 200 {
			t.Errorf("seed %d: %d calls, %d ended, %v", seed, made, ended, served)
		}
		t.Log(made, ended, served)
		if t.Failed() {
			return
		}
		cli.Kill() // what is under way now is no matter of this test
		n.Close()
	}
}
