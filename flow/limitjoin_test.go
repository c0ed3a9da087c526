package flow_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// POL-5: two limited connections that are joined, also while both wait for their rates, pass everything on, at the rate, and the ends.
func TestLimitJoined(t *testing.T) {
	const rate, size = 100_000, 300_000
	r := virtual(t, reactor.Config{ReadBuffer: 4 << 10})
	at := flow.Rate{PerSecond: rate}
	for _, o := range []flow.LimitOptions{{Read: at}, {Write: at}, {Read: at, Write: at, GroupRead: at}, {TotalRead: at}, {TotalWrite: at}} {
		var mids []*app
		f := flow.LimitRate(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			a := new(app)
			if o.Read == (flow.Rate{}) && o.TotalRead == o.Read {
				a.made = func(reactor.Transport) { a.T.PauseProducing() }
			}
			mids = append(mids, a)
			return a
		}), o)
		near, far := new(app), new(app)
		pair(t, r, f, reactor.One(listening{near}))
		pair(t, r, f, reactor.One(listening{far}))
		near.T.Write(make([]byte, size))
		far.T.Write(make([]byte, size))
		pass(t, r, time.Second)
		before := len(mids[0].got)
		var res *reactor.JoinResult
		began := r.Now()
		if _, err := reactor.Join(mids[0].T, mids[1].T, &reactor.JoinConfig{Done: func(x reactor.JoinResult) { res = &x }}); err != nil {
			t.Fatal(err)
		}
		near.T.CloseWrite()
		far.T.CloseWrite()
		until(t, r, func() bool { return len(near.events) == 3 && len(far.events) == 3 }) // made, and the ends of both directions
		took := r.Now() - began
		near.T.Close()
		far.T.Close()
		until(t, r, func() bool { return res != nil && near.lost() && far.lost() })
		if res.Err != nil || len(far.got) != size-before || len(near.got) != size-len(mids[1].got) {
			t.Errorf("%+v: %+v, %d and %d bytes after %d", o, res, len(near.got), len(far.got), before)
		}
		t.Logf("%+v: %v for %d and %d", o, took, len(near.got), len(far.got))
		if least := time.Duration(min(len(near.got), len(far.got))-20000) * time.Second / rate; took < least {
			t.Errorf("%+v: it took %v, want %v at least", o, took, least)
		}
		pass(t, r, time.Second)
		if n := len(r.DelayedCalls()); n != 0 {
			t.Errorf("%d delayed calls are left", n)
		}
	}
}
