package reactor

import (
	"fmt"

	"github.com/whorl-go/whorl/internal/chunks"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

var (
	_ Transport    = (*Stream)(nil)
	_ HalfCloser   = (*Stream)(nil)
	_ Producer     = (*Stream)(nil)
	_ Consumer     = (*Stream)(nil)
	_ Vectored     = (*Stream)(nil)
	_ SharedWriter = (*Stream)(nil)
)

// Write takes all of p, as [Transport] says. Small writes are gathered and sent together when
// the callback returns. 16 KiB or more go to the socket at once, and less if a callback has
// written to more than a thousand other connections.
func (s *Stream) Write(p []byte) (int, error) {
	if s.cfg.retired {
		return 0, ErrSwitched
	}
	if err := s.writable(len(p)); err != nil {
		return 0, err
	}
	s.note(probe.NoteWritten, len(p), nil)
	rest := p
	if len(p) >= chunks.Size {
		rest = s.sendLarge(p)
	}
	s.buffer(rest, false)
	if s.producer != nil {
		s.checkHighWater()
	}
	return len(p), nil
}

// WriteShared takes all of p without copying it, as [SharedWriter] says. 16 KiB or more go to
// the socket at once. If less than 4 KiB are left of p, or if they fit behind what is buffered
// already, they are copied; otherwise the stream keeps p itself.
func (s *Stream) WriteShared(p []byte) (int, error) {
	if s.cfg.retired {
		return 0, ErrSwitched
	}
	return s.put(p, true)
}

// put is Write, or WriteShared, also of a stream that is retired.
func (s *Stream) put(p []byte, shared bool) (int, error) {
	if err := s.writable(len(p)); err != nil {
		return 0, err
	}
	s.note(probe.NoteWritten, len(p), nil)
	s.buffer(s.sendLarge(p), shared)
	s.checkHighWater()
	return len(p), nil
}

// WriteVec takes all of bufs in one write, as [Vectored] says.
func (s *Stream) WriteVec(bufs [][]byte) (int, error) {
	if s.cfg.retired {
		return 0, ErrSwitched
	}
	return s.putVec(bufs)
}

func (s *Stream) putVec(bufs [][]byte) (int, error) {
	total := 0
	for _, p := range bufs {
		total += len(p)
	}
	if err := s.writable(total); err != nil {
		return 0, err
	}
	s.note(probe.NoteWritten, total, nil)
	for _, p := range bufs {
		s.buffer(s.sendLarge(p), false)
	}
	s.checkHighWater()
	return total, nil
}

// maxDirect is how many chunks writes may send themselves, in one callback: 256 KiB. The rest
// is buffered, so that a callback that writes without end to a fast reader does not hold up
// the loop.
const maxDirect = 16

// sendLarge sends p at once, behind what is buffered, if it fills a chunk. It returns what
// the socket did not take.
func (s *Stream) sendLarge(p []byte) []byte {
	if len(p) < chunks.Size || s.blocked || s.state > streamClosing || s.direct >= maxDirect || s.r.forced(probe.SiteFlushLater) {
		return p
	}
	if s.out.Len() > 0 {
		return p[s.flushDirect(p):]
	}
	before := s.sent // as flushDirect does it, in fewer functions: see turn
	n, err := s.conn.Write(p)
	n = s.wrote(n, n < len(p), err)
	s.countDirect(int(s.sent - before))
	return p[n:]
}

// flushDirect is flush inside a write.
func (s *Stream) flushDirect(p []byte) int {
	before := s.sent
	n := s.flush(p)
	s.countDirect(int(s.sent - before))
	return n
}

// countDirect counts n bytes that were sent outside of settle.
func (s *Stream) countDirect(n int) {
	s.direct = uint8(min(int(s.direct)+(n+chunks.Size-1)/chunks.Size, maxDirect))
	if s.r.current != source(s) {
		s.touch() // so that the count ends with the turn, and a paused producer is resumed
	}
}

// writable returns an error if n more bytes cannot be taken. It decides the usual case, and
// leaves the others to refusal.
func (s *Stream) writable(n int) error {
	if s.state == streamOpen && s.write == writeOn && uint(s.out.Len()+n) <= uint(s.cfg.MaxBuffered) {
		return nil
	}
	return s.refusal(n)
}

// refusal is writable for all cases. While Close or CloseWrite waits for a registered
// producer, bytes are still taken. A producer that can write no more is stopped, inside its
// write, because one that ignores the error would go on for ever (PROD-14).
func (s *Stream) refusal(n int) error {
	producing := s.producer != nil
	switch {
	case s.state == streamOpen && s.write == writeOn:
	case s.state > streamClosing:
		s.stopProducer()
		return ErrClosed
	case !producing && s.state == streamClosing:
		return ErrClosed
	case !producing, s.write == writeEnded:
		return ErrWriteClosed
	}
	if limit := s.cfg.MaxBuffered; limit >= 0 && s.out.Len()+n > limit {
		err := fmt.Errorf("%w: %d bytes are unsent, and %d more are above StreamConfig.MaxBuffered, which is %d",
			ErrBufferFull, s.out.Len(), n, limit)
		s.end(err)
		s.stopProducer()
		return err
	}
	return nil
}

// buffer puts p behind the buffered output, as a copy unless it is shared. If that fills a
// chunk, it sends at once.
func (s *Stream) buffer(p []byte, shared bool) {
	if len(p) == 0 || s.state > streamClosing {
		return
	}
	if shared {
		s.out.Share(&s.r.chunks, p)
	} else {
		s.out.Append(&s.r.chunks, p)
	}
	if s.crowded() {
		s.flushDirect(nil)
	}
	if s.r.chunks.Held > s.r.maxChunks {
		s.r.relieve()
		if s.state > streamClosing {
			return
		}
	}
	if s.out.Len() > 0 && !s.blocked && (s.out.Len() >= chunks.Size || s.r.forcer != nil) && s.direct < maxDirect && s.flushAt(s.out.Len()) {
		s.flushDirect(nil)
	}
	if s.r.current != source(s) {
		s.touch()
	}
}

// maxGathered is how many chunks all connections together hold before writes to others than the one whose callback is in progress are sent at once: 16 MiB.
const maxGathered = 1 << 10

// crowded tells whether s is one of so many that gathering costs more memory than it is worth. A callback that writes a line to 100,000 others would
// otherwise hold a chunk for each until it returns, and end those that MaxBufferedTotal has no room for.
func (s *Stream) crowded() bool {
	return s.r.chunks.Held > min(maxGathered, s.r.maxChunks/2) && s.r.current != source(s) && !s.blocked && s.direct < maxDirect
}

// Close ends the connection when everything has been sent, as [Transport] says.
func (s *Stream) Close() error {
	if top := s.upper(); top != nil {
		return top.Close()
	}
	s.close()
	return nil
}

func (s *Stream) close() {
	switch s.state {
	case streamOpen:
		_ = s.takeBack() // the end is found by writing
		s.state = streamClosing
		s.note(probe.NoteClosing, 0, ErrClosed)
		s.touch()
	case streamClosing: // what it waits for may be over, such as a producer that is lost
		s.touch()
	case streamBroken: // it can no longer be closed in order
		s.note(probe.NoteClosing, 0, ErrClosed)
		s.end(s.cfg.ending.reason)
	}
}

// Abort resets the connection, as [Transport] says.
func (s *Stream) Abort() {
	if top := s.upper(); top != nil {
		top.Abort()
		return
	}
	s.end(ErrAborted)
}

// CloseWrite ends our direction when everything has been sent, as [HalfCloser] says.
func (s *Stream) CloseWrite() error {
	if s.cfg.retired {
		return ErrSwitched
	}
	s.closeWrite()
	return nil
}

func (s *Stream) closeWrite() {
	if s.state == streamOpen && s.write == writeOn {
		s.write = writeClosing
		s.touch()
	}
}

// PauseProducing stops delivery. After it returns, DataReceived is not called until
// ResumeProducing (TCP-64). While paused, the stream does not notice that the peer closes
// (TCP-66), but it does notice a reset, unless the kernel is select (TCP-83).
func (s *Stream) PauseProducing() {
	if s.cfg.retired {
		if p, ok := topAs[Producer](s); ok {
			p.PauseProducing()
		}
		return
	}
	s.pause()
}

func (s *Stream) pause() {
	if s.reading() {
		s.read = readPaused
		s.note(probe.NotePaused, 0, nil)
		s.touch()
	}
}

// ResumeProducing starts delivery again. It does nothing on a stream that is closing or lost
// (TCP-65).
func (s *Stream) ResumeProducing() {
	if s.cfg.retired {
		if p, ok := topAs[Producer](s); ok {
			p.ResumeProducing()
		}
		return
	}
	s.resume()
}

func (s *Stream) resume() {
	if s.read == readPaused && (s.state == streamOpen || s.state == streamBroken) {
		s.read = readOn
		s.note(probe.NoteResumed, 0, nil)
		s.touch()
		s.resumed()
	}
}

// StopProducing is Close (PROD-11). If writing has failed, it is ResumeProducing: the stream ends
// by itself when what the peer sent before was delivered (TCP-67). So a stream may be the
// producer of itself.
func (s *Stream) StopProducing() {
	switch top := s.upper(); {
	case top != nil:
		stopTop(top)
	case !s.resumeBroken():
		s.close()
	}
}

// stopTop is StopProducing of the transport of a Layer. What As finds below it is not its own.
func stopTop(top Transport) {
	if p, ok := top.(interface{ StopProducing() }); ok {
		p.StopProducing()
	} else {
		top.Close()
	}
}

// resumeBroken has what is unread delivered if writing has failed, and tells whether it has.
func (s *Stream) resumeBroken() bool {
	if s.state != streamBroken {
		return false
	}
	s.resume()
	return true
}

// RegisterProducer makes p the producer, as [Consumer] says.
func (s *Stream) RegisterProducer(p Producer) error {
	if s.cfg.retired {
		return ErrSwitched
	}
	return s.register(p)
}

func (s *Stream) register(p Producer) error {
	if s.state > streamClosing || s.halfEnded() {
		s.r.observe(probe.Note{Kind: probe.NoteStopProducer})
		p.StopProducing()
		return nil
	}
	if s.producer != nil {
		return fmt.Errorf("%w: %T is, %T wants to be", ErrProducerRegistered, s.producer, p)
	}
	s.producer, s.pauses = p, notPaused
	s.checkHighWater()
	s.checkDescriptors()
	if s.paused() {
		s.pauses = pausedEarly
	}
	return nil
}

// UnregisterProducer removes the producer, as [Consumer] says.
func (s *Stream) UnregisterProducer() {
	if s.cfg.retired {
		if c, ok := topAs[Consumer](s); ok {
			c.UnregisterProducer()
		}
		return
	}
	s.unregister()
}

func (s *Stream) unregister() {
	if s.producer != nil {
		s.producer, s.pauses = nil, notPaused
		s.touch()
	}
}

// StopConsuming is UnregisterProducer and Close (PROD-10).
func (s *Stream) StopConsuming() {
	s.UnregisterProducer()
	s.Close()
}

// checkHighWater pauses the producer, once, when more than HighWater bytes are buffered. What
// writes have sent themselves in this callback counts too. So a fast reader does not make the
// producer write without end, in one callback (PROD-15). It sets the flag first, because the
// producer may call the stream (DESC-15, DESC-16).
//
// A producer that was paused when it was registered is paused once more by its first write. Programs call ResumeProducing of their own producer
// behind RegisterProducer, to begin: that undoes the first pause, and without another one it would write all it has.
func (s *Stream) checkHighWater() {
	if s.producer == nil || s.pauses == pausedOnce || s.out.Len()+int(s.direct)*chunks.Size <= s.cfg.HighWater {
		return
	}
	s.pauses = notPaused
	s.pauseProducer()
}

// pauseProducer pauses the producer, which there is, unless it is paused already.
func (s *Stream) pauseProducer() {
	if s.paused() {
		return
	}
	s.pauses = pausedOnce
	s.note(probe.NotePauseProducer, 0, nil)
	s.producer.PauseProducing()
}

// Buffered is how many bytes were written that the socket has not taken yet; after the loss,
// how many it never took.
func (s *Stream) Buffered() int { return s.out.Len() }

// Local is our address.
func (s *Stream) Local() kernel.Addr { return s.conn.Local() }

// Remote is the peer's address.
func (s *Stream) Remote() kernel.Addr { return s.conn.Remote() }

// Reactor is the loop that the stream belongs to.
func (s *Stream) Reactor() *Reactor { return s.r }

// Protocol is the protocol of this stream. It is nil after ConnectionLost.
func (s *Stream) Protocol() Protocol {
	if _, lost := s.proto.(lostProtocol); lost {
		return nil
	}
	return s.proto
}

// SetNoDelay sets TCP_NODELAY, which is on by default: small segments are sent at once
// (TCP-63). Off, they wait for the acknowledgement of the one before, for up to 40 ms. It fails
// with ErrClosed after the loss, and with kernel.ErrUnsupported if the connection is not TCP.
func (s *Stream) SetNoDelay(on bool) error {
	o, err := s.options()
	if err != nil {
		return err
	}
	return o.SetNoDelay(on)
}

// NoDelay returns TCP_NODELAY of the socket. Errors are as for SetNoDelay.
func (s *Stream) NoDelay() (bool, error) {
	o, err := s.options()
	if err != nil {
		return false, err
	}
	return o.NoDelay()
}

// SetKeepAlive sets SO_KEEPALIVE, which is off by default (TCP-63). On, the system probes a
// silent peer after 15 s, every 15 s and 9 times (TCP-85). Errors are as for SetNoDelay.
func (s *Stream) SetKeepAlive(on bool) error {
	o, err := s.options()
	if err != nil {
		return err
	}
	return o.SetKeepAlive(on)
}

// KeepAlive returns SO_KEEPALIVE of the socket. Errors are as for SetNoDelay.
func (s *Stream) KeepAlive() (bool, error) {
	o, err := s.options()
	if err != nil {
		return false, err
	}
	return o.KeepAlive()
}

func (s *Stream) options() (kernel.TCPConn, error) {
	if s.state == streamLost {
		return nil, ErrClosed
	}
	if o, ok := kernel.ConnAs[kernel.TCPConn](s.conn); ok {
		return o, nil
	}
	return nil, kernel.ErrUnsupported
}

// StreamStats are counters of one connection.
type StreamStats struct {
	In       uint64 // bytes read
	Sent     uint64 // bytes that the socket has taken
	Buffered int    // bytes written that the socket has not taken yet
}

// Config is the configuration of the stream, with the defaults filled in.
func (s *Stream) Config() StreamConfig { return s.cfg.StreamConfig }

// Stats returns a copy of the counters.
func (s *Stream) Stats() StreamStats { return StreamStats{s.in, s.sent, s.out.Len()} }

// Accepted tells whether a port has accepted the connection, so that its peer is a client of
// ours. It is true for connections of AdoptConnection too (ADOPT-11), and false for those of a
// connector and of Attach. It is for the loop's goroutine.
func (s *Stream) Accepted() bool {
	switch s.cfg.owner.(type) {
	case *Port, adopted:
		return true
	}
	return false
}

// LogPrefix is "protocol,session,peer" for a connection of a port, "protocol,client" for one
// of a connector (TCP-50), "protocol,attached" for one of Attach, and "protocol,adopted" for one
// of AdoptConnection.
func (s *Stream) LogPrefix() string { return s.cfg.owner.logPrefix(s) }

// String has the protocol, the session and the place: "<Echo #0 on 8007>" or
// "<Echo to 127.0.0.1:8007>" (TCP-49).
func (s *Stream) String() string {
	return s.cfg.owner.describe(s)
}
