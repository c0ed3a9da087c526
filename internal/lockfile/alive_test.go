//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package lockfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/lockfile"
	"golang.org/x/sys/unix"
)

// A lock whose number says nothing, as in a container, where a program has the same each time, is that of a dead process if nobody has its second file
// locked, and held if somebody has. Without that file the number alone tells.
func TestTakeAlive(t *testing.T) {
	for name, c := range map[string]struct {
		pid          int
		there, locks bool
		held         bool
	}{
		"our number, killed":              {pid: os.Getpid(), there: true},
		"our number, in another":          {pid: os.Getpid(), there: true, locks: true, held: true},
		"our number, of an older version": {pid: os.Getpid(), held: true},
		"a dead one":                      {pid: dead(t), there: true},
		"a dead one, of an older version": {pid: dead(t)},
		"one that we cannot see":          {pid: dead(t), there: true, locks: true, held: true},
		"another's":                       {pid: os.Getppid(), there: true, held: true},
	} {
		t.Run(name, func(t *testing.T) {
			lock := linkTo(t, filepath.Join(t.TempDir(), "x.lock"), c.pid)
			old := unix.NsecToTimespec(time.Now().Add(-time.Minute).UnixNano())
			if err := unix.UtimesNanoAt(unix.AT_FDCWD, lock, []unix.Timespec{old, old}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				t.Fatal(err)
			}
			if c.there {
				f, err := os.Create(lock + ".alive")
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if c.locks {
					if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH); err != nil {
						t.Fatal(err)
					}
				}
			}
			l, err := lockfile.TakeAlive(lock)
			if _, held := errors.AsType[*lockfile.HeldError](err); held != c.held || !held && (err != nil || l.Clean) {
				t.Fatalf("%+v, %v", l, err)
			}
			if c.held {
				return
			}
			if again, err := lockfile.TakeAlive(lock); err == nil {
				t.Errorf("taken twice: %+v", again)
			}
			if err := l.Release(); err != nil {
				t.Error(err)
			}
			for _, name := range []string{lock, lock + ".alive"} {
				if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is left: %v", name, err)
				}
			}
		})
	}
}

// A lock of our own is held, however old it is.
func TestAliveOwn(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "x.lock")
	l, err := lockfile.TakeAlive(lock)
	if err != nil || !l.Clean {
		t.Fatalf("%+v, %v", l, err)
	}
	old := unix.NsecToTimespec(time.Now().Add(-time.Minute).UnixNano())
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, lock, []unix.Timespec{old, old}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
	if again, err := lockfile.TakeAlive(lock); err == nil {
		t.Errorf("taken twice: %+v", again)
	}
	_ = os.Rename(lock, lock+".old") // so that its inode is not given out again
	linkTo(t, lock, os.Getppid())
	if err := l.Release(); !errors.Is(err, lockfile.ErrNotHolder) {
		t.Errorf("releasing another's: %v", err)
	}
}
