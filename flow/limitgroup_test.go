package flow_test

import (
	"testing"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

type discard struct{ reactor.Base }

func (*discard) DataReceived([]byte) {}

// A Group that panics, for the client that a proxy has named, uncounts the connection for the group of the proxy once.
func TestLimitGroupPanics(t *testing.T) {
	panics, groups := 0, 0
	r := virtual(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
	f := flow.LimitRate(reactor.Each[discard](), flow.LimitOptions{GroupWrite: flow.Rate{PerSecond: 1000}, Group: func(peer kernel.Addr) string {
		if groups++; peer.IP.Addr().String() == "192.0.2.1" {
			panic("no such customer")
		}
		return ""
	}})
	port := listen(t, r, flow.ReadProxy(f, nil))
	first, second := new(app), new(app)
	first.made = func(c reactor.Transport) { c.Write([]byte("PROXY UNKNOWN\r\n")) }
	second.made = func(c reactor.Transport) { c.Write([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")) }
	r.Dial(port.Addr(), reactor.One(first), nil, nil)
	until(t, r, func() bool { return groups >= 2 })
	r.Dial(port.Addr(), reactor.One(second), nil, nil)
	until(t, r, second.lost)
	if n := flow.GroupsOf(f); panics != 1 || n != 1 {
		t.Errorf("%d panics, %d groups are left, and one has a connection", panics, n)
	}
}
