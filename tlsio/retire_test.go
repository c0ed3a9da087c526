package tlsio_test

import (
	"crypto/tls"
	"errors"
	"io"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/tlsio"
)

// begin puts TLS, or TLS in TLS, between two ends that are connected, and tells which transport
// the server had before.
func begin(s *stage, below bool, srv, cli *end, o *tlsio.Options) (before reactor.Transport) {
	s.t.Helper()
	sc, cc := configs(tls.VersionTLS13)
	if below {
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return srv.saw("shaken") && cli.saw("shaken") })
		srv.events, cli.events = []string{"made"}, []string{"made"}
	} else {
		s.connect(one(srv), one(cli))
		s.until(func() bool { return srv.tr != nil && cli.tr != nil })
	}
	before = srv.tr
	var err [2]error
	srv.c, err[0] = tlsio.StartServer(srv.tr, sc, srv, nil, o)
	cli.c, err[1] = tlsio.StartClient(cli.tr, cc, cli, nil, o)
	if err := errors.Join(err[0], err[1]); err != nil {
		s.t.Fatal(err)
	}
	return before
}

// TLS-63: whoever has kept the transport on which TLS has begun writes nothing between its
// records, before or after the handshake; Close, Abort and pauses are those of the Conn.
func TestStartRetires(t *testing.T) {
	for _, below := range []bool{false, true} {
		for what, act := range map[string]func(s *stage, before reactor.Transport, srv, cli *end){
			"close": func(s *stage, before reactor.Transport, srv, cli *end) {
				before.Close()
				s.until(func() bool { return srv.lost() && cli.lost() })
				srv.is(s.t, "TLS-63: server", reactor.ErrClosed)
				cli.is(s.t, "TLS-63: client", io.EOF) // there was a close_notify
			},
			"abort": func(s *stage, before reactor.Transport, srv, cli *end) {
				before.Abort()
				s.until(func() bool { return srv.lost() && cli.lost() })
				srv.is(s.t, "TLS-63: server", reactor.ErrAborted)
				cli.is(s.t, "TLS-63: client", reactor.ErrLost)
			},
			"pause": func(s *stage, before reactor.Transport, srv, cli *end) {
				p, _ := reactor.As[reactor.Producer](before)
				srv.got = nil
				srv.onData = func([]byte) { s.t.Error("TLS-63: delivered though paused") }
				p.PauseProducing()
				cli.c.Write([]byte("later"))
				cli.onData = func([]byte) { // the server goes on writing
					srv.onData = nil
					p.ResumeProducing()
				}
				srv.c.Write([]byte("go on"))
				s.until(func() bool { return string(srv.got) == "later" })
				srv.c.Abort()
				s.until(func() bool { return srv.lost() && cli.lost() })
			},
		} {
			t.Run(what, func(t *testing.T) {
				stages(t, []int{3, 0}, func(s *stage) {
					srv, cli := new(end), new(end)
					before := begin(s, below, srv, cli, nil)
					refused := func() {
						t.Helper()
						n1, err1 := before.Write([]byte("in clear"))
						n2, err2 := reactor.WriteShared(before, []byte("in clear"))
						v, _ := reactor.As[reactor.Vectored](before)
						n3, err3 := v.WriteVec([][]byte{[]byte("in clear")})
						_, err4 := tlsio.StartServer(before, &tls.Config{Certificates: []tls.Certificate{trusted().leaf}}, nil, nil, nil)
						if n1 != 0 || n2 != 0 || n3 != 0 {
							s.t.Errorf("TLS-63: %d, %d and %d bytes were taken", n1, n2, n3)
						}
						for _, err := range []error{err1, err2, err3, err4} {
							if !errors.Is(err, reactor.ErrSwitched) {
								s.t.Errorf("TLS-63: %v", err)
							}
						}
					}
					refused()
					cli.onShaken = func() { cli.c.Write([]byte("question")) }
					srv.onData = func([]byte) { refused(); srv.c.Write([]byte("answer")); refused() }
					s.until(func() bool { return string(srv.got) == "question" && len(cli.got) >= 6 || srv.lost() || cli.lost() })
					if srv.onData = nil; srv.lost() || cli.lost() {
						s.t.Fatalf("TLS-63: lost for %v and %v", srv.err, cli.err)
					}
					act(s, before, srv, cli)
				})
			})
		}
	}
}

// TLS-63: a receiver does not send in clear either, though its T is a wrapper.
func TestStartRetiresReceiver(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		sc, cc := configs(tls.VersionTLS13)
		srv, cli := new(receiver.Line), new(end)
		above := new(end)
		srv.LineReceived = func([]byte) {
			srv.SendLine([]byte("go"))
			c, err := tlsio.StartServer(srv.T, sc, above, nil, nil)
			if err != nil {
				s.t.Error(err)
				return
			}
			if err := srv.SendLine([]byte("in clear")); err != nil && !errors.Is(err, reactor.ErrSwitched) {
				s.t.Errorf("TLS-63: %v", err)
			}
			c.Write([]byte("protected"))
		}
		cli.onMade = func() { cli.tr.Write([]byte("STARTTLS\r\n")) }
		cli.onData = func([]byte) {
			if cli.c == nil && string(cli.got) == "go\r\n" {
				cli.got = nil
				cli.c, _ = tlsio.StartClient(cli.tr, cc, cli, nil, nil)
			}
		}
		s.connect(one(srv), one(cli))
		s.until(func() bool { return string(cli.got) == "protected" || cli.lost() })
		if cli.lost() {
			s.t.Fatalf("TLS-63: lost for %v", cli.err)
		}
		srv.T.Close() // with close_notify
		s.until(func() bool { return above.lost() && cli.lost() })
		above.is(s.t, "TLS-63: server", reactor.ErrClosed)
		cli.is(s.t, "TLS-63: client", io.EOF)
	})
}
