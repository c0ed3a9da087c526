package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// TLS-16, TLS-17: both sides still deliver what they had written when one closes, the
// second too if it writes in answer to nothing but the end; and the lower transport's
// loss comes first (TLS-18).
func TestCloseFlushes(t *testing.T) {
	stages(t, []int{3, 0}, func(s *stage) {
		t := s.t
		big := pattern(30_000)
		if s.chunk > 0 {
			big = big[:3000] // a call to the system for every piece
		}
		srv, cli := new(end), new(end)
		cli.onShaken = func() {
			cli.c.Write(big)
			cli.c.Close()
			cli.c.Close() // TLS-19: nothing more
			if _, err := cli.c.Write([]byte("late")); err != reactor.ErrClosed {
				t.Errorf("TLS-19: write after Close: %v", err)
			}
			if cli.lost() {
				t.Error("TLS-18: lost within Close")
			}
		}
		for _, e := range []*end{srv, cli} {
			e.onLost = func() {
				if lower, _ := reactor.As[*reactor.Stream](e.c); lower.Protocol() == nil {
					return
				} else if _, err := lower.Write([]byte("x")); err == nil {
					t.Error("TLS-18: lost before the transport below")
				}
			}
		}
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return srv.lost() && cli.lost() })
		if !bytes.Equal(srv.got, big) {
			t.Errorf("TLS-16: %d bytes of %d", len(srv.got), len(big))
		}
		srv.is(t, "TLS-17: server", io.EOF)
		cli.is(t, "TLS-16: client", reactor.ErrClosed)
	})
}

// TLS-17: the side that hears close_notify first still sends what it had queued.
func TestPeerClosedFirst(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		big := pattern(200_000)
		srv, cli := new(halfEnd), new(halfEnd)
		cli.onShaken = func() { cli.c.CloseWrite() }
		srv.onReadLost = func() {
			srv.c.Write(big)
			srv.c.Close()
		}
		cli.onReadLost = func() { cli.c.Close() }
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return srv.lost() && cli.lost() })
		if !bytes.Equal(cli.got, big) {
			s.t.Errorf("TLS-17: %d bytes of %d", len(cli.got), len(big))
		}
		cli.wants(s.t, "TLS-27: client", "made", "shaken", "write lost", "data", "read lost", "lost")
		srv.wants(s.t, "TLS-27: server", "made", "shaken", "read lost", "lost")
		srv.is(s.t, "server", reactor.ErrClosed)
		cli.is(s.t, "client", reactor.ErrClosed)
	})
}

// TLS-27: CloseWrite ends one direction by close_notify, and the peer without an
// interest in halves ends the connection, cleanly.
func TestCloseWrite(t *testing.T) {
	stages(t, []int{1, 0}, func(s *stage) {
		srv, cli := new(end), new(halfEnd)
		cli.onShaken = func() {
			cli.c.Write([]byte("all of it"))
			cli.c.CloseWrite()
			cli.c.CloseWrite()
		}
		cli.onWriteLost = func() {
			if _, err := cli.c.Write([]byte("x")); err != reactor.ErrWriteClosed {
				s.t.Errorf("TLS-27: write after CloseWrite: %v", err)
			}
		}
		cli.onReadLost = func() { cli.c.Close() }
		srv.onData = func(p []byte) { srv.c.Write(bytes.ToUpper(p)) }
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return srv.lost() && cli.lost() })
		if string(cli.got) != "ALL OF IT" || srv.err != io.EOF || cli.err != reactor.ErrClosed {
			s.t.Errorf("TLS-27: %q, %v, %v", cli.got, srv.err, cli.err)
		}
	})
}

