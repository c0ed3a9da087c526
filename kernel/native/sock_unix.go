//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"io"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

const (
	// maxSend is the most bytes that one system call is given to send (TCP-53). On
	// Linux the scheduler does not know of the call, so it must not take long.
	maxSend = 256 << 10
	// maxVectors is the most slices that one Writev passes to the system.
	maxVectors = 64
)

// Values of sock.fd for a sock without a descriptor.
const (
	closedFD int32 = -1 // closed by us
	lostFD   int32 = -2 // closed behind our back
)

const badFD = syscall.Errno(unix.EBADF)

// sock is one descriptor that can be armed. It has 64 bytes. A [conn] or a [listener] is
// a sock and nothing else. Both addresses are in short form, and the gaps in them hold
// the rest of the state: remote.more the flags, local.more the result of a dial.
type sock struct {
	b      *base
	fd     int32
	token  uint32
	remote shortAddr
	// local has the local address, once somebody has asked, and in more a state; see also selfConnected. Most socks have neither, so
	// it is nil. An accepted conn may share its listener's, which does not change.
	local *shortAddr
}

// The flags of a sock, in remote.more. The three lowest bits are the Ready that is armed.
const (
	armedBits   uint8 = 7
	alwaysReady uint8 = 8
	// stream: a connected TCP socket, or a UNIX one to which no descriptors can come. epoll watches such a sock by edges. The
	// flags below are for that.
	stream    uint8 = 16
	knownBits uint8 = 7 << knownShift // the Ready that was reported and may not be used up
	// sticky: a short read does not mean that all was read, because an end or an error may
	// be behind it. So it is the known bit of Failed.
	sticky uint8 = uint8(kernel.Failed) << knownShift

	knownShift = 5
)

// both are the two directions.
const both = kernel.Readable | kernel.Writable

// streamSock is one stream socket of any family.
type streamSock struct{ sock }

// conn is one TCP socket, connected or being connected.
type conn struct{ streamSock }

// listener is one listening socket.
type listener struct{ sock }

// The state is the result of a dial: 0 once connected, an errno once failed, dialling
// until then. A descriptor that somebody else opened, and may close, has foreign there, and an adopted socket, which somebody
// else may have too, shared.
const (
	dialling uint8 = 255
	foreign  uint8 = 254
	shared   uint8 = 253
)

func (s *sock) armed() kernel.Ready     { return kernel.Ready(s.remote.more & armedBits) }
func (s *sock) setArmed(r kernel.Ready) { s.remote.more = s.remote.more&^armedBits | uint8(r) }
func (s *sock) is(flag uint8) bool      { return s.remote.more&flag != 0 }
func (s *sock) mark(flag uint8)         { s.remote.more |= flag }
func (s *sock) clear(flag uint8)        { s.remote.more &^= flag }
func (s *sock) isForeign() bool         { return s.state() == foreign }

func (s *sock) state() uint8 {
	if s.local == nil {
		return 0
	}
	return s.local.more
}

func (s *sock) setState(v uint8) { s.ownLocal().more = v }

// ownLocal is local, which is made if there is none.
func (s *sock) ownLocal() *shortAddr {
	if s.local == nil {
		s.local = new(shortAddr)
	}
	return s.local
}

// askedLocal tells whether local has the address.
func (s *sock) askedLocal() bool { return s.local != nil && s.local.kind != noAddr }

// known is the Ready that an edge reported and that may not be used up.
func (s *sock) known() kernel.Ready    { return kernel.Ready(s.remote.more & knownBits >> knownShift) }
func (s *sock) learn(r kernel.Ready)   { s.remote.more |= uint8(r) << knownShift }
func (s *sock) unlearn(r kernel.Ready) { s.remote.more &^= uint8(r) << knownShift }

// emptied notes that a read found nothing more.
func (s *sock) emptied() { s.remote.more &^= uint8(kernel.Readable)<<knownShift | sticky }

// shortRead notes that a read returned n bytes and had room for more. Then all was read,
// unless something other than bytes is behind them.
func (s *sock) shortRead(n int) {
	if n > 0 && !s.is(sticky) {
		s.unlearn(kernel.Readable)
	}
}

// opError returns the error of a system call on s. The usual EAGAIN does not get here.
func (s *sock) opError(op string, errno syscall.Errno) error {
	if errno == badFD && s.fd == closedFD {
		return kernel.ErrClosed
	}
	return SysError(op, errno)
}

// errnoOf returns the errno in an error of package unix.
func errnoOf(err error) syscall.Errno {
	errno, _ := err.(syscall.Errno)
	return errno
}

