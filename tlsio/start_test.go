package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// upgrade is what both ends of a STARTTLS do: the server answers the command, and both
// go on by TLS.
func upgrade(s *stage, srv, cli *end, o *tlsio.Options, behind string) {
	t := s.t
	sc, cc := configs(tls.VersionTLS13)
	srv.onData = func([]byte) {
		text := string(srv.got)
		at := strings.Index(text, "STARTTLS\n")
		if srv.c != nil || at < 0 {
			return
		}
		rest := srv.got[at+9:]
		srv.got = nil
		srv.tr.Write([]byte("go ahead\n"))
		c, err := tlsio.StartServer(srv.tr, sc, srv, rest, o)
		if err != nil {
			t.Error(err)
			return
		}
		srv.c = c
	}
	cli.onMade = func() { cli.tr.Write([]byte("STARTTLS\n" + behind)) }
	cli.onData = func([]byte) {
		if cli.c != nil || string(cli.got) != "go ahead\n" {
			return
		}
		c, err := tlsio.StartClient(cli.tr, cc, nil, nil, nil)
		if err != nil {
			t.Error(err)
			return
		}
		cli.c, cli.got = c, nil
		c.Write([]byte("secret"))
		c.Close() // TLS-39: written and closed at once, it still arrives
	}
	s.connect(one(srv), one(cli))
}

// TLS-34, TLS-35, TLS-37, TLS-39: what was written before goes in clear and first,
// what is written after is protected, and there is no second ConnectionMade.
func TestStart(t *testing.T) {
	stages(t, []int{1, 7, 0}, func(s *stage) {
		t := s.t
		srv, cli := new(end), new(end)
		upgrade(s, srv, cli, nil, "")
		s.until(func() bool { return srv.tr != nil })
		if _, ok := reactor.As[*tlsio.Conn](srv.tr); ok {
			t.Error("TLS-37: TLS before it was started")
		}
		s.until(func() bool { return srv.lost() && cli.lost() })
		if string(srv.got) != "secret" {
			t.Errorf("TLS-39: %q", srv.got)
		}
		srv.wants(t, "TLS-35: server", "made", "data", "shaken", "data", "lost")
		cli.wants(t, "TLS-35: client", "made", "data", "shaken", "lost")
		if srv.err != io.EOF || cli.err != reactor.ErrClosed {
			t.Errorf("TLS-39: %v, %v", srv.err, cli.err)
		}
		if lower, ok := reactor.As[*reactor.Stream](srv.c); !ok || lower != srv.tr {
			t.Error("TLS-37: the transport below is not the one that was there")
		}
	})
}

// TLS-38: plaintext behind the command is refused by default, or discarded, and never
// delivered as protected.
func TestPipelined(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		srv, cli := new(end), new(end)
		upgrade(s, srv, cli, nil, "RCPT TO:<evil>\n")
		s.until(func() bool { return srv.lost() && cli.lost() })
		srv.is(s.t, "TLS-38: server", tlsio.ErrPipelined, reactor.ErrLost)
		if len(srv.got) != 0 || srv.saw("shaken") {
			s.t.Errorf("TLS-38: delivered %q", srv.got)
		}
	})
	stages(t, []int{0}, func(s *stage) {
		srv, cli := new(end), new(end)
		upgrade(s, srv, cli, &tlsio.Options{Pipelined: tlsio.Discard}, "RCPT TO:<evil>\n")
		s.until(func() bool { return srv.lost() && cli.lost() })
		if string(srv.got) != "secret" || srv.err != io.EOF {
			s.t.Errorf("TLS-38: %q, %v", srv.got, srv.err)
		}
	})
	stages(t, []int{0}, func(s *stage) { // what is no handshake is none, also if it is fed
		srv, cli := new(end), new(end)
		upgrade(s, srv, cli, &tlsio.Options{Pipelined: tlsio.Feed}, "RCPT TO:<evil>\n")
		s.until(func() bool { return srv.lost() && cli.lost() })
		var header tls.RecordHeaderError
		if !errors.As(srv.err, &header) || len(srv.got) != 0 {
			s.t.Errorf("TLS-38: %v, %q", srv.err, srv.got)
		}
	})
}

