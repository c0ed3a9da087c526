package coro

import (
	"os"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// errDeadline is what a call returns whose deadline has passed. It is a net.Error that is a timeout.
var errDeadline error = os.ErrDeadlineExceeded

// passed tells whether a deadline has passed.
func (s *Session) passed(until time.Duration) bool { return until != 0 && s.loop().r.Now() >= until }

func (s *Session) readUntil() time.Duration {
	if s.seldom == nil {
		return 0
	}
	return s.seldom.readUntil
}

func (s *Session) writeUntil() time.Duration {
	if s.seldom == nil {
		return 0
	}
	return s.seldom.writeUntil
}

// SetReadTimeout has Read fail with os.ErrDeadlineExceeded when d has passed from now, by the reactor's clock, also one that waits
// already. Zero and less let every Read fail until the deadline is set again. [NoDeadline] removes it.
func (s *Session) SetReadTimeout(d time.Duration) {
	s.rest().readUntil = s.deadline(d)
	if c := s.reader; c != nil {
		c.limit(orForever(s.readUntil()))
	}
}

// SetWriteTimeout is SetReadTimeout for Write.
func (s *Session) SetWriteTimeout(d time.Duration) {
	s.rest().writeUntil = s.deadline(d)
	if c := s.seldom.writer; c != nil {
		c.limit(orForever(s.writeUntil()))
	}
}

// NoDeadline is no limit, for SetReadTimeout and SetWriteTimeout, and for Sleep.
const NoDeadline time.Duration = 1<<63 - 1

// deadline is the time d from now, or 0 for none.
func (s *Session) deadline(d time.Duration) time.Duration {
	if d == NoDeadline {
		return 0
	}
	return max(1, kernel.After(s.loop().r.Now(), max(d, 0))) // 0 would be none
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (s *Session) SetDeadline(t time.Time) error {
	_ = s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// SetReadDeadline is SetReadTimeout with a time of the system's clock, because a net.Conn has it so; the zero time is no deadline.
// How long it is until then is measured once, now, in milliseconds rounded up, and passes by the reactor's clock. So code that says
// time.Now().Add(time.Minute) waits for a minute in a simulation too, and the same in every run, unless the system takes a
// millisecond between the two calls. Code that is simulated does better with SetReadTimeout. The error is always nil.
func (s *Session) SetReadDeadline(t time.Time) error {
	s.SetReadTimeout(untilTime(t))
	return nil
}

// SetWriteDeadline is SetReadDeadline for Write.
func (s *Session) SetWriteDeadline(t time.Time) error {
	s.SetWriteTimeout(untilTime(t))
	return nil
}

// untilTime is how long it is until t.
func untilTime(t time.Time) time.Duration {
	if t.IsZero() {
		return NoDeadline
	}
	d := time.Until(t)
	if up := d.Truncate(time.Millisecond); up < d && up < NoDeadline-time.Millisecond {
		return up + time.Millisecond
	}
	return d
}
