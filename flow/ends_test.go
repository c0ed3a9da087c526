package flow_test

import (
	"testing"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// What was gathered of an optional header is not delivered at the loss to a protocol that has closed the connection, nor to one that has paused.
func TestReadProxyLostClosed(t *testing.T) {
	for _, pause := range []bool{false, true} {
		a := new(app)
		a.made = func(t reactor.Transport) {
			if pause {
				a.T.PauseProducing()
			} else {
				t.Close()
			}
		}
		p := flow.ReadProxy(reactor.One(a), &flow.ReadProxyOptions{Optional: true}).BuildProtocol(loopback())
		p.ConnectionMade(&stub{r: virtual(t, reactor.Config{})})
		p.DataReceived([]byte("PRO"))
		p.ConnectionLost(kernel.ErrReset)
		if a.got != "" || a.err != kernel.ErrReset {
			t.Errorf("pause %v: got %q, lost for %v", pause, a.got, a.err)
		}
	}
}

// A protocol that panics when it is given the rest at the loss is told of the loss still, with the panic.
func TestReadProxyLostPanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		a := new(app)
		a.received = func([]byte) { panic("received") }
		port := listen(t, r, flow.ReadProxy(reactor.One(a), &flow.ReadProxyOptions{Optional: true}))
		p := w.Peer(t, port.Addr(), r)
		p.Send("PRO")
		p.CloseWrite()
		testworld.Until(t, func() bool { return panics > 0 }, r)
		testworld.Turns(t, r, 5)
		if _, ok := a.err.(*reactor.PanicError); !ok || panics != 1 {
			t.Errorf("lost for %v, %d panics", a.err, panics)
		}
	})
}

