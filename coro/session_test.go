package coro_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

func contains(v any, words string) bool { return v != nil && strings.Contains(fmt.Sprint(v), words) }

// pattern is bytes of which no two neighbours are alike.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8)
	}
	return p
}

// CORO-3: what was written before the body returns nil is sent, and the peer sees an orderly end, whatever the pieces.
func TestEcho(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World) {
		size := 300_000
		if w.Chunk() > 0 {
			size = 3000
		}
		all := pattern(size)
		var got []byte
		srv, cli := talk(t, w.New(t, reactor.Config{}), func(s *coro.Session) error {
			_, err := io.Copy(s, struct{ io.Reader }{s})
			return err
		}, func(s *coro.Session) (err error) {
			coro.Go(s.Reactor(), func(c *coro.Coroutine) error { // it reads while the body writes
				got, err = io.ReadAll(s)
				s.Close()
				return err
			})
			if _, err := s.Write(all); err != nil {
				return err
			}
			if err := s.CloseWrite(); err != nil {
				return err
			}
			for len(got) < size {
				if err := s.Sleep(1e6); err != nil {
					return nil // the other coroutine has closed
				}
			}
			return nil
		})
		if srv.err != nil || cli.err != nil || !bytes.Equal(got, all) {
			t.Errorf("CORO-3: %d bytes of %d, %v and %v", len(got), size, srv.err, cli.err)
		}
	})
}

// A Write after CloseWrite fails, whether or not what was written before is sent, and the peer gets nothing of it.
func TestWriteAfterCloseWrite(t *testing.T) {
	for _, before := range []int{0, 1, 1 << 20} { // with the last one the transport is above its mark
		worlds(t, func(t *testing.T, w testworld.World) {
			r := w.New(t, reactor.Config{})
			all := pattern(before)
			var now, later error
			var got []byte
			srv, cli := talk(t, r, func(s *coro.Session) (err error) {
				got, err = io.ReadAll(s)
				return err
			}, func(s *coro.Session) error {
				s.Write(all)
				if err := s.CloseWrite(); err != nil {
					return err
				}
				_, now = s.Write([]byte("more"))
				_, err := io.ReadAll(s) // the server ends when it has all
				_, later = s.Write([]byte("more"))
				return err
			})
			if srv.err != nil || cli.err != nil || !errors.Is(now, reactor.ErrWriteClosed) || !errors.Is(later, reactor.ErrWriteClosed) || !bytes.Equal(got, all) {
				t.Errorf("after CloseWrite, Write is %v, and later %v; the peer has %d bytes of %d; %v, %v", now, later, len(got), before, srv.err, cli.err)
			}
		})
	}
}

// CORO-3: an error of the body resets the connection; nil ends it in order.
func TestResult(t *testing.T) {
	for _, want := range []error{nil, errors.New("broken")} {
		worlds(t, func(t *testing.T, w testworld.World) {
			r := w.New(t, reactor.Config{})
			e, peer := peered(t, w, r, func(s *coro.Session) error {
				s.Write([]byte("hello"))
				s.Sleep(5e6)
				return want
			})
			got, err := peer.Rest()
			if string(got) != "hello" || (err == io.EOF) != (want == nil) || e.err != want {
				t.Errorf("CORO-3: after %v the peer got %q, %v", want, got, err)
			}
		})
	}
}

// CORO-5: while the peer does not read, Write waits, and no more than the mark and a piece are buffered.
func TestWriteWaits(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		const size = 32 << 20
		wrote, most := 0, 0
		var tr reactor.Connection
		e, peer := peered(t, w, r, func(s *coro.Session) error {
			tr = reactor.ConnectionOf(s.Transport())
			one := make([]byte, size/4)
			for range 4 {
				n, err := s.Write(one)
				wrote += n
				if err != nil {
					return err
				}
			}
			return nil
		})
		for range 50 {
			testworld.Turns(t, r, 1)
			most = max(most, tr.Buffered())
		}
		if e.over || most == 0 {
			t.Fatalf("CORO-5: Write did not wait: %d bytes written", wrote)
		}
		if limit := 64<<10 + 16<<10; most > limit {
			t.Errorf("CORO-5: %d bytes are buffered, want no more than %d", most, limit)
		}
		n, err := io.Copy(io.Discard, peer)
		if n != size || err != nil || e.err != nil {
			t.Errorf("CORO-5: %d bytes came, %v, %v", n, err, e.err)
		}
	})
}

