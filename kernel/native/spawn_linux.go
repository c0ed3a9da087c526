package native

import (
	"math"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// canLimit tells that Limits of a ChildCommand work here.
const canLimit = true

func openPipe(p *[2]int) error { return unix.Pipe2(p[:], unix.O_CLOEXEC) }

// closeOthersOnExec marks every descriptor close-on-exec but 0, 1 and 2, of which the child gets what is in Files, or nothing
// (PROC-11).
func closeOthersOnExec() {
	if unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) == nil || closeListed("/proc/self/fd") || closeListed("/dev/fd") {
		return
	}
	closeNumbered()
}

// ignored tells whether this process ignores n. The runtime of Go leaves SIGHUP and SIGINT ignored if they were when the process began, as behind
// nohup, and package os/signal does not know it any more when Notify and Stop have come since.
func ignored(n syscall.Signal) bool {
	if signal.Ignored(n) {
		return true
	}
	if n != syscall.SIGHUP && n != syscall.SIGINT {
		return false
	}
	var action [16]uintptr // begins with the handler; on MIPS it does not, and the length of the set is another one
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(n), 0, uintptr(unsafe.Pointer(&action)), 8, 0, 0)
	const sigIgn = 1
	return errno == 0 && action[0] == sigIgn
}

// forkExec starts the process. It returns an errno, or a SpawnError.
func (s *spawning) forkExec(attr *syscall.ProcAttr) (notice, error) {
	defer s.b.unpin()()
	n := notice{fd: -1}
	if !s.b.noPidfd {
		attr.Sys.PidFD = &n.fd
	}
	var err error
	if len(s.c.Limits) > 0 {
		n.pid, err = s.forkTraced(attr)
	} else {
		n.pid, err = syscall.ForkExec(s.c.Path, s.c.Args, attr)
	}
	if err != nil {
		return notice{}, err
	}
	if n.fd >= 0 {
		var none siginfo
		if waitid(unix.P_PIDFD, n.fd, &none, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) != unix.EINVAL {
			n.pidfd = true
			return n, nil
		}
		unix.Close(n.fd) // Linux 5.2 and 5.3 have the descriptor and cannot wait by it
	}
	if n.fd, err = lateNotice(n.pid); err != nil {
		_ = syscall.Kill(n.pid, syscall.SIGKILL)
		_, _, _ = wait4(n.pid, 0)
		return notice{}, err
	}
	return n, nil
}

// blockSignals blocks the signals on this thread, and returns the mask that it had. A child that is traced inherits the mask:
// a signal that reached it before its exec would stop it there, and the start would have to begin anew. SIGTRAP tells of
// the exec and so stays open, and nothing blocks SIGSTOP.
func blockSignals() (was unix.Sigset_t, err error) {
	var most unix.Sigset_t
	for i := range most.Val {
		most.Val[i] = ^most.Val[i]
	}
	most.Val[0] &^= 1 << (unix.SIGTRAP - 1)
	err = unix.PthreadSigmask(unix.SIG_SETMASK, &most, &was)
	return was, err
}

