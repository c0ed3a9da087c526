package reactor

import (
	"log/slog"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

// Descriptors travel with the bytes of a UNIX stream that was opened with kernel.StreamOptions.Descriptors.
// Such a stream has a passing in place of the kernel's conn. So reading and writing of others know
// nothing of it.

// DescriptorSender is a transport by which descriptors can be passed.
type DescriptorSender interface {
	// SendDescriptor passes the file or socket of fd to the peer, behind those that are queued. It is
	// duplicated in the call, so the caller may close fd at once, and has to close it some time (FDP-1).
	//
	// Each descriptor needs a byte of its own to travel with: the k-th that is queued goes with the k-th byte that is
	// unsent (FDP-2). If all bytes are sent and descriptors are left, the connection
	// ends with [ErrDescriptorOverrun] (FDP-3). So at least one byte for each must have been written when the
	// callback in progress returns. If the peer takes no descriptors, and its system says so, as Linux from 6.16 does, the connection
	// ends with kernel.ErrPermission. More than 64 that are queued pause the producer (FDP-8).
	//
	// The error is kernel.ErrUnsupported unless the connection was opened with
	// kernel.StreamOptions.Descriptors, and always over TLS, because no byte of a sealed record is one of the
	// program's; kernel.ErrBadDescriptor if fd is not open; kernel.ErrTooManyFiles; or one that
	// Write would return.
	SendDescriptor(fd int) error
}

// DescriptorReceiver is implemented by a Protocol that takes descriptors, which come by connections that were opened with
// kernel.StreamOptions.Descriptors. For a protocol that is none they are closed, and a warning is logged (FDP-7).
type DescriptorReceiver interface {
	// DescriptorReceived is called for each descriptor that has come, in the order in which they were sent
	// (FDP-5), before DataReceived gets the bytes of its message (FDP-4). It may be called earlier than some
	// bytes that were sent before. fd is the protocol's, which has to close it, by [Reactor.CloseDescriptor] or
	// as it likes. It is close-on-exec (FDP-6).
	DescriptorReceived(fd int)
}

// DescriptorLossListener is implemented by a DescriptorReceiver that must know of descriptors that were lost on their way.
type DescriptorLossListener interface {
	// DescriptorsLost is called when this process had no number left for descriptors that came, before those that came after
	// them. n is how many messages lost some. Without it a warning is logged.
	DescriptorsLost(n int)
}

// CloseDescriptor closes a number that the reactor has given to the program: one of DescriptorReceived, of Detach or of
// DescriptorOf. It is for the loop's goroutine. The error is kernel.ErrBadDescriptor if fd is not open, and
// kernel.ErrUnsupported on a kernel without descriptors.
func (r *Reactor) CloseDescriptor(fd int) error {
	if r.caps.descriptors == nil {
		return kernel.ErrUnsupported
	}
	return r.caps.descriptors.CloseDescriptor(fd)
}

// DescriptorOf returns a new number for the socket of x, a [*Port], a [*PacketPort] or a [*Stream]. The number is the caller's, who
// has to close it; x works on, and the two are one socket. Another program, or another reactor, can adopt it
// (ADOPT-1). A PacketPort that stops afterwards leaves what the system has unread, because others may read it. It is for the loop's goroutine. The error is ErrClosed if x does not listen or is lost,
// kernel.ErrUnsupported for other x and on a kernel without descriptors, or kernel.ErrTooManyFiles.
func (r *Reactor) DescriptorOf(x any) (int, error) {
	if r.caps.descriptors == nil {
		return -1, kernel.ErrUnsupported
	}
	switch x := x.(type) {
	case *Port:
		if x.state == portStopped {
			return -1, ErrClosed
		}
		return r.caps.descriptors.DescriptorOf(x.listener)
	case *PacketPort:
		if x.state == portStopped {
			return -1, ErrClosed
		}
		x.shared = true
		return r.caps.descriptors.DescriptorOf(x.conn)
	case *Stream:
		if x.state == streamLost {
			return -1, ErrClosed
		}
		return r.caps.descriptors.DescriptorOf(innerConn(x.conn))
	}
	return -1, kernel.ErrUnsupported
}

// SendDescriptor passes a descriptor, as [DescriptorSender] says.
func (s *Stream) SendDescriptor(fd int) error {
	if s.cfg.retired {
		return ErrSwitched
	}
	return s.sendDescriptor(fd)
}

func (s *Stream) sendDescriptor(fd int) error {
	x, ok := s.conn.(*passing)
	if !ok && s.state != streamLost {
		return kernel.ErrUnsupported
	}
	if err := s.refusal(0); err != nil {
		return err
	}
	own, err := x.k.Duplicate(fd)
	if err != nil {
		return err
	}
	x.queue = append(x.queue, own)
	x.look()
	s.checkDescriptors()
	return nil
}

// SendDescriptor passes a descriptor by the stream.
func (t *successor) SendDescriptor(fd int) error {
	if t.retired {
		return ErrSwitched
	}
	return t.s.sendDescriptor(fd)
}

// maxQueued is how many descriptors may be queued before that counts as a full buffer (FDP-8).
const maxQueued = 64

// descriptorsFull tells whether so many descriptors are queued that the producer must wait.
func (s *Stream) descriptorsFull() bool {
	x, ok := s.conn.(*passing)
	return ok && len(x.queue) > maxQueued
}

// overrun tells whether descriptors are queued, and no byte is left for them to travel with.
func (s *Stream) overrun() bool {
	x, ok := s.conn.(*passing)
	return ok && len(x.queue) > 0 && s.out.Len() == 0
}

// checkDescriptors pauses the producer, once, when too many descriptors are queued.
func (s *Stream) checkDescriptors() {
	if s.producer == nil || s.paused() || !s.descriptorsFull() {
		return
	}
	s.pauseProducer()
	s.touch()
}

// passDescriptors gives s a passing if its conn can pass descriptors.
func (s *Stream) passDescriptors() {
	k := s.r.caps.descriptors
	if k == nil {
		return
	}
	for c := range kernel.ConnLayers(s.conn) {
		if p, ok := c.(kernel.Passing); ok {
			x := &passing{Conn: s.conn, p: p, k: k, s: s}
			x.vectors, _ = kernel.ConnAs[kernel.Vectors](s.conn)
			s.conn = x
			return
		}
	}
}

// innerConn is c, or the kernel's conn in a passing.
func innerConn(c kernel.Conn) kernel.Conn {
	if x, ok := c.(*passing); ok {
		return x.Conn
	}
	return c
}

// passing is a conn that passes descriptors to and from the protocol of its stream. It is
// a source too, without a token, so that it is touched.
type passing struct {
	kernel.Conn // below; this is not armed, but that one
	p           kernel.Passing
	vectors     kernel.Vectors // of Conn, or nil
	k           kernel.Descriptors
	s           *Stream
	queue       []int // not sent yet: duplicates, which are ours
	came        []int // not delivered yet
	unread      []byte
	looks       bool // is in Reactor.dirty
}

var (
	_ kernel.Conn      = (*passing)(nil)
	_ kernel.Vectors   = (*passing)(nil)
	_ DescriptorSender = (*Stream)(nil)
	_ source           = (*passing)(nil)
)

// Unwrap is the conn below.
func (x *passing) Unwrap() kernel.Conn { return x.Conn }

// Read delivers the descriptors that came with what it returns. If the protocol then wants no data, because it
// has paused, what was read waits for the next Read, and this one is ErrAgain.
func (x *passing) Read(buf []byte) (n int, err error) {
	s := x.s
	alive := s.state == streamOpen || s.state == streamBroken
	if len(x.unread) > 0 {
		n = x.again(buf)
	} else if n, err = x.Conn.Read(buf); alive { // otherwise the kernel closes what came
		x.take()
	}
	if n == 0 || !s.reading() {
		return n, err // to be discarded, or kept for a protocol that has paused
	}
	if len(x.came) > 0 {
		x.unread = append(append([]byte(nil), buf[:n]...), x.unread...) // a panic must not lose count of them
		if x.deliver(); !s.reading() {
			return 0, kernel.ErrAgain
		}
		n = x.again(buf)
	}
	return n, err
}

// again reads what was read before. The last of it takes its memory with it: an idle connection would otherwise keep as much as its longest read.
func (x *passing) again(buf []byte) int {
	n := copy(buf, x.unread)
	if x.unread = x.unread[n:]; len(x.unread) == 0 {
		x.unread = nil
	}
	return n
}

// take takes what came with the last Read, and logs what did not.
func (x *passing) take() {
	if n := x.p.Dropped(); n > 0 {
		if l, ok := ProtocolAs[DescriptorLossListener](x.s.proto); ok && x.s.reading() {
			l.DescriptorsLost(n)
		} else {
			x.warn("descriptors were lost on their way, because no number was left", "messages", n)
		}
	}
	x.came = append(x.came, x.p.TakeDescriptors()...)
	if n := x.p.Skipped(); n > 0 {
		x.warn("control messages that are no descriptors were skipped", "messages", n)
	}
}

func (x *passing) warn(msg, what string, n int) {
	r := x.s.r
	r.limits.kind(msg).Log(r, r.log, slog.LevelWarn, msg, slog.String("protocol", LogPrefixOf(x.s.proto)), slog.Int(what, n))
}

// deliver gives the protocol what has come, until it pauses or ends. If it takes none, they are closed.
func (x *passing) deliver() {
	s := x.s
	for len(x.came) > 0 && s.reading() {
		to, ok := ProtocolAs[DescriptorReceiver](s.proto)
		if !ok {
			x.warn("descriptors were closed, because the protocol takes none", "descriptors", len(x.came))
			x.closeAll(&x.came)
			return
		}
		fd := x.came[0]
		x.came = x.came[1:]
		to.DescriptorReceived(fd)
	}
}

// Write sends each queued descriptor with a byte of p, and then the rest of p (FDP-2).
func (x *passing) Write(p []byte) (int, error) {
	sent := 0
	for len(x.queue) > 0 && sent < len(p) {
		n, err := x.p.WriteDescriptors(p[sent:sent+1], x.queue[:1])
		if err != nil && sent > 0 {
			return sent, nil // the next write finds it
		}
		if err != nil {
			return 0, err
		}
		sent += n
		x.k.CloseDescriptor(x.queue[0])
		x.queue = x.queue[1:]
	}
	if len(x.queue) > 0 {
		x.look()
	}
	if sent == len(p) {
		return sent, nil
	}
	n, err := x.Conn.Write(p[sent:])
	if sent > 0 {
		err = nil
	}
	return sent + n, err
}

// Writev is Writev of the conn below. If descriptors are queued, it is Write of the first slice.
func (x *passing) Writev(bufs [][]byte) (int, error) {
	if len(x.queue) == 0 && x.vectors != nil {
		return x.vectors.Writev(bufs)
	}
	for _, p := range bufs {
		if len(p) > 0 {
			return x.Write(p)
		}
	}
	return 0, nil
}

// Close closes what was not sent and what was not delivered, too.
func (x *passing) Close() error {
	x.drop()
	return x.Conn.Close()
}

// Abort is Close with a reset.
func (x *passing) Abort() error {
	x.drop()
	return x.Conn.Abort()
}

// drop closes what is queued and what has come, and forgets what is unread.
func (x *passing) drop() {
	x.closeAll(&x.queue)
	x.closeAll(&x.came)
	if n := len(x.unread); n > 0 {
		x.unread = nil
		x.s.note(probe.NoteDrained, n, nil)
	}
}

func (x *passing) closeAll(fds *[]int) {
	for _, fd := range *fds {
		x.k.CloseDescriptor(fd)
	}
	*fds = nil
}

// look has touched called before the loop waits.
func (x *passing) look() {
	if !x.looks {
		x.looks = true
		x.s.r.touch(x)
	}
}

// touched delivers what waited for the protocol to resume. It ends the stream if descriptors are
// queued and all bytes are sent.
func (x *passing) touched() {
	x.looks = false
	s := x.s
	if s.reading() && len(x.unread) > 0 {
		current := s.r.current
		s.r.current = s
		s.readSome()
		s.settle()
		s.r.current = current
	}
	if s.state <= streamClosing && s.overrun() {
		s.end(ErrDescriptorOverrun)
	}
}

func (x *passing) ready(kernel.Ready)     {} // it has no token
func (x *passing) panicked(e *PanicError) { x.s.panicked(e) }
func (x *passing) shutdown()              {} // the stream's
func (x *passing) logName() string        { return x.s.logName() }

// resumed has what waited for the protocol of s delivered.
func (s *Stream) resumed() {
	if x, ok := s.conn.(*passing); ok {
		x.look()
	}
}

// deliverKept delivers p, which was read while the protocol had paused, and before it the descriptors that
// came with it.
func (s *Stream) deliverKept(p []byte) {
	x, ok := s.conn.(*passing)
	if ok {
		x.deliver()
	}
	switch {
	case !ok || s.reading():
		s.deliver(p)
	case s.state == streamBroken: // it has paused again
		s.cfg.ending.kept = p
	default:
		s.note(probe.NoteDrained, len(p), nil)
	}
}
