package coro_test

import (
	"errors"
	"io"
	"testing"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// PROD-24: the reactor stops while a Write is in progress, and nothing is buffered at that moment, because the peer reads fast. The peer must not take what it has for
// the whole.
func TestStopInWrite(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		const size = 1 << 20
		n, werr := 0, error(nil)
		_, p := peered(t, w, r, func(s *coro.Session) error {
			n, werr = s.Write(make([]byte, size))
			return nil
		})
		r.Post(func() { _ = r.Stop() })
		_ = r.Run(t.Context())
		got, err := p.Rest()
		if n == size || werr == nil {
			t.Fatalf("Write has taken %d bytes: %v", n, werr)
		}
		if err == io.EOF || !errors.Is(err, kernel.ErrReset) {
			t.Errorf("PROD-24: Write has taken %d bytes of %d, and the peer reads %d and %v", n, size, len(got), err)
		}
	})
}
