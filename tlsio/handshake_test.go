package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// fails connects two ends whose handshake must fail, and asserts what always holds then.
func fails(s *stage, sc, cc *tls.Config) (srv, cli *end) {
	s.t.Helper()
	srv, cli = new(end), new(end)
	cli.onMade = func() { cli.c.Write([]byte("secret")) }
	srv.onMade = func() { srv.c.Write([]byte("secret")) }
	s.connect(tlsio.Server(sc, one(srv), nil), tlsio.Client(cc, one(cli), nil))
	s.until(func() bool { return srv.lost() && cli.lost() })
	if len(srv.got) != 0 || srv.saw("shaken") {
		s.t.Errorf("TLS-43, TLS-44: the server got %q, %q", srv.got, srv.events)
	}
	if len(cli.got) != 0 {
		s.t.Errorf("TLS-44: the client got %q", cli.got)
	}
	return srv, cli
}

// TLS-23, TLS-42, TLS-43, TLS-44: a certificate of an unknown authority, or for another
// name: both ends are lost with a TLS error, HandshakeCompleted is never called, and
// nothing is delivered.
func TestUnverified(t *testing.T) {
	versions(t, func(t *testing.T, v uint16) {
		for name, change := range map[string]func(*tls.Config){
			"authority": func(c *tls.Config) { c.RootCAs = tlstest.NewAuthority("other").Pool() },
			"name":      func(c *tls.Config) { c.ServerName = "other.test" },
		} {
			t.Run(name, func(t *testing.T) {
				// In small pieces the alert may be lost to a reset, as TCP has it.
				stages(t, []int{0}, func(s *stage) {
					sc, cc := configs(v)
					change(cc)
					srv, cli := fails(s, sc, cc)
					if cli.saw("shaken") {
						s.t.Error("TLS-43: HandshakeCompleted on an unverified connection")
					}
					cli.is(s.t, "TLS-42, TLS-44: client", tlsio.ErrHandshake)
					if !is[*tls.CertificateVerificationError](cli.err) {
						s.t.Errorf("TLS-42: %v", cli.err)
					}
					srv.is(s.t, "TLS-23: server", tlsio.ErrHandshake)
					if _, ok := errors.AsType[tls.AlertError](srv.err); !ok {
						s.t.Errorf("TLS-23: no alert in %v", srv.err)
					}
					if !isTLS(srv.err) || !isTLS(cli.err) {
						s.t.Errorf("TLS-23: lost for %T and %T", srv.err, cli.err)
					}
				})
			})
		}
	})
}

// TLS-46: with client certificates required, an anonymous client is refused; TLS-50: no
// overlap of ALPN fails on both.
func TestRefusedByServer(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		sc, cc := configs(tls.VersionTLS13)
		sc.ClientAuth, sc.ClientCAs = tls.RequireAndVerifyClientCert, tlstest.NewAuthority("ca").Pool()
		srv, cli := fails(s, sc, cc)
		srv.is(s.t, "TLS-46: server", tlsio.ErrHandshake)
		if a, _ := errors.AsType[tls.AlertError](cli.err); a != 116 { // certificate_required
			s.t.Errorf("TLS-46: %v", cli.err)
		}
	})
	stages(t, []int{0}, func(s *stage) {
		sc, cc := configs(tls.VersionTLS13)
		sc.NextProtos, cc.NextProtos = []string{"a"}, []string{"b"}
		srv, cli := fails(s, sc, cc)
		srv.is(s.t, "TLS-50: server", tlsio.ErrHandshake)
		cli.is(s.t, "TLS-50: client", tlsio.ErrHandshake)
	})
}

// offers is a factory that says which protocols its connections speak.
type offers struct {
	reactor.Factory
	protos []string
}

func (o offers) NextProtos() []string { return o.protos }

// TLS-46: the right client certificate is visible; TLS-50: the server's preference of
// ALPN decides; TLS-51: what is offered comes from the factory, if it says so.
func TestAgreed(t *testing.T) {
	versions(t, func(t *testing.T, v uint16) {
		stages(t, []int{0}, func(s *stage) {
			t := s.t
			sc, cc := configs(v)
			ca := tlstest.NewAuthority("ca")
			sc.ClientAuth, sc.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
			cc.Certificates = []tls.Certificate{ca.Client("cli.test")}
			cc.NextProtos = []string{"b", "a"}
			srv, cli := new(end), new(end)
			for _, e := range []*end{srv, cli} {
				e.onMade = func() {
					if p := e.c.ConnectionState().NegotiatedProtocol; p != "" {
						t.Errorf("TLS-50: the protocol is %q before the handshake", p)
					}
				}
			}
			cli.onShaken = func() { cli.c.Write([]byte("x")); cli.c.Close() }
			f := &offers{one(srv), []string{"a", "b"}}
			s.connect(tlsio.Server(sc, f, nil), tlsio.Client(cc, one(cli), nil))
			s.until(func() bool { return srv.lost() && cli.lost() })
			if srv.state.NegotiatedProtocol != "a" || cli.state.NegotiatedProtocol != "a" || sc.NextProtos != nil {
				t.Errorf("TLS-50, TLS-51: %q, %q, %q", srv.state.NegotiatedProtocol, cli.state.NegotiatedProtocol, sc.NextProtos)
			}
			if c := srv.state.PeerCertificates; len(c) != 1 || c[0].Subject.CommonName != "cli.test" {
				t.Errorf("TLS-46: %v", c)
			}
		})
	})
}

