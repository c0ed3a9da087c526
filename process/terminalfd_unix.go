//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package process

import "golang.org/x/sys/unix"

// closeFD closes a descriptor of ours. After EINTR it is closed all the same.
func closeFD(fd int) { _ = unix.Close(fd) }

// giveFD gives the terminal that a descriptor of ours refers to another owner. It fails for others than root, and then it stays as it is: its user has
// the descriptors all the same.
func giveFD(fd, uid int) { _ = unix.Fchown(fd, uid, -1) }
