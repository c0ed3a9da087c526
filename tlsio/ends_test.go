package tlsio_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// TLS-22, TLS-23: close_notify in a handshake is no clean end, to neither side.
func TestClosedInHandshake(t *testing.T) {
	closeNotify := []byte{alertRecord, 3, 1, 0, 2, 1, 0}
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			for _, server := range []bool{true, false} {
				s := realStage(t, w)
				sc, cc := configs(0)
				ours, other := new(end), new(end)
				other.onMade = func() { other.tr.Write(closeNotify) }
				if server {
					s.connect(tlsio.Server(sc, one(ours), nil), one(other))
				} else {
					s.connect(one(other), tlsio.Client(cc, one(ours), nil))
				}
				s.until(ours.lost)
				ours.is(t, "TLS-23", tlsio.ErrHandshake, tlsio.ErrHandshakeClosed, io.ErrUnexpectedEOF, reactor.ErrLost)
				if errors.Is(ours.err, io.EOF) {
					t.Errorf("TLS-22: %v is io.EOF", ours.err)
				}
				other.tr.(*reactor.Stream).Abort()
				s.until(other.lost)
			}
		})
	}
}

// TLS-22: an error of a callback that is io.EOF or ErrClosed does not look like a clean end either.
// All else that is in it is found.
func TestCleanEndOfCallback(t *testing.T) {
	odd := errors.New("odd")
	for _, clean := range []error{io.EOF, reactor.ErrClosed, fmt.Errorf("%w and %w of %w", odd, io.EOF, reactor.ErrClosed)} {
		s := simStage(t, 1, 0)
		sc, cc := configs(0)
		sc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, clean }
		srv, _ := fails(s, sc, cc)
		srv.is(t, "TLS-28: server", tlsio.ErrHandshake)
		if errors.Is(srv.err, io.EOF) || errors.Is(srv.err, reactor.ErrClosed) || errors.Is(clean, odd) && !errors.Is(srv.err, odd) {
			t.Errorf("TLS-22: %v", srv.err)
		}
	}
}

// TLS-20: a Close that waits for a producer is not cut short by the peer's end, and says ErrClosed only
// after close_notify. If the peer resets the connection meanwhile, it says so.
func TestCloseUntilNotified(t *testing.T) {
	for _, reset := range []bool{false, true} {
		for name, w := range testworld.Worlds() {
			t.Run(fmt.Sprintf("reset=%v/%s", reset, name), func(t *testing.T) {
				const size = 100_000
				s := realStage(t, w)
				sc, cc := configs(tls.VersionTLS13)
				srv, cli := new(end), newSpeaker(t, cc)
				p := &source{t: t}
				srv.onShaken = func() {
					srv.c.RegisterProducer(p)
					srv.c.Write([]byte("x"))
					srv.c.Close()
				}
				s.connect(tlsio.Server(sc, one(srv), nil), one(cli))
				s.until(func() bool { return len(cli.p.got) == 1 })
				lower, _ := reactor.As[*reactor.Stream](srv.c)
				if reset {
					cli.t.(*reactor.Stream).Abort()
					s.until(srv.lost)
					if !errors.Is(srv.err, kernel.ErrReset) {
						t.Errorf("TLS-20: close_notify was not sent, and it was lost for %v", srv.err)
					}
					return
				}
				cli.t.(*reactor.Stream).CloseWrite()
				s.until(func() bool { return !lower.Producing() })
				testworld.Turns(t, s.srv, 3)
				srv.c.Write(make([]byte, size))
				srv.c.UnregisterProducer()
				s.until(func() bool { return srv.lost() && cli.p.err != nil })
				if len(cli.p.got) != 1+size || cli.p.err != io.EOF || srv.err != reactor.ErrClosed {
					t.Errorf("TLS-20: %d bytes arrived, then %v; it was lost for %v", len(cli.p.got), cli.p.err, srv.err)
				}
				cli.t.(*reactor.Stream).Abort()
				s.until(func() bool { return cli.err != nil })
			})
		}
	}
}

