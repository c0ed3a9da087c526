//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package lockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"
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

// ErrNotHolder: the lock file is not ours.
var ErrNotHolder = errors.New("the lock file is not ours")

// Lock is a lock file that this process holds.
type Lock struct {
	// Name is the name of the lock file.
	Name string
	// Clean is false if a dead process held it before: it may have left other things behind too.
	Clean bool

	link fs.FileInfo
	life *os.File // of TakeAlive; nil: the lock has none
}

// Take makes the lock file name. If a live process holds it, this one included, the error is a
// *HeldError (LOCK-1).
//
// A process lives if its number is in use, or if inUse, which is asked before a lock is taken over,
// says that what the lock is for is in use: the process may be one that we cannot see, in another
// container. And a lock with our own number, older than a second, is dead if inUse says no: it was
// that of a process with the same number in an earlier run of this container. So is one of a time
// to come, because the clock has been set back since.
//
// A link that comes or goes meanwhile has it try again, a hundred times at most. Other failures are
// returned (LOCK-3).
func Take(name string, inUse func() bool) (*Lock, error) {
	for range maxTries {
		switch err := os.Symlink(strconv.Itoa(os.Getpid()), name); {
		case err == nil:
			return held(name, true)
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
		pid, err := Holder(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case pid != 0 && pid != os.Getpid():
			return nil, &HeldError{name, pid}
		}
		if l, err := takeOver(name, inUse); !errors.Is(err, fs.ErrNotExist) {
			return l, err
		}
	}
	return nil, &HeldError{Name: name}
}

// maxTries is how often a link or a guard may come and go meanwhile. Whoever makes them go on does
// not want us to have the lock.
const maxTries = 100

func held(name string, clean bool) (*Lock, error) {
	link, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	return &Lock{Name: name, Clean: clean, link: link}, nil
}

// takeOver replaces the lock file of a dead process by ours. It is fs.ErrNotExist if that has gone.
//
// Two processes may try so at the same time. Each looks again when it has the guard, a file beside
// the lock, which only this user can open. The link is replaced in one step, because without a lock
// a third process would find what is left behind and no reason to remove it.
func takeOver(name string, inUse func() bool) (*Lock, error) {
	guard, err := guardOf(name)
	if err != nil {
		return nil, err
	}
	defer guard.Close() // which gives it back
	defer os.Remove(guard.Name())
	pid, err := Holder(name)
	if err != nil {
		return nil, err
	}
	if pid != 0 && (pid != os.Getpid() || !isOlder(name, guard)) || inUse() {
		return nil, &HeldError{name, pid}
	}
	return replace(name, false)
}

// replace puts our link in the place of another one. The caller has the guard.
func replace(name string, clean bool) (*Lock, error) {
	mine := name + "." + strconv.Itoa(os.Getpid())
	_ = os.Remove(mine) // of an earlier process with this number
	if err := os.Symlink(strconv.Itoa(os.Getpid()), mine); err != nil {
		return nil, err
	}
	if err := os.Rename(mine, name); err != nil {
		_ = os.Remove(mine)
		return nil, err
	}
	return held(name, clean)
}

// TakeFrom takes the lock over from the process holder, dead or alive, which has agreed to it: its Release is
// ErrNotHolder from then on. If the lock is another's, the error is a *HeldError with the number in it, which
// may be that of a dead process. If there is no lock file, it is made.
func TakeFrom(name string, holder int) (*Lock, error) {
	guard, err := guardOf(name)
	if err != nil {
		return nil, err
	}
	defer guard.Close() // which gives it back
	defer os.Remove(guard.Name())
	switch target, err := os.Readlink(name); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case target != strconv.Itoa(holder):
		pid, _ := strconv.Atoi(target)
		return nil, &HeldError{name, pid}
	}
	return replace(name, true)
}

// guardOf opens and locks the guard of name. If another process has it, the error is a *HeldError.
func guardOf(name string) (*os.File, error) {
	for range maxTries {
		g, err := os.OpenFile(name+".take", os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		switch err := syscall.Flock(int(g.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
		case nil:
		case syscall.EWOULDBLOCK:
			g.Close()
			return nil, &HeldError{Name: name}
		default:
			g.Close()
			return nil, fmt.Errorf("lock file %q: locking %q: %w", name, g.Name(), err)
		}
		ours, err1 := g.Stat()
		there, err2 := os.Lstat(g.Name())
		if err1 == nil && err2 == nil && os.SameFile(ours, there) {
			return g, nil
		}
		g.Close() // another one has removed it meanwhile
	}
	return nil, &HeldError{Name: name}
}

// isOlder tells whether the lock file was not made in the last second. The guard was made just now, by the
// same clock, or is given the time of now: by a call that needs no room, because the disk may be full. A file
// of a time to come was made before the clock was set back.
func isOlder(name string, guard *os.File) bool {
	link, err1 := os.Lstat(name)
	err2 := guard.Truncate(0)
	now, err3 := guard.Stat()
	return err1 == nil && err2 == nil && err3 == nil && now.ModTime().Sub(link.ModTime()).Abs() > time.Second
}

// Holder returns the number of the live process that holds the lock file name; 0 if its holder is
// dead. If there is no lock file, the error is fs.ErrNotExist. Whether a process lives is asked by
// signal 0: "no such process" means dead, "not permitted" that it lives; any other error is
// returned (LOCK-3). On Linux a zombie is dead too: a parent that never asks for its status would
// otherwise keep the lock from everybody.
func Holder(name string) (pid int, err error) {
	target, err := os.Readlink(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(target, 10, 32)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("lock file %q: %q is not the number of a process; remove it if no process uses it", name, target)
	}
	switch err := syscall.Kill(int(n), 0); err {
	case nil, syscall.EPERM:
		if isZombie(int(n)) {
			return 0, nil
		}
		return int(n), nil
	case syscall.ESRCH:
		return 0, nil
	default:
		return 0, fmt.Errorf("lock file %q: asking for process %d: %w", name, n, err)
	}
}

// Release removes the lock file. If another one has its place, that stays, and the error is
// ErrNotHolder (LOCK-2).
func (l *Lock) Release() error {
	link, err := os.Lstat(l.Name)
	if err != nil {
		l.dropLife()
		return err
	}
	if !os.SameFile(link, l.link) {
		l.dropLife()
		return fmt.Errorf("lock file %q: %w", l.Name, ErrNotHolder)
	}
	if l.life != nil { // while nobody else can have the lock
		_ = os.Remove(l.life.Name())
	}
	err = os.Remove(l.Name)
	l.dropLife()
	return err
}
