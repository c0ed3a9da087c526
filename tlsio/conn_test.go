package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// The whole life of a connection, whatever the cuts: ConnectionMade before the
// handshake with writing allowed (TLS-3, TLS-9), HandshakeCompleted after it and
// before data (TLS-4), a clean end on both sides (TLS-16, TLS-17).
func TestLife(t *testing.T) {
	versions(t, func(t *testing.T, v uint16) {
		stages(t, []int{1, 2, 3, 7, 0}, func(s *stage) {
			t := s.t
			srv, cli := new(end), new(end)
			cli.onMade = func() { // TLS-3: written before the handshake, and TLS-9: in order
				if st := cli.c.ConnectionState(); st.HandshakeComplete || st.PeerCertificates != nil {
					t.Error("TLS-6: a state before the handshake")
				}
				cli.c.Write([]byte("hello, "))
				cli.c.Write([]byte("world"))
			}
			srv.onMade = func() { srv.c.Write([]byte("220 ready\r\n")) }
			srv.onData = func(p []byte) { srv.c.Write(p) }
			cli.onData = func([]byte) {
				if string(cli.got) == "220 ready\r\nhello, world" {
					cli.c.Close()
				}
			}
			sc, cc := configs(v)
			sc.CurvePreferences, cc.CurvePreferences = nil, nil // as it is by default
			s.connect(tlsio.Server(sc, one(srv), nil), tlsio.Client(cc, one(cli), nil))
			s.until(func() bool { return srv.lost() && cli.lost() })
			srv.wants(t, "TLS-4: server", "made", "shaken", "data", "lost")
			cli.wants(t, "TLS-4: client", "made", "shaken", "data", "lost")
			if string(srv.got) != "hello, world" || string(cli.got) != "220 ready\r\nhello, world" {
				t.Errorf("TLS-9: %q and %q", srv.got, cli.got)
			}
			if srv.err != io.EOF || cli.err != reactor.ErrClosed {
				t.Errorf("TLS-16, TLS-17: lost for %v and %v", srv.err, cli.err)
			}
			if cli.state.Version != v || len(cli.state.PeerCertificates) != 1 || len(srv.state.PeerCertificates) != 0 {
				t.Errorf("TLS-6: %+v and %+v", cli.state, srv.state)
			}
			for _, st := range []tls.ConnectionState{cli.c.ConnectionState(), cli.state} {
				if !st.HandshakeComplete || len(st.PeerCertificates) != 1 || st.PeerCertificates[0].Subject.CommonName != "srv.test" {
					t.Errorf("TLS-6: the client's state: %+v", st)
				}
			}
			if st := srv.c.ConnectionState(); !st.HandshakeComplete || len(st.PeerCertificates) != 0 {
				t.Errorf("TLS-6: the server's state: %+v", st)
			}
			if _, err := cli.c.Write([]byte("x")); err != reactor.ErrClosed {
				t.Errorf("TLS-19: write after the loss: %v", err)
			}
			for _, e := range []*end{srv, cli} {
				before := len(e.events)
				if err := e.c.Close(); err != nil || len(e.events) != before {
					t.Errorf("TLS-19: Close after the loss: %v, %q", err, e.events)
				}
			}
		})
	})
}

// TLS-11: a large write arrives intact, both ways at once.
func TestLarge(t *testing.T) {
	versions(t, func(t *testing.T, v uint16) {
		stages(t, []int{0}, func(s *stage) {
			size := 10 << 20
			if raced {
				size >>= 3
			}
			want := pattern(size)
			srv, cli := new(end), new(end)
			for _, e := range []*end{srv, cli} {
				e.onMade = func() { e.c.Write(want) }
			}
			srv.onData = func([]byte) {
				if len(srv.got) == size && len(cli.got) == size {
					srv.c.Close()
				}
			}
			cli.onData = func([]byte) {
				if len(srv.got) == size && len(cli.got) == size {
					cli.c.Close()
				}
			}
			s.secure(v, srv, cli)
			s.until(func() bool { return srv.lost() && cli.lost() })
			if !bytes.Equal(srv.got, want) || !bytes.Equal(cli.got, want) {
				s.t.Errorf("TLS-11: %d and %d bytes, want %d", len(srv.got), len(cli.got), size)
			}
		})
	})
}

// TLS-22: an end without close_notify is a truncation.
func TestTruncated(t *testing.T) {
	stages(t, []int{1, 0}, func(s *stage) {
		t := s.t
		srv, cli := new(end), new(end)
		cli.onShaken = func() { cli.c.Write([]byte("half of it")) }
		srv.onData = func([]byte) {
			if len(srv.got) == 10 {
				inner, _ := reactor.As[*reactor.Stream](srv.c)
				inner.Close() // behind TLS's back
			}
		}
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return srv.lost() && cli.lost() })
		cli.is(t, "TLS-22: client", tlsio.ErrTruncated, io.ErrUnexpectedEOF, reactor.ErrLost)
	})
}
