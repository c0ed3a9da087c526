//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// pathHandle is the file at a path. These systems change it without following a link.
type pathHandle struct{ path string }

func openPath(path string) (pathHandle, error) { return pathHandle{path}, nil }

func (h pathHandle) close() {}

// file returns the file, if it is a socket.
func (h pathHandle) file() (file, bool) { return socketAt(h.path) }

func (h pathHandle) chmod(mode fs.FileMode) error {
	return unix.Fchmodat(unix.AT_FDCWD, h.path, uint32(mode), unix.AT_SYMLINK_NOFOLLOW)
}

func (h pathHandle) chown(uid, gid int) error {
	return unix.Fchownat(unix.AT_FDCWD, h.path, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}
