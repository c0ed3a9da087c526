package netconn_test

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// failing is a layer that panics when its connection is made.
type failing struct{ reactor.Protocol }

func (f *failing) Unwrap() reactor.Protocol           { return f.Protocol }
func (f *failing) ConnectionMade(t reactor.Transport) { panic("the layer") }

type failingFactory struct{ reactor.Factory }

func (f failingFactory) Unwrap() reactor.Factory { return f.Factory }
func (f failingFactory) BuildProtocol(a kernel.Addr) reactor.Protocol {
	return &failing{f.Factory.BuildProtocol(a)}
}

// A layer that panics before it connects the Conn of a Listener ends that connection, with this panic alone. The Listener goes on.
func TestOverPanics(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			panics := 0
			r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
			l, err := netconn.Listen(r, loopback(), &netconn.ListenConfig{Over: func(f reactor.Factory) reactor.Factory { return failingFactory{f} }})
			if err != nil {
				t.Fatal(err)
			}
			place := l.Place().(*reactor.Port)
			tried := false
			r.Dial(place.Addr(), reactor.One(netconn.New(r, nil).Protocol()), nil, func(reactor.Protocol, error) { tried = true })
			testworld.Until(t, func() bool { return tried && place.Stats().Accepted == 1 && r.Stats().Connections == 0 }, r)
			if panics != 1 {
				t.Errorf("%d panics", panics)
			}
			place.StopListening(nil)
			testworld.Turns(t, r, 3)
		})
	}
}