// CORO-4: while the body does not read, the peer is held back, and one delivery is kept.
func TestReadHoldsBack(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{ReadBuffer: 4 << 10})
		const size = 16 << 20
		start, total := false, 0
		e, peer := peered(t, w, r, func(s *coro.Session) error {
			for !start {
				if err := s.Sleep(1e6); err != nil {
					return err
				}
			}
			buf := make([]byte, 1000)
			for {
				n, err := s.Read(buf)
				total += n
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
			}
		})
		sent, again := 0, 0
		piece := make([]byte, 64<<10)
		for sent < size && again < 30 {
			n, err := peer.TryWrite(piece[:min(len(piece), size-sent)])
			sent += n
			if err == kernel.ErrAgain {
				again++
			}
			testworld.Turns(t, r, 1)
		}
		var in uint64
		for s := range r.Streams() {
			in = s.Stats().In
		}
		if in == 0 || in > 4<<10 || sent == size {
			t.Errorf("CORO-4: %d bytes were read for a body that does not read, of %d that were sent", in, sent)
		}
		start = true
		for sent < size {
			n, err := peer.Write(piece[:min(len(piece), size-sent)])
			sent += n
			if err != nil {
				t.Fatal(err)
			}
		}
		peer.CloseWrite()
		testworld.Until(t, func() bool { return e.over }, r)
		if total != size || e.err != nil {
			t.Errorf("CORO-4: %d bytes of %d came, %v", total, size, e.err)
		}
	})
}

// CORO-4: what is kept stays as it came, though the transport uses its memory again.
func TestKeepsWhatCame(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var rest [5]byte
		e, peer := peered(t, w, r, func(s *coro.Session) error {
			if _, err := s.Read(rest[:1]); err != nil {
				return err
			}
			if err := s.Sleep(5 * ms); err != nil {
				return err
			}
			_, err := io.ReadFull(s, rest[:])
			return err
		})
		p := listen(t, r, reactor.Each[quiet]())
		more := w.Peer(t, p.Addr(), r)
		peer.Send("abcdef")
		testworld.Turns(t, r, 3)
		more.Send("ZZZZZZZZ")
		testworld.Until(t, func() bool { return e.over }, r)
		if string(rest[:]) != "bcdef" || e.err != nil {
			t.Errorf("CORO-4: %q, %v", rest, e.err)
		}
	})
}

// CORO-6: the end of the peer's direction is io.EOF behind what it sent, and writing goes on.
func TestHalfClose(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		e, peer := peered(t, w, r, func(s *coro.Session) error {
			got, err := io.ReadAll(s)
			if err != nil {
				return err
			}
			if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("CORO-6: after the end %d, %v", n, err)
			}
			_, err = fmt.Fprintf(s, "you said %q", got)
			return err
		})
		peer.Send("all of it")
		peer.CloseWrite()
		got, err := peer.Rest()
		if string(got) != `you said "all of it"` || err != io.EOF || e.err != nil {
			t.Errorf("CORO-6: %q, %v, %v", got, err, e.err)
		}
	})
}

