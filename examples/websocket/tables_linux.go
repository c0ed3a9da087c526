package main

import (
	"runtime"
	"syscall"
)

// ownTable gives the calling goroutine a thread of its own, and that a copy of the table of descriptors. What it opens from then on, no other thread has. It is
// for a loop, before it has connections: a loop's sockets are touched by its own thread alone. So a limit of descriptors that the program may not raise counts for each loop.
func ownTable() error {
	runtime.LockOSThread()
	return syscall.Unshare(syscall.CLONE_FILES)
}