// A close does not destroy what was sent, although the peer goes on sending and the socket
// has input that nobody has read.
func TestCloseWhilePeerSends(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		const size = 300_000
		sc, cc := configs(tls.VersionTLS13)
		srv, cli := new(end), newSpeaker(s.t, cc)
		srv.onData = func([]byte) { srv.c.Write(make([]byte, size)); srv.c.Close() }
		cli.onReady = func() { cli.p.tls.Write(make([]byte, 1<<20)) }
		answered := false
		s.connect(tlsio.Server(sc, one(srv), nil), one(cli))
		s.until(func() bool {
			if cli.p.err == io.EOF && !answered { // close_notify, and more behind it
				answered = true
				cli.p.tls.CloseWrite()
				cli.send()
				cli.t.Write(make([]byte, 500_000))
			}
			return srv.lost() && (cli.ended || cli.err != nil)
		})
		if len(cli.p.got) != size || cli.p.err != io.EOF || cli.err != nil || srv.err != reactor.ErrClosed {
			s.t.Errorf("%d bytes of %d arrived, then %v and %v; the server was lost for %v", len(cli.p.got), size, cli.p.err, cli.err, srv.err)
		}
		cli.t.(*reactor.Stream).Abort()
		s.until(func() bool { return cli.err != nil })
	})
}

