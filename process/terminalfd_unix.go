//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package process

import "golang.org/x/sys/unix"

// closeFD closes a descriptor of ours. After EINTR it is closed all the same.
func closeFD(fd int) { _ = unix.Close(fd) }
