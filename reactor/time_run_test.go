package reactor_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// aheadKernel is a kernel whose clock a test can put forward, as if what the loop does took that
// long.
type aheadKernel struct {
	kernel.Kernel
	ahead time.Duration
	skip  bool // a wait for which there is nothing yet is over at once
}

func (k *aheadKernel) Now() time.Duration { return k.Kernel.Now() + k.ahead }

func (k *aheadKernel) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	if k.skip && until != kernel.Forever {
		n, err := k.Kernel.Wait(ev, 0)
		if n == 0 {
			k.ahead = max(k.ahead, until-k.Kernel.Now())
		}
		return n, err
	}
	if until > 0 && until != kernel.Forever {
		until = max(until-k.ahead, 0)
	}
	return k.Kernel.Wait(ev, until)
}

// timed is a reactor on a kernel of w, and a function that lets time pass for it: a simulated one waits for it, and the clock of
// another is put forward. So a machine that is busy for a while changes nothing where times are long.
func timed(t *testing.T, w testworld.World, f *testworld.Faults, c reactor.Config) (r *reactor.Reactor, pass func(d time.Duration)) {
	t.Helper()
	k := &aheadKernel{Kernel: w.Open(t)}
	r = testworld.New(t, f.Wrap(k), c)
	return r, func(d time.Duration) {
		over := false
		r.CallLater(d, func() { over = true })
		if !w.Simulated() {
			k.ahead += d
		}
		untilAlone(t, r, func() bool { return over })
	}
}

// unhurried is d in simulated time. Where the clock is put forward it is a hundred times longer, so that no busy machine holds up a test for so long.
func unhurried(w testworld.World, d time.Duration) time.Duration {
	if w.Simulated() {
		return d
	}
	return 100 * d
}

// TIME-19: a call that a socket's callback postpones, under Run, counts from the end of that turn:
// not from the reading of the clock before the wait, and not from the next turn.
func TestPostponedUnderRun(t *testing.T) {
	const delay = 10 * time.Second
	for _, in := range []string{"ConnectionLost", "DataReceived"} {
		worlds(t, func(t *testing.T, w testworld.World) {
			k := &aheadKernel{Kernel: w.Open(t)}
			r := testworld.New(t, k, reactor.Config{})
			srv, cli := &end{}, &end{}
			connect(t, r, srv, cli)
			var call *reactor.DelayedCall
			var reset, made time.Duration
			postpone := func() {
				k.ahead += time.Hour // until here the turn has taken an hour
				k.skip = true
				reset = r.Now()
				call.Reset(delay)
				r.Post(func() { // the next turn begins with this
					end := r.Now()
					if k.ahead += delay / 3; call.Due() > end+delay {
						t.Errorf("TIME-19: postponed by %v in %s, and due %v after the turn", delay, in, call.Due()-end)
					}
				})
			}
			r.CallWhenRunning(func() {
				if in == "ConnectionLost" {
					srv.onLost = func(error) { postpone() }
					cli.s.Close()
				} else {
					srv.onData = func([]byte) { postpone() }
					cli.s.Write([]byte("x"))
				}
				call = r.CallLater(delay-time.Second, func() { made = r.Now(); r.Stop() })
			})
			runToEnd(t, r)
			if reset == 0 {
				t.Fatalf("%s did not come", in)
			}
			if late := made - reset; late < delay {
				t.Errorf("TIME-19: postponed by %v in %s, and made %v after it", delay, in, late)
			}
		})
	}
}
