package service_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
)

// A coroutine that fails ends its connection. The client tells its error, not only that the connection was aborted: in Changed, and to who waits.
func TestClientOfFailingCoroutine(t *testing.T) {
	failed := errors.New("the answer makes no sense")
	for at, body := range map[string]func(*coro.Session) error{
		"at once":      func(*coro.Session) error { return failed },
		"in the login": func(s *coro.Session) error { s.Sleep(time.Second); return failed },
		"later":        func(s *coro.Session) error { s.Sleep(3 * time.Second); return failed },
		"closed":       func(s *coro.Session) error { s.Sleep(3 * time.Second); s.Close(); return failed },
	} {
		p := newPair(t, service.ClientConfig{})
		p.listen()
		var told, waited error
		c := service.NewClient(p.cli.Reactor, p.place, coro.Factory(body), &service.ClientConfig{
			Policy: waits{most: 1},
			Prepare: func(reactor.Protocol) *deferred.Deferred[service.None] {
				return deferred.Sleep(p.cli.Reactor, 2*time.Second)
			},
			Changed: func(_ service.ClientState, err error) {
				if told == nil {
					told = err
				}
			},
		})
		p.run(20*time.Second, map[time.Duration]func(){0: func() {
			c.Start()
			c.WhenConnected(1).Done(func(_ reactor.Protocol, err error) { waited = err })
		}})
		if !errors.Is(told, failed) || at != "closed" && !errors.Is(told, reactor.ErrAborted) {
			t.Errorf("%s: told %v", at, told)
		}
		if at != "later" && at != "closed" && !errors.Is(waited, failed) {
			t.Errorf("%s: who waits is told %v", at, waited)
		}
	}
}
