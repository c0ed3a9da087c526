package reactor

import (
	"fmt"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

var (
	// ErrCannotJoin: the arguments of Join are a mistake. Nothing was changed.
	ErrCannotJoin = kernel.Sentinel("transports cannot be joined")
	// ErrIdle: nothing passed between two joined transports for too long. It is also
	// kernel.ErrTimeout.
	ErrIdle = kernel.Sentinel("nothing passed for too long", ErrLost, kernel.ErrTimeout)
	// ErrHalfClosed is ErrIdle for JoinConfig.HalfClosed.
	ErrHalfClosed = kernel.Sentinel("nothing passed for too long after one direction had ended", ErrIdle)
)

// Defaults of JoinConfig.
const (
	defaultJoinIdle       = time.Hour
	defaultJoinHalfClosed = 5 * time.Minute
)

// JoinConfig configures Join. Nil and the zero value are the defaults.
type JoinConfig struct {
	// RestA are bytes that were received from a and not used, such as those behind a
	// request to connect. They are sent to b before anything else that comes from a.
	// RestB is the same for b. Both belong to the caller again when Join returns.
	RestA, RestB []byte
	// Idle is how long a joined pair may go without a byte in either direction. Then
	// both sides are aborted, with ErrIdle. Zero: 1 hour; negative: no limit.
	//
	// The limit is exact from the last byte that was received. What a peer takes of
	// buffered bytes counts too, but is looked at four times in a limit. So a pair that
	// has only sent may end up to a quarter of the limit earlier or later.
	Idle time.Duration
	// HalfClosed takes the place of Idle when one direction has ended, if it is shorter.
	// The error is ErrHalfClosed. Zero: 5 minutes; negative: Idle goes on.
	HalfClosed time.Duration
	// Done is called once, on the loop's goroutine, after both transports were lost. Nil:
	// nobody is told. It is not called if Join fails.
	Done func(JoinResult)
}

// JoinStats are counters of a joined pair.
type JoinStats struct {
	// AToB is how many bytes that came from a were written to b, with RestA. BToA is the
	// other direction. What is still buffered counts.
	AToB, BToA uint64
	// EndedA tells that a's peer has ended its direction, and so sends no more.
	EndedA, EndedB bool
}

// JoinResult is how a joined pair ended.
type JoinResult struct {
	JoinStats
	// Err is nil if both peers ended their directions and everything was delivered.
	// Otherwise it is the first reason why not: ErrIdle or ErrHalfClosed for a limit,
	// ErrAborted for Joined.Abort, ErrClosed if our side closed, kernel.ErrBroken if something came for an
	// output that was lost alone, or the error with which the first transport was lost.
	Err error
	// ErrA and ErrB are the errors with which a and b were lost, as ConnectionLost has
	// them.
	ErrA, ErrB error
	// First is the transport whose peer first ended its direction, or that was lost
	// first. It is nil if a limit, Joined.Abort or Joined.Close ended the pair before.
	First Transport
}

// Joined is a pair of transports that Join has joined. It is for the loop's goroutine.
type Joined struct {
	a, b   joinSide
	done   func(JoinResult)
	idle   time.Duration // zero: no limit
	half   time.Duration // the limit when one direction has ended; zero: no limit
	first  *joinSide
	ours   bool  // Joined itself has ended both sides
	reason error // why the pair did not end cleanly

	// The limit is divided into joinQuarters. A byte that is received begins the first
	// one anew.
	limit   DelayedCall
	quarter time.Duration // zero: no limit
	quiet   uint8         // quarters without progress
	held    bool          // something was buffered when the last quarter ended
	sent    uint64        // bytes that the sockets had taken then
}

const joinQuarters = 4

// Join passes on what a and b receive to each other, until both have ended. It makes itself
// the protocol of both, in any mix of transports that are a [Switcher], a [Producer] and a
// [Consumer], such as streams and TLS. It is for the loop's goroutine, also in callbacks. Both
// transports are resumed if they were paused.
//
//   - Each side is the producer of the other. So a slow reader slows the writer down, and each
//     direction holds at most the high-water mark and one read (PROD-16).
//   - The end of one direction is passed on as CloseWrite, after what came before it. When both
//     have ended, both sides close (PROD-17). A transport that is no HalfCloser, or whose
//     CloseWrite is errors.ErrUnsupported, closes at the first end.
//   - A side that is lost with an error before its peer had ended aborts the other, so that
//     nobody takes a cut stream for a whole one. If its peer had ended, or if our side closed
//     it, the other side is closed, and sends what it holds (PROD-18).
//   - A pair ends if nothing passes for too long; see [JoinConfig] (PROD-19).
//
// The former protocols get no data any more, and no ends of directions. Each still gets its
// ConnectionLost, once, after the end was passed on and before Done, and what is asked of the
// protocol by other interfaces reaches it through Unwrap, but no [Drain] does. It must leave the transport alone,
// but may close or abort it. Close of one transport closes both.
//
// A mistake changes nothing: the error is ErrCannotJoin if a transport is nil, lacks a
// capability or carries a [Layer], if both are the same or belong to two reactors; and
// ErrProducerRegistered if a transport has a producer. Close, Abort or the loss, CloseWrite,
// and the end of the peer's direction may have come first. Then the error is ErrClosed,
// ErrWriteClosed or io.EOF, the protocols stay, and Join aborts both transports, because
// nobody would end them. It does not abort one that is closing already. Pause a transport
// that waits to be joined: the end of its peer then waits too.
func Join(a, b Transport, c *JoinConfig) (*Joined, error) {
	if a == nil || b == nil {
		return nil, fmt.Errorf("%w: one is nil", ErrCannotJoin)
	}
	if a.Reactor() != b.Reactor() {
		return nil, fmt.Errorf("%w: they belong to two reactors", ErrCannotJoin)
	}
	if c == nil {
		c = &JoinConfig{}
	}
	j := &Joined{done: c.Done}
	j.idle, j.half = c.limits()
	j.a = joinSide{j: j, to: &j.b, t: a}
	j.b = joinSide{j: j, to: &j.a, t: b}
	for _, s := range j.sides() {
		if err := s.find(); err != nil {
			return nil, err
		}
	}
	if err := j.take(); err != nil {
		return nil, err
	}
	j.limit.Init(a.Reactor(), j.quarterEnded)
	j.setLimit()
	// Both have no producer, and are open, so both take one.
	_ = j.a.sink.RegisterProducer(&j.b)
	_ = j.b.sink.RegisterProducer(&j.a)
	j.a.pass(c.RestA)
	j.b.pass(c.RestB)
	return j, nil
}

func (j *Joined) sides() [2]*joinSide { return [...]*joinSide{&j.a, &j.b} }

// limits returns Idle, and the limit that holds when one direction has ended. Zero is no
// limit.
func (c *JoinConfig) limits() (idle, half time.Duration) {
	idle, half = c.Idle, c.HalfClosed
	if idle == 0 {
		idle = defaultJoinIdle
	}
	if half == 0 {
		half = defaultJoinHalfClosed
	}
	idle, half = max(idle, 0), max(half, 0)
	if half == 0 || idle > 0 && idle < half {
		half = idle
	}
	return idle, half
}

// take makes both sides the protocols of their transports, or neither.
func (j *Joined) take() error {
	a, err := j.a.take()
	if err != nil {
		return j.refused(&j.a, err)
	}
	b, err := j.b.take()
	if err == nil && b.Protocol != Protocol(&j.a) {
		return nil
	}
	// What was taken is open, so it can be given back.
	_, _ = j.a.switcher.SwitchProtocol(a.Protocol)
	if err != nil {
		return j.refused(&j.b, err)
	}
	if a.Paused {
		j.a.source.PauseProducing()
	}
	return fmt.Errorf("%w: both are the same", ErrCannotJoin)
}

// refused ends both transports because s, one of them, is ending.
func (j *Joined) refused(s *joinSide, err error) error {
	if err != ErrClosed { // it would not end by itself
		s.t.Abort()
	}
	s.to.t.Abort()
	return fmt.Errorf("joining %s and %s: %w", j.a.t.Remote(), j.b.t.Remote(), err)
}

// Stats returns a copy of the counters.
func (j *Joined) Stats() JoinStats {
	return JoinStats{j.a.passed, j.b.passed, j.a.ended, j.b.ended}
}

// Close stops reading on both sides, sends what is buffered, and closes both, as
// Transport.Close says. On a pair that has ended it does nothing.
func (j *Joined) Close() {
	j.endBoth(ErrClosed)
	for _, s := range j.sides() {
		if !s.gone {
			s.sink.UnregisterProducer()
			s.t.Close()
		}
	}
}

// Abort resets both sides. On a pair that has ended it does nothing.
func (j *Joined) Abort() { j.abort(ErrAborted) }

func (j *Joined) abort(reason error) {
	j.endBoth(reason)
	j.a.t.Abort()
	j.b.t.Abort()
}

// endBoth notes why Joined itself ends both sides.
func (j *Joined) endBoth(reason error) {
	j.ours = true
	j.failed(reason)
}

// failed notes why the pair does not end cleanly. The first reason counts.
func (j *Joined) failed(reason error) {
	if j.reason == nil {
		j.reason = reason
	}
}

func (j *Joined) halfClosed() bool { return j.a.ended || j.b.ended }

// setLimit begins to measure the limit that holds now.
func (j *Joined) setLimit() {
	d := j.idle
	if j.halfClosed() {
		d = j.half
	}
	j.quarter = (d + joinQuarters - 1) / joinQuarters
	j.limit.Cancel()
	j.progress()
}

// progress is called when bytes have passed. In a turn it costs a few stores.
func (j *Joined) progress() {
	if j.quarter > 0 {
		j.quiet, j.held = 0, false
		j.limit.Reset(j.quarter)
	}
}

// quarterEnded is called when a quarter of the limit has passed without a byte being
// received. The pair ends after the last one, unless what was buffered is being sent.
func (j *Joined) quarterEnded() {
	a, b := j.a.flow(), j.b.flow()
	sent := a.Sent + b.Sent
	if j.quiet++; j.held && sent != j.sent {
		j.quiet = 0
	}
	j.held, j.sent = a.Buffered+b.Buffered > 0, sent
	switch {
	case j.quiet < joinQuarters:
		j.limit.Reset(j.quarter)
	case j.halfClosed() && j.half != j.idle:
		j.abort(ErrHalfClosed)
	default:
		j.abort(ErrIdle)
	}
}

// lost is called when a side was lost. After the second one it tells the result.
func (j *Joined) lost() {
	if !j.a.gone || !j.b.gone {
		return
	}
	j.limit.Cancel()
	if j.done == nil {
		return
	}
	res := JoinResult{JoinStats: j.Stats(), Err: j.reason, ErrA: j.a.err, ErrB: j.b.err}
	if res.Err == nil && !(j.a.ended && j.b.ended) {
		res.Err = ErrClosed
	}
	if j.first != nil {
		res.First = j.first.t
	}
	j.done(res)
}
