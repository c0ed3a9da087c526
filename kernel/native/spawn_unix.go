//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"cmp"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

var (
	_ kernel.Spawner = (*base)(nil)
	_ kernel.Child   = (*child)(nil)
)

// LookPath is exec.LookPath.
func (b *base) LookPath(name string) (string, error) { return exec.LookPath(name) }

// Spawn starts a program by fork and exec of package syscall, which waits until the exec has
// succeeded or failed.
func (b *base) Spawn(c *kernel.ChildCommand) (kernel.Child, error) {
	if b.closed {
		return nil, &kernel.SpawnError{Op: "exec", Name: c.Path, Err: kernel.ErrClosed}
	}
	if err := kernel.CheckSpawn(c); err != nil {
		return nil, err
	}
	if len(c.Limits) > 0 && !canLimit {
		return nil, &kernel.OptionError{Op: kernel.OpSpawn, Option: "Limits", Value: c.Limits, Err: kernel.ErrUnsupported}
	}
	s := spawning{b: b, c: c}
	err := s.openFiles()
	var n notice
	if err == nil {
		n, err = s.start()
	}
	closeFiles(s.theirs)
	if err != nil {
		s.closePipes()
		return nil, err
	}
	return newChild(b, c, n, s.pipes), nil
}

// spawning is a Spawn in progress.
type spawning struct {
	b      *base
	c      *kernel.ChildCommand
	files  []uintptr // by number in the child
	theirs []int     // to be closed when the child has them
	pipes  []childPipe
}

// childPipe is our end of a pipe, with its number in the child.
type childPipe struct {
	number int
	conn   *pipeConn
}

// openFiles opens what the child is to have. closeFiles and closePipes close it.
func (s *spawning) openFiles() error {
	top := -1
	for _, f := range s.c.Files {
		top = max(top, f.Number)
		if f.Kind != kernel.GivenFile {
			continue
		}
		// Before anything is opened, which may get the number.
		if err := isOpen(f.FD); err != nil {
			return &kernel.SpawnError{Op: "descriptor", Name: strconv.Itoa(f.FD), Err: err}
		}
	}
	s.files = slices.Repeat([]uintptr{noFile}, top+1)
	s.pipes, s.theirs = make([]childPipe, 0, len(s.c.Files)), make([]int, 0, len(s.c.Files))
	null := -1
	for _, f := range s.c.Files {
		switch f.Kind {
		case kernel.ReadPipe, kernel.WritePipe:
			ours, theirs, err := s.b.newPipe(f.Kind == kernel.WritePipe)
			if err != nil {
				return &kernel.SpawnError{Op: "pipe", Name: s.c.Path, Err: err}
			}
			s.theirs = append(s.theirs, theirs)
			s.pipes = append(s.pipes, childPipe{f.Number, ours})
			s.files[f.Number] = uintptr(theirs)
		case kernel.GivenFile:
			s.files[f.Number] = uintptr(f.FD)
		case kernel.NullFile:
			if null < 0 {
				fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
				if err != nil {
					return &kernel.SpawnError{Op: "descriptor", Name: os.DevNull, Err: opError("open", err)}
				}
				s.b.given(int32(fd), nil)
				null = fd
				s.theirs = append(s.theirs, fd)
			}
			s.files[f.Number] = uintptr(null)
		}
	}
	for _, f := range s.c.Files {
		if f.Kind == kernel.SameFile {
			s.files[f.Number] = s.files[f.FD]
		}
	}
	return nil
}

func (s *spawning) closePipes() {
	for _, p := range s.pipes {
		p.conn.Close()
	}
}