// Connected asks the system until the dial has ended, and then remembers the result. From
// then on, and of an accepted conn, it asks for a failure.
func (s *conn) Connected() error {
	switch state := s.state(); state {
	case 0, shared:
		return s.failure()
	case dialling:
	default:
		return SysError(kernel.OpConnect, syscall.Errno(state))
	}
	if s.fd < 0 {
		return s.opError(kernel.OpConnect, badFD)
	}
	n, err := unix.GetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return opError("getsockopt", err)
	}
	switch errno := syscall.Errno(n); errno {
	case 0, unix.EISCONN:
	case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
		return kernel.ErrAgain
	default:
		s.setState(uint8(errno))
		return SysError(kernel.OpConnect, errno)
	}
	// Without an error the socket may still be connecting. Once connected it has a peer.
	peer, err := unix.Getpeername(int(s.fd))
	if err == unix.ENOTCONN {
		return kernel.ErrAgain
	}
	if err == nil && s.selfConnected(shortAddrFrom(peer)) {
		// Close then leaves no TIME_WAIT, so that a server can have the port.
		l := unix.Linger{Onoff: 1}
		_ = unix.SetsockoptLinger(int(s.fd), unix.SOL_SOCKET, unix.SO_LINGER, &l)
		s.setState(uint8(unix.ECONNREFUSED))
		return SysError(kernel.OpConnect, unix.ECONNREFUSED)
	}
	if err == nil && s.remote.isUnspecified() {
		s.remote.set(shortAddrFrom(peer)) // the system has taken it for this host
	}
	s.setState(0)
	s.mark(stream)
	return nil
}

// failure asks the system why the connection has failed. The system forgets it then.
func (s *streamSock) failure() error {
	if s.fd < 0 {
		return s.opError(kernel.OpWait, badFD)
	}
	n, err := unix.GetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	switch errno := syscall.Errno(n); {
	case err != nil:
		return opError("getsockopt", err)
	case errno == 0:
		return nil
	case errno == unix.EPIPE:
		// Linux calls a reset EPIPE if the peer's end came before it.
		return SysError(kernel.OpWait, unix.ECONNRESET)
	default:
		return SysError(kernel.OpWait, errno)
	}
}

// selfConnected tells whether s, whose peer is peer, is connected to itself by accident. The
// port that the system chooses for a dial may be the one that is dialled. If nobody listens
// there, TCP connects the socket to itself: a simultaneous open. It is no accident if Bind
// named the port, which local.port holds then, though the address was not asked for.
func (s *conn) selfConnected(peer shortAddr) bool {
	if s.askedLocal() || s.ownLocal().port != 0 {
		return false
	}
	sa, err := unix.Getsockname(int(s.fd))
	if err != nil {
		return false
	}
	s.local.set(shortAddrFrom(sa))
	return s.local.port == peer.port && s.local.ip == peer.ip
}

// CloseWrite shuts our direction down.
func (s *streamSock) CloseWrite() error {
	if err := unix.Shutdown(int(s.fd), unix.SHUT_WR); err != nil {
		return s.opError(kernel.OpShutdown, errnoOf(err))
	}
	return nil
}

// Close closes the descriptor, only once.
func (s *sock) Close() error {
	fd := s.forget(true)
	if fd < 0 {
		return nil
	}
	shut := unix.Close
	if s.is(stream) && !s.b.exposed.Load() {
		shut = closeAtOnce
	}
	// After EINTR the descriptor is closed all the same.
	if err := shut(int(fd)); err != nil && err != unix.EINTR {
		return opError("close", err)
	}
	return nil
}

// Abort makes the system send a reset (TCP-68).
func (s *conn) Abort() error {
	if s.fd >= 0 {
		l := unix.Linger{Onoff: 1}
		// If this fails, Close fails too and says so.
		_ = unix.SetsockoptLinger(int(s.fd), unix.SOL_SOCKET, unix.SO_LINGER, &l)
	}
	return s.Close()
}

// forget disarms s and takes its number away. It returns that number. closing says that
// the caller is about to close it.
func (s *sock) forget(closing bool) int32 {
	if s.armed() != 0 {
		// epoll watches the socket, not the number, and would not forget one that is open elsewhere.
		s.b.disarm(s, closing && s.state() != shared)
	}
	fd := s.fd
	s.b.disown(s)
	s.fd = closedFD
	return fd
}

// Local asks the system at the first call.
func (s *sock) Local() kernel.Addr {
	if !s.askedLocal() {
		if s.fd < 0 {
			return kernel.Addr{}
		}
		sa, err := unix.Getsockname(int(s.fd))
		if err != nil {
			return kernel.Addr{}
		}
		s.ownLocal().set(shortAddrFrom(sa))
	}
	return s.local.addr(s.b, s.fd)
}

// Remote is known from the beginning: dialled, or returned by accept.
func (s *conn) Remote() kernel.Addr { return s.remote.addr(s.b, s.fd) }

// received returns the result of a read of n bytes: none is the end.
func received(n int) (int, error) {
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

var (
	_ kernel.Conn     = (*conn)(nil)
	_ kernel.Vectors  = (*streamSock)(nil)
	_ kernel.Listener = (*listener)(nil)
)
