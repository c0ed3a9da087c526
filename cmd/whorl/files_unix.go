//go:build unix

package main

import "syscall"

// checkFiles fails if fewer than freeFiles descriptors can be opened. The runtime of Go opens some
// of its own with the first timer or socket, and ends the program with a stack if it cannot. So
// main calls checkFiles before anything else.
func checkFiles() error {
	var open []int
	defer func() {
		for _, fd := range open {
			_ = syscall.Close(fd) // a copy that nobody used
		}
	}()
	for range freeFiles {
		fd, err := syscall.Dup(0)
		if err == syscall.EBADF { // started without standard input
			fd, err = syscall.Open("/", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		}
		if err == syscall.EMFILE {
			return errFewFiles
		}
		if err != nil {
			return nil // whatever it is, it is not the limit
		}
		open = append(open, fd)
	}
	return nil
}