// TLS-24: plaintext in place of a hello.
func TestGarbage(t *testing.T) {
	stages(t, []int{1, 0}, func(s *stage) {
		sc, _ := configs(0)
		srv, cli := new(end), new(end)
		cli.onMade = func() { cli.tr.Write([]byte("GET / HTTP/1.0\r\n\r\n")) }
		s.connect(tlsio.Server(sc, one(srv), nil), one(cli))
		s.until(func() bool { return srv.lost() && cli.lost() })
		srv.is(s.t, "TLS-24: server", tlsio.ErrHandshake)
		if !is[tls.RecordHeaderError](srv.err) {
			s.t.Errorf("TLS-24: %v", srv.err)
		}
	})
}

// Silent peers are cut off in time, and endless ones at the limit of bytes. While they
// last they hold no worker: with a single one, others still get through.
func TestSlowAndLong(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		t := s.t
		sc, cc := configs(0)
		good := new(end)
		o := &tlsio.Options{HandshakeTimeout: 50 * time.Millisecond, HandshakeBytes: 8000, Workers: 1}
		var slow []*end
		f := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			e := new(end)
			slow = append(slow, e)
			return e
		})
		p, err := s.srv.Listen(s.addr, tlsio.Server(sc, f, o), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			e := new(end)
			e.onMade = func() {
				if i%2 == 0 { // the beginning of a hello, and no more
					e.tr.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3})
				}
			}
			s.cli.Dial(p.Addr(), one(e), nil, nil)
		}
		s.until(func() bool { return len(slow) == 20 })
		good.onShaken = func() { good.c.Close() }
		s.cli.Dial(p.Addr(), tlsio.Client(cc, one(good), nil), nil, nil)
		s.until(good.lost)
		good.is(t, "good", reactor.ErrClosed)
		s.until(func() bool { return !slices.ContainsFunc(slow, func(e *end) bool { return !e.lost() }) })
		for _, e := range slow[:20] {
			e.is(t, "slow", tlsio.ErrHandshakeTimeout, tlsio.ErrHandshake, kernel.ErrTimeout)
		}
		long := new(end)
		long.onMade = func() { // a hello that says it is 60,000 bytes
			for range 4 {
				long.tr.Write(append([]byte{22, 3, 1, 0x3a, 0x98, 1, 0, 0xea, 0x60}, make([]byte, 15000-4)...))
			}
		}
		s.cli.Dial(p.Addr(), one(long), nil, nil)
		s.until(func() bool { return len(slow) == 22 && slow[21].lost() })
		slow[21].is(t, "long", tlsio.ErrHandshakeTooLong, tlsio.ErrHandshake)
	})
}

// A handshake that blocks in a callback of the Config holds a worker and nothing else;
// a connection lost meanwhile gives everything back when it returns.
func TestBlockingCallback(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			sc, cc := configs(0)
			release := make(chan struct{})
			cert := sc.Certificates[0]
			blocked := 0
			sc.Certificates = nil
			sc.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				if h.Conn.RemoteAddr() == nil {
					t.Error("no address")
				}
				s.srv.Post(func() { blocked++ })
				<-release
				return &cert, nil
			}
			o := &tlsio.Options{Stack: tlsio.StackPool}
			srv, cli := new(end), new(end)
			s.connect(tlsio.Server(sc, one(srv), o), tlsio.Client(cc, one(cli), o))
			s.until(func() bool { return blocked == 1 })
			srv.c.LimitHandshake(0)
			s.until(func() bool { return srv.lost() && cli.lost() })
			srv.is(t, "server", tlsio.ErrHandshakeTimeout)
			close(release)
			plain, other := new(end), new(end) // the loop goes on
			other.onMade = func() { other.tr.Close() }
			s.connect(one(plain), one(other))
			s.until(plain.lost)
		})
	}
}

