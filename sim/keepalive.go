package sim

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// Probes of keepalive that are answered change nothing, so they are not simulated. They are
// from when a peer may stop answering (a link is cut, its host has crashed, there are rules)
// until it has answered. So a quiet network stays quiet.

// keepAlive has all connections look whether their peers still answer.
func (n *Net) keepAlive() {
	for _, h := range n.everyProgram() {
		for _, s := range h.k.socks {
			s.keepAlive()
		}
		for _, k := range h.alone {
			for _, s := range k.socks {
				s.keepAlive()
			}
		}
	}
}

// keepAlive starts to probe the peer of s, if it may not answer. The probes that would have
// been made till now were answered.
func (s *sock) keepAlive() {
	s = s.file()
	if !s.options.KeepAlive || s.probing || s.state != open || s.l != nil || s.reachable() && !s.h.n.ruled() {
		return
	}
	s.probing, s.probes = true, 0
	idle := s.options.KeepIdle
	s.heard += (s.h.n.now - s.heard) / idle * idle
	s.probeAt(s.heard + idle)
}

// reachable tells whether a segment to the peer's host and its answer would come through.
func (s *sock) reachable() bool {
	return s.out.to.h.machineUp() && !s.out.link.cut() && !s.in.link.cut()
}

func (s *sock) probeAt(at time.Duration) {
	n := s.h.n
	n.schedule(at, n.tieBreak(), event{what: ready, fn: s.probe})
}

// probe probes the peer, or gives it up. The rules are those of Linux.
func (s *sock) probe() {
	n, o := s.h.n, &s.options
	silent := n.now - s.heard
	switch {
	case s.state != open || !o.KeepAlive:
		s.probing = false
	case s.out.first < len(s.out.queue): // it is sent again, with a limit of its own
		s.probeAt(n.now + o.KeepIdle)
	case silent < o.KeepIdle:
		s.probes = 0
		s.probeAt(s.heard + o.KeepIdle)
	case o.UserTimeout > 0 && silent >= o.UserTimeout && s.probes > 0, o.UserTimeout == 0 && s.probes >= o.KeepCount:
		s.probing = false
		s.out.kill()
		s.die(kernel.ErrTimeout)
	default:
		s.sendProbe()
	}
}

// sendProbe sends one probe.
func (s *sock) sendProbe() {
	n, f := s.h.n, s.out
	n.segments++
	p := packet{kind: ACK, id: n.segments}
	n.noteSegment(OpSend, f, p)
	v := Verdict{Drop: true}
	if s.reachable() {
		v = Verdict{}
		if len(n.rules) > 0 {
			v = f.ask(p)
		}
	}
	if v.Drop || v.Corrupt {
		n.noteSegment(OpDrop, f, p)
		s.probes++
		s.probeAt(n.now + s.options.KeepInterval)
		return
	}
	n.noteSegment(OpArrive, f, p)
	s.heard, s.probes, s.probing = n.now, 0, false
	if f.to.state == shut && f.to.out.dead {
		f.send(DATA, 0) // it is answered by a reset
		return
	}
	s.keepAlive()
}

// starve begins to count how long output of s waits for room at the peer, if there is a
// limit.
func (s *sock) starve() {
	f := s.out
	if s.options.UserTimeout == 0 || f == nil || f.unsent == 0 || f.dead || s.starving {
		return
	}
	n := s.h.n
	s.starving, s.starved = true, n.now
	n.schedule(n.now+s.options.UserTimeout, n.tieBreak(), event{what: ready, fn: s.hungry})
}

// hungry looks whether the peer has made room meanwhile.
func (s *sock) hungry() {
	n, f, limit := s.h.n, s.out, s.options.UserTimeout
	switch {
	case limit == 0 || f.unsent == 0 || f.dead:
		s.starving = false
	case n.now-s.starved < limit:
		n.schedule(s.starved+limit, n.tieBreak(), event{what: ready, fn: s.hungry})
	default:
		s.starving = false
		f.kill()
		s.die(kernel.ErrTimeout)
	}
}
