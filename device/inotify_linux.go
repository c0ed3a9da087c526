package device

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// inotify is the system's side of a Notifier: five calls, and two flags for directories below a watched one.
type inotify struct {
	Init   func() (int, error)
	Add    func(fd int, path string, mask uint32) (int32, error)
	Remove func(fd int, wd int32)
	Read   func(fd int, p []byte) (int, error)
	Close  func(fd int) error
}

const (
	// onlyDirectory are the flags for what must be a directory and no symbolic link to one.
	onlyDirectory = unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW
	// addMask: the inode may have another watch, whose events must go on.
	addMask = unix.IN_MASK_ADD
)

func systemInotify() inotify {
	return inotify{
		Init: func() (int, error) { return unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC) },
		Add: func(fd int, path string, mask uint32) (int32, error) {
			wd, err := unix.InotifyAddWatch(fd, path, mask)
			return int32(wd), err
		},
		Remove: func(fd int, wd int32) { _, _ = unix.InotifyRmWatch(fd, uint32(wd)) }, // the system may have removed it before
		Read:   unix.Read,
		Close:  unix.Close,
	}
}

// openDirectory opens a directory to list it. With follow, path may be a symbolic link.
func openDirectory(path string, follow bool) (*os.File, error) {
	flags := unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	for {
		fd, err := unix.Open(path, flags, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), path), nil
	}
}

// spareDescriptor tells, by its error, whether the process may have one more descriptor.
func spareDescriptor() error {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// errnoOf is the system's error in err, 0 if there is none.
func errnoOf(err error) syscall.Errno {
	errno, _ := err.(syscall.Errno)
	return errno
}

// limitOf reads a limit of inotify; 0 if it cannot be read.
func limitOf(setting string) int {
	text, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(setting, ".", "/"))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}
