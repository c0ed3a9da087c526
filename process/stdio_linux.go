package process

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// openAgain opens what fd refers to, which is f, as a description of its own that does not block.
func openAgain(fd, direction int, f file) (int, bool) {
	again, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), direction|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, false
	}
	if !refersTo(again, f) {
		closeFD(again)
		return -1, false
	}
	return again, true
}

// dupOver makes the number to another one of from.
func dupOver(from, to int, closeOnExec bool) error {
	if closeOnExec {
		return unix.Dup3(from, to, unix.O_CLOEXEC)
	}
	return unix.Dup3(from, to, 0)
}
