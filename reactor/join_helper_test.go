package reactor_test

import (
	"errors"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// junction is two connections of one reactor whose middle ends, in[0] and in[1], are to be
// joined. out[0] and out[1] are their peers.
type junction struct {
	t    *testing.T
	r    *reactor.Reactor
	in   [2]*end
	out  [2]*halfEnd
	j    *reactor.Joined
	done []reactor.JoinResult
}

// apart makes a junction that is not joined yet.
func apart(t *testing.T, w testworld.World, r *reactor.Reactor, c *reactor.ListenConfig) *junction {
	t.Helper()
	u := &junction{t: t, r: r}
	for i := range 2 {
		u.in[i], u.out[i] = new(end), new(halfEnd)
		connectWith(t, r, c, u.in[i], u.out[i])
	}
	return u
}

// joined makes a junction that is.
func joined(t *testing.T, w testworld.World, c reactor.JoinConfig) *junction {
	t.Helper()
	u := apart(t, w, w.New(t, reactor.Config{}), &reactor.ListenConfig{})
	u.join(c)
	return u
}

// join joins the two, and notes the result.
func (u *junction) join(c reactor.JoinConfig) {
	u.t.Helper()
	c.Done = func(res reactor.JoinResult) { u.done = append(u.done, res) }
	j, err := reactor.Join(u.in[0].s, u.in[1].s, &c)
	if err != nil {
		u.t.Fatal(err)
	}
	u.j = j
}

func (u *junction) until(done func() bool) {
	u.t.Helper()
	until(u.t, u.r, done)
}

// over turns until nothing is left of the junction, and returns the only result.
func (u *junction) over() reactor.JoinResult {
	u.t.Helper()
	u.until(func() bool { return len(u.done) > 0 })
	for _, o := range u.out {
		if o.err == nil {
			o.s.Close()
		}
	}
	u.until(func() bool { return connections(u.r) == 0 })
	testworld.Turns(u.t, u.r, 3)
	if len(u.done) != 1 {
		u.t.Errorf("Done was called %d times", len(u.done))
	}
	if st := u.r.Stats(); st.Pending > int(st.Lingered) {
		u.t.Errorf("%d delayed calls left", st.Pending)
	}
	return u.done[0]
}

// connections is how many connections of r are not lost.
func connections(r *reactor.Reactor) (n int) {
	for range r.Streams() {
		n++
	}
	return n
}

// isReset tells whether err is what the peer of an Abort is told.
func isReset(err error) bool {
	return errors.Is(err, kernel.ErrReset) || errors.Is(err, kernel.ErrBroken)
}

// tight is a configuration of streams that hold little, for cut streams.
func tight(w testworld.World) *reactor.ListenConfig {
	if w.Chunk() == 0 {
		return &reactor.ListenConfig{}
	}
	return &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 300}}
}
