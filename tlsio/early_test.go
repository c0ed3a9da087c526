package tlsio_test

import (
	"crypto/tls"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// TLS-15: nothing of what ConnectionMade has written, however much, leaves before
// HandshakeCompleted returns, and nothing at all if that aborts.
func TestAbortBeforeFlush(t *testing.T) {
	roles(t, func(t *testing.T, v uint16, client bool) {
		sent := 0
		for _, much := range []int{0, 60_000} {
			top := new(end)
			top.onMade = func() { top.c.Write(make([]byte, much)) }
			sc, cc := configs(v)
			ours, theirs := sc, cc
			if client {
				ours, theirs = cc, sc
			}
			theirs.SessionTicketsDisabled = true
			g := new(rig)
			top.onShaken = func() {
				if much > 0 && g.u.written > sent+100 { // signatures differ in length
					t.Errorf("TLS-15: %d bytes have left before HandshakeCompleted, want some %d", g.u.written, sent)
				}
				top.c.Abort()
			}
			first := rigOf(t, ours, theirs, new(end), nil, client)
			*g = *first.another(top)
			g.pump()
			if !top.saw("shaken") || g.u.ended != "abort" {
				t.Fatalf("TLS-15: %q, ended by %q", top.events, g.u.ended)
			}
			if much == 0 {
				sent = g.u.written
			} else if g.u.written > sent+100 || len(g.p.got) > 0 {
				t.Errorf("TLS-15: %d bytes were sent, want some %d; %d were delivered", g.u.written, sent, len(g.p.got))
			}
		}
	})
}

// TLS-20, TLS-21: a Close in the handshake waits for a producer that is still silent: the handshake
// runs, what the producer writes before and after it arrives in order, and the end is clean.
func TestCloseWithSilentProducer(t *testing.T) {
	for _, early := range []string{"", "early "} {
		stages(t, []int{3, 0}, func(s *stage) {
			srv, cli := new(halfEnd), new(end)
			p := &source{t: s.t}
			cli.onMade = func() {
				if err := cli.c.RegisterProducer(p); err != nil {
					s.t.Error(err)
				}
				cli.c.Close()
				if _, err := cli.c.Write([]byte(early)); err != nil {
					s.t.Errorf("TLS-20: %v", err)
				}
			}
			srv.onReadLost = func() { srv.c.Close() }
			s.secure(tls.VersionTLS13, srv, cli)
			s.until(func() bool { return cli.saw("shaken") && srv.saw("shaken") && string(srv.got) == early || cli.lost() })
			waited := false
			s.cli.CallLater(20*time.Millisecond, func() { waited = true })
			s.until(func() bool { return waited })
			if srv.saw("read lost") || cli.lost() {
				s.t.Fatalf("TLS-20: the Close did not wait: %q, %v", srv.events, cli.err)
			}
			if _, err := cli.c.Write([]byte("late")); err != nil {
				s.t.Errorf("TLS-20: %v", err)
			}
			cli.c.UnregisterProducer()
			if _, err := cli.c.Write([]byte("never")); err != reactor.ErrClosed {
				s.t.Errorf("TLS-19: a write without a producer: %v", err)
			}
			s.until(func() bool { return srv.lost() && cli.lost() })
			if string(srv.got) != early+"late" || p.stopped {
				s.t.Errorf("TLS-20: %q arrived, stopped %v", srv.got, p.stopped)
			}
			cli.is(s.t, "TLS-21: client", reactor.ErrClosed)
			srv.wants(s.t, "TLS-21: server", "made", "shaken", "data", "read lost", "lost")
		})
	}
}

// TLS-21: CloseWrite is something to be sent, so a Close behind it lets the handshake run.
func TestCloseWriteThenClose(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		srv, cli := new(end), new(end)
		cli.onMade = func() { cli.c.CloseWrite(); cli.c.Close() }
		s.secure(tls.VersionTLS13, srv, cli)
		s.until(func() bool { return srv.lost() && cli.lost() })
		srv.wants(s.t, "TLS-21: server", "made", "shaken", "lost")
		if srv.err != io.EOF || cli.err != reactor.ErrClosed {
			s.t.Errorf("TLS-21: lost for %v and %v", srv.err, cli.err)
		}
	})
}

// TLS-29: reading that was paused stays paused when TLS begins. The handshake runs all the same.
func TestStartPaused(t *testing.T) {
	for _, below := range []bool{false, true} {
		for _, paused := range []bool{true, false} {
			stages(t, []int{3, 0}, func(s *stage) {
				srv, cli := new(end), new(end)
				srv.onMade = func() {
					if p, _ := reactor.As[reactor.Producer](srv.tr); paused {
						p.PauseProducing()
					}
				}
				begin(s, below, srv, cli, nil)
				cli.onShaken = func() { cli.c.Write([]byte("question")) }
				s.until(func() bool { return srv.saw("shaken") && cli.saw("shaken") })
				looked := false
				s.srv.CallLater(20*time.Millisecond, func() { looked = true })
				s.until(func() bool { return looked })
				if paused && len(srv.got) > 0 {
					s.t.Errorf("TLS-29: %q was delivered though paused", srv.got)
				}
				if paused {
					srv.c.ResumeProducing()
				}
				s.until(func() bool { return string(srv.got) == "question" })
				srv.c.Abort()
				s.until(func() bool { return srv.lost() && cli.lost() })
			})
		}
	}
}

