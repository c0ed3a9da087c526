//go:build unix

package process_test

import (
	"errors"
	"math"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// refusing makes a reactor whose children cannot be sent the signals that refused tells, until allow is called.
func refusing(t *testing.T, w testworld.World, refused func(os.Signal) bool) (r *reactor.Reactor, allow func()) {
	on := true
	f := &testworld.Faults{Signal: func(s os.Signal) error {
		if on && refused(s) {
			return kernel.ErrPermission
		}
		return nil
	}}
	return testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{}), func() { on = false }
}

// PROC-52: a program that is to end after Linger and cannot be signalled, or not killed, is given up: the connection is lost with an error that says so, and Exited
// tells when it ends after all.
func TestConnStillRunning(t *testing.T) {
	for name, c := range map[string]struct {
		script  string
		refused func(s os.Signal) bool
		want    error
	}{
		"not signalled": {"exec 0<&- 1>&-; while :; do sleep 0.01; done", func(s os.Signal) bool { return s != syscall.Signal(0) }, kernel.ErrPermission},
		"not killed":    {"trap '' TERM; exec 0<&- 1>&-; while :; do sleep 0.01; done", func(s os.Signal) bool { return s == syscall.SIGKILL }, process.ErrStillRunning},
	} {
		t.Run(name, func(t *testing.T) {
			for name, w := range testworld.Worlds() {
				t.Run(name, func(t *testing.T) {
					r, allow := refusing(t, w, c.refused)
					p, exited := new(screen), 0
					o := soon()
					o.Exited = func(process.Status) { exited++ }
					conn := connectTo(t, r, sh(c.script), p, o)
					until(t, r, p.lost)
					if !errors.Is(p.err, process.ErrStillRunning) || !errors.Is(p.err, c.want) || !errors.Is(p.err, reactor.ErrLost) || exited != 0 {
						t.Errorf("PROC-52: lost for %v, exited %d times", p.err, exited)
					}
					allow()
					_ = conn.Child().Kill(0)
					until(t, r, func() bool { return exited == 1 })
				})
			}
		})
	}
}

// Run gives up a program that is to end and cannot be signalled, or not killed. What was kept is there. AfterEnd tells when it ends after all.
func TestRunStillRunning(t *testing.T) {
	const loop = "trap '' TERM; echo 0123456789; while :; do sleep 0.01; done"
	for name, c := range map[string]struct {
		cfg     process.RunConfig
		refused func(s os.Signal) bool
		want    []error
	}{
		"timeout, not signalled": {process.RunConfig{Timeout: 20 * time.Millisecond, Grace: time.Hour, Linger: time.Hour},
			func(s os.Signal) bool { return s != syscall.Signal(0) }, []error{process.ErrTimeout, kernel.ErrPermission}},
		"timeout, not killed": {process.RunConfig{Timeout: 20 * time.Millisecond, Grace: 20 * time.Millisecond, Linger: 20 * time.Millisecond},
			func(s os.Signal) bool { return s == syscall.SIGKILL }, []error{process.ErrTimeout}},
		"limit": {process.RunConfig{Limit: 5, Linger: time.Hour},
			func(s os.Signal) bool { return s != syscall.Signal(0) }, []error{process.ErrOutputLimit, kernel.ErrPermission}},
	} {
		t.Run(name, func(t *testing.T) {
			for name, w := range testworld.Worlds() {
				t.Run(name, func(t *testing.T) {
					r, allow := refusing(t, w, c.refused)
					var got process.Result
					var gotErr error
					done := 0
					child, err := process.Run(r, sh(loop), &c.cfg, func(res process.Result, err error) { got, gotErr = res, err; done++ })
					if err != nil {
						t.Fatal(err)
					}
					until(t, r, func() bool { return done > 0 })
					for _, want := range append(c.want, process.ErrStillRunning) {
						if !errors.Is(gotErr, want) {
							t.Errorf("%v is no %v", gotErr, want)
						}
					}
					if !got.Status.Unknown || !errors.Is(got.Status.Cause, process.ErrStillRunning) || len(got.Output) != c.cfg.Limit && c.cfg.Limit > 0 {
						t.Errorf("%q, %v", got.Output, got.Status)
					}
					allow()
					ended := 0
					child.AfterEnd(func(process.Status) { ended++ })
					_ = child.Kill(0)
					until(t, r, func() bool { return ended == 1 })
					if done != 1 || r.Stats().Pending != 0 {
						t.Errorf("done was called %d times; %d timers", done, r.Stats().Pending)
					}
				})
			}
		})
	}
}

// PROD-21: what comes for a program that has closed its input is dropped, so that the end of the client is noticed while the program runs.
func TestJoinInputClosed(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			srv := new(screen)
			port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.One(srv), nil)
			if err != nil {
				t.Fatal(err)
			}
			client := w.Peer(t, port.Addr(), r)
			until(t, r, func() bool { return srv.s != nil })
			p := new(screen)
			conn := connectTo(t, r, sh("exec 0<&-; while :; do sleep 0.01; done"), p, soon())
			var res *reactor.JoinResult
			if _, err := reactor.Join(srv.s, conn, &reactor.JoinConfig{HalfClosed: 100 * time.Millisecond, Done: func(x reactor.JoinResult) { res = &x }}); err != nil {
				t.Fatal(err)
			}
			until(t, r, func() bool { _, err := conn.Write([]byte("x")); return err != nil })
			client.Send("nobody reads this")
			client.CloseWrite()
			until(t, r, func() bool { return res != nil })
			if !errors.Is(res.Err, kernel.ErrBroken) {
				t.Errorf("PROD-21: %v", res.Err)
			}
		})
	}
}

// A grace without end gives a program that is to end all the time that it needs, with Run and with Connect: it is not given up at once.
func TestGraceWithoutEnd(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		const slow = "trap 'sleep 0.1; exit 7' TERM; "
		got := runOut(t, r, sh(slow+"echo; while :; do sleep 0.01; done"), process.RunConfig{Grace: math.MaxInt64})
		if !errors.Is(got.err, process.ErrTimeout) || errors.Is(got.err, process.ErrStillRunning) || got.Status.Code != 7 {
			t.Errorf("Run: %v, %v", got.err, got.Status)
		}
		p := new(screen)
		connectTo(t, r, sh(slow+"exec 0<&- 1>&-; while :; do sleep 0.01; done"), p, &process.ConnConfig{ErrorOutput: process.Null(), Linger: 20 * time.Millisecond, Grace: math.MaxInt64})
		until(t, r, p.lost)
		if s, ok := errors.AsType[process.Status](p.err); !ok || s.Code != 7 {
			t.Errorf("Connect: lost with %v", p.err)
		}
	})
}