// CORO-6: after a loss every call fails with a typed error that says why, and so do those in progress.
func TestLoss(t *testing.T) {
	for name, wait := range map[string]func(*coro.Session) error{
		"read":  func(s *coro.Session) error { _, err := s.Read(make([]byte, 1)); return err },
		"write": func(s *coro.Session) error { _, err := s.Write(make([]byte, 64<<20)); return err },
		"sleep": func(s *coro.Session) error { return s.Sleep(coro.NoDeadline) },
		"wait":  func(s *coro.Session) error { _, err := coro.Wait(s, never); return err },
	} {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				r := w.New(t, reactor.Config{})
				unwound := false
				e, peer := peered(t, w, r, func(s *coro.Session) error {
					defer func() { unwound = true }()
					err := wait(s)
					for range 3 {
						_, rerr := s.Read(make([]byte, 1))
						_, werr := s.Write([]byte("x"))
						for _, err := range []error{rerr, werr, s.CloseWrite(), s.Sleep(1)} {
							var op *reactor.OpError
							if !errors.Is(err, reactor.ErrLost) || errors.Is(err, net.ErrClosed) || !errors.As(err, &op) || op.Remote.IsZero() {
								t.Errorf("CORO-6: %v (%T)", err, err)
							}
						}
					}
					return err
				})
				testworld.Turns(t, r, 3)
				peer.Abort()
				testworld.Until(t, func() bool { return e.over }, r)
				if !errors.Is(e.err, reactor.ErrLost) || errors.Is(e.err, io.EOF) || !unwound {
					t.Errorf("CORO-2: %v, unwound: %v", e.err, unwound)
				}
				if n := r.Stats().Pending; n != 0 {
					t.Errorf("CORO-2: %d delayed calls are left", n)
				}
			})
		})
	}
}

func never(func(int, error)) func() { return nil }

// CORO-6: after our own Close, Read and Write are net.ErrClosed, and other waits go on, also when the connection is gone.
func TestCloseInBody(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		e, peer := peered(t, w, r, func(s *coro.Session) error {
			s.Write([]byte("bye"))
			s.Close()
			s.Close()
			for r.Stats().Connections > 0 {
				if err := s.Sleep(1e6); err != nil {
					return err
				}
			}
			_, rerr := s.Read(make([]byte, 1))
			_, werr := s.Write([]byte("x"))
			if !errors.Is(rerr, net.ErrClosed) || !errors.Is(werr, net.ErrClosed) || !errors.Is(s.CloseWrite(), net.ErrClosed) {
				t.Errorf("CORO-6: %v and %v", rerr, werr)
			}
			return s.Sleep(1e6)
		})
		got, err := peer.Rest()
		peer.Close()
		testworld.Until(t, func() bool { return e.over }, r)
		if string(got) != "bye" || err != io.EOF || e.err != nil {
			t.Errorf("CORO-6: %q, %v, %v", got, err, e.err)
		}
	})
}

// CORO-6: a Close or an Abort that others ask for ends the body, also one that streams.
func TestClosedByOthers(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, stop := range map[string]func(*reactor.Stream){
			"close": func(s *reactor.Stream) { s.Close() },
			"abort": func(s *reactor.Stream) { s.Abort() },
		} {
			for _, idle := range []bool{true, false} {
				r := w.New(t, reactor.Config{})
				e, peer := peered(t, w, r, func(s *coro.Session) error {
					for !idle {
						if _, err := s.Write(make([]byte, 10_000)); err != nil {
							return err
						}
					}
					_, err := s.Read(make([]byte, 1))
					return err
				})
				testworld.Turns(t, r, 3)
				for s := range r.Streams() {
					stop(s)
				}
				peer.Rest()
				testworld.Until(t, func() bool { return e.over && r.Stats().Connections == 0 }, r)
				want := map[string]error{"close": net.ErrClosed, "abort": reactor.ErrLost}[name]
				if !errors.Is(e.err, want) || errors.Is(e.err, io.EOF) {
					t.Errorf("CORO-6: after %s, idle %v: %v", name, idle, e.err)
				}
			}
		}
	})
}

// CORO-10: a drain is the end of the input for a body that waits for it, which then ends as it likes.
func TestDrain(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		e, peer := peered(t, w, r, func(s *coro.Session) error {
			if _, err := io.ReadAll(s); err != nil {
				return err
			}
			_, err := s.Write([]byte("221 bye"))
			return err
		})
		testworld.Turns(t, r, 3)
		r.Drain(reactor.DrainConfig{})
		got, err := peer.Rest()
		if string(got) != "221 bye" || err != io.EOF || e.err != nil {
			t.Errorf("CORO-10: %q, %v, %v", got, err, e.err)
		}
	})
}