// a panic in one of several connections that are settled in the same call does not keep the
// others from being settled.
func TestPanicAmongOthers(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			told := 0
			r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { told++ }})
			s := &stage{t: t, srv: r, cli: r, addr: loopback(), until: func(cond func() bool) { t.Helper(); testworld.Until(t, cond, r) }}
			broken := errors.New("broken protocol")
			bad := &halfEnd{onWriteLost: func() { panic(broken) }}
			before, after, ends := new(end), new(end), [3]*end{new(end), new(end), new(end)}
			for i, cli := range []reactor.Protocol{before, bad, after} {
				s.secure(tls.VersionTLS13, ends[i], cli)
			}
			s.until(func() bool { return before.saw("shaken") && bad.saw("shaken") && after.saw("shaken") })
			testworld.Turns(t, r, 3)
			r.Post(func() { // all three are to be settled in the next turn, in this order
				before.c.Write([]byte("before"))
				bad.c.CloseWrite()
				after.c.Write([]byte("after"))
			})
			late := false
			guard := r.CallLater(5*time.Second, func() { late = true })
			s.until(func() bool {
				return late || bad.lost() && string(ends[0].got) == "before" && string(ends[2].got) == "after"
			})
			guard.Cancel()
			if late {
				t.Errorf("X-1: %q and %q have arrived", ends[0].got, ends[2].got)
			}
			if !errors.Is(bad.err, broken) || told != 1 || before.lost() || after.lost() {
				t.Errorf("X-1: lost for %v, %v, %v, told %d times", before.err, bad.err, after.err, told)
			}
		})
	}
}

// The limit of a handshake ends with it, also if it has failed: no call is left that would end
// the connection while its alert is being sent.
func TestNoLimitAfterFailure(t *testing.T) {
	for what, fail := range map[string]func(g *rig, top *end){
		"a bad hello":      func(g *rig, _ *end) { g.deliver([]byte{22, 3, 1, 0, 5, 1, 0, 0, 1, 0}) },
		"an abort":         func(_ *rig, top *end) { top.c.Abort() },
		"no fault at all":  func(g *rig, top *end) { g.pump(); top.c.Abort() },
		"the peer's reset": func(g *rig, _ *end) { g.u.far.Abort(); g.flow(always) },
	} {
		for _, stack := range []tlsio.Stack{tlsio.StackPool, tlsio.StackLoop} {
			t.Run(what, func(t *testing.T) {
				top := new(end)
				sc, cc := configs(tls.VersionTLS13)
				g := rigOf(t, sc, cc, top, &tlsio.Options{Stack: stack, HandshakeTimeout: time.Hour}, false)
				fail(g, top)
				g.flow(func() bool { return g.u.lost })
				g.u.far.Abort()
				g.n.Run(time.Minute) // whatever lingers is over
				if n := g.r.Stats().Pending; n != 0 {
					t.Errorf("%d delayed calls are left", n)
				}
				if st := tlsio.StatsOf(g.r); st != (tlsio.Stats{}) {
					t.Errorf("TLS-58: %+v", st)
				}
			})
		}
	}
}

// What a peer sends while its handshake computes is bounded: beyond 64 KiB it is not read from until
// the step has returned. What was kept is then taken.
func TestAheadIsBounded(t *testing.T) {
	top := new(end)
	g := newRig(t, tls.VersionTLS13, top, nil)
	g.n.Options.Work = sim.Latency{Min: time.Second, Max: time.Second}
	hello := g.p.out
	g.p.out = nil
	g.deliver(hello) // the step runs from now on for a second
	g.deliver(make([]byte, 60<<10))
	if g.u.paused {
		t.Error("paused for 60 KiB")
	}
	g.deliver(make([]byte, 10<<10))
	if !g.u.paused {
		t.Error("70 KiB came while a step computes, and more is read")
	}
	came := int(g.u.Stats().In)
	g.deliver(make([]byte, 200<<10))
	if now := int(g.u.Stats().In); now != came {
		t.Errorf("%d bytes were read though paused", now-came)
	}
	g.flow(top.lost)
	top.is(t, "it", tlsio.ErrHandshake)
}

// The limit on what has come ahead ends with the step, and a handshake of which much has
// come at once succeeds.
func TestAheadIsTaken(t *testing.T) {
	ca := trusted().ca
	top := new(end)
	sc, cc := configs(tls.VersionTLS13)
	sc.ClientAuth, sc.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
	cc.Certificates = []tls.Certificate{padded(t, ca, ca.Client("alice"), 200<<10)}
	g := rigOf(t, sc, cc, top, nil, false)
	g.n.Options.Work = sim.Latency{Min: time.Second, Max: time.Second}
	g.n.Options.Chunk = 4000 // so that some is still below when reading pauses
	pauses := 0
	g.cut = len(g.p.out) + 1000 // the rest of the chain comes while a step computes
	for range 60 {
		g.pump()
		g.n.Run(300 * time.Millisecond)
		if g.u.paused {
			pauses++
		}
	}
	g.p.tls.Write([]byte("data"))
	g.pump()
	if string(top.got) != "data" || g.u.paused || top.lost() {
		t.Errorf("%q, paused %v, lost for %v", top.got, g.u.paused, top.err)
	}
	if pauses == 0 {
		t.Error("it was never paused, so nothing was tried")
	}
}
