package coro

import (
	"io"
	"net"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Session is a connection for straight-line code: a net.Conn whose Read and Write suspend the coroutine that calls them, and
// never block the loop. bufio, net/textproto, crypto/tls and clients that want a net.Conn work on it as they are.
//
// Its methods are for the loop's goroutine. Read and Write are for coroutines of the same reactor, one of each at a time: another one
// may write while one reads. Everywhere else they panic if they would have to wait.
type Session struct {
	t    reactor.Connection
	body func(*Session) error // of Protocol; that of Bare only takes the Session
	own  Coroutine            // that runs body; of Bare it is one that never runs, and only has the loop

	in         []byte     // what has come and was not read
	reader     *Coroutine // who waits in Read
	seldom     *seldom
	lost       bool // ConnectionLost was called
	paused     bool // the transport delivers nothing, because in is not empty
	full       bool // the transport is above its mark
	registered bool // we are its producer
	broken     bool // the transport sends nothing any more
	eof        bool // the peer has ended its direction
	draining   bool // Read ends when nothing is there
	closed     bool // by our side
	released   bool // the connection is somebody else's
}

// seldom is what an idle session does not need.
type seldom struct {
	readUntil, writeUntil time.Duration // deadlines by the reactor's clock; 0: none
	writer                *Coroutine    // who waits in Write
	reason                error         // of ConnectionLost
	failures              int           // calls in a row that have failed at once
}

// rest makes room for it.
func (s *Session) rest() *seldom {
	if s.seldom == nil {
		s.seldom = new(seldom)
	}
	return s.seldom
}

// loop is the loop of the connection.
func (s *Session) loop() *loop { return s.own.l }

// served tells whether s has a body of its own.
func (s *Session) served() bool { return s.own.session != nil }

var (
	_ net.Conn           = (*Session)(nil)
	_ io.ReadWriteCloser = (*Session)(nil)
)

// piece is how much Write gives to the transport at a time, before it looks at the mark again.
const piece = 16 << 10

// Read reads what has come, at least one byte, and waits for it if nothing has. While nobody reads, at most one delivery of the
// transport is kept, and then the peer is held back (CORO-4). An end of the peer's direction is io.EOF, after all that it sent;
// writing goes on then. A loss is a *reactor.OpError that is reactor.ErrLost and the reason, a passed deadline os.ErrDeadlineExceeded,
// and our own Close net.ErrClosed. A second Read at a time panics.
func (s *Session) Read(p []byte) (int, error) {
	c := s.loop().running("Read of a Session")
	if s.reader != nil {
		panic("coro: Read of a Session in which another coroutine reads")
	}
	for {
		switch {
		case s.closed:
			return 0, s.fail(s.opError("read", reactor.ErrClosed))
		case s.passed(s.readUntil()):
			return 0, s.fail(errDeadline)
		case len(s.in) > 0 || len(p) == 0:
			s.succeed()
			return s.take(p), nil
		case s.lost:
			return 0, s.fail(s.readError())
		case s.eof || s.draining:
			return 0, s.fail(io.EOF)
		case s.loop().gone != nil:
			return 0, s.fail(s.opError("read", s.loop().gone))
		}
		s.reader = c
		err := c.suspend(orForever(s.readUntil()))
		s.reader = nil
		s.succeed() // it has waited, whatever comes of that
		if err != nil && err != errTimeout && !s.lost {
			return 0, err
		}
	}
}

// take gives what has come to a reader, and has the transport go on when all of it was read.
func (s *Session) take(p []byte) int {
	n := copy(p, s.in)
	s.in = s.in[n:]
	if len(s.in) == 0 {
		s.in = nil
		if s.paused {
			s.paused = false
			s.t.ResumeProducing()
		}
	}
	return n
}

// Write sends p, and returns when the transport has taken all of it. While the transport is above its mark, it waits, so what is
// buffered stays bounded whatever the peer does (CORO-5). p belongs to the caller again when it returns. After the loss of the
// connection the error is a *reactor.OpError that is reactor.ErrLost and the reason; after our own Close it is net.ErrClosed, and
// after a deadline os.ErrDeadlineExceeded; n says how much was taken before. A second Write at a time panics.
func (s *Session) Write(p []byte) (n int, err error) {
	c := s.loop().running("Write of a Session")
	if s.seldom != nil && s.seldom.writer != nil {
		panic("coro: Write of a Session in which another coroutine writes")
	}
	looked := false
	for {
		switch {
		case s.closed:
			return n, s.fail(s.opError("write", reactor.ErrClosed))
		case s.broken && !s.lost && !looked && s.loop().r.Post(s.wakeWriter): // the loss comes before the next turn, with its reason, unless there is input left
			looked = true
			if err := s.awaitRoom(c); err != nil {
				return n, err
			}
			continue
		case s.lost || s.broken:
			return n, s.fail(s.lostError("write"))
		case s.loop().gone != nil:
			return n, s.fail(s.opError("write", s.loop().gone))
		case s.passed(s.writeUntil()):
			return n, s.fail(errDeadline)
		case s.full:
			if err := s.awaitRoom(c); err != nil {
				return n, err
			}
			continue
		}
		if n == len(p) {
			return n, nil
		}
		m, err := s.t.Write(p[n:min(n+piece, len(p))])
		n += m
		switch {
		case err != nil:
			return n, s.fail(s.opError("write", err))
		case !s.registered:
			s.register()
		}
		s.succeed()
		if n == len(p) {
			return n, nil
		}
	}
}

// awaitRoom suspends a Write until something has changed. A deadline that has passed and a loss are no errors here.
func (s *Session) awaitRoom(c *Coroutine) error {
	s.rest().writer = c
	err := c.suspend(orForever(s.writeUntil()))
	s.seldom.writer = nil
	s.succeed()
	if err == errTimeout || s.lost {
		return nil
	}
	return err
}

// fail counts calls that fail at once, one after the other. One that has waited lets the loop go on, and begins the count anew.
func (s *Session) fail(err error) error {
	if s.rest().failures++; s.seldom.failures > maxFailures {
		panic(tooManyFailures(err))
	}
	return err
}

func (s *Session) succeed() {
	if s.seldom != nil {
		s.seldom.failures = 0
	}
}

// register has the transport tell when it is above its mark. One that cannot holds nothing back.
func (s *Session) register() {
	s.registered = true
	_ = s.t.RegisterProducer((*output)(s))
}

// Close ends the connection in order: what was written is sent first, and Read and Write fail with net.ErrClosed from now on,
// also those in progress. It does not wait. It may be called outside of a coroutine, and again. The error is always nil.
func (s *Session) Close() error {
	if !s.closed {
		s.closed = true
		s.in = nil
		if !s.lost && s.loop().gone == nil {
			s.t.UnregisterProducer()
			s.t.Close()
		}
		s.wake()
	}
	return nil
}

// Abort resets the connection, and drops what is buffered. Else it is as Close; after Close it still cuts short what waits to be sent. After
// Release it does nothing: the connection is somebody else's.
func (s *Session) Abort() {
	if !s.released {
		s.abort()
	}
}

func (s *Session) abort() {
	if !s.lost && s.loop().gone == nil {
		s.t.Abort()
	}
	s.Close()
}

// CloseWrite ends our direction when everything was sent. Reading goes on. Write fails afterwards, with reactor.ErrWriteClosed. It does
// not wait. On a transport that has no such end the error is errors.ErrUnsupported, and after the loss of the connection that of Write.
func (s *Session) CloseWrite() error {
	switch {
	case s.closed:
		return s.opError("close", reactor.ErrClosed)
	case s.lost:
		return s.lostError("close")
	case s.loop().gone != nil:
		return s.opError("close", s.loop().gone)
	}
	if err := s.t.CloseWrite(); err != nil {
		return err
	}
	if s.seldom == nil || s.seldom.writer == nil { // one that waits for room goes on in ResumeProducing, and fails then
		s.full = false
		s.t.UnregisterProducer() // the transport would take what the producer of it writes
	}
	return nil
}

// Release gives the connection out of the session: to join it with another by reactor.Join, or to give it another protocol. It returns the
// transport, and what has come and was not read, which the caller keeps. The transport is paused. For the session it is as if it were
// closed, but the body may end and the connection goes on; only a panic still aborts it. After Close or the loss, the transport
// is returned as it is.
func (s *Session) Release() (t reactor.Transport, unread []byte) {
	if s.closed || s.lost || s.loop().gone != nil {
		return s.t, nil
	}
	unread = append(unread, s.in...)
	s.closed, s.released, s.in = true, true, nil
	s.t.PauseProducing()
	s.t.UnregisterProducer()
	s.wake()
	return s.t, unread
}

// LocalAddr is our address, a kernel.Addr.
func (s *Session) LocalAddr() net.Addr { return s.t.Local() }

// RemoteAddr is the peer's address, a kernel.Addr.
func (s *Session) RemoteAddr() net.Addr { return s.t.Remote() }

// Transport is the connection itself, for what a net.Conn does not have: addresses, options, capabilities by reactor.As. Do not
// write to it between two Writes of one message, pause it, register a producer or give it another protocol: see [Session.Release].
func (s *Session) Transport() reactor.Transport { return s.t }

// Reactor is the loop of the connection.
func (s *Session) Reactor() *reactor.Reactor { return s.loop().r }

// Coroutine is the one that runs the body of a [Protocol]. It is nil for one of Bare, Dial or Accept, which belongs to no coroutine.
func (s *Session) Coroutine() *Coroutine {
	if !s.served() {
		return nil
	}
	return &s.own
}

// Sleep is [Coroutine.Sleep] of the coroutine that calls it. The error is not nil if the connection of its Protocol is lost meanwhile.
func (s *Session) Sleep(d time.Duration) error {
	return s.loop().running("Sleep of a Session").Sleep(d)
}

// wake resumes who waits for something that has come. Each looks whether it concerns him.
func (s *Session) wake() {
	s.wakeReader()
	s.wakeWriter()
}

func (s *Session) wakeReader() {
	if c := s.reader; c != nil {
		c.resume()
	}
}

func (s *Session) wakeWriter() {
	if s.seldom != nil && s.seldom.writer != nil {
		s.seldom.writer.resume()
	}
}

// orForever is a deadline for suspend.
func orForever(until time.Duration) time.Duration {
	if until == 0 {
		return kernel.Forever
	}
	return until
}