// Blocking work of the program, however much, holds up no handshake.
func TestBlockingWork(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			release := make(chan struct{})
			for _, r := range []*reactor.Reactor{s.srv, s.cli} {
				for range 20 {
					if err := r.CallInThread(func() { <-release }); err != nil {
						t.Fatal(err)
					}
				}
			}
			sc, cc := configs(0)
			srv, cli := new(end), new(end)
			srv.onMade = func() { srv.tr.Write([]byte("hello")) }
			s.connect(tlsio.Server(sc, one(srv), nil), tlsio.Client(cc, one(cli), nil))
			s.until(func() bool { return string(cli.got) == "hello" })
			close(release)
		})
	}
}

// On the loop, a callback of the Config may end its own connection, in the midst of the
// handshake.
func TestCallbackAborts(t *testing.T) {
	o := &tlsio.Options{Stack: tlsio.StackLoop}
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			sc, cc := configs(0)
			srv, cli := new(end), new(end)
			sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
				srv.c.Abort()
				return nil, nil
			}
			s.connect(tlsio.Server(sc, one(srv), o), tlsio.Client(cc, one(cli), o))
			s.until(func() bool { return srv.lost() && cli.lost() })
			srv.is(t, "server", reactor.ErrAborted)
			srv.wants(t, "server", "made", "lost")
			cli.is(t, "client", reactor.ErrLost)
		})
	}
}

// TLS-28: a callback of the Config that fails drops the connection; one that panics
// too, and the reactor tells of it.
func TestCallbackFails(t *testing.T) {
	broken := errors.New("no certificate today")
	for _, panics := range []bool{false, true} {
		for name, w := range testworld.Worlds() {
			t.Run(name, func(t *testing.T) {
				told := 0
				var log bytes.Buffer
				r := w.New(t, reactor.Config{
					Logger:   slog.New(slog.NewTextHandler(&log, nil)),
					Panicked: func(*reactor.PanicError) { told++ },
				})
				s := realStage(t, w)
				s.srv = r
				s.until = func(cond func() bool) { t.Helper(); testworld.Until(t, cond, r, s.cli) }
				sc, cc := configs(0)
				cc.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return broken }
				sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
					if panics {
						panic(broken)
					}
					return nil, nil
				}
				srv, cli := fails(s, sc, cc)
				if panics {
					srv.is(t, "TLS-28: server", broken)
					s.until(func() bool { return told == 1 })
					if !is[*reactor.PanicError](srv.err) {
						t.Errorf("TLS-28: %v", srv.err)
					}
					if n := strings.Count(log.String(), "msg=panic "); n != 1 || !strings.Contains(log.String(), broken.Error()) {
						t.Errorf("TLS-28: logged %d times: %s", n, log.String())
					}
				} else {
					cli.is(t, "TLS-28: client", broken, tlsio.ErrHandshake)
				}
			})
		}
	}
}

// Handshakes given up by either side, at any point, leave no goroutine and no coroutine.
func TestNothingLeft(t *testing.T) {
	for _, stack := range []tlsio.Stack{tlsio.StackPool, tlsio.StackLoop} {
		for name, w := range testworld.Worlds() {
			t.Run(name, func(t *testing.T) {
				before := runtime.NumGoroutine()
				r := w.New(t, reactor.Config{})
				s := &stage{t: t, srv: r, cli: r, addr: loopback(), until: func(cond func() bool) { testworld.Until(t, cond, r) }}
				sc, cc := configs(0)
				o := &tlsio.Options{Stack: stack}
				lost := 0
				for i := range 40 {
					srv, cli := new(end), new(end)
					srv.onLost = func() { lost++ }
					cli.onLost = srv.onLost
					cli.onMade = func() {
						cli.c.Write([]byte("x"))
						switch i % 4 {
						case 0:
							cli.c.Abort()
						case 1:
							r.CallLater(time.Duration(i)*50*time.Microsecond, cli.c.Abort)
						case 2:
							r.CallLater(time.Duration(i)*50*time.Microsecond, srv.abort)
						case 3:
							lower, _ := reactor.As[*reactor.Stream](cli.c)
							r.CallLater(time.Duration(i)*50*time.Microsecond, func() { lower.Close() })
						}
					}
					s.connect(tlsio.Server(sc, one(srv), o), tlsio.Client(cc, one(cli), o))
				}
				s.until(func() bool { return lost == 80 })
				r.Close()
				if n := leaktest.Goroutines(before); n > before {
					t.Errorf("%d goroutines before, %d after", before, n)
				}
			})
		}
	}
}

func (e *end) abort() {
	if e.c != nil {
		e.c.Abort()
	}
}

