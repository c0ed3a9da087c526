//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"io/fs"
	"runtime"
	"strconv"

	"github.com/whorl-go/whorl/internal/lockfile"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// unixConn is one UNIX stream socket.
//
// A read of a TCP socket that got less than it asked for has emptied it. One of a UNIX socket may have met a message with descriptors, with
// more behind it. So epoll watches it by edges only if the system refuses such messages.
type unixConn struct {
	streamSock
	from, to string   // our name and the peer's; "": none
	made     unixFile // by the bind of a dial
}

// unixListener is one UNIX socket that listens.
type unixListener struct {
	listener
	name       string
	made       unixFile
	sendBuffer int  // of accepted conns: the system does not hand it on; 0: the system decides
	passes     bool // accepted conns pass descriptors
	refuses    bool // the system refuses descriptors that are sent to accepted conns
}

var (
	_ kernel.Conn     = (*unixConn)(nil)
	_ kernel.UNIXConn = (*unixConn)(nil)
	_ kernel.Listener = (*unixListener)(nil)

	_ kernel.FileOwner = (*unixListener)(nil)
)

// unixName returns the name of a, which is a UNIX address, for a system call.
func unixName(op string, a kernel.Addr) (string, error) {
	if err := kernel.CheckAddr(op, a); err != nil {
		return "", err
	}
	return systemName(op, a)
}

// systemName is unixName for an address that was checked, of a stream or of datagrams.
func systemName(op string, a kernel.Addr) (string, error) {
	refused := func(kind error, reason string) (string, error) {
		return "", &kernel.AddrError{Op: op, Addr: a, Reason: reason, Kind: kind}
	}
	name := kernel.UNIXAddr(a.Name).Name
	switch most := len(unix.RawSockaddrUnix{}.Path) - 1; {
	case name[0] == '@' && runtime.GOOS != "linux":
		return refused(kernel.ErrUnsupported, "this system has no abstract names; a file is written ./"+name)
	case len(name) > most:
		return refused(kernel.ErrInvalidAddr, "its name has "+strconv.Itoa(len(name))+" bytes, and this system takes at most "+
			strconv.Itoa(most)+"; use a relative path or a symbolic link")
	}
	return name, nil
}

func (b *base) listenUNIX(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	name, err := unixName(kernel.OpListen, a)
	if err != nil {
		return nil, err
	}
	s, err := b.openSock(unix.AF_UNIX)
	if err != nil {
		return nil, err
	}
	l := &unixListener{listener: listener{s}, name: name, passes: o.Descriptors}
	return setUp[kernel.Listener](b, &l.sock, l, l.Close, func() error { return l.listen(a, o) })
}

func (s *unixListener) listen(a kernel.Addr, o *kernel.ListenOptions) error {
	s.refuses = !s.passes && refuseDescriptors(int(s.fd))
	if err := s.socketOptions(kernel.OpListen, &o.StreamOptions); err != nil {
		return err
	}
	s.sendBuffer = o.SendBuffer
	if err := s.made.make(int(s.fd), s.name, a, &o.UNIX); err != nil {
		return err
	}
	if err := unix.Listen(int(s.fd), backlogOf(o)); err != nil {
		return opError(kernel.OpListen, err)
	}
	return nil
}

func (b *base) dialUNIX(a kernel.Addr, o *kernel.DialOptions) (kernel.Conn, error) {
	name, err := unixName(kernel.OpConnect, a)
	if err != nil {
		return nil, err
	}
	s, err := b.openSock(unix.AF_UNIX)
	if err != nil {
		return nil, err
	}
	h, c := newUNIXConn(s, o.Descriptors)
	c.to = name
	return setUp(b, &c.sock, h, h.Close, func() error { return c.dial(a, o) })
}

