//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sendFlags are those of a sendmsg. The runtime ignores SIGPIPE.
const sendFlags = 0

// recvmsg receives bytes into p and control messages into control. What comes is close-on-exec before
// anybody can fork (FDP-6). It returns the lengths of both, and the flags of the message.
func (b *base) recvmsg(fd int, p, control []byte) (n, controlLen, flags int, errno syscall.Errno) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	n, controlLen, flags, _, err := unix.Recvmsg(fd, p, control, 0)
	if err != nil {
		return 0, 0, 0, errnoOf(err)
	}
	fds, _ := rights(control[:controlLen], nil)
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return n, controlLen, flags, 0
}

// refuseDescriptors returns false: these systems cannot refuse descriptors that are sent to a UNIX socket, and drop them.
func refuseDescriptors(int) bool { return false }

// takeDescriptors does nothing: they are never refused.
func takeDescriptors(int) {}
