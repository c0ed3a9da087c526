package reactor

import (
	"io"

	"github.com/whorl-go/whorl/internal/chunks"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

// Stream is the transport of this package: one connection that the kernel reads and writes
// as a stream. It implements all capabilities of a transport. It is for the loop's
// goroutine only.
//
// Nothing ends inside a call. The effects of Write, Close, Abort and the others come when the
// stream's callback in progress has returned. If they were called elsewhere, such as in a
// delayed call or in a callback of another stream, the effects come before the loop waits
// next. A short answer to received data may wait for the callbacks of up to fifteen other
// streams, and then leaves together with their answers.
type Stream struct {
	// The fields that every message uses come first, in one cache line.
	r       *Reactor
	conn    kernel.Conn
	proto   Protocol
	out     chunks.List
	state   streamState
	read    readState
	write   writeState
	armed   kernel.Ready
	pauses  pauseState // of the producer
	blocked bool       // the socket was full: wait for Writable before sending; if nothing is buffered, SendFile waits
	dirty   bool       // is in Reactor.dirty
	direct  uint8      // chunks that writes have sent themselves since settle

	cfg      *streamParams // of the owner; a stream that takes long to end has its own
	in       uint64        // bytes read
	sent     uint64        // bytes that the socket has taken
	producer Producer
	token    uint32
	session  uint32
}

// owner is the maker of a stream: a port, a connector, or attached for Attach.
type owner interface {
	// streamLost is called after the protocol's ConnectionLost.
	streamLost(*Stream, error)
	logPrefix(*Stream) string
	describe(*Stream) string
}

type streamState uint8

const (
	streamOpen    streamState = iota
	streamClosing             // Close was called, or the peer has ended; the stream ends when everything is sent
	streamBroken              // the connection has failed; what the peer sent before is still delivered
	streamEnding              // ends when the callback returns; Reactor.endReasons has the reason
	streamLost
)

// pauseState tells whether we have paused the producer.
type pauseState uint8

const (
	notPaused   pauseState = iota
	pausedEarly            // when it was registered; its first write says it again
	pausedOnce
)

func (s *Stream) paused() bool { return s.pauses != notPaused }

type readState uint8

const (
	readOn readState = iota
	readPaused
	readEnded // the peer has ended its direction, and a HalfCloseListener was told
	readOver  // the peer has ended its direction, and nobody listens: the stream ends when everything is sent
)

type writeState uint8

const (
	writeOn      writeState = iota
	writeClosing            // CloseWrite was called
	writeEnded
)

func (s *Stream) connectionMade(unsent []byte) {
	s.note(probe.NoteMade, 0, nil)
	s.r.optionals.protocol(s.r, s.proto)
	if len(unsent) > 0 {
		_, _ = s.put(unsent, false) // an error has ended the stream
	}
	s.proto.ConnectionMade(s)
}

// callback makes one callback with a recover of its own, outside that of the batch.
func (s *Stream) callback(fn func()) error {
	if e := s.r.guard(s, fn); e != nil {
		return e
	}
	return nil
}

// touch has s settled before the loop waits.
func (s *Stream) touch() {
	if !s.dirty && s.state != streamLost {
		s.dirty = true
		s.r.touch(s)
	}
}

func (s *Stream) ready(ev kernel.Ready) {
	if ev&kernel.Readable != 0 {
		if s.reading() {
			s.readSome()
		}
	} else if ev&kernel.Failed != 0 {
		s.hasFailed()
	}
	if ev&kernel.Writable != 0 {
		s.blocked = false
	} else if s.hasReply() {
		s.r.replies.hold(s)
		return
	}
	s.settle()
}

func (s *Stream) reading() bool {
	return s.read == readOn && (s.state == streamOpen || s.state == streamBroken)
}

// peerGone tells whether the peer has ended its direction.
func (s *Stream) peerGone() bool { return s.read >= readEnded }

// Producing tells whether the stream may still deliver something: it is open, and the peer
// has not ended; or writing has failed, and what came before is delivered. A stream that waits
// for a registered producer waits no longer when that produces no more (PROD-11).
func (s *Stream) Producing() bool {
	return (s.state == streamOpen || s.state == streamBroken) && !s.peerGone()
}

func (s *Stream) readSome() {
	buf := s.r.buf
	n, err := 0, s.takeBack()
	taken := err != nil
	if own, ok := s.proto.(InputReader); ok && !taken {
		n, err, taken = own.ReadInput(s.conn)
	}
	if !taken {
		n, err = s.conn.Read(buf)
	}
	switch {
	case n > 0 && taken:
		s.counted(n)
	case n > 0:
		s.deliver(buf[:n:n])
	case err == kernel.ErrAgain || err == nil:
	case err == io.EOF:
		s.peerEnded()
	case s.state == streamBroken:
		s.readAll(s.cfg.ending.reason)
	default:
		s.readAll(s.opError("read", err))
	}
}

// deliver lends p to the protocol.
func (s *Stream) deliver(p []byte) {
	s.in += uint64(len(p))
	if s.r.hooked {
		s.noteData(len(p))
	}
	s.proto.DataReceived(p)
	if s.r.hooked {
		s.r.bufferReturned(p)
	}
}

// counted follows the n bytes that an InputReader has read.
func (s *Stream) counted(n int) {
	s.in += uint64(n)
	if s.r.hooked {
		s.noteData(n)
		s.r.noteDataDone()
	}
}

// peerEnded handles the end of the peer's direction. A HalfCloseListener is told. For any
// other protocol the connection ends when what is buffered has been sent (TCP-71, TCP-72).
func (s *Stream) peerEnded() {
	if s.state == streamBroken {
		s.readAll(s.cfg.ending.reason)
		return
	}
	h, ok := halfCloseListener(s.proto)
	if !ok {
		s.read = readOver
		if s.out.Len() == 0 || Unfinished(s.producer) {
			s.end(io.EOF)
			return
		}
		s.state = streamClosing
		s.note(probe.NoteClosing, 0, nil)
		s.stopProducer()
		return
	}
	s.read = readEnded
	s.note(probe.NoteReadLost, 0, nil)
	h.ReadConnectionLost()
	s.endHalves()
}

// steady tells whether s is open in both directions, holds nothing back and is armed for
// reading only. Then settle has nothing to do but to send what is buffered.
func (s *Stream) steady() bool {
	return s.state == streamOpen && s.read == readOn && s.write == writeOn &&
		s.armed == kernel.Readable && !s.blocked && !s.paused()
}

// touched settles a stream that is in Reactor.dirty.
func (s *Stream) touched() {
	s.dirty = false
	s.settle()
}

// settle carries out what was asked for. It is the one place where a stream sends what is
// buffered, ends a direction, ends the connection, or changes what it waits for. Only large
// writes send elsewhere, see flush.
func (s *Stream) settle() {
	if s.state == streamLost {
		return
	}
	s.direct = 0
	if s.state <= streamClosing && !s.blocked {
		steady := s.steady()
		s.send()
		if steady && s.steady() {
			return
		}
	}
	if s.state <= streamClosing {
		s.settleProducer()
		s.settleEnd()
	}
	if s.state == streamBroken {
		s.finishReading()
	}
	if s.state == streamEnding {
		s.lose()
		return
	}
	s.arm()
}

// send hands the buffered output to the socket.
func (s *Stream) send() {
	switch {
	case s.out.Len() == 0:
	case s.r.forced(probe.SiteFlushLater): // as if the loop were busy
		s.touch()
	default:
		s.flush(nil)
	}
}

// settleProducer resumes a paused producer when the buffered output has fallen to LowWater.
func (s *Stream) settleProducer() {
	if !s.paused() || s.out.Len() > s.cfg.LowWater || s.descriptorsFull() || s.fileWaits() {
		return
	}
	// Resuming a turn later looks to the producer like a slower socket.
	if s.r.forced(probe.SiteResumeLater) {
		s.touch()
	} else {
		s.pauses = notPaused
		s.note(probe.NoteResumeProducer, 0, nil)
		s.producer.ResumeProducing()
	}
	if (s.out.Len() > 0 || s.paused()) && !s.blocked {
		s.touch() // what it produced goes out in the next turn, and then it is resumed
	}
}

// settleEnd ends our direction or the connection, if that was asked for, when everything is
// sent and no producer is registered.
func (s *Stream) settleEnd() {
	switch {
	case s.state > streamClosing:
	case s.out.Len() > 0 || s.producer != nil && Produces(s.producer):
		if s.state == streamClosing {
			s.limitEnd()
		}
	case (s.state == streamClosing || s.write == writeClosing) && s.overrun():
		s.end(ErrDescriptorOverrun)
	case s.state == streamClosing && s.read == readOver:
		s.end(io.EOF)
	case s.state == streamClosing:
		s.end(ErrClosed)
	case s.write == writeClosing:
		s.endWrite()
	}
}

// flush sends the buffered output and then p. It returns how many bytes of p the socket took.
// Besides settle, writes call it when a chunk or more is to be sent.
func (s *Stream) flush(p []byte) int {
	n, short, err := 0, false, error(nil)
	if b := s.out.Single(); b != nil && len(p) == 0 {
		n, err = s.conn.Write(b)
		short = n < len(b)
	} else {
		n, short, err = s.r.send(&s.out, s.conn, p)
	}
	return s.wrote(n, short, err)
}

// wrote is called when the socket has taken n bytes, of the buffered output first and then of
// the slice behind it. It returns how many were of that slice.
func (s *Stream) wrote(n int, short bool, err error) int {
	switch {
	case err == kernel.ErrAgain:
		s.blocked = true
	case err != nil: // below, because it calls the producer
	default:
		s.blocked = short
	}
	s.sent += uint64(n)
	if n > 0 && s.cfg.ending != nil {
		s.limitEnd()
	}
	if n > 0 {
		s.note(probe.NoteSent, n, nil)
	}
	own := min(n, s.out.Len())
	s.out.Advance(&s.r.chunks, own)
	if err != nil && err != kernel.ErrAgain {
		s.outputFailed(s.opError("write", err))
	}
	return n - own
}

func (s *Stream) endWrite() {
	s.write = writeEnded
	// If the peer has gone already, this fails, and the next read finds the end (TCP-75).
	s.conn.CloseWrite()
	if h, ok := halfCloseListener(s.proto); ok {
		s.note(probe.NoteWriteLost, 0, nil)
		h.WriteConnectionLost()
	}
	s.endHalves()
}

// arm tells the kernel what the stream waits for, if that has changed.
func (s *Stream) arm() {
	var want kernel.Ready
	if s.reading() {
		want = kernel.Readable
	}
	if s.blocked && (s.out.Len() > 0 || s.paused()) {
		want |= kernel.Writable
	}
	if s.cfg.halves != nil {
		want = s.wantHalves(want)
	} else if want == 0 && s.state <= streamClosing {
		want = kernel.Failed // it waits for nothing, but it must hear of a reset
	}
	if want == s.armed {
		return
	}
	if err := s.r.k.Arm(innerConn(s.conn), s.token, want); err != nil {
		s.end(s.opError("arm", err))
		s.lose()
		return
	}
	s.armed = want
}

// end sets the reason why the connection ends; lose ends it later. The first reason stays,
// unless a callback panics after it (TCP-81).
func (s *Stream) end(reason error) {
	if s.state == streamLost {
		return
	}
	if s.state != streamEnding {
		_ = s.takeBack() // there is a reason already
		s.state = streamEnding
		s.r.endReasons.set(s, reason)
		s.note(probe.NoteClosing, 0, nil)
	} else if _, panicked := reason.(*PanicError); panicked && s.r.endReasons.of(s) != ErrDetached {
		s.r.endReasons.set(s, reason) // but not if the connection belongs to somebody else already
	}
	s.touch()
}

// lose ends the connection. It is called once, whatever the reason.
func (s *Stream) lose() {
	reason := s.r.endReasons.take(s)
	s.state = streamLost
	if s.cfg.ending != nil {
		s.cfg.ending.limit.Cancel()
	}
	s.conn.Local() // from now on the conn can tell it only if it was asked before
	s.closeConn(reason)
	s.stopProducer() // before ConnectionLost (PROD-6)
	s.note(probe.NoteLost, 0, reason)
	s.callback(func() { s.proto.ConnectionLost(reason) })
	s.cfg.owner.streamLost(s, reason)
	s.r.streamGone()
	s.r.slow.returned(s.r, s) // while the protocol has its name
	s.proto = lostProtocol{}
}

// lostProtocol replaces the protocol after the end, so that a transport that is still
// referenced does not keep its protocol in memory (DESC-30).
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

// shutdown ends the stream because the reactor ends. What the socket takes at once is sent.
func (s *Stream) shutdown() {
	if s.state <= streamClosing && s.out.Len() > 0 && !s.blocked {
		s.flush(nil)
	}
	s.end(ErrStopped)
	if s.state == streamEnding {
		s.lose()
	}
}

func (s *Stream) drop() {
	_ = s.takeBack()
	if s.state == streamEnding && s.r.endReasons.of(s) == ErrDetached {
		s.letGo()
		return
	}
	s.conn.Abort()
}

func (s *Stream) opError(op string, err error) error {
	return &OpError{Op: op, Local: s.conn.Local(), Remote: s.conn.Remote(), Err: err}
}

func (s *Stream) logName() string { return LogPrefixOf(s.proto) }
