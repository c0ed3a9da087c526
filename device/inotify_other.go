//go:build !linux

package device

import (
	"os"
	"syscall"
)

// inotify is the system's side of a Notifier.
type inotify struct {
	Init   func() (int, error)
	Add    func(fd int, path string, mask uint32) (int32, error)
	Remove func(fd int, wd int32)
	Read   func(fd int, p []byte) (int, error)
	Close  func(fd int) error
}

const onlyDirectory, addMask = 0, 0

// systemInotify has only init, which fails.
func systemInotify() inotify {
	return inotify{Init: func() (int, error) { return -1, ErrUnsupported }}
}

func openDirectory(string, bool) (*os.File, error) { return nil, ErrUnsupported }

func errnoOf(err error) syscall.Errno {
	errno, _ := err.(syscall.Errno)
	return errno
}

func limitOf(string) int { return 0 }

func spareDescriptor() error { return ErrUnsupported }
