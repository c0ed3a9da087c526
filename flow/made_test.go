package flow_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/reactor"
)

// A function of a policy may panic when the connection is made. Policies above that never began it, and only pass the loss on.
func TestMadePanics(t *testing.T) {
	panics := 0
	r := virtual(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
	a := new(app)
	inner := flow.LimitConnections(flow.LimitTime(reactor.One(a), flow.TimeoutOptions{Idle: time.Hour}), 1, nil)
	port := listen(t, r, flow.LogTraffic(inner, func(int, reactor.Transport) flow.TrafficLog { panic("the disk is full") }))
	r.Dial(port.Addr(), reactor.Each[discard](), nil, nil)
	until(t, r, func() bool { return port.Stats().Accepted == 1 && r.Stats().Connections == 0 })
	if pe := (*reactor.PanicError)(nil); panics != 1 || !errors.As(a.err, &pe) || inner.Len() != 0 {
		t.Errorf("%d panics, lost for %v, %d are counted", panics, a.err, inner.Len())
	}
	if n := len(r.DelayedCalls()); n != 0 {
		t.Errorf("%d delayed calls are left", n)
	}
}
