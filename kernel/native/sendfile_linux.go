package native

import (
	"os"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// sampleEvery is how far the bytes lie apart that inMemory reads.
const sampleEvery = 128 << 10

// WriteFile sends at most maxSend bytes of a file, by sendfile(2). If the connection is gone, that also raises SIGPIPE, which the runtime ignores.
func (s *streamSock) WriteFile(r kernel.FileRange) (n int, err error) {
	if s.fd < 0 {
		return 0, s.opError(kernel.OpWrite, badFD)
	}
	if r.Length = min(r.Length, maxSend); r.Length == 0 {
		return 0, nil
	}
	raw, err := r.File.SyscallConn()
	if err != nil {
		return 0, kernel.ErrMustRead
	}
	// Control keeps the number from being closed meanwhile, and given to another file.
	if raw.Control(func(fd uintptr) { n, err = s.writeFile(int(fd), r) }) != nil {
		return 0, kernel.ErrMustRead
	}
	return n, err
}

func (s *streamSock) writeFile(fd int, r kernel.FileRange) (int, error) {
	if !r.MayWait && !inMemory(fd, r.Offset, r.Length) {
		return 0, kernel.ErrMustRead
	}
	for {
		at := r.Offset
		// Unlike Write, it tells the scheduler, because it may wait.
		n, err := unix.Sendfile(int(s.fd), fd, &at, r.Length)
		switch errno := errnoOf(err); {
		case err == nil && n > 0:
			// Less than all may be the end of the file, so the socket may take more.
			return n, nil
		case errno == unix.EINTR:
		case errno == unix.EAGAIN || errno == unix.ENOBUFS:
			s.unlearn(kernel.Writable)
			return 0, kernel.ErrAgain
		case ofConnection(errno):
			return 0, s.opError(kernel.OpWrite, errno)
		default:
			return 0, kernel.ErrMustRead
		}
	}
}

// ofConnection tells whether sendfile has failed with errno because of the connection. Whatever
// else it fails with may be about the file: reading that tells, and if it does not, writing does.
func ofConnection(errno syscall.Errno) bool {
	switch errno {
	case unix.EPIPE, unix.ECONNRESET, unix.ECONNABORTED, unix.ETIMEDOUT, unix.ENOTCONN, unix.ESHUTDOWN, unix.ECONNREFUSED,
		unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.EPROTO, unix.ENOPROTOOPT:
		return true
	}
	return false
}

// inMemory tells whether n bytes of a file are in the system's memory, so that nobody waits for a disk.
//
// cachestat(2) counts the pages of the range. It counts those too that are being read at the moment, which readahead does with the
// next ones in a row, so a read that may not wait looks at some of them. A page between these may still be on its way. Then
// sendfile waits for a read that has begun. A page may also leave memory before it is sent, which is rare.
//
// Linux has cachestat since 6.5, and newer ones tell only those who own the file or may write it. It returns false if the system does
// not tell. To read a byte of each page instead, as anybody may, would take as long as to copy all of them.
func inMemory(fd int, offset int64, n int) bool {
	page, last := int64(os.Getpagesize()), offset+int64(n)-1
	in := unix.CachestatRange{Off: uint64(offset), Len: uint64(n)}
	var is unix.Cachestat_t
	if unix.Cachestat(uint(fd), &in, &is, 0) != nil || is.Cache != uint64(last/page-offset/page+1) {
		return false
	}
	var b [1]byte
	vec := [][]byte{b[:]}
	for at := last; at >= offset; at -= sampleEvery {
		if got, err := unix.Preadv2(fd, vec, at, unix.RWF_NOWAIT); got != 1 || err != nil {
			return false
		}
	}
	return true
}

var _ kernel.Files = (*streamSock)(nil)
