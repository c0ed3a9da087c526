package reactor_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// clocked is a junction, and the times at which the last bytes passed and at which it was
// over.
type clocked struct {
	*junction
	moved, over time.Duration
	pass        func(d time.Duration)
}

// newClocked joins with limits.
func newClocked(t *testing.T, w testworld.World, c reactor.JoinConfig) *clocked {
	t.Helper()
	r, pass := timed(t, w, new(testworld.Faults), reactor.Config{})
	u := &clocked{junction: apart(t, w, r, &reactor.ListenConfig{}), pass: pass}
	for _, in := range u.in {
		in.onLost = func(error) { u.over = u.r.Now() }
	}
	c.Done = func(res reactor.JoinResult) { u.done = append(u.done, res) }
	u.moved = u.r.Now()
	var err error
	if u.j, err = reactor.Join(&noting{u.in[0].s, u}, &noting{u.in[1].s, u}, &c); err != nil {
		t.Fatal(err)
	}
	return u
}

// noting notes when it is given something, which is when that was received.
type noting struct {
	*reactor.Stream
	u *clocked
}

func (n *noting) Unwrap() reactor.Transport { return n.Stream }

func (n *noting) Write(p []byte) (int, error) {
	n.u.moved = n.u.r.Now()
	return n.Stream.Write(p)
}

func (n *noting) CloseWrite() error {
	n.u.moved = n.u.r.Now()
	return n.Stream.CloseWrite()
}

// took checks how long after the last progress the pair was over, exactly where time is
// simulated.
func (u *clocked) took(w testworld.World, limit, reason error, want time.Duration) {
	u.t.Helper()
	for i := 0; !w.Simulated() && i < 16 && len(u.done) == 0; i++ {
		u.pass(want / 8)
	}
	u.until(func() bool { return len(u.done) == 1 })
	took := u.over - u.moved
	if w.Simulated() && took != want || took < want {
		u.t.Errorf("PROD-19: over after %v, want %v", took, want)
	}
	if err := u.done[0].Err; err != limit || !errors.Is(err, reason) || !errors.Is(err, kernel.ErrTimeout) || !errors.Is(err, reactor.ErrLost) {
		u.t.Errorf("PROD-19: %v", err)
	}
}

// joinLimit is for the tests of limits.
const joinLimit = 80 * time.Millisecond

// PROD-19: a pair ends when nothing has passed for Idle, counted from the last byte in either
// direction. Both peers see a reset.
func TestJoinIdle(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		limit := unhurried(w, joinLimit)
		u := newClocked(t, w, reactor.JoinConfig{Idle: limit})
		began := u.r.Now()
		for i := range 6 { // each pause is shorter than the limit, all together are longer
			u.out[i%2].s.Write([]byte("x"))
			u.until(func() bool { return len(u.out[0].got)+len(u.out[1].got) == i+1 })
			u.pass(limit * 2 / 5)
		}
		if len(u.done) > 0 || u.r.Now()-began < 2*limit {
			t.Fatalf("PROD-19: over after %v: %+v", u.r.Now()-began, u.done)
		}
		u.took(w, reactor.ErrIdle, reactor.ErrIdle, limit)
		u.until(func() bool { return u.out[0].err != nil && u.out[1].err != nil })
		if !isReset(u.out[0].err) || !isReset(u.out[1].err) {
			t.Errorf("PROD-19: the peers were lost with %v and %v", u.out[0].err, u.out[1].err)
		}
		if res := u.done[0]; res.First != nil || res.ErrA != reactor.ErrAborted || res.ErrB != reactor.ErrAborted {
			t.Errorf("PROD-19: %+v", res)
		}
	})
}

// pause lets time pass.
func pause(u *junction, d time.Duration) {
	over := false
	u.r.CallLater(d, func() { over = true })
	untilAlone(u.t, u.r, func() bool { return over })
}

// PROD-19: without a byte at all the time counts from Join.
func TestJoinIdleFromTheStart(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		limit := unhurried(w, joinLimit)
		u := newClocked(t, w, reactor.JoinConfig{Idle: limit})
		u.took(w, reactor.ErrIdle, reactor.ErrIdle, limit)
	})
}

// PROD-19: when one direction has ended, HalfClosed holds if it is shorter, from the last
// byte in the other direction.
func TestJoinHalfClosedLimit(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		limit := unhurried(w, joinLimit)
		for _, c := range []struct {
			idle, half, want time.Duration
			err              error
		}{
			{3 * limit, limit, limit, reactor.ErrHalfClosed},
			{-1, limit, limit, reactor.ErrHalfClosed},
			{limit, -1, limit, reactor.ErrIdle},
			{limit, 3 * limit, limit, reactor.ErrIdle},
		} {
			u := newClocked(t, w, reactor.JoinConfig{Idle: c.idle, HalfClosed: c.half})
			u.pass(limit / 2)
			u.out[0].s.CloseWrite()
			u.until(saw(u.out[1], "read lost"))
			for i := range 3 {
				u.pass(limit / 2)
				u.out[1].s.Write([]byte("x"))
				u.until(func() bool { return len(u.out[0].got) == i+1 })
			}
			u.took(w, c.err, reactor.ErrIdle, c.want)
		}
	})
}

