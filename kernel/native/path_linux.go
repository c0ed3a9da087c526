package native

import (
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"
)

// pathHandle is one file, whatever has its path by now.
type pathHandle struct{ fd int }

func openPath(path string) (pathHandle, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return pathHandle{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return pathHandle{fd}, nil
}

func (h pathHandle) close() { unix.Close(h.fd) }

// file returns the file, if it is a socket.
func (h pathHandle) file() (file, bool) {
	var st unix.Stat_t
	if unix.Fstat(h.fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return file{}, false
	}
	return file{uint64(st.Dev), uint64(st.Ino)}, true
}

// chmod goes by way of /proc, because such a handle cannot be changed itself.
func (h pathHandle) chmod(mode fs.FileMode) error {
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(h.fd), uint32(mode))
}

func (h pathHandle) chown(uid, gid int) error {
	return unix.Fchownat(h.fd, "", uid, gid, unix.AT_EMPTY_PATH)
}
