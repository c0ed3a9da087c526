package tlsio_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/whorl-go/whorl/tlsio"
)

// The shortest limit of a handshake counts: of HandshakeTimeout, and of all calls of LimitHandshake.
func TestLimitHandshake(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		timeout time.Duration
		limits  []time.Duration
		want    time.Duration
	}{
		{10 * s, []time.Duration{2 * s}, 2 * s},
		{10 * s, []time.Duration{2 * s, 5 * s}, 2 * s},
		{10 * s, []time.Duration{5 * s, 2 * s}, 2 * s},
		{10 * s, []time.Duration{20 * s}, 10 * s},
		{-1, []time.Duration{20 * s}, 20 * s},
		{-1, []time.Duration{20 * s, 3 * s}, 3 * s},
		{10 * s, []time.Duration{0}, 0},
		{-1, []time.Duration{-5 * s}, 0},
	} {
		t.Run(fmt.Sprint(c.timeout, c.limits), func(t *testing.T) {
			top := new(end)
			var made, lost time.Duration
			top.onMade = func() {
				made = top.c.Reactor().Now()
				for _, d := range c.limits {
					top.c.LimitHandshake(d)
				}
			}
			top.onLost = func() { lost = top.c.Reactor().Now() }
			sc, cc := configs(tls.VersionTLS13)
			g := rigOf(t, cc, sc, top, &tlsio.Options{HandshakeTimeout: c.timeout}, true)
			g.flow(top.lost) // the peer is silent
			if took := lost - made; took < c.want || took > c.want+time.Millisecond || !errors.Is(top.err, tlsio.ErrHandshakeTimeout) {
				t.Errorf("lost after %v, want %v, with %v", took, c.want, top.err)
			}
		})
	}
}

// LimitHandshake does nothing when the handshake is over.
func TestLimitHandshakeLate(t *testing.T) {
	top := new(end)
	g := newRig(t, tls.VersionTLS13, top, nil)
	g.pump()
	top.c.LimitHandshake(time.Second)
	g.n.Run(time.Minute)
	if top.lost() {
		t.Errorf("lost with %v", top.err)
	}
	top.c.Abort()
	g.flow(top.lost)
	top.c.LimitHandshake(time.Second)
}

// The time in which a handshake waits for a worker counts for LimitHandshake.
func TestLimitHandshakeQueued(t *testing.T) {
	s := newSlowSteps(t, 2*time.Second, tlsio.Options{Workers: 1, HandshakeTimeout: time.Hour})
	s.dial("a.test")
	s.until(t, func() bool { return tlsio.StatsOf(s.srv).Running == 1 })
	s.dial("b.test")
	s.until(t, func() bool { return tlsio.StatsOf(s.srv).Queued == 1 })
	began := s.n.Now()
	s.ends[1].c.LimitHandshake(time.Second)
	s.until(t, s.ends[1].lost)
	if took := s.n.Now() - began; took < time.Second || took > 1100*time.Millisecond || !errors.Is(s.ends[1].err, tlsio.ErrHandshakeQueued) {
		t.Errorf("lost after %v with %v", took, s.ends[1].err)
	}
	s.until(t, func() bool { return s.ends[0].saw("shaken") })
}
