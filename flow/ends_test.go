package flow_test

import (
	"errors"
	"testing"
	"time"

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

// The end of the peer's direction waits for a protocol that has paused, also if it came instead of an optional header, and also if it
// pauses when it gets what came before.
func TestReadProxyEndPaused(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for _, text := range []string{"", "PRO"} {
			a := new(app)
			a.made = func(reactor.Transport) { a.T.PauseProducing() }
			a.received = func([]byte) { a.T.PauseProducing() }
			port := listen(t, r, flow.ReadProxy(reactor.One(listening{a}), &flow.ReadProxyOptions{Optional: true}))
			p := w.Peer(t, port.Addr(), r)
			p.Send(text)
			p.CloseWrite()
			testworld.Until(t, func() bool { return a.T != nil }, r)
			if testworld.Turns(t, r, 20); len(a.events) != 1 {
				t.Errorf("%q: %v while paused", text, a.events)
			}
			a.T.ResumeProducing()
			if text != "" {
				testworld.Until(t, func() bool { return a.got == text }, r)
				if testworld.Turns(t, r, 20); len(a.events) != 1 {
					t.Errorf("%q: %v while paused again", text, a.events)
				}
				a.T.ResumeProducing()
			}
			testworld.Until(t, func() bool { return len(a.events) == 2 }, r)
			if want := "read lost, after " + text; a.events[1] != want {
				t.Errorf("%q: %v", text, a.events)
			}
			a.T.Close()
			testworld.Until(t, a.lost, r)
			port.StopListening(nil)
		}
	})
}

// mover is a protocol that could move to another process, as package handover has it.
type mover struct{ *app }

func (mover) Handover() ([]byte, error) { return []byte("state"), nil }

// Unwrap is the app.
func (m mover) Unwrap() reactor.Protocol { return m.app }

// A connection stays in this process while there is a policy on it, because the other one would know nothing of that: it would
// take a header for input, for instance, and limit nothing. POL-1: nobody becomes a Mover by it, and a half-closer stays one.
func TestStays(t *testing.T) {
	type moves = interface{ Handover() ([]byte, error) }
	for name, wrap := range map[string]func(reactor.Factory) reactor.Factory{
		"proxy": func(f reactor.Factory) reactor.Factory { return flow.ReadProxy(f, nil) },
		"rate":  func(f reactor.Factory) reactor.Factory { return flow.LimitRate(f, flow.LimitOptions{}) },
		"time":  func(f reactor.Factory) reactor.Factory { return flow.LimitTime(f, flow.TimeoutOptions{}) },
		"count": func(f reactor.Factory) reactor.Factory { return flow.LimitConnections(f, 1, nil) },
	} {
		p := wrap(reactor.One(mover{new(app)})).BuildProtocol(loopback())
		m, ok := reactor.ProtocolAs[moves](p)
		if !ok {
			t.Fatalf("%s: it says nothing", name)
		}
		if state, err := m.Handover(); !errors.Is(err, errors.ErrUnsupported) || state != nil {
			t.Errorf("%s: moves with %q, %v", name, state, err)
		}
		if _, ok := reactor.ProtocolAs[moves](wrap(reactor.One(new(app))).BuildProtocol(loopback())); ok {
			t.Errorf("%s: an app has become a Mover", name)
		}
	}
}

// TCP-84: what has come behind the header while the protocol above had paused is delivered when it is resumed, though the peer has reset the connection meanwhile.
func TestReadProxyPausedReset(t *testing.T) {
	r := virtual(t, reactor.Config{})
	a, p := new(app), new(app)
	a.made = func(reactor.Transport) { a.T.PauseProducing() }
	pair(t, r, flow.ReadProxy(reactor.One(a), nil), reactor.One(p))
	p.T.Write([]byte("PROXY UNKNOWN\r\nrequest"))
	pass(t, r, time.Second)
	p.T.Abort()
	pass(t, r, time.Second)
	if a.got != "" {
		t.Errorf("got %q while it has paused", a.got)
	}
	a.T.ResumeProducing()
	pass(t, r, time.Second)
	if a.got != "request" || !errors.Is(a.err, kernel.ErrReset) {
		t.Errorf("TCP-84: got %q, lost for %v", a.got, a.err)
	}
}
