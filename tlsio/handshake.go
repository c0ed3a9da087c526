package tlsio

import (
	"crypto/tls"
	"errors"
	"iter"
	"math"
	"runtime/debug"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// mostAhead is how many bytes may arrive while a handshake computes.
const mostAhead = 64 << 10

// setup is a handshake: a coroutine that stops where crypto/tls wants input that has
// not come. Each step of it is computed on the loop or on a goroutine of the pool;
// between steps it holds neither. While a step runs, what the handshake uses, in
// here and of the Conn, is the step's; the rest is always the loop's.
type setup struct {
	c      *Conn
	cfg    *tls.Config
	o      Options
	client bool
	onLoop bool
	next   func() (struct{}, bool)
	halt   func()
	yield  func(struct{}) bool
	out    []byte // to be written below after the step
	taken  int    // bytes of input
	most   int    // bytes of input there may be
	ended  bool   // no more input will come
	done   bool   // with err
	err    error

	local, remote kernel.Addr // asked before, because the transport is the loop's

	// The loop's, at all times.
	more      []byte // arrived while a step ran
	moreEnded bool
	running   bool // a step is being made
	queued    bool // stands in loop.waiting
	held      bool // below was paused because of more
	gone      bool // the connection has ended before the handshake
	deadline  reactor.DelayedCall
}

// begin is where the transport is known. A server has nothing to do until the first
// bytes come.
func (s *setup) begin() {
	c := s.c
	r := c.Reactor()
	s.onLoop, s.local, s.remote = s.o.onLoop(r), c.Local(), c.Remote()
	s.most = limit(s.o.HandshakeBytes, defaultHandshakeBytes, math.MaxInt)
	c.life = shaking
	s.deadline.Init(r, func() { c.end(c.errorf("handshake", ErrHandshakeTimeout), true) })
	if d := limit(s.o.HandshakeTimeout, defaultHandshakeTimeout, time.Duration(math.MaxInt64)); d < math.MaxInt64 {
		s.deadline.Reset(d)
	}
}

// receive takes what came from below, which is lent.
func (s *setup) receive(p []byte) {
	if s.gone {
		return
	}
	if !s.running {
		s.c.in = append(s.c.in, p...)
		s.kick()
		return
	}
	s.more = append(s.more, p...)
	if len(s.more) > mostAhead && !s.held {
		s.held = true
		s.c.pauseBelow()
	}
}

// end says that no more input will come.
func (s *setup) end() {
	s.moreEnded = true
	if !s.running {
		s.kick()
	}
}

// kick has a step made.
func (s *setup) kick() {
	switch {
	case s.running || s.queued || s.gone:
	case s.onLoop:
		s.merge()
		s.here()
		s.after()
	default:
		s.queued = true
		s.c.l.waiting = append(s.c.l.waiting, s.c)
		s.c.l.employ()
	}
}

// merge gives the handshake what has come meanwhile.
func (s *setup) merge() {
	s.c.in = append(s.c.in, s.more...)
	s.more = nil
	s.ended = s.ended || s.moreEnded
}

// employ lets handshakes compute, in the order they asked, as far as there are workers.
func (l *loop) employ() {
	for l.busy < l.workers && len(l.waiting) > 0 {
		s := l.waiting[0].setup
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		s.queued = false
		if s.gone {
			continue
		}
		s.merge()
		s.running = true
		l.busy++
		if err := l.r.CallInThread(s.run); err != nil {
			l.busy--
			s.running = false
			s.c.fail("handshake", err)
		}
	}
}

// here is a step, on the loop. A callback of the tls.Config may end the connection in
// it.
func (s *setup) here() {
	s.running = true
	defer func() {
		s.running = false
		if s.gone {
			s.drop()
		}
	}()
	s.step()
}

// run is a step, in the pool. A panic is the pool's to tell of, and ends the
// connection.
func (s *setup) run() {
	defer func() {
		v := recover()
		if v != nil {
			s.done, s.err = true, &reactor.PanicError{Value: v, Stack: debug.Stack(), In: "TLS handshake"}
		}
		s.c.l.r.Post(s.landed)
		if v != nil {
			panic(v)
		}
	}()
	s.step()
}

// landed follows run on the loop.
func (s *setup) landed() {
	l := s.c.l
	l.busy--
	s.running = false
	l.employ()
	if s.gone {
		s.drop()
		return
	}
	s.c.guarded(func() {
		s.c.enter()
		s.after()
		s.c.leave()
	})
}

// step goes on until input is wanted, or to the end.
func (s *setup) step() {
	if s.next == nil {
		if s.client {
			s.c.tls = tls.Client((*wire)(s.c), s.cfg)
		} else {
			s.c.tls = tls.Server((*wire)(s.c), s.cfg)
		}
		s.next, s.halt = iter.Pull(s.body)
	}
	s.next()
}

func (s *setup) body(yield func(struct{}) bool) {
	s.yield = yield
	s.err = s.c.tls.Handshake()
	s.done = true
}

// await returns when there is input, or none to come. It is called by the step.
func (s *setup) await() error {
	for len(s.c.in) == 0 {
		if s.ended {
			return errBareEOF
		}
		if !s.yield(struct{}{}) {
			return errGone
		}
	}
	if s.taken >= s.most {
		return ErrHandshakeTooLong
	}
	return nil
}

// after sees what has come of a step.
func (s *setup) after() {
	c := s.c
	c.pass(s.out)
	s.out = nil
	switch {
	case s.gone || c.life != shaking:
		return // a write below has ended it
	case s.done && s.err != nil:
		c.shakeFailed(s.err)
	case s.done:
		s.merge()
		c.completed()
	case len(s.more) > 0 || s.moreEnded && !s.ended:
		s.kick()
	}
	if s.held && c.life <= closing {
		s.held = false
		c.resumeBelow()
	}
}

// shakeFailed ends a connection that could not be protected. The alert that tells
// the peer, if there is one, is sent first.
func (c *Conn) shakeFailed(err error) {
	var p *reactor.PanicError
	switch {
	case errors.Is(err, errBareEOF):
		c.fail("handshake", ErrTruncated)
	case errors.As(err, &p):
		c.end(p, true)
	case err == ErrHandshakeTooLong:
		c.end(c.errorf("handshake", err), true)
	default:
		c.fail("handshake", err)
	}
}

// completed follows a handshake that has succeeded: first the protocol hears of it,
// then what was written goes out, then what came behind the handshake is read.
func (c *Conn) completed() {
	s := c.setup
	s.deadline.Cancel()
	c.setup, c.life, c.eof = nil, open, s.ended
	if h, ok := reactor.ProtocolAs[HandshakeListener](c.proto); ok {
		h.HandshakeCompleted(c.tls.ConnectionState())
	}
	if c.life > closing {
		return // it was aborted, and what was written is not sent (TLS-15)
	}
	c.flush()
	c.checkLow()
	if c.reason == reactor.ErrClosed && c.life == open {
		c.life = closing
	}
	if c.read == paused && c.life == open {
		c.pauseBelow()
		c.resumed = true
	}
	if c.l.shrink != nil {
		c.l.used(c)
	}
	c.drain()
}

// abandon ends a handshake in progress. What it holds is given back now, or when the
// step in progress returns.
func (s *setup) abandon() {
	s.gone = true
	s.deadline.Cancel()
	s.more = nil
	if s.queued {
		w := &s.c.l.waiting
		if i := slices.Index(*w, s.c); i >= 0 {
			*w = slices.Delete(*w, i, i+1)
		}
		s.queued = false
	}
	if !s.running {
		s.drop()
	}
}

// drop lets go of what a Conn that is kept, though it is lost, need not hold.
func (s *setup) drop() {
	s.stop()
	s.c.in, s.c.tls, s.next, s.halt = nil, nil, nil, nil
}

// stop lets the coroutine unwind, where it was made to run: one that was made on a
// goroutine of the pool cannot be continued by a loop that is tied to its thread.
func (s *setup) stop() {
	if s.halt == nil || s.done {
		return
	}
	if s.onLoop || s.c.l.r.CallInThread(s.halt) != nil {
		s.halt()
	}
}
