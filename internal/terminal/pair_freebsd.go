package terminal

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Open makes a pseudo-terminal with that size of window.
func Open(s Size) (Pair, error) {
	// The system refuses other flags than these here.
	fd, _, errno := unix.Syscall(unix.SYS_POSIX_OPENPT, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		return Pair{}, failed("posix_openpt", errno)
	}
	master := int(fd)
	number, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err == nil {
		err = unix.SetNonblock(master, true)
	}
	if err != nil {
		closeAll(master)
		return Pair{}, failed("ptsname", err)
	}
	name := "/dev/pts/" + strconv.Itoa(number)
	slave, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		closeAll(master)
		return Pair{}, failed("open "+name, err)
	}
	if err := SetSize(slave, s); err != nil {
		closeAll(master, slave)
		return Pair{}, err
	}
	return Pair{master, slave, name}, nil
}

// IsMaster tells whether fd is the master of a pseudo-terminal.
func IsMaster(fd int) bool {
	_, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	return err == nil
}
