package reactor_test

import (
	"errors"
	"io"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// still is a producer that does nothing.
type still struct{}

func (still) PauseProducing()  {}
func (still) ResumeProducing() {}
func (still) StopProducing()   {}

// TLS-33: the new protocol gets all callbacks from then on. The caller gets what the
// transport had before, and reading goes on.
func TestSwitchProtocol(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		old, next, cli := new(end), new(end), new(end)
		connect(t, r, old, cli)
		old.s.PauseProducing()
		if err := old.s.RegisterProducer(still{}); err != nil {
			t.Fatal(err)
		}
		was, err := old.s.SwitchProtocol(next)
		if err != nil || was.Protocol != reactor.Protocol(old) || was.Producer != reactor.Producer(still{}) || !was.Paused || was.ProducerPaused {
			t.Fatalf("TLS-33: %+v, %v", was, err)
		}
		cli.s.Write([]byte("to the next"))
		cli.s.Close()
		until(t, r, func() bool { return next.err != nil })
		if string(next.got) != "to the next" || next.err != io.EOF || old.err != nil || len(next.events) != 2 {
			t.Errorf("TLS-33: %q, %v, %q; the old: %v", next.got, next.err, next.events, old.err)
		}
	})
}

// TLS-33: what is ending is not switched.
func TestSwitchTooLate(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv, cli := new(halfEnd), new(end)
		connect(t, r, srv, cli)
		cli.s.CloseWrite()
		if _, err := cli.s.SwitchProtocol(new(end)); err != reactor.ErrWriteClosed {
			t.Errorf("TLS-33: after CloseWrite: %v", err)
		}
		until(t, r, func() bool { return len(srv.events) == 2 })
		if _, err := srv.s.SwitchProtocol(new(end)); err != io.EOF {
			t.Errorf("TLS-33: after the peer's end: %v", err)
		}
		srv.s.Close()
		if _, err := srv.s.SwitchProtocol(new(end)); !errors.Is(err, reactor.ErrClosed) {
			t.Errorf("TLS-33: after Close: %v", err)
		}
		until(t, r, func() bool { return srv.err != nil && cli.err != nil })
	})
}