// TLS-36: a client that begins without waiting: the hello comes to the application in
// clear, which feeds it.
func TestFeed(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		t := s.t
		sc, cc := configs(tls.VersionTLS13)
		srv, cli := new(end), new(end)
		srv.onData = func([]byte) {
			hello := bytes.TrimPrefix(srv.got, []byte("NOW\n"))
			if srv.c == nil && len(hello) > 5 && len(hello)-5 == int(binary.BigEndian.Uint16(hello[3:])) {
				srv.got = nil
				srv.c, _ = tlsio.StartServer(srv.tr, sc, srv, hello, &tlsio.Options{Pipelined: tlsio.Feed})
			}
		}
		cli.onMade = func() {
			cli.tr.Write([]byte("NOW\n"))
			cli.c, _ = tlsio.StartClient(cli.tr, cc, cli, nil, nil)
			cli.c.Write([]byte("secret"))
			cli.c.Close()
		}
		s.connect(one(srv), one(cli))
		s.until(func() bool { return srv.lost() && cli.lost() })
		if string(srv.got) != "secret" {
			t.Errorf("TLS-36: %q, %v", srv.got, srv.err)
		}
	})
	stages(t, []int{0}, func(s *stage) { // only one side: the other gets the hello raw
		_, cc := configs(tls.VersionTLS13)
		srv, cli := new(end), new(end)
		cli.onMade = func() { cli.c, _ = tlsio.StartClient(cli.tr, cc, cli, nil, nil) }
		s.connect(one(srv), one(cli))
		s.until(func() bool { return len(srv.got) > 5 })
		if srv.got[0] != 22 || srv.got[1] != 3 {
			s.t.Errorf("TLS-36: % x", srv.got[:5])
		}
		srv.tr.Close()
		s.until(func() bool { return srv.lost() && cli.lost() })
		cli.is(s.t, "TLS-23: client", tlsio.ErrHandshake, tlsio.ErrTruncated, reactor.ErrLost)
		if text := cli.err.Error(); !strings.Contains(text, "before the TLS handshake was over") || strings.Contains(text, "missing") {
			s.t.Errorf("TLS-23: %q does not say when the peer has ended, or that data may be missing, which nobody had sent", text)
		}
	})
}

// TLS-34: a large unsent buffer is sent in clear before the first byte of the
// handshake. TLS-29: a producer registered before is carried over.
func TestStartLarge(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		t := s.t
		const size = 4 << 20
		sc, cc := configs(tls.VersionTLS13)
		srv, cli := new(end), new(end)
		p := &source{t: t, left: 50}
		srv.onMade = func() {
			srv.tr.Write(make([]byte, size))
			k, _ := reactor.As[reactor.Consumer](srv.tr)
			k.RegisterProducer(p)
			var err error
			if srv.c, err = tlsio.StartServer(srv.tr, sc, nil, nil, nil); err != nil {
				t.Error(err)
			}
			p.c = srv.c
			p.finished = func() { srv.c.UnregisterProducer(); srv.c.Close() }
			if !p.paused {
				p.produce()
			}
		}
		cli.onData = func([]byte) {
			if cli.c == nil && len(cli.got) == size {
				cli.got = nil
				cli.c, _ = tlsio.StartClient(cli.tr, cc, cli, nil, nil)
			}
		}
		s.connect(one(srv), one(cli))
		s.until(func() bool { return srv.lost() && cli.lost() })
		if len(cli.got) != 500_000 || cli.err != io.EOF || p.stopped {
			t.Errorf("TLS-34, TLS-29: %d bytes, %v", len(cli.got), cli.err)
		}
	})
}

// TLS-29: a producer may be registered after StartServer and StartClient too. It is slowed down, and a
// Close waits for it.
func TestProducerAfterStart(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		srv, cli := new(end), new(end)
		begin(s, false, srv, cli, nil)
		for _, e := range []*end{srv, cli} {
			p := &source{t: s.t, c: e.c, left: 500}
			p.finished = e.c.UnregisterProducer
			if err := e.c.RegisterProducer(p); err != nil {
				s.t.Errorf("TLS-29: %v", err)
			}
			other := cli
			if e == cli {
				other = srv
			}
			p.produce()
			s.until(func() bool { return len(other.got) == 5_000_000 })
			if p.pauses == 0 {
				s.t.Error("TLS-29: the producer was never paused")
			}
		}
		srv.c.Abort()
		s.until(func() bool { return srv.lost() && cli.lost() })
	})
}

