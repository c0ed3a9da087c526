package tlsio_test

import (
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// TLS-18: whatever ends a connection, its ConnectionLost comes when the transport below is lost, and
// not before.
func TestLostAfterBelow(t *testing.T) {
	for what, act := range map[string]func(g *rig){
		"Close":              func(g *rig) { g.top.(*end).c.Close() },
		"Abort":              func(g *rig) { g.top.(*end).c.Abort() },
		"a bad record":       func(g *rig) { g.deliver([]byte{23, 3, 3, 0, 1, 0}) },
		"the peer's end":     func(g *rig) { g.p.tls.CloseWrite(); g.pump() },
		"a truncation":       func(g *rig) { g.u.far.CloseWrite() },
		"a reset":            func(g *rig) { g.u.far.Abort() },
		"the transport's":    func(g *rig) { g.u.Stream.Abort() },
		"Close, unanswered":  func(g *rig) { g.u.far.PauseProducing(); g.top.(*end).c.Close() },
		"Abort behind Close": func(g *rig) { g.top.(*end).c.Close(); g.top.(*end).c.Abort() },
	} {
		t.Run(what, func(t *testing.T) {
			top := new(end)
			g := newRig(t, tls.VersionTLS13, top, nil)
			g.pump()
			top.onLost = func() {
				if !g.u.lost {
					t.Error("TLS-18: told before the transport below was lost")
				}
			}
			act(g)
			if top.lost() && !g.u.lost {
				t.Error("TLS-18: told inside the call")
			}
			g.pump()
			g.flow(top.lost)
		})
	}
}

// watcher is a factory that hears how its connection has ended.
type watcher struct {
	reactor.Factory
	ended error
}

func (w *watcher) Unwrap() reactor.Factory                            { return w.Factory }
func (w *watcher) StartedConnecting(*reactor.Connector)               {}
func (w *watcher) ConnectionFailed(_ *reactor.Connector, err error)   { w.ended = err }
func (w *watcher) ConnectionEnded(_ *reactor.Connector, reason error) { w.ended = reason }

// TLS-25: Abort resets the transport below, in a handshake too, and tells everybody on our side
// ErrAborted: the protocol, the producer before it, and the connector.
func TestAbortTellsAll(t *testing.T) {
	for _, early := range []bool{false, true} {
		stages(t, []int{0}, func(s *stage) {
			srv, cli := new(end), new(end)
			p := &source{t: s.t}
			abort := func() { cli.c.RegisterProducer(p); cli.c.Abort() }
			if early {
				cli.onMade = func() { s.cli.Post(abort) }
			} else {
				cli.onShaken = abort
			}
			cli.onLost = func() {
				if !p.stopped {
					s.t.Error("TLS-32: the producer was not stopped before")
				}
			}
			sc, cc := configs(tls.VersionTLS13)
			w := &watcher{Factory: tlsio.Client(cc, one(cli), nil)}
			s.connect(tlsio.Server(sc, one(srv), nil), w)
			s.until(func() bool { return srv.lost() && cli.lost() && w.ended != nil })
			if cli.err != reactor.ErrAborted || w.ended != reactor.ErrAborted {
				s.t.Errorf("TLS-25: the protocol was told %v, the connector %v", cli.err, w.ended)
			}
			if !errors.Is(srv.err, kernel.ErrReset) && !errors.Is(srv.err, kernel.ErrBroken) {
				s.t.Errorf("TLS-25: the peer saw %v, want a reset", srv.err)
			}
		})
	}
}

// TLS-54, TLS-58: Workers above zero limits the callbacks that block too, and StatsOf tells those that
// wait for a worker from those that have one.
func TestWorkersLimitBlocked(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			sc, cc := configs(0)
			release := make(chan struct{})
			sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { <-release; return nil, nil }
			p, err := s.srv.Listen(s.addr, tlsio.Server(sc, reactor.Each[quietEnd](), &tlsio.Options{Workers: 2}), nil)
			if err != nil {
				t.Fatal(err)
			}
			var all []*end
			for range 5 {
				e := new(end)
				all = append(all, e)
				s.cli.Dial(p.Addr(), tlsio.Client(cc, one(e), nil), nil, nil)
			}
			want := tlsio.Stats{Pending: 5, Queued: 3, Running: 2}
			s.until(func() bool { st := tlsio.StatsOf(s.srv); return st.Queued+st.Running == 5 })
			looked := false
			s.srv.CallLater(50*time.Millisecond, func() { looked = true }) // five times what makes a step a blocked one
			s.until(func() bool { return looked })
			if st := tlsio.StatsOf(s.srv); st != want {
				t.Errorf("TLS-54, TLS-58: %+v, want %+v", st, want)
			}
			close(release)
			for _, e := range all {
				s.until(func() bool { return e.saw("shaken") })
			}
			s.until(func() bool { return tlsio.StatsOf(s.srv) == tlsio.Stats{} })
		})
	}
}

// lone is a transport that is not the reactor's, so it does not end with it.
type lone struct {
	reactor.Transport
	r     *reactor.Reactor
	ended bool
}

func (l *lone) Reactor() *reactor.Reactor   { return l.r }
func (l *lone) Local() kernel.Addr          { return kernel.Addr{} }
func (l *lone) Remote() kernel.Addr         { return kernel.Addr{} }
func (l *lone) Write(p []byte) (int, error) { return len(p), nil }
func (l *lone) Close() error                { l.ended = true; return nil }
func (l *lone) Abort()                      { l.ended = true }

// A handshake that begins while the reactor ends, when no worker is left, fails with that reason. Nothing
// of it is pending.
func TestHandshakeWhileReactorEnds(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			sc, _ := configs(tls.VersionTLS13)
			hello := clientHello(t, tls.VersionTLS13)
			srv, l := new(end), &lone{r: r}
			var st tlsio.Stats
			r.AddTrigger(reactor.During, reactor.Shutdown, func() {
				p := tlsio.Server(sc, one(srv), nil).BuildProtocol(kernel.Addr{})
				p.ConnectionMade(l)
				p.DataReceived(append([]byte{22, 3, 1, byte(len(hello) >> 8), byte(len(hello))}, hello...))
				st = tlsio.StatsOf(r)
				p.ConnectionLost(reactor.ErrClosed)
			})
			testworld.Turns(t, r, 1)
			r.Close()
			if !errors.Is(srv.err, pool.ErrStopped) || !errors.Is(srv.err, tlsio.ErrHandshake) || !l.ended || st != (tlsio.Stats{}) {
				t.Errorf("lost with %v, ended %v, %+v", srv.err, l.ended, st)
			}
		})
	}
}
