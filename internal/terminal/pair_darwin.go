package terminal

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Open makes a pseudo-terminal with that size of window.
func Open(s Size) (Pair, error) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return Pair{}, failed("open /dev/ptmx", err)
	}
	var name [128]byte // the size is in TIOCPTYGNAME
	for _, c := range []struct {
		call    string
		request uint
		arg     unsafe.Pointer
	}{
		{"grantpt", unix.TIOCPTYGRANT, nil},
		{"unlockpt", unix.TIOCPTYUNLK, nil},
		{"ptsname", unix.TIOCPTYGNAME, unsafe.Pointer(&name)},
	} {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), uintptr(c.request), uintptr(c.arg)); errno != 0 {
			closeAll(master)
			return Pair{}, failed(c.call, errno)
		}
	}
	path := unix.ByteSliceToString(name[:])
	slave, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		closeAll(master)
		return Pair{}, failed("open "+path, err)
	}
	// The size can be set when the slave is open.
	if err := SetSize(slave, s); err != nil {
		closeAll(master, slave)
		return Pair{}, err
	}
	return Pair{master, slave, path}, nil
}

// IsMaster tells whether fd is the master of a pseudo-terminal.
func IsMaster(fd int) bool {
	var name [128]byte
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCPTYGNAME, uintptr(unsafe.Pointer(&name)))
	return errno == 0
}