// TLS-21: Close in ConnectionMade with nothing written resets before a handshake; with
// something written, the handshake runs and it arrives.
func TestCloseAtOnce(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		t := s.t
		srv, cli := new(end), new(end)
		cli.onMade = func() { cli.c.Close() }
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return srv.lost() && cli.lost() })
		cli.is(t, "TLS-21: client", reactor.ErrAborted)
		srv.is(t, "TLS-21: server", reactor.ErrLost)
		cli.wants(t, "TLS-21: client", "made", "lost")
	})
	stages(t, []int{0}, func(s *stage) {
		t := s.t
		srv, cli := new(end), new(end)
		cli.onMade = func() {
			cli.c.Write([]byte("bye"))
			cli.c.Close()
			if _, err := cli.c.Write([]byte("late")); err != reactor.ErrClosed {
				t.Errorf("TLS-19: write after a Close in the handshake: %v", err)
			}
		}
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return srv.lost() && cli.lost() })
		if string(srv.got) != "bye" || srv.err != io.EOF || cli.err != reactor.ErrClosed {
			t.Errorf("TLS-21: %q, %v, %v", srv.got, srv.err, cli.err)
		}
	})
}

// TLS-25, TLS-15: Abort sends no alert, delivers nothing more and drops what was
// written; in HandshakeCompleted also what ConnectionMade had written.
func TestAbort(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		t := s.t
		srv, cli := new(end), new(end)
		cli.onMade = func() { cli.c.Write([]byte("never")) }
		cli.onShaken = func() {
			cli.c.Abort()
			if cli.lost() {
				t.Error("TLS-25: lost within Abort")
			}
		}
		srv.onShaken = func() { srv.c.Write(pattern(1000)) }
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return srv.lost() && cli.lost() })
		cli.wants(t, "TLS-25: client", "made", "shaken", "lost")
		cli.is(t, "TLS-25: client", reactor.ErrAborted)
		if len(srv.got) != 0 {
			t.Errorf("TLS-15: %q was delivered", srv.got)
		}
		srv.is(t, "TLS-25: server", reactor.ErrLost) // and no alert: not ErrClosed, not io.EOF
		if e := (tls.AlertError)(0); errors.As(srv.err, &e) {
			t.Errorf("TLS-25: alert %v", e)
		}
	})
	stages(t, []int{0}, func(s *stage) { // it cuts short a Close in progress
		srv, cli := new(end), new(end)
		cli.onShaken = func() { cli.c.Write([]byte("x")); cli.c.Close(); cli.c.Abort() }
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return srv.lost() && cli.lost() })
		cli.is(s.t, "TLS-25: client", reactor.ErrAborted)
	})
}

// TLS-26: a peer that never answers close_notify does not keep the connection, also if
// our reading was paused; and one that takes nothing does not either.
func TestCloseTimeout(t *testing.T) {
	for _, write := range []int{0, 20 << 20} {
		stages(t, []int{0}, func(s *stage) {
			srv, cli := new(end), new(end)
			srv.onShaken = func() {
				lower, _ := reactor.As[*reactor.Stream](srv.c)
				lower.PauseProducing() // it hears nothing any more
				srv.c.Write([]byte("deaf"))
			}
			cli.onData = func([]byte) {
				cli.c.PauseProducing()
				cli.c.Write(make([]byte, write))
				cli.c.Close()
			}
			sc, cc := configs(tls.VersionTLS13)
			s.connect(tlsio.Server(sc, one(srv), nil), tlsio.Client(cc, one(cli), &tlsio.Options{CloseTimeout: 20 * time.Millisecond}))
			s.until(cli.lost)
			cli.is(s.t, "TLS-26: client", tlsio.ErrCloseTimeout, kernel.ErrTimeout)
			srv.c.Abort()
			s.until(srv.lost)
		})
	}
}

// TLS-26: a Close while reading is paused still hears the peer's close_notify.
func TestClosePaused(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		srv, cli := new(end), new(end)
		cli.onShaken = func() { cli.c.PauseProducing(); cli.c.Write([]byte("x")); cli.c.Close() }
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return srv.lost() && cli.lost() })
		if cli.err != reactor.ErrClosed || srv.err != io.EOF {
			s.t.Errorf("TLS-26: %v and %v", cli.err, srv.err)
		}
	})
}

