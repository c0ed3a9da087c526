package coro_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// CORO-7: deadlines end Read and Write, by the reactor's clock; a passed one fails at once, also if there is something to read; a new one goes on.
func TestDeadlines(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		e, peer := peered(t, w, r, func(s *coro.Session) error {
			isTimeout := func(what string, err error) {
				t.Helper()
				n, ok := err.(net.Error)
				if !errors.Is(err, os.ErrDeadlineExceeded) || !ok || !n.Timeout() || errors.Is(err, reactor.ErrLost) {
					t.Errorf("CORO-7: %s: %v", what, err)
				}
			}
			buf := make([]byte, 10)
			before := r.Now()
			s.SetReadTimeout(20 * ms)
			_, err := s.Read(buf)
			isTimeout("read", err)
			if took := r.Now() - before; took < 20*ms || w.Simulated() && took > 22*ms {
				t.Errorf("CORO-7: it took %v", took)
			}
			s.SetReadDeadline(time.Time{})
			s.Write([]byte("go")) // the peer answers
			if n, err := s.Read(buf[:2]); n != 2 || err != nil {
				t.Errorf("CORO-7: without a deadline: %d, %v", n, err)
			}
			s.SetDeadline(time.Now().Add(-time.Second))
			_, err = s.Read(buf)
			isTimeout("read after the deadline", err)
			_, err = s.Write(buf)
			isTimeout("write after the deadline", err)
			s.SetDeadline(time.Time{})
			if n, err := s.Read(buf); n != 2 || err != nil {
				t.Errorf("CORO-7: %d, %v", n, err)
			}
			much := make([]byte, 64<<20)
			s.SetWriteTimeout(20 * ms)
			n, err := s.Write(much)
			isTimeout("write", err)
			if n == 0 || n == 64<<20 {
				t.Errorf("CORO-7: %d bytes written", n)
			}
			s.Abort()
			return nil
		})
		peer.Expect("go")
		peer.Send("abcd")
		testworld.Until(t, func() bool { return e.over }, r)
		if n := r.Stats().Pending; n > 1 { // the limit of the end
			t.Errorf("CORO-7: %d delayed calls are left", n)
		}
	})
}

// CORO-7: a deadline that is set while somebody reads counts for that Read.
func TestDeadlineMoves(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := running(t, w, reactor.Config{})
		var s *coro.Session
		e, _ := peered(t, w, r, func(own *coro.Session) error {
			s = own
			s.SetReadTimeout(time.Hour)
			_, err := s.Read(make([]byte, 1))
			return err
		})
		testworld.Until(t, func() bool { return s != nil }, r)
		s.SetReadTimeout(5 * ms)
		testworld.Until(t, func() bool { return e.over }, r)
		if !errors.Is(e.err, os.ErrDeadlineExceeded) {
			t.Errorf("CORO-7: %v", e.err)
		}
	})
}

// CORO-7: times of the system's clock are measured in milliseconds, rounded up, so that a simulated run repeats.
func TestSystemTimes(t *testing.T) {
	for _, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue
		}
		r := w.New(t, reactor.Config{})
		var took time.Duration
		e, _ := peered(t, w, r, func(s *coro.Session) error {
			before := r.Now()
			s.SetReadDeadline(time.Now().Add(500 * ms))
			_, err := s.Read(make([]byte, 1))
			took = r.Now() - before
			return err
		})
		testworld.Until(t, func() bool { return took > 0 || e.over }, r)
		if took < 500*ms-5*ms || took > 500*ms+ms {
			t.Errorf("CORO-7: %v", took)
		}
	}
}

// CORO-7: a Read that waits until its deadline has not failed at once. It may do so any number of times.
func TestDeadlineManyTimes(t *testing.T) {
	for _, w := range testworld.Worlds() {
		if !w.Simulated() { // the time passes at once
			continue
		}
		w.Alone()
		r := w.New(t, reactor.Config{})
		times := 0
		e, _ := peered(t, w, r, func(s *coro.Session) error {
			for ; times < 3000; times++ {
				s.SetReadTimeout(ms)
				if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					return err
				}
			}
			return nil
		})
		testworld.Until(t, func() bool { return e.over }, r)
		if times != 3000 {
			t.Errorf("CORO-7: %d deadlines have passed, then %v", times, e.err)
		}
	}
}
