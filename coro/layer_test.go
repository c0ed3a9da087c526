package coro_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// CORO-5: over a layer such as package tlsio, bodies work as over a stream: back-pressure, half-closes, ends.
func TestOverTLS(t *testing.T) {
	sc := &tls.Config{Certificates: []tls.Certificate{tlstest.SelfSigned("srv.test")}, Time: tlstest.Time}
	cc := &tls.Config{InsecureSkipVerify: true, Time: tlstest.Time}
	everywhere(t, func(t *testing.T, w testworld.World) {
		size := 8 << 20
		if w.Chunk() > 0 {
			size = 3000
		}
		all := pattern(size)
		r := w.New(t, reactor.Config{})
		srv, cli := new(ending), new(ending)
		most := 0
		p := listen(t, r, tlsio.Server(sc, coro.Factory(srv.note(func(s *coro.Session) error {
			asked, err := io.ReadAll(s)
			if err != nil || string(asked) != "all of it" {
				t.Errorf("CORO-6: asked %q, %v", asked, err)
			}
			_, err = s.Write(all)
			return err
		})), nil))
		var got []byte
		r.Dial(p.Addr(), tlsio.Client(cc, coro.Factory(cli.note(func(s *coro.Session) error {
			io.WriteString(s, "all of it")
			if err := s.CloseWrite(); err != nil {
				return err
			}
			buf := make([]byte, 64<<10)
			for {
				n, err := s.Read(buf)
				got = append(got, buf[:n]...)
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
				for st := range r.Streams() {
					most = max(most, reactor.ConnectionOf(reactor.Top(st)).Buffered())
				}
			}
		})), nil), nil, nil)
		testworld.Until(t, func() bool { return srv.over && cli.over && r.Stats().Connections == 0 }, r)
		if srv.err != nil || cli.err != nil || !bytes.Equal(got, all) {
			t.Errorf("CORO-3: %v, %v, %d bytes of %d", srv.err, cli.err, len(got), size)
		}
		if limit := 256 << 10; most > limit {
			t.Errorf("CORO-5: %d bytes were buffered, want no more than %d", most, limit)
		}
	})
}

// CORO-6: Close of the layer by others ends a body that writes without end.
func TestOverTLSClosed(t *testing.T) {
	sc := &tls.Config{Certificates: []tls.Certificate{tlstest.SelfSigned("srv.test")}, Time: tlstest.Time}
	cc := &tls.Config{InsecureSkipVerify: true, Time: tlstest.Time}
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv, writes := new(ending), 0
		p := listen(t, r, tlsio.Server(sc, coro.Factory(srv.note(func(s *coro.Session) error {
			for ; ; writes++ {
				if _, err := s.Write(make([]byte, 10_000)); err != nil {
					return err
				}
			}
		})), nil))
		got := 0
		c := r.Dial(p.Addr(), tlsio.Client(cc, coro.Factory(func(s *coro.Session) error {
			n, err := io.Copy(io.Discard, struct{ io.Reader }{s})
			got = int(n)
			return err
		}), nil), nil, nil)
		testworld.Until(t, func() bool { return r.Stats().Connections == 2 }, r)
		testworld.Until(t, func() bool { return writes > 100 }, r)
		for st := range r.Streams() {
			if st.Remote() != p.Addr() { // the server's
				reactor.Top(st).Close()
			}
		}
		testworld.Until(t, func() bool { return srv.over && r.Stats().Connections == 0 }, r)
		if srv.err == nil || errors.Is(srv.err, io.EOF) || c.Connected() {
			t.Errorf("CORO-6: %v after %d bytes", srv.err, got)
		}
	})
}

