package coro_test

import (
	"errors"
	"io"
	"testing"
	"time"

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
		if n == size || !errors.Is(werr, reactor.ErrStopped) { // CORO-2
			t.Fatalf("Write has taken %d bytes: %v", n, werr)
		}
		if err == io.EOF || !errors.Is(err, kernel.ErrReset) {
			t.Errorf("PROD-24: Write has taken %d bytes of %d, and the peer reads %d and %v", n, size, len(got), err)
		}
	})
}

// A Write that waits when the connection is lost fails with the reason of the loss, as one that comes later does.
func TestLossInWrite(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var first, second error
		e, p := peered(t, w, r, func(s *coro.Session) error {
			_, first = s.Write(make([]byte, 64<<20))
			_, second = s.Write([]byte("x"))
			return nil
		})
		testworld.Turns(t, r, 20)
		p.Abort()
		testworld.Until(t, func() bool { return e.over }, r)
		if !errors.Is(first, kernel.ErrReset) || !errors.Is(first, reactor.ErrLost) || first.Error() != second.Error() {
			t.Errorf("the Write that has waited: %v; the next: %v", first, second)
		}
	})
}

// A Write does not wait for input that nobody reads, which the loss waits for.
func TestLossInWriteBehindInput(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var werr, rerr error
		in := make([]byte, 2)
		began := r.Now()
		e, p := peered(t, w, r, func(s *coro.Session) error {
			_, werr = s.Write(make([]byte, 64<<20))
			_, _ = io.ReadFull(s, in)
			_, rerr = s.Read(make([]byte, 1))
			return nil
		})
		for _, one := range []string{"a", "b"} { // the first is kept by the Session, the second by the stream
			p.Send(one)
			testworld.Turns(t, r, 20)
		}
		p.Abort()
		testworld.Until(t, func() bool { return e.over }, r)
		if d := r.Now() - began; !errors.Is(werr, reactor.ErrLost) || string(in) != "ab" || !errors.Is(rerr, kernel.ErrReset) || d > 20*time.Second {
			t.Errorf("Write: %v; then %q and %v after %v", werr, in, rerr, d)
		}
	})
}
