package reactor

import (
	"io"
	"slices"

	"github.com/whorl-go/whorl/internal/chunks"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

// Stream is the transport of this package: one connected stream socket, all of
// whose capabilities are methods. It belongs to the loop's goroutine.
//
// Nothing ends inside a call: what Write, Close, Abort and the others set in
// motion is settled when the callback in progress has returned, or, for a stream
// other than the one it is about, at the end of the turn. A short answer to what was
// received is sent when at most fifteen other streams had their callback too.
type Stream struct {
	// What every message touches comes first, in one line of the cache.
	r       *Reactor
	conn    kernel.Conn
	proto   Protocol
	out     chunks.List
	state   streamState
	read    readState
	write   writeState
	armed   kernel.Ready
	paused  bool // the producer was paused by us
	blocked bool // the socket was full: wait for Writable before sending
	dirty   bool // stands in Reactor.dirty

	cfg      *StreamConfig // complete; the owner's
	in       uint64        // bytes read
	sent     uint64        // bytes the socket took
	producer Producer
	owner    owner
	token    uint32
	session  uint32
}

// endReason is why a stream ends, kept apart for the short time from end to lose.
type endReason struct {
	s      *Stream
	reason error
}

// owner is what a stream came from: a port, a connector, or Attach.
type owner interface {
	// streamLost is called after the protocol's ConnectionLost.
	streamLost(*Stream, error)
	logPrefix(*Stream) string
	describe(*Stream) string
}

type streamState uint8

const (
	streamOpen    streamState = iota
	streamClosing             // Close was called: the end comes when all is sent
	streamEnding              // the end comes when the callback returns; Reactor.endReasons says why
	streamLost
)

type readState uint8

const (
	readOn readState = iota
	readPaused
	readEnded // the peer has ended, and a HalfCloseListener was told
)

type writeState uint8

const (
	writeOn      writeState = iota
	writeClosing            // CloseWrite was called
	writeEnded
)

func (s *Stream) connectionMade() {
	s.note(probe.NoteMade, 0, nil)
	s.proto.ConnectionMade(s)
}

// callback makes one callback outside the batch's own protection.
func (s *Stream) callback(fn func()) error {
	if e := s.r.guard(s, fn); e != nil {
		return e
	}
	return nil
}

// touch has s settled soon.
func (s *Stream) touch() {
	if !s.dirty && s.state != streamLost {
		s.dirty = true
		s.r.touch(s)
	}
}

func (s *Stream) ready(ev kernel.Ready) {
	if ev&kernel.Readable != 0 && s.reading() {
		s.readSome()
	}
	if ev&kernel.Writable != 0 {
		s.blocked = false
	} else if s.hasReply() {
		s.r.replies.hold(s)
		return
	}
	s.settle()
}

func (s *Stream) reading() bool { return s.state == streamOpen && s.read == readOn }

func (s *Stream) readSome() {
	r := s.r
	buf := r.buf
	n, err := s.conn.Read(buf)
	switch {
	case n > 0:
		s.in += uint64(n)
		if r.hooked {
			s.noteData(n)
		}
		s.proto.DataReceived(buf[:n:n])
		if r.hooked {
			r.bufferReturned(buf[:n])
		}
	case err == kernel.ErrAgain || err == nil:
	case err == io.EOF:
		s.peerEnded()
	default:
		s.end(s.opError("read", err))
	}
}

// peerEnded is half the end for those who listen for it, and all of it for the
// rest (TCP-71, TCP-72).
func (s *Stream) peerEnded() {
	h, ok := ProtocolAs[HalfCloseListener](s.proto)
	if !ok {
		s.end(io.EOF)
		return
	}
	s.read = readEnded
	s.note(probe.NoteReadLost, 0, nil)
	h.ReadConnectionLost()
}

// steady tells whether s is open in both directions, holds nothing back and is armed for
// what it waits for: then all that can be due is to send what is buffered.
func (s *Stream) steady() bool {
	return s.state == streamOpen && s.read == readOn && s.write == writeOn &&
		s.armed == kernel.Readable && !s.blocked && !s.paused
}

// touched is settle for a stream that touch has entered.
func (s *Stream) touched() {
	s.dirty = false
	s.settle()
}

// settle carries out what was asked for. It is the one place where a stream
// sends, ends a direction, ends altogether, or changes what it waits for.
func (s *Stream) settle() {
	if s.state == streamLost {
		return
	}
	if s.state != streamEnding && !s.blocked {
		steady := s.steady()
		s.send()
		if steady && s.steady() {
			return
		}
	}
	if s.state != streamEnding {
		s.settleProducer()
		s.settleEnd()
	}
	if s.state == streamEnding {
		s.lose()
		return
	}
	s.arm()
}

// send hands what is buffered to the socket.
func (s *Stream) send() {
	switch {
	case s.out.Len() == 0:
	case s.r.forced(probe.SiteFlushLater): // as in a loop that has much to do
		s.touch()
	default:
		s.flush(nil)
	}
}

// settleProducer resumes a producer that was paused, when little enough is buffered.
func (s *Stream) settleProducer() {
	if !s.paused || s.out.Len() > s.cfg.LowWater {
		return
	}
	// The producer knows no time: a turn later it is a slower socket.
	if s.r.forced(probe.SiteResumeLater) {
		s.touch()
	} else {
		s.resumeProducer()
	}
	if s.out.Len() > 0 && !s.blocked {
		s.touch() // what it produced goes out in the next turn
	}
}

// settleEnd ends our direction, or the connection, when that was asked for and all is sent.
func (s *Stream) settleEnd() {
	switch {
	case s.out.Len() > 0 || s.producer != nil || s.state == streamEnding:
	case s.state == streamClosing:
		s.end(ErrClosed)
	case s.write == writeClosing:
		s.endWrite()
	}
}

// flush sends what is unsent and then p, and returns how much of p was taken.
func (s *Stream) flush(p []byte) int {
	n, short, err := 0, false, error(nil)
	if b := s.out.Single(); b != nil && len(p) == 0 {
		// What nearly every message is: one piece, taken whole.
		n, err = s.conn.Write(b)
		if short = n < s.out.Len(); !short && s.r.observer == nil {
			s.sent += uint64(n)
			s.out.DropSingle(&s.r.chunks)
			return 0
		}
	} else {
		n, short, err = s.r.send(&s.out, s.conn, p)
	}
	return s.wrote(n, short, err)
}

// wrote is what follows when the socket has taken n bytes of what is unsent and of
// what comes behind it, of which it returns the number.
func (s *Stream) wrote(n int, short bool, err error) int {
	switch {
	case err == kernel.ErrAgain:
		s.blocked = true
	case err != nil:
		s.end(s.opError("write", err))
	default:
		s.blocked = short
	}
	s.sent += uint64(n)
	if s.r.observer != nil && n > 0 {
		s.note(probe.NoteSent, n, nil)
	}
	own := min(n, s.out.Len())
	s.out.Advance(&s.r.chunks, own)
	return n - own
}

func (s *Stream) endWrite() {
	s.write = writeEnded
	// If the peer has gone already this fails, and reading finds out (TCP-75).
	s.conn.CloseWrite()
	if h, ok := ProtocolAs[HalfCloseListener](s.proto); ok {
		s.note(probe.NoteWriteLost, 0, nil)
		h.WriteConnectionLost()
	}
}

func (s *Stream) arm() {
	var want kernel.Ready
	if s.reading() {
		want = kernel.Readable
	}
	if s.blocked && s.out.Len() > 0 {
		want |= kernel.Writable
	}
	if want == s.armed {
		return
	}
	if err := s.r.k.Arm(s.conn, s.token, want); err != nil {
		s.end(s.opError("arm", err))
		s.lose()
		return
	}
	s.armed = want
}

// end decides why the connection ends; the first reason stands, unless a
// callback panics after it (TCP-81). The end itself is lose's.
func (s *Stream) end(reason error) {
	if s.state == streamLost {
		return
	}
	if s.state != streamEnding {
		s.state = streamEnding
		s.r.endReasons = append(s.r.endReasons, endReason{s, reason})
		s.note(probe.NoteClosing, 0, nil)
	} else if _, panicked := reason.(*PanicError); panicked {
		s.r.endReasons[s.endReasonAt()].reason = reason
	}
	s.touch()
}

// endReasonAt finds the failure of s, which has one. There are few at a time.
func (s *Stream) endReasonAt() int {
	return slices.IndexFunc(s.r.endReasons, func(e endReason) bool { return e.s == s })
}

// lose is the end, once, for whatever reason.
func (s *Stream) lose() {
	at := s.endReasonAt()
	reason := s.r.endReasons[at].reason
	s.r.endReasons = slices.Delete(s.r.endReasons, at, at+1)
	s.state = streamLost
	s.out.Drop(&s.r.chunks)
	s.conn.Local() // it stays known
	if reason == ErrClosed && s.read != readEnded {
		s.drain()
	}
	if graceful(reason) {
		s.conn.Close()
	} else {
		s.conn.Abort()
	}
	s.r.releaseToken(s.token)
	if p := s.producer; p != nil {
		s.producer = nil
		s.note(probe.NoteStopProducer, 0, nil)
		s.callback(p.StopProducing) // before ConnectionLost (PROD-6)
	}
	s.note(probe.NoteLost, 0, reason)
	s.callback(func() { s.proto.ConnectionLost(reason) })
	s.owner.streamLost(s, reason)
	s.proto = lostProtocol{}
}

// drain discards the input that is there (TCP-59). Closing a socket with unread
// input resets the connection, and the system drops what it has not sent yet.
func (s *Stream) drain() {
	for left := drainLimit; left > 0; {
		n, err := s.conn.Read(s.r.buf)
		if n <= 0 || err != nil {
			return
		}
		left -= n
		s.note(probe.NoteDrained, n, nil)
	}
}

// drainLimit is how many bytes of unread input Close bothers to discard.
const drainLimit = 1 << 20

// graceful tells which ends do not reset the connection.
func graceful(reason error) bool {
	return reason == io.EOF || reason == ErrClosed || reason == ErrStopped
}

// lostProtocol takes the protocol's place after the end, so that the transport
// does not keep it alive (DESC-30).
type lostProtocol struct{}

func (lostProtocol) ConnectionMade(Transport) {}
func (lostProtocol) DataReceived([]byte)      {}
func (lostProtocol) ConnectionLost(error)     {}
func (lostProtocol) LogPrefix() string        { return "lost connection" }

func (s *Stream) panicked(e *PanicError) {
	s.end(e)
	if s.state == streamEnding {
		s.lose()
	}
}

func (s *Stream) shutdown() {
	s.end(ErrStopped)
	if s.state == streamEnding {
		s.lose()
	}
}

func (s *Stream) opError(op string, err error) error {
	return &OpError{Op: op, Local: s.conn.Local(), Remote: s.conn.Remote(), Err: err}
}

func (s *Stream) logName() string { return LogPrefixOf(s.proto) }