// A reactor that ends in the middle of handshakes leaves nothing either.
func TestReactorEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			sc, cc := configs(0)
			srv, cli := new(end), new(end)
			s.connect(tlsio.Server(sc, one(srv), nil), tlsio.Client(cc, one(cli), nil))
			s.until(func() bool { return srv.tr != nil })
			s.srv.Close()
			srv.is(t, "server", reactor.ErrStopped)
			cli.is(t, "client", reactor.ErrStopped)
		})
	}
	if n := leaktest.Goroutines(before); n > before {
		t.Errorf("%d goroutines before, %d after", before, n)
	}
}

// TLS-8, TLS-7: addresses and options are those below.
func TestTransport(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			srv, cli := new(end), new(end)
			cli.onShaken = func() {
				lower, _ := reactor.As[*reactor.Stream](cli.c)
				if cli.c.Local() != lower.Local() || cli.c.Remote() != lower.Remote() || cli.c.Remote().Port() == 0 {
					t.Errorf("TLS-8: %v, %v", cli.c.Local(), cli.c.Remote())
				}
				if lower.LogPrefix() != "end (TLS),client" {
					t.Errorf("TLS-8: %q", lower.LogPrefix())
				}
				for _, set := range []bool{true, false} {
					o, ok := reactor.As[kernel.TCPConn](cli.c)
					if !ok {
						t.Fatal("TLS-7: no options of TCP")
					}
					err := errors.Join(o.SetNoDelay(set), o.SetKeepAlive(set))
					for of, get := range map[string]func() (bool, error){
						"NoDelay": o.NoDelay, "KeepAlive": o.KeepAlive, "NoDelay below": lower.NoDelay, "KeepAlive below": lower.KeepAlive,
					} {
						is, getErr := get()
						if err = errors.Join(err, getErr); is != set || err != nil {
							t.Errorf("TLS-7: %s is %v, want %v: %v", of, is, set, err)
						}
					}
				}
				if h, ok := reactor.As[reactor.HalfCloser](cli.c); !ok || h != reactor.HalfCloser(cli.c) {
					t.Error("TLS-7: half-close is not TLS's")
				}
				cli.c.WriteVec([][]byte{[]byte("two "), []byte("parts")})
				cli.c.Close()
			}
			s.secure(0, srv, cli)
			s.until(func() bool { return srv.lost() && cli.lost() })
			if string(srv.got) != "two parts" || srv.err != io.EOF {
				t.Errorf("TLS-7: %q, %v", srv.got, srv.err)
			}
		})
	}
}

// What a peer sends while its handshake waits for a worker is bounded too: it is not read
// from until a step has taken what is there.
func TestQueuedHandshakeIsBounded(t *testing.T) {
	r := worldOf(t).New(t, reactor.Config{})
	sc, _ := configs(tls.VersionTLS13)
	block := make(chan struct{})
	sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { <-block; return nil, nil }
	f := tlsio.Server(sc, reactor.Each[quietEnd](), &tlsio.Options{Stack: tlsio.StackPool, Workers: 1})
	var below [2]*under
	for i := range below {
		below[i] = stand(t, r, f)
	}
	hello := clientHello(t, tls.VersionTLS13)
	record := append([]byte{handshakeRecord, 3, 1, byte(len(hello) >> 8), byte(len(hello))}, hello...)
	send := func(i int, p []byte) {
		had := int(below[i].Stats().In)
		below[i].far.Write(p)
		testworld.Until(t, func() bool { return below[i].paused || int(below[i].Stats().In) == had+len(p) }, r)
	}
	send(0, record) // it has the worker
	send(1, make([]byte, 40<<10))
	if below[1].paused {
		t.Error("paused for little")
	}
	send(1, make([]byte, 40<<10))
	if !below[1].paused {
		t.Error("80 KiB wait for a worker, and more is read")
	}
	close(block)
	testworld.Until(t, func() bool { return below[1].ended == "close" && len(below[0].out) > 0 }, r)
}

// stand connects a protocol of f to an under.
func stand(t *testing.T, r *reactor.Reactor, f reactor.Factory) *under {
	t.Helper()
	u := new(under)
	port, err := r.Listen(loopback(), one(&far{u: u}), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Dial(port.Addr(), reactor.FactoryFunc(func(a kernel.Addr) reactor.Protocol { return &near{f.BuildProtocol(a), u} }), nil, nil)
	testworld.Until(t, func() bool { return u.far != nil && u.Stream != nil }, r)
	port.StopListening(nil)
	return u
}

// quietEnd is a protocol that does nothing.
type quietEnd struct{ reactor.Base }

func (*quietEnd) DataReceived([]byte) {}