// PROD-19: negative limits are none, and the defaults are an hour and five minutes.
func TestJoinLimitDefaults(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, c := range []struct {
			reactor.JoinConfig
			open, half time.Duration // zero: there is no limit
		}{
			{reactor.JoinConfig{}, time.Hour, 5 * time.Minute},
			{reactor.JoinConfig{Idle: time.Minute}, time.Minute, time.Minute},
			{reactor.JoinConfig{Idle: -1}, 0, 5 * time.Minute},
			{reactor.JoinConfig{Idle: -1, HalfClosed: -1}, 0, 0},
		} {
			u := joined(t, w, c.JoinConfig)
			check := func(what string, want time.Duration) {
				t.Helper()
				calls := u.r.DelayedCalls()
				if want == 0 {
					if len(calls) != 0 {
						t.Errorf("PROD-19: %+v: %s: there is a limit", c.JoinConfig, what)
					}
					return
				}
				// What comes is the first of four equal parts.
				if len(calls) != 1 || calls[0].Due()-u.r.Now() > want/4 || calls[0].Due()-u.r.Now() < want/5 {
					t.Errorf("PROD-19: %+v: %s: %v", c.JoinConfig, what, calls)
				}
			}
			check("open", c.open)
			u.out[0].s.CloseWrite()
			u.until(saw(u.out[1], "read lost"))
			check("half closed", c.half)
			u.j.Abort()
			u.over()
		}
	})
}

// PROD-19: what a slow peer takes of what is buffered is progress too. When it takes no more,
// the pair ends, at most a quarter later than the limit.
func TestJoinIdleWhileSending(t *testing.T) {
	const limit = joinLimit
	for name, w := range wrap(testworld.Worlds()) {
		if !w.Simulated() { // it takes virtual time, and buffers of a known size
			continue
		}
		for _, size := range []int{30_000, 90_000} { // below the high-water mark, and above
			t.Run(name, func(t *testing.T) {
				w.Net().Options.SendBuffer, w.Net().Options.RecvBuffer = 2000, 2000
				r := w.New(t, reactor.Config{ReadBuffer: 2000})
				u := apart(t, w, r, &reactor.ListenConfig{})
				u.join(reactor.JoinConfig{Idle: limit})
				slow := u.out[1]
				slow.s.PauseProducing()
				slow.onData = func([]byte) { slow.s.PauseProducing() }
				u.out[0].s.Write(make([]byte, size))
				until(t, r, func() bool { return u.in[1].s.Buffered() > 20_000 })
				began := r.Now()
				for range 12 {
					pause(u, limit*3/4)
					slow.s.ResumeProducing()
				}
				last := r.Now()
				if len(u.done) > 0 || last-began < 4*limit || u.in[1].s.Buffered() == 0 {
					t.Fatalf("PROD-19: over after %v, %d bytes left: %+v", last-began, u.in[1].s.Buffered(), u.done)
				}
				u.until(func() bool { return len(u.done) == 1 })
				if took := r.Now() - last; u.done[0].Err != reactor.ErrIdle || took < limit || took > limit*5/4 {
					t.Errorf("PROD-19: over after %v with %v", took, u.done[0].Err)
				}
				slow.onData = nil
				u.over()
			})
		}
	}
}

// PROD-19: the limit is exact after the last byte received, though before it something was
// held back for a while.
func TestJoinIdleAfterHolding(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		limit := unhurried(w, joinLimit)
		f := new(testworld.Faults)
		r, pass := timed(t, w, f, reactor.Config{})
		u := apart(t, w, r, &reactor.ListenConfig{})
		var over time.Duration
		u.in[0].onLost = func(error) { over = r.Now() }
		u.join(reactor.JoinConfig{Idle: limit, RestA: []byte("held ")})
		f.Write = full
		pass(limit * 3 / 8)
		f.Write = nil
		u.out[0].s.Write([]byte("back"))
		var moved time.Duration
		u.until(func() bool { moved = r.Now(); return u.j.Stats().AToB == 9 })
		for i := 0; !w.Simulated() && i < 16 && len(u.done) == 0; i++ {
			pass(limit / 8)
		}
		u.until(func() bool { return len(u.done) == 1 })
		if took := over - moved; u.done[0].Err != reactor.ErrIdle || w.Simulated() && took > limit || took < limit*7/8 {
			t.Errorf("PROD-19: over after %v with %v", took, u.done[0].Err)
		}
	})
}