// start makes the process and what tells of its exit.
func (s *spawning) start() (notice, error) {
	closeOthersOnExec() // PROC-10
	sys := syscall.SysProcAttr{Setsid: s.c.Session, Setpgid: s.c.Group && !s.c.Session, Setctty: s.c.Terminal}
	if cr := s.c.Credential; cr != nil {
		sys.Credential = credential(cr)
	}
	attr := &syscall.ProcAttr{Dir: s.c.Dir, Env: s.c.Env, Files: s.files, Sys: &sys}
	if attr.Env == nil {
		attr.Env = []string{}
	}
	restore := s.b.defaultSignals()
	n, err := s.forkExec(attr)
	restore()
	if err != nil {
		return notice{}, s.failed(err)
	}
	s.b.given(int32(n.fd), nil)
	if err := s.b.fits("exec", n.fd); err != nil {
		_ = syscall.Kill(n.pid, syscall.SIGKILL)
		reapLater(n)
		return notice{}, &kernel.SpawnError{Op: "exec", Name: s.c.Path, Err: err}
	}
	return n, nil
}

// failed returns the error of a start that failed with err: a SpawnError, or an errno.
func (s *spawning) failed(err error) error {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return err
	}
	if s.c.Dir != "" {
		// The child has told only a number, and it may be about the directory.
		if err := checkDir(s.c.Dir); err != nil {
			return &kernel.SpawnError{Op: "chdir", Name: s.c.Dir, Err: err}
		}
	}
	if errno == unix.EBADF {
		// The descriptors were open: a number that the child needs is above the limit of the process.
		errno = unix.EMFILE
	}
	e := SysError("exec", errno)
	if errno == unix.EAGAIN {
		e = &kernel.SysError{Op: "exec", Kind: kernel.ErrTooManyProcesses, Errno: errno}
	}
	return &kernel.SpawnError{Op: "exec", Name: s.c.Path, Err: s.explained(errno, e)}
}

// checkDir returns why dir cannot be a working directory, or nil.
func checkDir(dir string) error {
	var st unix.Stat_t
	err := unix.Stat(dir, &st)
	switch {
	case err != nil:
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		err = unix.ENOTDIR
	default:
		err = unix.Access(dir, unix.X_OK)
	}
	if err != nil {
		return opError("chdir", err)
	}
	return nil
}

// credential gives what is left out the effective one of this process (PROC-6).
func credential(c *kernel.Credential) *syscall.Credential {
	uid, gid := c.UID, c.GID
	if uid < 0 {
		uid = os.Geteuid()
	}
	if gid < 0 {
		gid = os.Getegid()
	}
	cr := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: c.Groups == nil && os.Geteuid() != 0}
	for _, g := range c.Groups {
		cr.Groups = append(cr.Groups, uint32(g))
	}
	return cr
}

// maxSignal is at least the greatest number of a signal.
const maxSignal = 64

// defaultSignals makes signals that this process ignores have their default action in a program that is started until
// restore is called (PROC-12). An exec leaves ignored signals ignored, and makes default those that are
// caught. So they are caught meanwhile, and dropped. The loops of an OpenGroup do so one after the other. If another kernel
// of the process starts a program at the same moment, that one may still ignore them.
func (b *base) defaultSignals() (restore func()) {
	b.starts.Lock()
	var all []os.Signal
	for n := syscall.Signal(1); n <= maxSignal; n++ {
		if ignored(n) {
			all = append(all, n)
		}
	}
	if len(all) == 0 {
		return b.starts.Unlock
	}
	signal.Notify(make(chan os.Signal, 1), all...)
	return func() {
		signal.Ignore(all...)
		b.starts.Unlock()
	}
}

// closeListed marks the descriptors in a directory such as /dev/fd close-on-exec, but 0, 1 and 2. It returns false if
// that cannot be read.
func closeListed(dir string) bool {
	names, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, n := range names {
		if fd, err := strconv.Atoi(n.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return true
}

// closeNumbered does so for all numbers that a descriptor may have, 1024 at most.
func closeNumbered() {
	most := 1024
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		most = int(min(uint64(most), uint64(l.Cur)))
	}
	for fd := 3; fd < most; fd++ {
		unix.CloseOnExec(fd)
	}
}

func byNumber(a, b childPipe) int { return cmp.Compare(a.number, b.number) }
