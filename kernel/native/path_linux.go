package native

import (
	"fmt"
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

// chmod goes by way of /proc, because before Linux 6.6 such a handle cannot be changed itself. Where there is no /proc, as in a bare
// chroot, it must.
func (h pathHandle) chmod(mode fs.FileMode) error {
	err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(h.fd), uint32(mode))
	if err != unix.ENOENT {
		return err
	}
	if err = unix.Fchmodat(h.fd, "", uint32(mode), unix.AT_EMPTY_PATH); err == unix.ENOSYS || err == unix.EOPNOTSUPP || err == unix.EINVAL {
		return fmt.Errorf("it needs /proc, which is not mounted: %w", err)
	}
	return err
}

func (h pathHandle) chown(uid, gid int) error {
	return unix.Fchownat(h.fd, "", uid, gid, unix.AT_EMPTY_PATH)
}
