package native

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sendFlags are those of a sendmsg.
const sendFlags = unix.MSG_NOSIGNAL

// refuseDescriptors has the system refuse descriptors that are sent to the UNIX socket fd, or to what it accepts: the sender's call fails with
// EPERM. It returns false if the system cannot, as Linux before 6.16. Then it drops them without a word.
func refuseDescriptors(fd int) bool {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0) == nil
}

// takeDescriptors undoes refuseDescriptors, which another owner of the socket may have called.
func takeDescriptors(fd int) { _ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 1) }

// recvmsg receives bytes into p and control messages into control. What comes is close-on-exec from
// the beginning (FDP-6). It returns the lengths of both, and the flags of the message. That of package
// unix allocates the sender's name.
func (b *base) recvmsg(fd int, p, control []byte) (n, controlLen, flags int, errno syscall.Errno) {
	b.iov[0].Base = unsafe.SliceData(p)
	b.iov[0].SetLen(len(p))
	b.msg.Iov = &b.iov[0]
	b.msg.SetIovlen(1)
	b.msg.Control = unsafe.SliceData(control)
	b.msg.SetControllen(len(control))
	got, _, errno := syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.msg)), unix.MSG_CMSG_CLOEXEC)
	controlLen, flags = int(b.msg.Controllen), int(b.msg.Flags)
	b.msg = unix.Msghdr{} // Writev needs it without control
	b.iov[0] = unix.Iovec{}
	return int(got), controlLen, flags, errno
}
