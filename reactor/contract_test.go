package reactor_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/testworld/transporttest"
)

// Stream holds the contract of a transport: the end that dialled and the one that was
// accepted, on every kernel, however streams are cut.
func TestStreamContract(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		w = w.Crowded()
		t.Parallel() // some of the time is waiting
		ends := []string{"dialled", "accepted"}
		if w.Chunk() > 0 {
			ends = ends[w.Chunk()%2:][:1] // the two are alike, and a system call for each piece is slow
		}
		for _, a := range ends {
			t.Run(a, func(t *testing.T) { transporttest.Run(t, streams(w, a == "dialled")) })
		}
	})
}

// streams connects pairs of streams in w.
func streams(w testworld.World, aDials bool) transporttest.Pair {
	return func(t *testing.T, c reactor.Config, a, b reactor.Protocol) transporttest.Link {
		link := transporttest.Link{Moment: time.Millisecond}
		var marks reactor.StreamConfig
		k := w.Open(t)
		switch {
		case w.Chunk() > 0:
			link.Much, link.Deep = bulk(w, 0)/2, !w.Simulated()
			marks = reactor.StreamConfig{HighWater: 100, LowWater: 20}
		case !w.Simulated() && w.Name() != "epoll": // to fill the sockets of one kernel is enough
			k = (&testworld.Faults{MaxWrite: 4 << 10}).Wrap(k)
			link.Much, link.Deep = 256<<10, true
			marks = reactor.StreamConfig{HighWater: 16 << 10}
		}
		c.ReadBuffer = 32 << 10 // thousands of reactors are made here
		r := testworld.New(t, k, c)
		link.Until = func(done func() bool) { t.Helper(); testworld.Until(t, done, r) }
		srv, cli := b, a
		if !aDials {
			srv, cli = a, b
		}
		port := listen(t, r, one(srv), &reactor.ListenConfig{StreamConfig: marks})
		r.Dial(port.Addr(), one(cli), &reactor.DialConfig{StreamConfig: marks}, func(_ reactor.Protocol, err error) {
			if _, panicked := errors.AsType[*reactor.PanicError](err); err != nil && !panicked {
				t.Errorf("dial: %v", err)
			}
		})
		return link
	}
}
