//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// watched is a conn on descriptors that somebody else opened.
type watched struct {
	in          sock
	outSock     *sock // of the output, where that is another descriptor; else nil
	writeClosed bool  // CloseWrite was called
}

// Watch makes no system call that changes a descriptor: neither its flags nor its offset.
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
	}
	return w, nil
}

// watchable tells why fd cannot be watched.
func (b *base) watchable(fd int) error {
	if fd < 0 || fd > 1<<31-1 {
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

// out is where the output goes.
func (w *watched) out() *sock {
	if w.outSock != nil {
		return w.outSock
	}
	return &w.in
}

// armWatched arms both descriptors of w under one token, or, when that fails, changes
// nothing (FDS-28).
func (b *base) armWatched(w *watched, token uint32, r kernel.Ready) error {
	if w.outSock == nil {
		return b.arm(&w.in, token, r)
	}
	wasToken, was := w.in.token, w.in.armed()
	both := w.both()
	err := b.arm(&w.in, token, r&kernel.Readable)
	if err == nil {
		if err = b.arm(w.outSock, token, r&kernel.Writable); err != nil {
			// What was armed before can be armed again: its descriptor was in the set.
			_ = b.arm(&w.in, wasToken, was)
		}
	}
	b.countPair(both, w.both())
	return err
}

// both tells whether two descriptors are armed under one token.
func (w *watched) both() bool { return w.outSock != nil && w.in.armed() != 0 && w.outSock.armed() != 0 }

// countPair counts the conns of which both is true.
func (b *base) countPair(was, is bool) {
	switch {
	case is && !was:
		b.pairs++
	case was && !is:
		b.pairs--
	}
}

// joinPairs makes one event of two that have the same token, which only the descriptors
// of a watched pair have, and returns how many are left.
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

// Read is read(2), as the scheduler must know of it: the descriptor may block.
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

// Write is write(2). A pipe that blocks makes it wait.
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

// Close forgets the descriptors, which stay open.
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

// Connected is nil: the descriptors came as they are.
func (w *watched) Connected() error { return nil }

// CloseWrite refuses later writes. To close the descriptor is its owner's business.
func (w *watched) CloseWrite() error {
	w.writeClosed = true
	return nil
}

// Local is the zero Addr.
func (w *watched) Local() kernel.Addr { return kernel.Addr{} }

// Remote is the zero Addr.
func (w *watched) Remote() kernel.Addr { return kernel.Addr{} }
