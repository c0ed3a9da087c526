package terminal

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Open makes a pseudo-terminal with that size of window.
func Open(s Size) (Pair, error) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return Pair{}, failed("open /dev/ptmx", err)
	}
	p, err := slaveOf(master)
	if err == nil {
		if err = SetSize(master, s); err == nil {
			return p, nil
		}
		closeAll(p.Slave)
	}
	closeAll(master)
	return Pair{}, err
}

func slaveOf(master int) (Pair, error) {
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return Pair{}, failed("unlockpt", err)
	}
	number, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
	if err != nil {
		return Pair{}, failed("ptsname", err)
	}
	name := "/dev/pts/" + strconv.FormatUint(uint64(number), 10)
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	// By its number the slave is found also where /dev/pts is another file system, such as in a container, and there the
	// path may be somebody else's terminal. Before Linux 4.13 there is only the path.
	slave, err := openPeer(master, flags)
	if err == unix.EINVAL || err == unix.ENOTTY || err == unix.ENOSYS {
		slave, err = unix.Open(name, flags, 0)
	}
	if err != nil {
		return Pair{}, failed("open "+name, err)
	}
	return Pair{master, slave, name}, nil
}

func openPeer(master int, flags uintptr) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, flags)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// IsMaster tells whether fd is the master of a pseudo-terminal.
func IsMaster(fd int) bool {
	_, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	return err == nil
}
