//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package lockfile

import (
	"os"
	"syscall"
)

// TakeAlive is Take for a lock without anything of which another process could ask whether it is in use. The holder of such a lock keeps the file
// name + ".alive" open, with a shared flock on it, which the kernel gives back when the process ends, however it does. So the number in
// the lock, which means little in a container, is not all that is known of the holder:
//
//	the file                   the number is of         the lock is
//	is locked                  anybody                  held
//	is there, and not locked   nobody, or this process  that of a dead process
//	is not there               nobody                   that of a dead process
//	is not there               this process             held: its holder may know nothing of the file
//
// A lock with another live process' number is held in any case.
func TakeAlive(name string) (*Lock, error) {
	var probe *os.File // keeps others from marking the lock as theirs while it is taken over
	l, err := Take(name, func() bool {
		f, err := os.OpenFile(lifeOf(name), os.O_RDWR|syscall.O_NOFOLLOW, 0)
		if err != nil {
			pid, err := Holder(name)
			return err != nil || pid != 0
		}
		if probe != nil {
			probe.Close() // of a lock that has gone meanwhile
		}
		probe = f
		return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
	})
	if probe != nil {
		probe.Close()
	}
	if err != nil {
		return nil, err
	}
	if l.life = live(lifeOf(name)); l.life == nil {
		return l, nil // the number alone tells
	}
	// Another one may have taken the lock over before it was marked: if this process was stopped meanwhile.
	if link, err := os.Lstat(name); err != nil || !os.SameFile(link, l.link) {
		l.dropLife()
		return nil, &HeldError{Name: name}
	}
	return l, nil
}

func lifeOf(name string) string { return name + ".alive" }

// live opens and locks the file of a lock that was taken. It waits only for who is about to take the lock over. It returns nil if the file
// system does not have it.
func live(name string) *os.File {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil
	}
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH); err {
		case nil:
			return f
		case syscall.EINTR:
		default:
			f.Close()
			return nil
		}
	}
}

// dropLife gives the file back.
func (l *Lock) dropLife() {
	if l.life != nil {
		l.life.Close()
		l.life = nil
	}
}
