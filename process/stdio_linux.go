package process

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// openAgain opens what fd refers to, whose status is st, as a description of its own that does not block.
func openAgain(fd, direction int, st *unix.Stat_t) (int, bool) {
	again, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), direction|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, false
	}
	var now unix.Stat_t
	if unix.Fstat(again, &now) != nil || now.Dev != st.Dev || now.Ino != st.Ino || now.Rdev != st.Rdev {
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
