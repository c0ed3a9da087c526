package native

import (
	"syscall"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// The system calls of our ends of pipes are made without telling the scheduler, as those of sockets are: they do not block.

func readPipe(fd int32, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}

func writePipe(fd int32, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}

// Writev writes at most maxSend bytes of at most maxVectors of bufs.
func (c *pipeConn) Writev(bufs [][]byte) (int, error) {
	if !c.has(pipeWrites) || c.has(pipeEnded) {
		return 0, c.opError(kernel.OpWrite, unix.EPIPE)
	}
	b := c.b
	used, offered := 0, 0
	for _, p := range bufs {
		if size := min(len(p), maxSend-offered); size > 0 && used < maxVectors {
			b.iov[used].Base = unsafe.SliceData(p)
			b.iov[used].SetLen(size)
			used++
			offered += size
		}
	}
	if used == 0 {
		return 0, nil
	}
	n, errno := uintptr(0), unix.EINTR
	for errno == unix.EINTR {
		n, _, errno = syscall.RawSyscall(unix.SYS_WRITEV, uintptr(c.fd), uintptr(unsafe.Pointer(&b.iov[0])), uintptr(used))
	}
	clear(b.iov[:used]) // nothing of bufs is kept
	return c.wrote(int(n), offered, errno)
}
