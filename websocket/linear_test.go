//go:build !race

// Each test here has one goroutine and many iterations: the race detector could find nothing.

package websocket_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/websocket"
)

// below is the protocol of the transport below a WebSocket, to be given bytes in any cut without a network.
func below(a *app) reactor.Protocol {
	return a.c.Unwrap().(interface{ Protocol() reactor.Protocol }).Protocol()
}

// linear fails the test if cost(n) takes more than eight times as long as cost(n/64) does 64 times, because then it grows with the square of n. Both take long enough that other
// programs have the same part of the processor meanwhile.
func linear(t *testing.T, n int, cost func(n int) time.Duration) {
	t.Helper()
	const parts = 64
	apart, whole := time.Duration(0), time.Hour
	for tries := 0; tries < 3 && whole > 8*apart; tries++ { // the machine may stand still for a while in one of them
		apart = 0
		for range parts {
			apart += cost(n / parts)
		}
		whole = cost(n)
	}
	t.Logf("%d at a time take %v, in %d parts %v", n, whole, parts, apart)
	if whole > 8*apart {
		t.Errorf("NETCONN-17: %d at a time take %v, but in %d parts %v", n, whole, parts, apart)
	}
}

// NETCONN-17: what a message costs grows with its length, not with the square of it, in whatever pieces it comes.
func TestByteByByte(t *testing.T) {
	linear(t, 1<<18, func(n int) time.Duration {
		r := testworld.Simulation().New(t, reactor.Config{})
		g := serve(t, r, &websocket.Options{MaxMessage: n}, nil)
		_, a := g.connect()
		w, stream := below(a), text(strings.Repeat("x", n))
		begin := time.Now()
		for i := range stream {
			w.DataReceived(stream[i : i+1])
		}
		took := time.Since(begin)
		if len(a.messages) != 1 || len(a.messages[0]) != n {
			t.Errorf("%d messages came", len(a.messages))
		}
		return took
	})
}

// NETCONN-17: many messages that wait behind a pause cost no more each than few.
func TestOneByOne(t *testing.T) {
	linear(t, 32_000, func(n int) time.Duration {
		r := testworld.Simulation().New(t, reactor.Config{})
		got := 0
		g := serve(t, r, nil, func(a *app, p []byte) {
			got++
			a.c.PauseProducing()
			a.c.ResumeProducing()
			a.c.PauseProducing()
		})
		_, a := g.connect()
		below(a).DataReceived([]byte(strings.Repeat(string(text(strings.Repeat("x", 100))), n)))
		begin := time.Now()
		for got < n {
			a.c.ResumeProducing()
			r.Turn(0)
		}
		return time.Since(begin)
	})
}

// NETCONN-17: what a Conn keeps of a short beginning is short, also behind a long message, so that MaxPartial bounds the memory.
func TestShortRest(t *testing.T) {
	const peers, n = 200, 60_000
	r := testworld.Simulation().New(t, reactor.Config{})
	g := serve(t, r, nil, func(a *app, _ []byte) { a.messages = nil })
	stream := append(text(strings.Repeat("x", n)), text("y")[0])
	var all []*app
	for range peers {
		_, a := g.connect()
		all = append(all, a)
	}
	before := heap()
	for _, a := range all {
		below(a).DataReceived(stream[:n])
		below(a).DataReceived(stream[n:])
	}
	if grown := heap() - before; grown > peers*n/4 {
		t.Errorf("%d bytes are in memory for the first bytes of %d messages", grown, peers)
	}
	runtime.KeepAlive(all)
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
