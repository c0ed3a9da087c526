//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/whorl-go/whorl/internal/lockfile"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// unixConn is one UNIX stream socket.
//
// epoll watches it by levels. A read of a TCP socket that got less than it asked for has emptied
// it. One of a UNIX socket may have met a message with descriptors, with more behind it.
type unixConn struct {
	streamSock
	from, to string   // our name and the peer's; "": none
	made     unixFile // by the bind of a dial
}

// unixListener is one UNIX socket that listens.
type unixListener struct {
	listener
	name string
	made unixFile
}

var (
	_ kernel.Conn     = (*unixConn)(nil)
	_ kernel.UNIXConn = (*unixConn)(nil)
	_ kernel.Listener = (*unixListener)(nil)
)

// unixFile is what a socket has made in the file system, and removes at its end.
type unixFile struct {
	path string // absolute; "": it has made no file
	file file   // at path
	lock string // the name of the lock file; "": it has made none
}

// remove removes the file, if it is still ours, and then the lock file. A failure leaves a file
// behind; at this end nobody can do anything about it.
func (f *unixFile) remove() {
	if f.path != "" {
		if at, ok := socketAt(f.path); ok && at == f.file {
			_ = os.Remove(f.path)
		}
		f.path = ""
	}
	if f.lock != "" {
		_ = lockfile.Unlock(f.lock)
		f.lock = ""
	}
}

// socketAt returns the file at path, if that is a socket.
func socketAt(path string) (at file, ok bool) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return file{}, false
	}
	return file{uint64(st.Dev), uint64(st.Ino)}, true
}

// unixName returns the name of a, which is a UNIX address, for a system call.
func unixName(op string, a kernel.Addr) (string, error) {
	if err := kernel.CheckAddr(op, a); err != nil {
		return "", err
	}
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
	l := &unixListener{listener: listener{s}, name: name}
	b.own(&l.sock)
	listening := false
	defer func() { // also if Control panics
		if !listening {
			l.Close()
		}
	}()
	if err := l.listen(a, o); err != nil {
		return nil, err
	}
	listening = true
	return l, nil
}

func (s *unixListener) listen(a kernel.Addr, o *kernel.ListenOptions) error {
	if err := s.socketOptions(kernel.OpListen, &o.StreamOptions); err != nil {
		return err
	}
	if o.UNIX.Lock {
		if err := s.made.takeLock(a, s.name); err != nil {
			return err
		}
	}
	if err := s.made.bind(int(s.fd), s.name); err != nil {
		return err
	}
	if s.made.path != "" {
		if err := s.made.protect(&o.UNIX); err != nil {
			return err
		}
	}
	if err := unix.Listen(int(s.fd), backlogOf(o)); err != nil {
		return opError(kernel.OpListen, err)
	}
	return nil
}

// takeLock makes the lock file of name. If a dead process had it, the socket file that it left is
// removed (UNIX-10).
func (f *unixFile) takeLock(a kernel.Addr, name string) error {
	lock := name + ".lock"
	clean, err := lockfile.Lock(lock)
	if held, ok := errors.AsType[*lockfile.HeldError](err); ok {
		return &kernel.AddrError{Op: kernel.OpListen, Addr: a, Reason: held.Error(), Kind: kernel.ErrLocked}
	}
	if err != nil {
		return err
	}
	f.lock, err = filepath.Abs(lock)
	if _, isSocket := socketAt(name); err == nil && !clean && isSocket {
		err = os.Remove(name)
	}
	return err
}

// bind gives the socket fd the name.
func (f *unixFile) bind(fd int, name string) error {
	path, err := filepath.Abs(name)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		return opError(kernel.OpBind, err)
	}
	if name[0] != '@' {
		f.path = path
		f.file, _ = socketAt(path)
	}
	return nil
}

// protect gives the file its owner and permissions. Nobody can connect before the socket listens.
func (f *unixFile) protect(o *kernel.UNIXOptions) error {
	uid, err := idOf("Owner", o.Owner, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return err
	}
	gid, err := idOf("Group", o.Group, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	if err != nil {
		return err
	}
	if uid >= 0 || gid >= 0 {
		if err := os.Lchown(f.path, uid, gid); err != nil {
			return err
		}
	}
	mode := o.Mode
	if mode == 0 {
		mode = kernel.DefaultUNIXMode
	}
	return os.Chmod(f.path, mode)
}

// idOf returns the number of a user or group; -1 for "".
func idOf(option, name string, lookUp func(string) (string, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	text := name
	if _, err := strconv.ParseUint(name, 10, 31); err != nil {
		if text, err = lookUp(name); err != nil {
			return 0, &kernel.OptionError{Op: kernel.OpListen, Option: option, Value: name, Err: err}
		}
	}
	return strconv.Atoi(text)
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
	c := &unixConn{streamSock: streamSock{s}, to: name}
	b.own(&c.sock)
	dialled := false
	defer func() { // also if Control panics
		if !dialled {
			c.Close()
		}
	}()
	if err := c.dial(a, o); err != nil {
		return nil, err
	}
	dialled = true
	return c, nil
}

func (s *unixConn) dial(a kernel.Addr, o *kernel.DialOptions) error {
	if o.CheckLock {
		if err := checkLock(a, s.to); err != nil {
			return err
		}
	}
	if err := s.socketOptions(kernel.OpConnect, &o.StreamOptions); err != nil {
		return err
	}
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
			c := &unixConn{streamSock: streamSock{sock{b: s.b, fd: int32(fd)}}, from: s.name}
			s.b.own(&c.sock)
			if err := s.b.fits(kernel.OpAccept, fd); err != nil {
				c.Abort() // somebody else has taken the room
				return nil, err
			}
			if sa, ok := peer.(*unix.SockaddrUnix); ok {
				c.to = nameOf(sa)
			}
			return c, nil
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

// Credentials asks the system.
func (s *unixConn) Credentials() (kernel.Credentials, error) {
	if s.fd < 0 {
		return kernel.Credentials{}, s.opError("getsockopt", badFD)
	}
	return credentials(int(s.fd))
}