// relay is a protocol around another, as a wrapper is.
type relay struct{ inner reactor.Protocol }

func (r *relay) ConnectionMade(t reactor.Transport) { r.inner.ConnectionMade(t) }
func (r *relay) DataReceived(p []byte)              { r.inner.DataReceived(p) }
func (r *relay) ConnectionLost(err error)           { r.inner.ConnectionLost(err) }
func (r *relay) Unwrap() reactor.Protocol           { return r.inner }

// TLS-5: HandshakeCompleted reaches protocols behind wrappers. And TLS in TLS works,
// whose protocol hears of its own handshake only (TLS-4).
func TestNested(t *testing.T) {
	stages(t, []int{1, 0}, func(s *stage) {
		t := s.t
		sc, cc := configs(tls.VersionTLS13)
		big := pattern(40_000)
		if s.chunk > 0 {
			big = big[:1000] // a call to the system for every piece, there and back
		}
		srv, cli := new(halfEnd), new(end)
		srv.onReadLost = func() { srv.c.Write(srv.got); srv.c.Close() }
		cli.onShaken = func() { cli.c.Write(big); cli.c.CloseWrite() }
		outer := tlsio.Server(sc, tlsio.Server(sc, one(&relay{srv}), nil), nil)
		s.connect(outer, tlsio.Client(cc, tlsio.Client(cc, one(&relay{cli}), nil), nil))
		s.until(func() bool { return srv.lost() && cli.lost() })
		if !bytes.Equal(cli.got, big) || cli.err != io.EOF || srv.err != reactor.ErrClosed {
			t.Errorf("%d bytes, %v, %v", len(cli.got), cli.err, srv.err)
		}
		srv.wants(t, "TLS-4, TLS-5: server", "made", "shaken", "data", "read lost", "lost")
		cli.wants(t, "TLS-4, TLS-5: client", "made", "shaken", "data", "lost")
	})
}

// TLS-2: what can make no connection fails at once.
func TestUnusable(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		t := s.t
		if _, err := s.srv.Listen(s.addr, tlsio.Server(&tls.Config{}, one(new(end)), nil), nil); !errors.Is(err, tlsio.ErrConfig) {
			t.Errorf("TLS-2: listen: %v", err)
		}
		var failed error
		s.cli.Dial(s.addr, tlsio.Client(nil, one(new(end)), nil), nil, func(_ reactor.Protocol, err error) { failed = err })
		s.until(func() bool { return failed != nil })
		if !errors.Is(failed, tlsio.ErrConfig) || !errors.Is(failed, reactor.ErrConnect) {
			t.Errorf("TLS-2: dial: %v", failed)
		}
		srv, cli := new(end), new(end)
		s.connect(one(srv), one(cli))
		s.until(func() bool { return srv.tr != nil && cli.tr != nil })
		if _, err := tlsio.StartClient(cli.tr, &tls.Config{}, cli, nil, nil); !errors.Is(err, tlsio.ErrConfig) {
			t.Errorf("TLS-2: start: %v", err)
		}
		if _, err := tlsio.StartServer(srv.tr, &tls.Config{}, srv, nil, nil); !errors.Is(err, tlsio.ErrConfig) {
			t.Errorf("TLS-2: start: %v", err)
		}
		cli.tr.Close()
		if _, err := tlsio.StartClient(cli.tr, &tls.Config{ServerName: "x"}, cli, nil, nil); !errors.Is(err, reactor.ErrClosed) {
			t.Errorf("TLS-33: start after Close: %v", err)
		}
		s.until(func() bool { return srv.lost() && cli.lost() })
	})
}

// TLS-52: no protocol, no connection.
func TestNoProtocol(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		sc, cc := configs(tls.VersionTLS13)
		cli := new(end)
		none := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return nil })
		p, _ := s.connect(tlsio.Server(sc, none, nil), tlsio.Client(cc, one(cli), nil))
		s.until(cli.lost)
		if p.Stats().Open != 0 || p.Stats().Refused != 1 {
			s.t.Errorf("TLS-52: %+v", p.Stats())
		}
		raw := new(end) // that has said nothing
		s.cli.Dial(p.Addr(), one(raw), nil, nil)
		s.until(raw.lost)
		if raw.err != io.EOF || len(raw.got) > 0 {
			s.t.Errorf("TLS-52: the peer got % x, and then %v", raw.got, raw.err)
		}
	})
}
