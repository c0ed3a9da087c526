package reactor_test

import (
	"errors"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// SetUp gets the socket, bound and connected, before the protocol is started. If it fails or panics, the opening fails,
// the protocol hears nothing, and the socket is closed.
func TestPacketSetUp(t *testing.T) {
	for name, w := range testworld.Worlds() {
		if name != "sim" {
			continue
		}
		k := &packetKernel{Kernel: w.Open(t)}
		r := reactor.New(k, reactor.Config{Panicked: func(*reactor.PanicError) {}})
		t.Cleanup(func() { r.Close() })
		g := &gram{}
		var seen kernel.Addr
		_, err := r.DialPacket(udp(7), g, &reactor.PacketConfig{SetUp: func(c kernel.PacketConn) error {
			seen = c.Remote()
			if g.started > 0 {
				t.Error("the protocol was started before SetUp")
			}
			return nil
		}})
		if err != nil || seen != udp(7) || g.started != 1 {
			t.Fatalf("%v, SetUp saw the peer %v, the protocol was started %d times", err, seen, g.started)
		}
		broken := errors.New("no such group")
		for _, c := range []struct {
			setUp func(kernel.PacketConn) error
			is    func(error) bool
		}{
			{func(kernel.PacketConn) error { return broken }, func(err error) bool { return errors.Is(err, broken) }},
			{func(kernel.PacketConn) error { panic("SetUp") }, func(err error) bool {
				_, ok := errors.AsType[*reactor.PanicError](err)
				return ok
			}},
		} {
			g := &gram{}
			before := r.Stats().Sources
			_, err := r.ListenPacket(udp(0), g, &reactor.PacketConfig{SetUp: c.setUp})
			if !c.is(err) || !errors.Is(err, reactor.ErrListen) || g.started != 0 || len(g.stopped) != 0 {
				t.Errorf("%v; the protocol was started %d times", err, g.started)
			}
			if s := k.socks[len(k.socks)-1]; !s.closed || r.Stats().Sources != before {
				t.Errorf("the socket is left open: %v", !s.closed)
			}
			if _, err := r.ListenPacket(udp(0), g, nil); err != nil {
				t.Errorf("the protocol cannot be used again: %v", err)
			}
		}
	}
}