// TLS-26: the period is counted from the last progress: the peer took something of what was
// to be sent, or answered. Progress is noticed within a thirty-second of the period.
func TestCloseTimeoutFromProgress(t *testing.T) {
	const period = 5 * time.Second
	for _, takes := range []time.Duration{0, 100 * time.Millisecond, 4900 * time.Millisecond, 12 * time.Second} {
		n := sim.New(1)
		defer n.Close()
		n.Options.SendBuffer, n.Options.RecvBuffer = 4<<10, 4<<10
		n.Options.Latency = sim.Latency{Min: 10 * time.Millisecond, Max: 10 * time.Millisecond}
		srvHost, cliHost := n.Host("srv"), n.Host("cli")
		sc, cc := configs(tls.VersionTLS13)
		srv, cli := new(end), newSpeaker(t, cc)
		cli.onReady = func() { cli.p.tls.Write([]byte("x")) }
		var closed, progress time.Duration
		srv.onData = func([]byte) {
			srv.c.Write(make([]byte, 10<<20))
			srv.c.Close()
			closed = n.Now()
			progress = closed
			below, _ := reactor.As[*reactor.Stream](srv.c)
			sent := below.Stats().Sent
			var watch reactor.DelayedCall
			watch.Init(srvHost.Reactor, func() {
				if now := below.Stats().Sent; now != sent {
					sent, progress = now, n.Now()
				}
				if !srv.lost() {
					watch.Reset(time.Millisecond)
				}
			})
			watch.Reset(0)
			lower := cli.t.(*reactor.Stream)
			lower.PauseProducing()
			if takes > 0 { // a little, until then
				var sip reactor.DelayedCall
				sip.Init(cliHost.Reactor, func() {
					lower.ResumeProducing()
					cliHost.Reactor.CallLater(time.Millisecond, lower.PauseProducing)
					if n.Now()+50*time.Millisecond <= closed+takes {
						sip.Reset(50 * time.Millisecond)
					}
				})
				sip.Reset(50 * time.Millisecond)
			}
		}
		p, err := srvHost.Reactor.Listen(srvHost.Addr(443), tlsio.Server(sc, one(srv), nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		cliHost.Reactor.Dial(p.Addr(), one(cli), nil, nil)
		if err := n.RunUntil(srv.lost, time.Hour); err != nil {
			t.Fatal(err)
		}
		srv.is(t, "TLS-26", tlsio.ErrCloseTimeout)
		took := n.Now() - progress
		if took < period-2*time.Millisecond || took > period+period/32+2*time.Millisecond {
			t.Errorf("TLS-26: with progress until %v after the close, it ended %v after the last", progress-closed, took)
		}
		if progress-closed < takes-100*time.Millisecond {
			t.Errorf("progress ended %v after the close, want %v", progress-closed, takes)
		}
	}
}

// TLS-26: if everything was sent, the period is exact: it is counted from our close_notify,
// and from the peer's. Then the connection is reset. TLS-16: so long a Close waits for the peer's
// close_notify.
func TestCloseTimeoutIsExact(t *testing.T) {
	n := sim.New(1)
	defer n.Close()
	srvHost, cliHost := n.Host("srv"), n.Host("cli")
	sc, cc := configs(tls.VersionTLS13)
	srv, cli := new(end), newSpeaker(t, cc)
	cli.onReady = func() { cli.p.tls.Write([]byte("x")) }
	var closed time.Duration
	srv.onData = func([]byte) { srv.c.Close(); closed = n.Now() }
	o := &tlsio.Options{CloseTimeout: 7 * time.Second}
	p, err := srvHost.Reactor.Listen(srvHost.Addr(443), tlsio.Server(sc, one(srv), o), nil)
	if err != nil {
		t.Fatal(err)
	}
	cliHost.Reactor.Dial(p.Addr(), one(cli), nil, nil)
	if err := n.RunUntil(srv.lost, time.Hour); err != nil {
		t.Fatal(err)
	}
	if took := n.Now() - closed; took != 7*time.Second {
		t.Errorf("TLS-16, TLS-26: it ended after %v", took)
	}
	srv.is(t, "TLS-26", tlsio.ErrCloseTimeout)
	if err := n.RunUntil(func() bool { return cli.err != nil }, time.Minute); err != nil || !errors.Is(cli.err, kernel.ErrReset) {
		t.Errorf("TLS-26: the peer sees %v, want a reset; %v", cli.err, err)
	}
}

// TLS-16: a Close says that all went well only if everything was sent, close_notify included.
// A failure to write tells that something was not; one to read tells nothing about it.
func TestCloseReason(t *testing.T) {
	op := func(op string) error { return &reactor.OpError{Op: op, Err: kernel.ErrReset} }
	truncated := func(err error) bool {
		e, ok := errors.AsType[*tlsio.Error](err)
		return ok && e.Op == "close" && errors.Is(err, tlsio.ErrTruncated) && !errors.Is(err, io.EOF) && !errors.Is(err, reactor.ErrClosed)
	}
	closed := func(err error) bool { return err == reactor.ErrClosed }
	reset := func(err error) bool { return errors.Is(err, kernel.ErrReset) }
	for what, c := range map[string]struct {
		sent bool // close_notify, and all that stands before it
		err  error
		want func(err error) bool
	}{
		"a read fails, all sent":   {true, op("read"), closed},
		"a read fails, unsent":     {false, op("read"), reset},
		"a write fails, all sent":  {true, op("write"), reset},
		"a write fails, unsent":    {false, op("write"), reset},
		"arming fails, all sent":   {true, op("arm"), reset},
		"the peer ends, all sent":  {true, io.EOF, closed},
		"the peer ends, unsent":    {false, io.EOF, truncated},
		"closed below, all sent":   {true, reactor.ErrClosed, closed},
		"closed below, unsent":     {false, reactor.ErrClosed, truncated},
		"buffer full, all sent":    {true, reactor.ErrBufferFull, func(err error) bool { return err == reactor.ErrBufferFull }},
		"aborted below, unsent":    {false, reactor.ErrAborted, func(err error) bool { return err == reactor.ErrAborted }},
		"the reactor stops, sent":  {true, reactor.ErrStopped, func(err error) bool { return err == reactor.ErrStopped }},
		"the reactor stops before": {false, reactor.ErrStopped, func(err error) bool { return err == reactor.ErrStopped }},
	} {
		t.Run(what, func(t *testing.T) {
			top := new(end)
			g := newRig(t, tls.VersionTLS13, top, nil)
			g.pump()
			top.c.Write([]byte("data"))
			top.c.Close()
			if g.n.Run(0); !c.sent {
				g.u.full = 1
			}
			b, _ := g.u.Stream.Protocol().(*near)
			b.ConnectionLost(c.err)
			if !c.want(top.err) {
				t.Errorf("TLS-16: lost for %v", top.err)
			}
			if _, err := top.c.SwitchProtocol(new(end)); err != reactor.ErrClosed {
				t.Errorf("TLS-33: SwitchProtocol after the loss: %v", err)
			}
			g.u.Stream.Abort()
		})
	}
}

// TLS-33: a connection that was lost though nobody has ended it is not switched.
func TestSwitchAfterLoss(t *testing.T) {
	top := new(end)
	g := newRig(t, tls.VersionTLS13, top, nil)
	g.pump()
	g.u.far.Abort()
	g.flow(top.lost)
	if _, err := top.c.SwitchProtocol(new(end)); err != reactor.ErrClosed {
		t.Errorf("TLS-33: %v", err)
	}
	top.is(t, "TLS-22: it", kernel.ErrReset)
	if _, ok := top.err.(*reactor.OpError); !ok {
		t.Errorf("TLS-22: lost for a %T, want the OpError of the transport below", top.err)
	}
}