// CORO-12: a session starts TLS in its middle, as crypto/tls does it, behind lines in clear.
func TestStartTLS(t *testing.T) {
	sc := &tls.Config{Certificates: []tls.Certificate{tlstest.SelfSigned("srv.test")}, Time: tlstest.Time}
	cc := &tls.Config{InsecureSkipVerify: true, Time: tlstest.Time}
	everywhere(t, func(t *testing.T, w testworld.World) {
		line := func(rd io.Reader) string {
			var got []byte
			for one := make([]byte, 1); ; {
				if _, err := rd.Read(one); err != nil || one[0] == '\n' {
					return string(got)
				}
				got = append(got, one[0])
			}
		}
		var first, second, third string
		srv, cli := talk(t, w.New(t, reactor.Config{}), func(s *coro.Session) error {
			first = line(s)
			io.WriteString(s, "ready\n")
			c := tls.Server(s, sc)
			third = line(c)
			return c.Close()
		}, func(s *coro.Session) error {
			io.WriteString(s, "STARTTLS\n")
			second = line(s)
			c := tls.Client(s, cc)
			if _, err := io.WriteString(c, "secret\n"); err != nil {
				return err
			}
			_, err := io.ReadAll(c)
			return err
		})
		if srv.err != nil || cli.err != nil || first != "STARTTLS" || second != "ready" || third != "secret" {
			t.Errorf("CORO-12: %v, %v, %q %q %q", srv.err, cli.err, first, second, third)
		}
	})
}

// CORO-14: Release gives the connection out of the session, with what was not read, and it outlives the body: two are joined.
func TestRelease(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		behind := listen(t, r, coro.Factory(echoBody))
		relay, peer := peered(t, w, r, func(s *coro.Session) error {
			var hello [6]byte
			if _, err := io.ReadFull(s, hello[:]); err != nil {
				return err
			}
			if err := s.Sleep(5 * ms); err != nil { // more comes meanwhile
				return err
			}
			to, err := coro.Dial(s, behind.Addr(), nil)
			if err != nil {
				return err
			}
			out, none := to.Release()
			in, unread := s.Release()
			if _, err := s.Write(nil); !errors.Is(err, net.ErrClosed) || len(none) > 0 {
				t.Errorf("CORO-14: after Release: %v, %q", err, none)
			}
			out.Write(unread)
			_, err = reactor.Join(in, out, nil)
			return err
		})
		peer.Send("hello and more")
		testworld.Until(t, func() bool { return relay.over }, r)
		peer.Send(" at last")
		peer.Expect("and more")
		peer.Expect(" at last")
		peer.CloseWrite()
		if rest, err := peer.Rest(); len(rest) > 0 || err != io.EOF || relay.err != nil {
			t.Errorf("CORO-14: %q, %v, %v", rest, err, relay.err)
		}
		testworld.Until(t, func() bool { return r.Stats().Connections == 0 }, r)
	})
}

// CORO-14: after Release neither a deferred Abort nor an error of the body ends the connection. A panic of the body does.
func TestReleaseThenAbort(t *testing.T) {
	for _, end := range []string{"Abort", "error", "panic"} {
		worlds(t, func(t *testing.T, w testworld.World) {
			r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
			var tr reactor.Transport
			e, peer := peered(t, w, r, func(s *coro.Session) error {
				if _, err := s.Read(make([]byte, 1)); err != nil {
					return err
				}
				tr, _ = s.Release()
				switch end {
				case "Abort":
					s.Abort()
				case "panic":
					panic("boom")
				default:
					return errors.New("broken")
				}
				return nil
			})
			peer.Send("x")
			testworld.Until(t, func() bool { return e.over }, r)
			_, _ = tr.Write([]byte("still here"))
			_ = tr.Close()
			want := "still here"
			if end == "panic" {
				want = ""
			}
			if rest, _ := peer.Rest(); string(rest) != want {
				t.Errorf("CORO-14: %s: got %q, want %q", end, rest, want)
			}
		})
	}
}

// A layer below may fail before it has connected a Session, as a policy whose function panics. The body never begins then.
func TestLostBeforeMade(t *testing.T) {
	p := coro.Protocol(func(*coro.Session) error {
		t.Error("the body has begun")
		return nil
	})
	p.ConnectionLost(reactor.ErrAborted)
}
