package native

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// A child with limits is traced from before its exec, and the fork waits for the exec in the system, where only its thread could let the child go on.
// A signal that stops the child then, and nothing blocks SIGSTOP, would have the fork wait for ever. So another goroutine looks at the
// child while the fork waits. If it has stopped, it is killed, and the start begins anew: nothing of the program has run.

const (
	// startAttempts is how often a start begins. More signals than that within a start are no accident.
	startAttempts = 16
	// startLook is the time between two looks at a start, in milliseconds. Most starts take one.
	startLook = 20
)

// forkTraced is syscall.ForkExec of a child with limits.
func (s *spawning) forkTraced(attr *syscall.ProcAttr) (pid int, err error) {
	// The thread that has forked is the tracer.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mask, err := blockSignals()
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &mask, nil) }()
	attr.Sys.Ptrace = true
	for range startAttempts {
		var w *startWatch
		if w, err = watchStart(); err != nil {
			return 0, err
		}
		pid, err = syscall.ForkExec(s.c.Path, s.c.Args, attr)
		killed := w.stop()
		if err == nil {
			err = limit(pid, s.c.Limits, &mask)
		}
		if err == nil {
			return pid, nil
		}
		if fd := attr.Sys.PidFD; fd != nil && *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
		if !killed {
			return 0, traceError(err)
		}
	}
	return 0, err
}

// traceError is the error of a start with limits for that of the fork. The child has told only a number: if this system lets nobody be traced, that
// is what it is about, not the program.
func traceError(err error) error {
	if err != unix.EPERM && err != unix.EACCES && err != unix.ENOSYS {
		return err
	}
	_, _, refused := syscall.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, 0, 0, 0, 0, 0)
	scope, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if refused == unix.ESRCH && string(bytes.TrimSpace(scope)) != "3" { // it is allowed: there is no process 0
		return err
	}
	return &kernel.SpawnError{Op: "limit", Name: "limits",
		Err: fmt.Errorf("%w: a program can have limits only where this process may trace it", opError("ptrace", err))}
}

// startWatch looks at a start from another thread.
type startWatch struct {
	over   int // an eventfd: the start is over
	thread int // that forks
	before []int
	killed atomic.Bool
	done   chan struct{}
}

// watchStart begins to look at a start by this thread.
func watchStart() (*startWatch, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	w := &startWatch{over: fd, thread: unix.Gettid(), done: make(chan struct{})}
	w.before = childrenOf(w.thread)
	go w.look()
	return w, nil
}

// stop ends the look. It tells whether the child was killed.
func (w *startWatch) stop() bool {
	one := [8]byte{1} // in whatever order, it is not 0
	_, _ = unix.Write(w.over, one[:])
	<-w.done
	unix.Close(w.over)
	return w.killed.Load()
}

func (w *startWatch) look() {
	defer close(w.done)
	fds := [1]unix.PollFd{{Fd: int32(w.over), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds[:], startLook)
		if n > 0 || err != nil && err != unix.EINTR {
			return
		}
		for _, pid := range childrenOf(w.thread) {
			if !slices.Contains(w.before, pid) && stoppedByTracer(pid) {
				w.killed.Store(true)
				_ = syscall.Kill(pid, syscall.SIGKILL) // it is the child of this process, and nobody has taken its status
			}
		}
	}
}

// childrenOf lists the processes that a thread of this process has started.
func childrenOf(thread int) (pids []int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", thread))
	for f := range bytes.FieldsSeq(text) {
		if pid, err := strconv.Atoi(string(f)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stoppedByTracer tells whether a process has stopped until its tracer lets it go on.
func stoppedByTracer(pid int) bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	i := bytes.LastIndexByte(stat, ')') // the name of the program may hold anything
	return i >= 0 && i+2 < len(stat) && stat[i+2] == 't'
}

// awaitExec waits until a child that is traced has stopped because of its exec. A SIGSTOP that comes beside that is dropped: if it was for the process
// group of this process too, that goes on already.
func awaitExec(pid int) error {
	var ws unix.WaitStatus
	for {
		switch _, err := unix.Wait4(pid, &ws, 0, nil); {
		case err == unix.EINTR:
		case err != nil:
			return err
		case !ws.Stopped(): // killed, by the watch or by somebody else
			return &kernel.SpawnError{Op: "limit", Name: strconv.Itoa(pid), Err: kernel.ErrExited}
		case ws.StopSignal() == unix.SIGTRAP:
			return nil
		default:
			if err = unix.PtraceCont(pid, 0); err != nil {
				return err
			}
		}
	}
}