// source is a producer that writes some pieces, noting pauses and resumes.
type source struct {
	t        *testing.T
	c        *tlsio.Conn
	left     int
	paused   bool
	pauses   int
	stopped  bool
	finished func()
}

func (p *source) PauseProducing() {
	if p.paused {
		p.t.Error("TLS-31: paused twice")
	}
	p.paused = true
	p.pauses++
}

func (p *source) ResumeProducing() {
	if !p.paused {
		p.t.Error("TLS-31: resumed though not paused")
	}
	p.paused = false
	p.produce()
}

func (p *source) StopProducing() { p.stopped = true }

func (p *source) produce() {
	piece := make([]byte, 10_000)
	for !p.paused && p.left > 0 {
		p.left--
		if _, err := p.c.Write(piece); err != nil {
			p.t.Errorf("TLS-20: %v", err)
		}
	}
	if p.left == 0 && p.finished != nil {
		f := p.finished
		p.finished = nil
		f()
	}
}

// TLS-20, TLS-29, TLS-31: a producer from ConnectionMade on, paused and resumed in
// turn; Close waits until it has finished, and what it writes meanwhile arrives.
func TestProducer(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		t := s.t
		srv, cli := new(end), new(end)
		p := &source{t: t, left: 2000}
		srv.onShaken = func() { srv.c.PauseProducing() }
		cli.onMade = func() {
			p.c = cli.c
			if err := cli.c.RegisterProducer(p); err != nil {
				t.Error(err)
			}
			if err := cli.c.RegisterProducer(p); !errors.Is(err, reactor.ErrProducerRegistered) {
				t.Errorf("TLS-32: second registration: %v", err)
			}
			p.finished = func() { cli.c.UnregisterProducer(); cli.c.UnregisterProducer() } // TLS-32: twice is fine
			p.produce()
			cli.c.Close()
		}
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return p.pauses >= 2 && srv.saw("shaken") })
		srv.c.ResumeProducing()
		s.until(func() bool { return srv.lost() && cli.lost() })
		if len(srv.got) != 20_000_000 || p.pauses < 2 || p.stopped {
			t.Errorf("TLS-20, TLS-29: %d bytes, %d pauses, stopped %v", len(srv.got), p.pauses, p.stopped)
		}
		cli.is(t, "client", reactor.ErrClosed)
		late := &source{t: t}
		if cli.c.RegisterProducer(late); !late.stopped {
			t.Error("TLS-32: a producer of a lost connection is not stopped")
		}
	})
}

// TLS-32: a loss below stops the producer before ConnectionLost.
func TestProducerStopped(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		srv, cli := new(end), new(end)
		p := &source{t: s.t}
		cli.onShaken = func() { cli.c.RegisterProducer(p) }
		cli.onLost = func() {
			if !p.stopped {
				s.t.Error("TLS-32: lost before the producer was stopped")
			}
		}
		srv.onShaken = func() { srv.c.Abort() }
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return srv.lost() && cli.lost() })
	})
}

// A Close that could not send everything does not say that it did: the reason is why the
// connection below was lost (TLS-16).
func TestCloseUnsent(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			sc, cc := configs(0)
			srv, cli := new(end), new(end)
			size := 32 << 20
			if w.Simulated() {
				size = 1 << 20
			}
			srv.onMade = func() { srv.tr.Write(make([]byte, size)); srv.tr.Close() }
			cli.onData = func([]byte) { cli.tr.Abort() }
			s.connect(tlsio.Server(sc, one(srv), nil), tlsio.Client(cc, one(cli), nil))
			s.until(func() bool { return srv.lost() && cli.lost() })
			if srv.err == reactor.ErrClosed || !errors.Is(srv.err, kernel.ErrReset) && !errors.Is(srv.err, kernel.ErrBroken) {
				t.Errorf("TLS-16: %d bytes were not sent, and it was lost with %v", size, srv.err)
			}
		})
	}
}
