package flow

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// ErrTooLong: a connection was closed because it has lasted for TimeoutOptions.Total. To be asked for with errors.Is.
var ErrTooLong = kernel.Sentinel("the connection has lasted too long")

// TimeoutOptions are limits of time for a connection, by the reactor's clock.
type TimeoutOptions struct {
	// Idle is how long a connection may go without a read and without a write. Zero: 30 minutes; negative: no limit.
	Idle time.Duration
	// Total is how long it may last. Zero or negative: no limit.
	Total time.Duration
	// HalfClosed takes the place of Idle, if it is shorter, when one direction has ended. Zero or negative: Idle goes on.
	HalfClosed time.Duration
}

const (
	defaultIdle = 30 * time.Minute
	closingTime = 30 * time.Second // for the end of a connection whose time is over
)

// LimitTime returns a factory whose connections end when a limit of o is over (POL-8). inner makes the protocols above. Reading
// and writing begin the idle time anew; what the transport buffers and the peer takes does not.
//
// The connection is closed, so what was written is sent. ConnectionLost gets reactor.ErrIdle, reactor.ErrHalfClosed or ErrTooLong.
// If that takes longer than 30 s, because a producer goes on or the peer does not read, the connection is aborted.
func LimitTime(inner reactor.Factory, o TimeoutOptions) reactor.Factory {
	if o.Idle == 0 {
		o.Idle = defaultIdle
	}
	return &timeLimiter{inner: inner, o: o}
}

// timeLimiter is the factory of LimitTime.
type timeLimiter struct {
	inner reactor.Factory
	o     TimeoutOptions
}

// Unwrap is the inner factory, which the reactor starts and stops.
func (f *timeLimiter) Unwrap() reactor.Factory { return f.inner }

// LogPrefix is the inner factory's, with " (timed)".
func (f *timeLimiter) LogPrefix() string { return reactor.LogPrefixOf(f.inner) + " (timed)" }

// AnyLoop is what inner says: the factory itself does not change.
func (f *timeLimiter) AnyLoop() bool { return anyLoop(f.inner) }

func (f *timeLimiter) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	p := f.inner.BuildProtocol(peer)
	if p == nil {
		return nil
	}
	s := &timed{o: &f.o}
	return s.c.start(s, p)
}

// timed is a connection of LimitTime.
type timed struct {
	c      conn
	o      *TimeoutOptions
	period time.Duration // that holds now for idle; zero or negative: none
	half   bool          // one direction has ended, and period is HalfClosed
	reason error
	idle   reactor.DelayedCall
	total  reactor.DelayedCall
}

func (s *timed) suffix() string { return "(timed)" }

func (s *timed) made() {
	r := s.c.link.Reactor()
	s.idle.Init(r, s.idled)
	s.total.Init(r, func() { s.end(ErrTooLong) })
	s.period = s.o.Idle
	s.active()
	if s.o.Total > 0 {
		s.total.Reset(s.o.Total)
	}
}

// active begins the idle time anew.
func (s *timed) active() {
	if s.period > 0 && s.reason == nil && s.c.inner != nil {
		s.idle.Reset(s.period)
	}
}

func (s *timed) idled() {
	switch {
	case s.reason != nil:
		s.c.below().Abort() // closing has taken too long
	case s.half:
		s.end(reactor.ErrHalfClosed)
	default:
		s.end(reactor.ErrIdle)
	}
}

// end closes the connection for a reason.
func (s *timed) end(reason error) {
	s.reason = reason
	s.total.Cancel()
	s.idle.Reset(closingTime)
	s.c.closed = true
	_ = s.c.below().Close()
}

func (s *timed) received(p []byte) {
	s.active()
	s.c.deliver(p)
}

func (s *timed) wrote(n int) {
	if n > 0 {
		s.active()
	}
}

func (s *timed) readEnded() bool {
	s.halved()
	return true
}

// halved is called when one direction has ended.
func (s *timed) halved() {
	if h := s.o.HalfClosed; h > 0 && (s.period <= 0 || h < s.period) {
		s.period, s.half = h, true
	}
	s.active()
}

func (s *timed) wanted() {}

func (s *timed) gateMade() {}

// lost tells why the connection was closed, unless it has failed meanwhile.
func (s *timed) lost(err error) error {
	s.idle.Cancel()
	s.total.Cancel()
	if s.reason != nil && (err == reactor.ErrClosed || err == reactor.ErrAborted) {
		return s.reason
	}
	return err
}