// setMask sets the signal mask of a process that is traced and stopped.
func setMask(pid int, mask *unix.Sigset_t) error {
	size := uintptr(8)
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		size = 16
	}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SETSIGMASK, uintptr(pid), size, uintptr(unsafe.Pointer(mask)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// limit sets the limits and the signal mask of a process that is traced and stops before its first instruction, and
// lets it go. If that fails it kills the process. There is no other way to set them in time: the fork of package syscall has no place
// for it, and limits of this process would hold for all its threads.
func limit(pid int, limits []kernel.ResourceLimit, mask *unix.Sigset_t) error {
	err := awaitExec(pid)
	if e, ok := err.(*kernel.SpawnError); ok {
		return e
	}
	name := strconv.Itoa(pid)
	for _, l := range limits {
		if err == nil {
			name = "resource " + strconv.Itoa(l.Resource)
			err = unix.Prlimit(pid, l.Resource, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}, nil)
		}
	}
	if err == nil {
		name = strconv.Itoa(pid)
		err = setMask(pid, mask)
	}
	if err == nil {
		err = unix.PtraceDetach(pid)
	}
	if err == nil {
		return nil
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	_, _, _ = wait4(pid, 0)
	return &kernel.SpawnError{Op: "limit", Name: name, Err: opError("prlimit", err)}
}

// lateNotice is the notice of a process without a pidfd: a pipe whose other end is closed by a goroutine that waits for
// the exit. It leaves the status to reap, so the number stays that of the child.
func lateNotice(pid int) (int, error) {
	var p [2]int
	if err := openPipe(&p); err != nil {
		return -1, err
	}
	go func() {
		var none siginfo
		for waitid(unix.P_PID, pid, &none, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
		unix.Close(p[1])
	}()
	return p[0], nil
}

// reapLater takes the exit status when it comes, and closes the notice.
func reapLater(n notice) {
	go func() {
		err := error(unix.ENOSYS)
		if n.pidfd {
			err = unix.EINTR
		}
		for err == unix.EINTR {
			var none siginfo
			err = waitid(unix.P_PIDFD, n.fd, &none, unix.WEXITED, nil)
		}
		if waitsByNumber(err) {
			_, _, _ = wait4(n.pid, 0)
		}
		unix.Close(n.fd)
	}()
}

// siginfo is a unix.Siginfo with the fields of a child.
type siginfo struct{ unix.Siginfo }

// status is si_status, which is behind the common part, si_pid and si_uid. On 64 bits the common part is padded.
func (i *siginfo) status() *int32 {
	const common = 3 + unsafe.Sizeof(uintptr(0))/8
	return &(*[unsafe.Sizeof(unix.Siginfo{}) / 4]int32)(unsafe.Pointer(&i.Siginfo))[common+2]
}

// waitStatus encodes it as wait4 does.
func (i *siginfo) waitStatus() unix.WaitStatus {
	const exited, dumped, core = 1, 3, 0x80 // CLD_EXITED, CLD_DUMPED
	switch i.Code {
	case exited:
		return unix.WaitStatus(uint32(*i.status()) & 0xff << 8)
	case dumped:
		return unix.WaitStatus(uint32(*i.status()) | core)
	}
	return unix.WaitStatus(uint32(*i.status()))
}

func waitid(kind, id int, info *siginfo, options int, ru *unix.Rusage) error {
	return unix.Waitid(kind, id, &info.Siginfo, options, ru)
}

// waitsByNumber tells whether err, of a waitid, is that of a filter which refuses the call. Nobody else gets the number of a child whose status
// was not taken, so wait4 does as well.
func waitsByNumber(err error) bool { return err == unix.ENOSYS || err == unix.EPERM }

// reap takes the exit status, if there is one.
func (n notice) reap() (kernel.Exit, bool, error) {
	if !n.pidfd {
		return wait4(n.pid, unix.WNOHANG)
	}
	var info siginfo
	var ru unix.Rusage
	err := waitid(unix.P_PIDFD, n.fd, &info, unix.WEXITED|unix.WNOHANG, &ru)
	for err == unix.EINTR {
		err = waitid(unix.P_PIDFD, n.fd, &info, unix.WEXITED|unix.WNOHANG, &ru)
	}
	switch {
	case waitsByNumber(err):
		return wait4(n.pid, unix.WNOHANG)
	case err != nil:
		return kernel.Exit{}, false, opError("waitid", err)
	case info.Signo == 0: // not yet
		return kernel.Exit{}, false, nil
	}
	return exitOf(info.waitStatus(), &ru), true, nil
}

// signal sends s to the process.
func (n notice) signal(s syscall.Signal) error {
	if n.pidfd {
		if err := unix.PidfdSendSignal(n.fd, s, nil, 0); err == nil || !lacks(unix.SYS_PIDFD_SEND_SIGNAL, err) {
			return err
		}
	}
	return syscall.Kill(n.pid, s)
}

// toGroup is PIDFD_SIGNAL_PROCESS_GROUP.
const toGroup = 1 << 2

// signalGroup sends s to the group that the process leads, or has led. It is EINVAL if the system cannot: before Linux 6.9.
func (n notice) signalGroup(s syscall.Signal) error {
	if !n.pidfd {
		return unix.EINVAL
	}
	err := unix.PidfdSendSignal(n.fd, s, nil, toGroup)
	if err != nil && lacks(unix.SYS_PIDFD_SEND_SIGNAL, err) {
		return unix.EINVAL
	}
	return err
}
