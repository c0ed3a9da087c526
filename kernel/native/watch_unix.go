//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// watched is a conn on descriptors that somebody else opened.
type watched struct {
	in          sock
	outSock     *sock // the output, if that is another descriptor, or nil
	writeClosed bool  // CloseWrite was called
	outFails    bool  // the output can be Failed: it is another descriptor, of a pipe or a socket
	files       [2]file
}

// file identifies what a descriptor refers to.
type file struct{ dev, ino uint64 }

// fileOf returns the file of fd. It is the zero file if fd is not open.
func fileOf(fd int32) file {
	var st unix.Stat_t
	if unix.Fstat(int(fd), &st) != nil {
		return file{}
	}
	return file{uint64(st.Dev), uint64(st.Ino)}
}

// Watch changes nothing of the descriptors: neither their flags nor their offsets.
func (b *base) Watch(in, out int) (kernel.Conn, error) {
	if b.closed {
		return nil, kernel.ErrClosed
	}
	if err := b.watchable(in); err != nil {
		return nil, err
	}
	w := &watched{in: sock{b: b, fd: int32(in)}}
	if out != in {
		if err := b.watchable(out); err != nil {
			return nil, err
		}
		w.outSock = &sock{b: b, fd: int32(out)}
		w.outFails = isPipeOrSocket(out)
		b.ownForeign(w.outSock)
	}
	b.ownForeign(&w.in)
	w.files = [2]file{fileOf(w.in.fd), fileOf(w.out().fd)}
	return w, nil
}

// isPipeOrSocket tells whether fd is something whose reader can go away. A set never counts such a
// descriptor as always ready.
func isPipeOrSocket(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return false
	}
	format := uint32(st.Mode) & unix.S_IFMT
	return format == unix.S_IFIFO || format == unix.S_IFSOCK
}

// Gone tells whether a number of w belongs to somebody else now.
func (w *watched) Gone() bool { return w.in.fd == lostFD || w.out().fd == lostFD }

// Changed asks the system what the numbers of w refer to.
func (w *watched) Changed() bool {
	if w.in.fd == closedFD {
		return false
	}
	return w.Gone() || w.files != [2]file{fileOf(w.in.fd), fileOf(w.out().fd)}
}

// watchable returns why fd cannot be watched, or nil.
func (b *base) watchable(fd int) error {
	if !isNumber(fd) {
		return SysError(kernel.OpWatch, badFD)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return opError(kernel.OpWatch, err)
	}
	if c, ok := b.set.(interface{ canWatch(fd int) error }); ok {
		return c.canWatch(fd)
	}
	return nil
}

// out is the sock to write to.
func (w *watched) out() *sock {
	if w.outSock != nil {
		return w.outSock
	}
	return &w.in
}

// armWatched arms both descriptors of w under one token. Failed is for the output alone: the
// end of the input is readable. If arming fails, nothing changes (FDS-28).
func (b *base) armWatched(w *watched, token uint32, r kernel.Ready) error {
	if w.outSock == nil {
		return b.arm(&w.in, token, r&both)
	}
	wasToken, was := w.in.token, w.in.armed()
	both := w.both()
	err := b.arm(&w.in, token, r&kernel.Readable)
	if err == nil {
		out := r & kernel.Writable
		if w.outFails {
			out |= r & kernel.Failed
		}
		if err = b.arm(w.outSock, token, out); err != nil {
			// Arming as before cannot fail: the descriptor was in the set.
			_ = b.arm(&w.in, wasToken, was)
		}
	}
	b.countPair(both, w.both())
	return err
}

// both tells whether w has two descriptors and both are armed.
func (w *watched) both() bool { return w.outSock != nil && w.in.armed() != 0 && w.outSock.armed() != 0 }

// countPair keeps pairs up to date when both changes from was to is.
func (b *base) countPair(was, is bool) {
	switch {
	case is && !was:
		b.pairs++
	case was && !is:
		b.pairs--
	}
}

// joinPairs joins two events with the same token into one, and returns how many events
// are left. Only the two descriptors of a watched pair share a token.
func (b *base) joinPairs(ev []kernel.Event) int {
	n := 0
	for _, e := range ev {
		for int(e.Token) >= len(b.eventOf) {
			b.eventOf = append(b.eventOf, 0)
			b.eventOf = b.eventOf[:cap(b.eventOf)]
		}
		if i := b.eventOf[e.Token]; i > 0 {
			ev[i-1].Ready |= e.Ready
			continue
		}
		ev[n] = e
		n++
		b.eventOf[e.Token] = int32(n)
	}
	for _, e := range ev[:n] {
		b.eventOf[e.Token] = 0
	}
	return n
}

// Read is read(2). The descriptor may block, so the scheduler must know of the call.
func (w *watched) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(w.in.fd), p)
		switch err {
		case nil:
			return received(n)
		case unix.EAGAIN:
			return 0, kernel.ErrAgain
		case unix.EINTR:
		default:
			return 0, w.in.opError(kernel.OpRead, errnoOf(err))
		}
	}
}

// Write is write(2). It blocks if the descriptor does.
func (w *watched) Write(p []byte) (int, error) {
	if w.writeClosed {
		return 0, w.out().opError(kernel.OpWrite, unix.EPIPE)
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := unix.Write(int(w.out().fd), p[:min(len(p), maxSend)])
		switch err {
		case nil:
			return n, nil
		case unix.EAGAIN:
			return 0, kernel.ErrAgain
		case unix.EINTR:
		default:
			return 0, w.out().opError(kernel.OpWrite, errnoOf(err))
		}
	}
}

// Close forgets the descriptors. They stay open.
func (w *watched) Close() error {
	w.in.b.countPair(w.both(), false)
	w.in.forget(false)
	if w.outSock != nil {
		w.outSock.forget(false)
	}
	return nil
}

// Abort is Close.
func (w *watched) Abort() error { return w.Close() }

// Connected is nil, because nothing was dialled, unless the output is armed for Failed and has failed.
func (w *watched) Connected() error {
	if s := w.outSock; s != nil && s.armed()&kernel.Failed != 0 {
		fds := [1]unix.PollFd{{Fd: s.fd}}
		switch n, err := unix.Poll(fds[:], 0); {
		case s.fd == lostFD:
			return s.opError(kernel.OpWait, badFD)
		case err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0:
			return s.opError(kernel.OpWait, unix.EPIPE)
		}
	}
	return nil
}

// CloseWrite makes later writes fail. Only the owner closes the descriptor.
func (w *watched) CloseWrite() error {
	w.writeClosed = true
	return nil
}

// Local is the zero Addr.
func (w *watched) Local() kernel.Addr { return kernel.Addr{} }

// Remote is the zero Addr.
func (w *watched) Remote() kernel.Addr { return kernel.Addr{} }

var (
	_ kernel.Watcher = (*base)(nil)
	_ kernel.Watched = (*watched)(nil)
)
