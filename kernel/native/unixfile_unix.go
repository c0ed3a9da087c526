//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/whorl-go/whorl/internal/lockfile"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// unixFile is what a socket has made in the file system, and removes at its end.
type unixFile struct {
	path string // absolute; "": it has made no file
	file file   // at path
	lock *lockfile.Lock
}

// remove removes the file, if it is still ours, and then the lock file. A failure leaves a file
// behind; at this end nobody can do anything about it.
func (f *unixFile) remove() {
	if f.path != "" {
		if at, ok := socketAt(f.path); ok && at == f.file {
			_ = os.Remove(f.path)
		}
		f.path = ""
	}
	if f.lock != nil {
		_ = f.lock.Release()
		f.lock = nil
	}
}

// own makes the file of name ours, and with lock the lock file of the process holder.
func (f *unixFile) own(name string, lock bool, holder int) error {
	if name == "" || name[0] == '@' {
		return nil
	}
	path, err := absolute(name)
	if err != nil {
		return err
	}
	at, ok := socketAt(path)
	if !ok {
		return &fs.PathError{Op: "stat", Path: path, Err: fs.ErrNotExist}
	}
	if lock && f.lock == nil {
		if f.lock, err = lockfile.TakeFrom(path+".lock", holder); err != nil {
			return lockError(kernel.UNIXAddr(name), path+".lock", err)
		}
	}
	f.path, f.file = path, at
	return nil
}

// socketAt returns the file at path, if that is a socket.
func socketAt(path string) (at file, ok bool) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return file{}, false
	}
	return file{uint64(st.Dev), uint64(st.Ino)}, true
}

// absolute returns path from the root on, so that it stays right when the working directory
// changes. It is not cleaned: the system follows a link before it goes up by "..".
func absolute(path string) (string, error) {
	if strings.HasPrefix(path, "/") {
		return path, nil
	}
	dir, err := unix.Getwd()
	if err != nil {
		return "", opError("getcwd", err)
	}
	return dir + "/" + path, nil
}

// takeLock makes the lock file of name. A socket file at which nobody listens was left by a process
// that has died, and is removed (UNIX-10).
func (f *unixFile) takeLock(a kernel.Addr, name string) error {
	path, err := absolute(name)
	if err != nil {
		return err
	}
	if f.lock, err = lockfile.Take(path+".lock", func() bool { return inUse(name) }); err != nil {
		return lockError(a, path+".lock", err)
	}
	if _, isSocket := socketAt(path); isSocket && !inUse(name) {
		return os.Remove(path)
	}
	return nil
}

// lockError makes an error of package lockfile one of this package, which names the lock file and has a sentinel.
func lockError(a kernel.Addr, name string, err error) error {
	if held, ok := errors.AsType[*lockfile.HeldError](err); ok {
		return &kernel.AddrError{Op: kernel.OpListen, Addr: a, Reason: held.Error(), Kind: kernel.ErrLocked}
	}
	switch e := err.(type) {
	case *os.LinkError:
		return fmt.Errorf("lock file %q: %w", name, opError(e.Op, e.Err))
	case *fs.PathError:
		return fmt.Errorf("lock file %q: %w", name, opError(e.Op, e.Err))
	}
	return err // which names the file
}

// inUse tells whether somebody listens at name, as far as a connect can tell. A process in another
// container, or one without a lock file, cannot be seen otherwise.
func inUse(name string) bool {
	fd, err := openSocket(unix.AF_UNIX, unix.SOCK_STREAM)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	switch unix.Connect(fd, &unix.SockaddrUnix{Name: name}) {
	case unix.ECONNREFUSED, unix.ENOENT:
		return false
	}
	return true
}

// make gives the socket fd the name, which is that of a, and its file what o says.
func (f *unixFile) make(fd int, name string, a kernel.Addr, o *kernel.UNIXOptions) error {
	uid, gid, err := owners(o) // a look-up takes time, so it comes before there is a file
	if err != nil {
		return err
	}
	if o.Lock {
		if err := f.takeLock(a, name); err != nil {
			return err
		}
	}
	if err := f.bind(fd, name); err != nil || f.path == "" {
		return err
	}
	return f.protect(o.FileMode(), uid, gid)
}

// bind gives the socket fd the name.
func (f *unixFile) bind(fd int, name string) error {
	path := ""
	if name[0] != '@' {
		var err error
		if path, err = absolute(name); err != nil {
			return err
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		return opError(kernel.OpBind, err)
	}
	if f.path = path; path != "" {
		f.file, _ = socketAt(path)
	}
	return nil
}

// owners returns the numbers of the owner and the group; -1 for none.
func owners(o *kernel.UNIXOptions) (uid, gid int, err error) {
	uid, err = idOf("Owner", o.Owner, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return 0, 0, err
	}
	gid, err = idOf("Group", o.Group, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	return uid, gid, err
}

// idOf returns the number of a user or group; -1 for "".
func idOf(option, name string, lookUp func(string) (string, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	text := name
	if _, err := strconv.ParseUint(name, 10, 32); err != nil {
		if text, err = lookUp(name); err != nil {
			return 0, &kernel.OptionError{Op: kernel.OpListen, Option: option, Value: name, Err: err}
		}
	}
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil || id == 1<<32-1 { // which means "no change"
		err = &kernel.OptionError{Op: kernel.OpListen, Option: option, Value: name, Err: kernel.ErrInvalidOption}
	}
	return int(id), err
}

// protect gives the file its permissions and its owner, in this order: a new owner could put
// another file in its place. Nobody can connect before the socket listens.
func (f *unixFile) protect(mode fs.FileMode, uid, gid int) error {
	h, err := openPath(f.path)
	if err != nil {
		return err
	}
	defer h.close()
	if at, ok := h.file(); !ok || at != f.file {
		return &fs.PathError{Op: "chmod", Path: f.path, Err: errReplaced}
	}
	if err := h.chmod(mode); err != nil {
		return &fs.PathError{Op: "chmod", Path: f.path, Err: err}
	}
	if uid < 0 && gid < 0 {
		return nil
	}
	if err := h.chown(uid, gid); err != nil {
		return &fs.PathError{Op: "chown", Path: f.path, Err: err}
	}
	return nil
}

var errReplaced = errors.New("somebody has put another file in its place")
