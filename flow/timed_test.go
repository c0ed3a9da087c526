package flow_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/reactor"
)

// timedPair connects a server with limits, and a client without.
func timedPair(t *testing.T, o flow.TimeoutOptions, half bool) (r *reactor.Reactor, srv, cli *app) {
	t.Helper()
	r = virtual(t, reactor.Config{})
	srv, cli = new(app), new(app)
	p := reactor.Protocol(srv)
	if half {
		p = listening{srv}
	}
	pair(t, r, flow.LimitTime(reactor.One(p), o), reactor.One(listening{cli}))
	return r, srv, cli
}

// lostAfter waits for the loss, and checks when and why it comes.
func lostAfter(t *testing.T, r *reactor.Reactor, a *app, d time.Duration, why error) {
	t.Helper()
	began := r.Now()
	until(t, r, a.lost)
	if took := r.Now() - began; took < d-10*time.Millisecond || took > d+10*time.Millisecond || a.err != why {
		t.Errorf("lost after %v for %v, want %v after %v", took, a.err, why, d)
	}
	pass(t, r, time.Minute) // the other end is lost too
	if n := len(r.DelayedCalls()); n != 0 {
		t.Errorf("%d delayed calls are left", n)
	}
}

// POL-8: a connection without traffic is closed; each read and each write begins the time anew, and the loss ends it.
func TestTimeoutIdle(t *testing.T) {
	r, srv, cli := timedPair(t, flow.TimeoutOptions{Idle: time.Second}, false)
	for i := range 6 {
		pass(t, r, 900*time.Millisecond)
		switch i % 3 {
		case 0:
			cli.T.Write([]byte("x"))
		case 1:
			srv.T.Write([]byte("x"))
		default:
			srv.T.(reactor.Vectored).WriteVec([][]byte{[]byte("x")})
		}
	}
	lostAfter(t, r, srv, time.Second, reactor.ErrIdle)
	if cli.got != "xxxx" || srv.got != "xx" {
		t.Errorf("got %q and %q", cli.got, srv.got)
	}

	r, srv, _ = timedPair(t, flow.TimeoutOptions{}, false)
	pass(t, r, 29*time.Minute)
	if srv.lost() {
		t.Error("POL-8: lost before 30 minutes")
	}
	pass(t, r, 61*time.Second)
	if srv.err != reactor.ErrIdle {
		t.Errorf("POL-8: after 30 minutes: %v", srv.err)
	}

	r, srv, cli = timedPair(t, flow.TimeoutOptions{Idle: -1}, false)
	pass(t, r, 24*time.Hour)
	if n := len(r.DelayedCalls()); srv.lost() || n != 0 {
		t.Errorf("without a limit: %v, %d delayed calls", srv.err, n)
	}
	cli.T.Close()
	until(t, r, srv.lost)
}

// POL-8: the whole time, however much traffic there is. A producer that goes on is cut off 30 s later.
func TestTimeoutTotal(t *testing.T) {
	r, srv, cli := timedPair(t, flow.TimeoutOptions{Idle: time.Second, Total: 5 * time.Second}, false)
	for range 9 {
		pass(t, r, 500*time.Millisecond)
		cli.T.Write([]byte("x"))
	}
	lostAfter(t, r, srv, 500*time.Millisecond, flow.ErrTooLong)

	r = virtual(t, reactor.Config{})
	endless := &flood{size: 1000}
	pair(t, r, flow.LimitTime(reactor.One(endless), flow.TimeoutOptions{Total: time.Second}),
		flow.LimitRate(reactor.One(new(flood)), flow.LimitOptions{Read: flow.Rate{PerSecond: 1 << 20}}))
	lostAfter(t, r, &endless.app, 31*time.Second, flow.ErrTooLong)
}

// POL-8: the time for a connection of which one direction has ended, whichever it is.
func TestTimeoutHalfClosed(t *testing.T) {
	o := flow.TimeoutOptions{Idle: time.Minute, HalfClosed: time.Second}
	r, srv, cli := timedPair(t, o, true)
	cli.T.CloseWrite()
	until(t, r, func() bool { return len(srv.events) == 2 })
	pass(t, r, 900*time.Millisecond)
	srv.T.Write([]byte("x"))
	lostAfter(t, r, srv, time.Second, reactor.ErrHalfClosed)

	r, srv, _ = timedPair(t, o, false)
	pass(t, r, 10*time.Second)
	srv.T.CloseWrite()
	lostAfter(t, r, srv, time.Second, reactor.ErrHalfClosed)
}

// POL-9: a limit of a protocol: Set returns the one before, Reset counts only if one is set, what passes is told once, and closes by default.
// POL-10: its delayed call may have been cancelled by somebody else.
func TestTimeoutOfProtocol(t *testing.T) {
	r, srv, _ := timedPair(t, flow.TimeoutOptions{Idle: -1}, false)
	passed := 0
	var x flow.Timeout
	x.Init(srv.T, func() { passed++ })
	x.Reset()
	pass(t, r, time.Hour)
	if passed != 0 {
		t.Error("POL-9: passed without a limit")
	}
	if old := x.Set(time.Second); old != 0 {
		t.Errorf("POL-9: Set returned %v", old)
	}
	if old := x.Set(2 * time.Second); old != time.Second {
		t.Errorf("POL-9: Set returned %v", old)
	}
	pass(t, r, 1900*time.Millisecond)
	x.Reset()
	pass(t, r, 1900*time.Millisecond)
	if passed != 0 {
		t.Error("POL-9: passed although it was reset")
	}
	pass(t, r, time.Minute)
	if passed != 1 {
		t.Errorf("POL-9: passed %d times", passed)
	}
	x.Reset()
	for _, d := range r.DelayedCalls() {
		d.Cancel() // POL-10
	}
	pass(t, r, time.Minute)
	if old := x.Set(time.Second); passed != 1 || old != 2*time.Second {
		t.Errorf("POL-10: passed %d times, Set returned %v", passed, old)
	}
	if old := x.Set(0); old != time.Second {
		t.Errorf("POL-9: Set returned %v", old)
	}
	x.Reset()
	pass(t, r, time.Minute)
	if passed != 1 || len(r.DelayedCalls()) != 0 {
		t.Errorf("POL-9: passed %d times after it was taken away", passed)
	}
	var y flow.Timeout
	y.Init(srv.T, nil)
	y.Set(time.Second)
	lostAfter(t, r, srv, time.Second, reactor.ErrClosed)
}

// Beginning the idle time anew allocates nothing.
func TestTimeoutAllocs(t *testing.T) {
	noAllocs(t, func(f reactor.Factory) reactor.Factory {
		return flow.LimitTime(f, flow.TimeoutOptions{Total: time.Hour})
	}, "")
}
