package coro_test

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// knock is a factory whose connections get their protocol with their first input, as a WebSocket does with its request.
type knock struct{ *coro.Listener }

func (k knock) Unwrap() reactor.Factory                    { return k.Listener }
func (k knock) BuildProtocol(kernel.Addr) reactor.Protocol { return &knocking{of: k.Listener} }

type knocking struct {
	reactor.Base
	of reactor.Factory
	p  reactor.Protocol
}

func (k *knocking) DataReceived([]byte) {
	if k.p = k.of.BuildProtocol(k.T.Remote()); k.p == nil {
		k.T.Abort()
		return
	}
	k.p.ConnectionMade(k.T)
}

func (k *knocking) ConnectionLost(err error) {
	if k.p != nil {
		k.p.ConnectionLost(err)
	}
}

// CORO-11: a connection that is made when the port has stopped already is reset, as those are that wait for Accept then: nobody will accept it.
func TestMadeAfterStop(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := running(t, w, reactor.Config{})
		l := new(coro.Listener)
		p := listen(t, r, knock{l})
		var err error
		c := coro.Go(r, func(c *coro.Coroutine) error {
			_, err := l.Accept(c)
			return err
		})
		c.OnEnd(func(e error) { err = e })
		peer := w.Peer(t, p.Addr(), r)
		testworld.Until(t, func() bool { return r.Stats().Accepted == 1 }, r)
		p.StopListening(nil)
		testworld.Until(t, c.Ended, r)
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("CORO-11: Accept of a port that was stopped: %v", err)
		}
		peer.Send("x")
		testworld.Turns(t, r, 5)
		if n := r.Stats().Connections; n != 0 {
			t.Fatalf("CORO-11: %d connections are left of which nobody knows", n)
		}
		if _, err := peer.Rest(); err == io.EOF {
			t.Error("CORO-11: one that nobody accepted saw an orderly end")
		}
	})
}