func (s *unixConn) dial(a kernel.Addr, o *kernel.DialOptions) error {
	if o.CheckLock {
		if err := checkLock(a, s.to); err != nil {
			return err
		}
	}
	refuses := !o.Descriptors && refuseDescriptors(int(s.fd))
	if err := s.socketOptions(kernel.OpConnect, &o.StreamOptions); err != nil {
		return err
	}
	s.markStream(refuses)
	if !o.Bind.IsZero() {
		name, err := unixName(kernel.OpBind, o.Bind)
		if err != nil {
			return err
		}
		if err := s.made.bind(int(s.fd), name); err != nil {
			return err
		}
		s.from = name
	}
	for {
		switch err := unix.Connect(int(s.fd), &unix.SockaddrUnix{Name: s.to}); err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EAGAIN:
			return kernel.ErrAgain // the listener's queue is full, and nothing tells when there is room
		default:
			return opError(kernel.OpConnect, err)
		}
	}
}

// markStream has s watched by edges, if the system refuses descriptors. The program may have asked for other messages that end a read, such as
// credentials, if it has had a number of a socket.
func (s *unixConn) markStream(refuses bool) {
	if refuses && !s.b.exposed.Load() {
		s.mark(stream)
	}
}

// checkLock returns why the lock file of name does not say that somebody listens there.
func checkLock(a kernel.Addr, name string) error {
	lock := name + ".lock"
	pid, err := lockfile.Holder(lock)
	switch {
	case err == nil && pid != 0:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return &kernel.AddrError{Op: kernel.OpConnect, Addr: a, Reason: "no live process holds lock file " + strconv.Quote(lock), Kind: kernel.ErrNotLocked}
}

// Accept takes a connection. A client that has bound no name has none.
func (s *unixListener) Accept() (kernel.Conn, error) {
	if err := s.b.room(kernel.OpAccept); err != nil {
		return nil, err
	}
	for {
		fd, peer, err := accept(int(s.fd))
		switch err {
		case nil:
			h, c := newUNIXConn(sock{b: s.b, fd: int32(fd)}, s.passes)
			c.from = s.name
			c.markStream(s.refuses)
			if s.passes && s.state() == shared {
				takeDescriptors(fd) // it may have come when the listener's former owner refused them
			}
			s.b.own(&c.sock)
			if err := s.b.fits(kernel.OpAccept, fd); err != nil {
				c.Abort() // somebody else has taken the room
				return nil, err
			}
			if s.sendBuffer > 0 {
				_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, s.sendBuffer) // the listener's worked
			}
			if sa, ok := peer.(*unix.SockaddrUnix); ok {
				c.to = nameOf(sa)
			}
			return h, nil
		case unix.EAGAIN:
			return nil, kernel.ErrAgain
		case unix.EINTR:
		default:
			return nil, s.opError(kernel.OpAccept, errnoOf(err))
		}
	}
}

// Close removes the file and the lock file, if they are still ours, and then closes (UNIX-6).
func (s *unixListener) Close() error {
	s.made.remove()
	return s.sock.Close()
}

// LeaveFile leaves the file and the lock file to another process.
func (s *unixListener) LeaveFile() { s.made = unixFile{} }

// OwnFile takes them from another process.
func (s *unixListener) OwnFile(lock bool, holder int) error { return s.made.own(s.name, lock, holder) }

// Local is the name that Listen was given.
func (s *unixListener) Local() kernel.Addr { return kernel.UNIXAddr(s.name) }

// Connected of a UNIX socket is never ErrAgain: Dial has waited for nothing.
func (s *unixConn) Connected() error { return s.failure() }

// Close removes the file that a bind has made.
func (s *unixConn) Close() error {
	s.made.remove()
	return s.sock.Close()
}

// Abort is Close: a UNIX socket has no reset.
func (s *unixConn) Abort() error { return s.Close() }

// Local is the listener's name, or what the dial has bound.
func (s *unixConn) Local() kernel.Addr { return kernel.UNIXAddr(s.from) }

// Remote is the name that was dialled, or the client's.
func (s *unixConn) Remote() kernel.Addr { return kernel.UNIXAddr(s.to) }

// Unbind removes the file that a bind has made.
func (s *unixConn) Unbind() { s.made.remove() }

// Credentials asks the system.
func (s *unixConn) Credentials() (kernel.Credentials, error) {
	if s.fd < 0 {
		return kernel.Credentials{}, s.opError("getsockopt", badFD)
	}
	return credentials(int(s.fd))
}
