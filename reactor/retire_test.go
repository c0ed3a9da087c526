package reactor_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// PROD-11: the transport that has replaced another one says as it does whether more may come. So
// a Close does not wait for it when the peer has ended.
func TestRetiredProducing(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv, cli := new(halfEnd), new(end)
		p := listen(t, r, one(srv), &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{CloseTimeout: time.Second}})
		r.Dial(p.Addr(), one(cli), nil, nil)
		until(t, r, func() bool { return srv.s != nil && cli.s != nil })
		tr := reactor.ConnectionOf(reactor.Retire(srv.s))
		if err := tr.RegisterProducer(tr); err != nil {
			t.Fatal(err)
		}
		readLost := false
		srv.onReadLost = func() { readLost = true }
		cli.s.CloseWrite()
		until(t, r, func() bool { return readLost })
		tr.Close()
		until(t, r, func() bool { return srv.err != nil })
		if srv.err != reactor.ErrClosed {
			t.Errorf("lost with %v", srv.err)
		}
	})
}

// A pair of Join whose side a layer takes over ends, because what comes for it cannot be passed on.
func TestJoinRetired(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		u := joined(t, w, reactor.JoinConfig{})
		reactor.Retire(u.in[0].s)
		u.out[1].s.Write([]byte("hello"))
		until(t, u.r, func() bool { return len(u.done) > 0 })
	})
}
