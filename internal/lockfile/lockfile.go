//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package lockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// HeldError says that a live process holds a lock.
type HeldError struct {
	// Name is the name of the lock file.
	Name string
	// PID is the number of the process, which may be this one. It is 0 if a process is about to
	// take over the lock of a dead one.
	PID int
}

// Error is `lock file "/run/x.lock" is held by process 123`.
func (e *HeldError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("lock file %q is being taken over by another process", e.Name)
	}
	return fmt.Sprintf("lock file %q is held by process %d", e.Name, e.PID)
}

// ErrNotHolder: the lock file is not this process's.
var ErrNotHolder = errors.New("the lock file is not this process's")

// Lock makes the lock file name. clean is false if a dead process held it: it may have left other
// things behind too. If a live process holds it, this one included, the error is a *HeldError
// (LOCK-1). Another process that got the number of a dead one is taken for it.
//
// A link that comes or goes meanwhile has it try again. Other failures are returned (LOCK-3).
func Lock(name string) (clean bool, err error) {
	me := strconv.Itoa(os.Getpid())
	clean = true
	for {
		switch err := os.Symlink(me, name); {
		case err == nil:
			return clean, nil
		case !errors.Is(err, fs.ErrExist):
			return false, err
		}
		pid, err := Holder(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return false, err
		case pid != 0:
			return false, &HeldError{name, pid}
		}
		clean = false
		if err := takeAway(name); err != nil {
			return false, err
		}
	}
}

// Holder returns the number of the live process that holds the lock file name; 0 if its holder is
// dead. If there is no lock file, the error is fs.ErrNotExist. Whether a process lives is asked by
// signal 0: "no such process" means dead, "not permitted" that it lives; any other error is
// returned (LOCK-3).
func Holder(name string) (pid int, err error) {
	target, err := os.Readlink(name)
	if err != nil {
		return 0, err
	}
	pid, err = strconv.Atoi(target)
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("lock file %q: %q is not the number of a process; remove it if no process uses it", name, target)
	}
	switch err := syscall.Kill(pid, 0); err {
	case nil, syscall.EPERM:
		return pid, nil
	case syscall.ESRCH:
		return 0, nil
	default:
		return 0, fmt.Errorf("lock file %q: asking for process %d: %w", name, pid, err)
	}
}

// takeAway removes the lock file of a dead process. Another process may do so at the same time,
// and have made its own by now. So both lock the directory before they look again.
func takeAway(name string) error {
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close() // which gives the directory's lock back
	switch err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
	case nil:
	case syscall.EWOULDBLOCK:
		return &HeldError{Name: name}
	default:
		return fmt.Errorf("lock file %q: locking its directory: %w", name, err)
	}
	if pid, err := Holder(name); err != nil || pid != 0 {
		return gone(err)
	}
	return gone(os.Remove(name))
}

// gone is err, unless that says that a file does not exist.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Unlock removes the lock file name. If it is not this process's, it stays, and the error is
// ErrNotHolder (LOCK-2).
func Unlock(name string) error {
	target, err := os.Readlink(name)
	if err != nil {
		return err
	}
	if target != strconv.Itoa(os.Getpid()) {
		return fmt.Errorf("lock file %q of process %q: %w", name, target, ErrNotHolder)
	}
	return os.Remove(name)
}
