//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import (
	"os/signal"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// canLimit tells that Limits of a ChildCommand do not work here: nothing sets them between fork and exec.
const canLimit = false

// ignored tells whether this process ignores n, as far as package os/signal knows.
func ignored(n syscall.Signal) bool { return signal.Ignored(n) }

// openPipe makes both ends close-on-exec before anybody can fork.
func openPipe(p *[2]int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := unix.Pipe(p[:]); err != nil {
		return err
	}
	unix.CloseOnExec(p[0])
	unix.CloseOnExec(p[1])
	return nil
}

func readPipe(fd int32, p []byte) (int, syscall.Errno) {
	n, err := unix.Read(int(fd), p)
	return n, errnoOf(err)
}

func writePipe(fd int32, p []byte) (int, syscall.Errno) {
	n, err := unix.Write(int(fd), p)
	return n, errnoOf(err)
}

// Writev writes one of bufs after the other, until the pipe is full.
func (c *pipeConn) Writev(bufs [][]byte) (int, error) {
	total := 0
	for _, p := range bufs {
		n, err := c.Write(p)
		total += n
		switch {
		case err != nil && total == 0:
			return 0, err
		case err != nil, n < len(p), total >= maxSend:
			return total, nil // the next write finds the error
		}
	}
	return total, nil
}

// closeOthersOnExec marks every descriptor close-on-exec but 0, 1 and 2 (PROC-11).
func closeOthersOnExec() {
	if !closeListed("/dev/fd") {
		closeNumbered()
	}
}

// forkExec starts the process. What tells of its exit is a kqueue that waits for it: poll and select find it readable then.
func (s *spawning) forkExec(attr *syscall.ProcAttr) (notice, error) {
	kq, err := unix.Kqueue()
	if err != nil {
		return notice{}, err
	}
	unix.CloseOnExec(kq)
	pid, err := syscall.ForkExec(s.c.Path, s.c.Args, attr)
	if err != nil {
		unix.Close(kq)
		return notice{}, err
	}
	var change unix.Kevent_t
	unix.SetKevent(&change, pid, unix.EVFILT_PROC, unix.EV_ADD)
	change.Fflags = unix.NOTE_EXIT
	if _, err := unix.Kevent(kq, []unix.Kevent_t{change}, nil, nil); err == nil {
		return notice{pid: pid, fd: kq}, nil
	}
	unix.Close(kq)
	// It has exited already, and some systems do not know it by its number any more. A pipe
	// without a writer is readable.
	var p [2]int
	if err := openPipe(&p); err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _, _ = wait4(pid, 0)
		return notice{}, err
	}
	unix.Close(p[1])
	return notice{pid: pid, fd: p[0]}, nil
}

// reapLater takes the exit status when it comes, and closes the notice.
func reapLater(n notice) {
	go func() {
		_, _, _ = wait4(n.pid, 0)
		unix.Close(n.fd)
	}()
}

// reap takes the exit status, if there is one.
func (n notice) reap() (kernel.Exit, bool, error) { return wait4(n.pid, unix.WNOHANG) }

// signal sends s to the process, whose number is its own until reap has taken its status.
func (n notice) signal(s syscall.Signal) error { return syscall.Kill(n.pid, s) }

// signalGroup is EINVAL: there is only the number.
func (n notice) signalGroup(syscall.Signal) error { return unix.EINVAL }
