package sim

import (
	"io"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// state is where a socket is in its life.
type state uint8

const (
	unborn     state = iota // the far end of a connection not made yet
	connecting              // Dial
	open                    // connected, or listening
	failed                  // Dial, in vain
	dead                    // the connection was reset or timed out
	shut                    // closed by its owner, or its program is gone
)

// sock is one socket.
type sock struct {
	k             *simKernel
	h             *Host // where it is, or will be
	local, remote kernel.Addr
	in, out       *half // of a connection
	l             *listener
	p             *packets // of a datagram socket
	pipe          *pipeEnd // of a pipe
	proc          *proc    // of a child, whose handle this is
	err           error    // why it failed or died; taken by the first who asks when dead
	seen          observed
	id            int
	index         int // among k's
	token         uint32
	state         state
	armed         kernel.Ready
	queued        bool // it is in k.ready
	reported      bool // an event told of it since its last read
	dialled       bool // it holds a port
	reuses        bool // together with others that do: ReuseAddr
	connects      bool // dialled, and Connected has not told yet how that ended
	options       kernel.StreamOptions
	heard         time.Duration // when something last came from the peer, or was acknowledged by it
	starved       time.Duration // since when output waits for room at the peer
	starving      bool          // that is looked at
	probing       bool          // keepalive looks at the peer
	probes        int           // of keepalive, without answer
	peerPID       int           // of a UNIX socket
	waits         bool          // a UNIX socket that was not accepted yet

	of         *sock   // the socket, if this is another handle of it
	others     []*sock // its other handles
	holds      int     // numbers that refer to it, and messages that carry it
	released   bool    // it has no handle of its own, and lives on
	moving     bool    // one kernel has given it, and none has taken it
	leavesFile bool    // this handle does not remove the file of its UNIX name,
	owns       bool    // and this one does, though it has not made it
	left       bool    // of the first: some handle has left the file
	adopts     bool    // its end is that of the connection
	came       []int   // numbers that came with the last read, and were not taken
	lostMails  int     // messages that have lost descriptors
}

// listener is a listening socket.
type listener struct {
	sock  *sock   // of which it is the listening part
	queue []*sock // not accepted yet, the first first
	limit int
	rests uint64 // it accepts nothing before the kernel's Wait of this number

	shares bool // its port with others that do: ReusePort
}

var (
	_ kernel.Conn     = (*sock)(nil)
	_ kernel.Vectors  = (*sock)(nil)
	_ kernel.TCPConn  = (*sock)(nil)
	_ kernel.Listener = (*listener)(nil)
)

func (s *sock) lock() *Net {
	s.h.n.mu.Lock()
	return s.h.n
}

// readiness is what could be reported.
func (s *sock) readiness() (r kernel.Ready) {
	const both = kernel.Readable | kernel.Writable
	switch {
	case s.state == failed && s.connects, s.state == dead && s.err != nil:
		return both | kernel.Failed
	case s.state == failed || s.state == dead:
		return both
	case s.state != open:
		return 0
	case s.proc != nil:
		return s.proc.readiness()
	case s.pipe != nil:
		return s.pipeReadiness()
	case s.p != nil:
		return s.packetReadiness()
	case s.l != nil:
		if len(s.l.base().queue) > 0 {
			return kernel.Readable
		}
		return 0
	}
	if s.in.unread > 0 || s.in.fin == finArrived {
		r = kernel.Readable
	}
	if s.out.fin != finNone || s.room() > 0 || s.out.memory && s.out.dead {
		r |= kernel.Writable
	}
	return r
}

// room is how many bytes s takes now. What a UNIX socket has sent stays in its send buffer until
// it is read; the peer's receive buffer counts for nothing, as on Linux.
func (s *sock) room() int {
	if s.pipe != nil {
		return s.pipeRoom()
	}
	if s.out.memory {
		return s.sendBuffer() - s.out.unread
	}
	return s.sendBuffer() - s.out.unsent
}

// notify enters s among the ready, if it is.
func (s *sock) notify() {
	for _, o := range s.others {
		o.notify()
	}
	if !s.queued && s.armed&s.readiness() != 0 {
		s.queued = true
		s.k.ready = append(s.k.ready, s)
		s.h.n.rouse()
	}
}

// refusal is what a call other than Close gets in a state that allows none, nil in
// others.
func (s *sock) refusal(op string) error {
	if s.released {
		return kernel.ErrClosed
	}
	switch s.state {
	case shut:
		return kernel.ErrClosed
	case connecting:
		return kernel.ErrAgain
	case failed:
		return fail(op, s.err)
	}
	if s.l != nil {
		return fail(op, kernel.ErrBroken)
	}
	return nil
}

// Read is kernel.Conn.
func (s *sock) Read(p []byte) (int, error) {
	n := s.lock()
	defer n.mu.Unlock()
	if err := s.refusal(kernel.OpRead); err != nil {
		return 0, err
	}
	reported := s.reported
	s.reported = false
	s.closeCame()
	switch {
	case reported && s.state != dead && s.k.forced(SiteReadAgain): // a dead one has an answer to every read
		n.note(OpRead, s, -1)
		return 0, kernel.ErrAgain
	case s.state == open && !s.out.memory && s.k.forced(SiteReadReset):
		s.cut()
	case s.k.forced(SiteReadOne):
		p = p[:1]
	}
	switch {
	case s.in.unread > 0:
		m, files := s.in.upTo(n.chunk(min(len(p), s.in.unread)))
		m = s.in.read(p[:m])
		n.note(OpRead, s, m)
		s.reads(p[:m])
		s.receiveFiles(files)
		return m, nil
	case s.err != nil && (s.in.memory || s.in.fin != finArrived): // if TCP's end came first, it is told, as on Linux
		err := fail(kernel.OpRead, s.err)
		s.err = nil
		n.note(OpRead, s, -1)
		return 0, err
	case s.in.fin == finArrived || s.state == dead:
		n.note(OpRead, s, 0)
		s.atEnd()
		return 0, io.EOF
	}
	n.note(OpRead, s, -1)
	return 0, kernel.ErrAgain
}

// mayWrite is how many bytes s takes now.
func (s *sock) mayWrite() (int, error) {
	n := s.h.n
	if err := s.refusal(kernel.OpWrite); err != nil {
		return 0, err
	}
	one := false
	switch {
	case s.state != open, s.out.fin != finNone, s.out.memory && s.out.dead: // there is an error to tell
	case s.k.forced(SiteWriteAgain):
		n.note(OpWrite, s, -1)
		return 0, kernel.ErrAgain
	case !s.out.memory && s.k.forced(SiteWriteReset):
		s.cut()
	default:
		one = s.k.forced(SiteWriteOne)
	}
	switch {
	case s.err != nil && !s.out.memory: // a UNIX socket keeps a reset for its reads
		err := fail(kernel.OpWrite, s.err)
		s.err = nil
		n.note(OpWrite, s, -1)
		return 0, err
	case s.state == dead, s.out.fin != finNone, s.out.memory && s.out.dead:
		return 0, fail(kernel.OpWrite, kernel.ErrBroken)
	}
	room := s.room()
	if room <= 0 {
		n.note(OpWrite, s, -1)
		return 0, kernel.ErrAgain
	}
	if one {
		return 1, nil
	}
	return n.chunk(room), nil
}

// Write is kernel.Conn.
func (s *sock) Write(p []byte) (int, error) {
	n := s.lock()
	defer n.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	room, err := s.mayWrite()
	if err != nil {
		return 0, err
	}
	m := min(len(p), room)
	s.out.write(p[:m])
	s.wrote(p[:m])
	s.cuts(m, len(p))
	n.note(OpWrite, s, m)
	s.out.push()
	return m, nil
}

// Writev is kernel.Vectors.
func (s *sock) Writev(bufs [][]byte) (int, error) {
	n := s.lock()
	defer n.mu.Unlock()
	all := 0
	for _, p := range bufs {
		all += len(p)
	}
	if all == 0 {
		return 0, nil
	}
	room, err := s.mayWrite()
	if err != nil {
		return 0, err
	}
	if len(bufs) > 1 && len(bufs[0]) > 0 && s.k.forced(SiteNoVectors) {
		bufs = bufs[:1]
	}
	sent := 0
	for _, p := range bufs {
		m := min(len(p), room-sent)
		if m == 0 {
			continue
		}
		s.out.write(p[:m])
		s.wrote(p[:m])
		sent += m
	}
	s.cuts(sent, all)
	n.note(OpWrite, s, sent)
	s.out.push()
	return sent, nil
}

// Accept is kernel.Listener.
func (l *listener) Accept() (kernel.Conn, error) {
	s, q := l.sock, l.base()
	n := s.lock()
	defer n.mu.Unlock()
	switch {
	case s.noHandle():
		return nil, kernel.ErrClosed
	case len(q.queue) == 0, s.k.waits < l.rests, s.k.forced(SiteAcceptAgain):
		n.note(OpAccept, s, -1)
		return nil, kernel.ErrAgain
	}
	if err := s.k.file(kernel.OpAccept); err != nil {
		return nil, err
	}
	c := q.queue[0]
	copy(q.queue, q.queue[1:])
	q.queue[len(q.queue)-1] = nil
	q.queue = q.queue[:len(q.queue)-1]
	c.waits, c.options.Descriptors = false, s.options.Descriptors
	if c.k != s.k || c.released {
		s.k.take(c)
	}
	n.note(OpAccept, c, 0)
	if s.k.forced(SiteAcceptOne) {
		l.rests = s.k.waits + 1
	}
	if s.k.forced(SiteAcceptReset) {
		c.close(OpAbort)
		return nil, fail(kernel.OpAccept, kernel.ErrAccept)
	}
	return c.conn(), nil
}

// Close is kernel.Handle. Whoever waits to be accepted is reset.
func (l *listener) Close() error { return l.sock.Close() }

// Local is kernel.Handle.
func (l *listener) Local() kernel.Addr { return l.sock.local }

// Connected is kernel.Conn.
func (s *sock) Connected() error {
	n := s.lock()
	defer n.mu.Unlock()
	err := s.connected()
	m := 0
	if err != nil {
		m = -1
	}
	n.note(OpConnected, s, m)
	return err
}

func (s *sock) connected() error {
	if s.released {
		return kernel.ErrClosed
	}
	if s.state != connecting && s.state != shut && s.armed&kernel.Failed == 0 && s.k.forced(SiteConnectAgain) {
		return kernel.ErrAgain
	}
	connects := s.connects
	s.connects = s.state == connecting
	switch {
	case s.state == dead && s.err != nil:
		op, why := kernel.OpWait, s.err
		switch {
		case connects: // it ended before anybody asked: SO_ERROR has that
			op = kernel.OpConnect
		case why == kernel.ErrBroken: // a reset behind the end
			why = kernel.ErrReset
		}
		s.err = nil
		return fail(op, why)
	case s.state == dead, s.state == open && s.l == nil:
		return nil
	}
	return s.refusal(kernel.OpConnect)
}

// CloseWrite is kernel.Conn.
func (s *sock) CloseWrite() error {
	n := s.lock()
	defer n.mu.Unlock()
	if err := s.refusal(kernel.OpShutdown); err != nil {
		return err
	}
	switch {
	case s.state == dead && s.out.memory:
		return nil
	case s.state == dead:
		return fail(kernel.OpShutdown, kernel.ErrBroken)
	}
	n.note(OpCloseWrite, s, 0)
	s.closes(true)
	s.out.finish()
	s.notify()
	return nil
}

// Close is kernel.Conn. With data unread, received or yet to come, the peer is
// reset, as it is by Linux.
func (s *sock) Close() error {
	defer s.lock().mu.Unlock()
	s.close(OpClose)
	return nil
}

// Abort is kernel.Conn.
func (s *sock) Abort() error {
	defer s.lock().mu.Unlock()
	s.close(OpAbort)
	return nil
}

// close is Close or Abort, with the lock held.
func (s *sock) close(o Op) {
	if s.moving {
		s.closeMoving(o)
		return
	}
	if s.noHandle() {
		return
	}
	s.h.n.note(o, s, 0)
	shared := s.of != nil || s.held()
	if !shared || s.adopts { // otherwise it lives on, and what is unsent may go with it
		s.closes(o == OpClose)
	}
	s.closeCame()
	s.k.files--
	if s.adopts {
		s.endForAll(o)
	}
	if !s.leavesFile && (!shared || !s.local.IsAbstract()) { // an abstract name goes with the socket, a file with the handle that made it
		s.unname(true)
	}
	if shared {
		s.release()
		return
	}
	s.dispose(o)
}

// dispose ends a socket that nobody has any more.
func (s *sock) dispose(o Op) {
	switch {
	case s.p != nil, s.proc != nil:
	case s.l != nil:
		for _, c := range s.l.queue {
			c.reset()
			c.end()
		}
		s.l.queue = nil
	case s.state == connecting:
		s.out.kill() // what is at the host already is reset when it answers
	case s.state == open && s.out.memory:
		s.hangUp(s.in.unread > 0)
	case s.state == open && (o == OpAbort || s.in.unread > 0):
		s.reset()
	case s.state == open:
		s.out.finish()
	}
	s.end()
}

// cut ends an open connection as if a reset had come from the network: the peer hears one
// too, and what was not read is lost.
func (s *sock) cut() {
	s = s.file()
	s.reset()
	s.in.unread = 0
	s.die(kernel.ErrReset)
}

// reset tells the peer that the connection is over. What was not sent is dropped;
// what is on its way may be too.
func (s *sock) reset() {
	if s.state != open || s.over() {
		return
	}
	if s.out.memory {
		s.hangUp(s.waits || s.in.unread > 0)
		return
	}
	s.out.unsent = 0
	if s.h.n.random.next()&1 == 0 || s.out.blocked {
		s.out.kill()
	}
	s.out.dead = true
	s.out.send(RST, 0)
}

// over tells whether both directions of a TCP connection have ended, so that there is nothing to reset. While our end is
// on its way, unread input is a reason for a reset, and Abort is none, as on Linux.
func (s *sock) over() bool {
	if s.out.memory || s.in.fin != finArrived {
		return false
	}
	return s.out.fin == finArrived || s.out.fin == finSent && s.in.unread == 0
}

// end takes s out of the world of its program.
func (s *sock) end() {
	s.state, s.armed = shut, 0
	if s.proc != nil {
		s.proc.handle = nil
	}
	s.unname(false)
	if s.p != nil {
		s.endPackets()
	} else {
		s.h.leave(s)
	}
	if !s.released {
		s.k.disown(s)
	}
	if s.in != nil {
		s.in.dropMails()
	}
}

// die ends a connection, or an attempt at one, for a reason from the network.
func (s *sock) die(why error) {
	switch s.state {
	case connecting:
		s.state, s.err = failed, why
	case open:
		s.state, s.err = dead, why
	default:
		return
	}
	s.h.leave(s)
	s.dialled = false
	for _, o := range s.others {
		o.state, o.err = s.state, s.err
	}
	s.notify()
}

// Local is kernel.Conn.
func (s *sock) Local() kernel.Addr { return s.local }

// Remote is kernel.Conn.
func (s *sock) Remote() kernel.Addr { return s.remote }
