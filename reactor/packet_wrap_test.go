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

// batching takes datagrams as they were read, and hears of what happens to its own.
type batching struct {
	gram
	batches  int
	refusals int
}

func (b *batching) PacketsReceived(ps []kernel.Packet) { b.batches += len(ps) }

func (b *batching) DatagramRefused([]byte, kernel.Addr, error) { b.refusals++ }

// wrapping is around a PacketProtocol.
type wrapping struct{ reactor.PacketProtocol }

func (w *wrapping) Unwrap() reactor.PacketProtocol { return w.PacketProtocol }

// A wrapper with Unwrap hides nothing of a PacketProtocol: batches, refusals and failures go to the inner one, and that
// serves one port at a time (UDP-7).
func TestWrappedPacketProtocol(t *testing.T) {
	b := &batching{}
	r, s, p := scripted(t, udp(0), &wrapping{b}, nil)
	if _, err := r.ListenPacket(udp(0), b, nil); !errors.Is(err, reactor.ErrProtocolInUse) {
		t.Errorf("UDP-7: the inner protocol on another port: %v", err)
	}
	s.comes("one", "two")
	s.inbox = append(s.inbox, []kernel.Packet{{Peer: udp(9), Err: kernel.ErrRefused}})
	s.refuse = func(kernel.Packet) error { return kernel.ErrNoRoute }
	p.WriteTo([]byte("away"), udp(9))
	turns(r, 5)
	if b.batches != 2 || len(b.got) != 0 || b.refusals != 1 || len(b.failures) != 1 {
		t.Errorf("%d in batches, %q one by one, %d refusals, %d failures", b.batches, b.got, b.refusals, len(b.failures))
	}
	p.StopListening(nil)
	turns(r, 3)
	if len(b.stopped) != 1 {
		t.Errorf("stopped %d times", len(b.stopped))
	}
	if _, err := r.ListenPacket(udp(0), b, nil); err != nil {
		t.Errorf("UDP-7: after the stop: %v", err)
	}
}

// namedGram has a name for the log.
type namedGram struct{ gram }

func (*namedGram) LogPrefix() string { return "Name" }

// The name that a PacketProtocol has for the log is found through wrappers.
func TestPacketLogPrefix(t *testing.T) {
	for _, p := range []reactor.PacketProtocol{new(namedGram), &wrapping{new(namedGram)}, &wrapping{&wrapping{new(namedGram)}}} {
		if got := reactor.LogPrefixOf(p); got != "Name" {
			t.Errorf("%T is called %q", p, got)
		}
	}
	if got := reactor.LogPrefixOf(new(gram)); got != "gram" {
		t.Errorf("a gram is called %q", got)
	}
}
