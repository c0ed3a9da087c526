package process

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Command says which program Spawn starts, and how. Spawn keeps nothing of it, so a Command may be used again and changed.
type Command struct {
	// Path is the program. A name without a slash is looked for in the PATH of this process, whatever Env is, as package os/exec
	// does it: a program that is only in the current directory is refused with exec.ErrDot (PROC-4). A whole path is
	// better. A relative path is relative to Dir.
	Path string
	// Args are all arguments. The first is the program's own name. Nil: it is Path, and there are no others. See also [NewCommand].
	Args []string
	// Env is the whole environment, as "name=value". Nil is an empty one. For that of this process use os.Environ (PROC-3).
	Env []string
	// Dir is the working directory. Empty: that of this process (PROC-5). Env stays as it is: unlike package os/exec,
	// Spawn does not set PWD to Dir, which programs such as make believe.
	Dir string
	// Files are the child's descriptors, by their numbers in the child. Nil: {0: WritePipe(), 1: ReadPipe(), 2: ReadPipe()}, so that we write its
	// input and read its output. A map that is empty and not nil gives it none (PROC-7, PROC-9).
	Files map[int]File
	// Terminal gives the child a session of its own, with the slave of this terminal as the controlling terminal and as 0, 1 and 2.
	// Spawn attaches the master, and closes the slave here. If the master is attached already, its protocol has it: the Child has no
	// transport then, and Ended does not wait for the terminal. With a Credential the slave is given to its user, so that it can be opened by its name. Files must be nil (PROC-15, PROC-47). See [OpenPTY].
	Terminal *PTY
	// Credential is as whom the child runs. Nil: as this process (PROC-6). See [LookupCredential].
	Credential *kernel.Credential
	// Session starts the child in a session of its own, and Group in a process group of its own, which SignalGroup and KillGroup
	// need. A session has a group.
	Session, Group bool
	// Limits are limits on its resources. They hold from the first instruction. Linux has them. With limits a program
	// does not get the rights of its set-user-ID bit, because the system does not give them to a process that is being traced, as it is
	// until they are set.
	Limits []kernel.ResourceLimit
	// AtStop has the reactor, when it is stopped, end the child by Kill(AtStop), and wait for its exit in the phase Before of the
	// shutdown. Negative: it is killed at once. Zero: the child is left to itself, and loses its pipes. It does not become a zombie then as long as this process lives.
	AtStop time.Duration
	// stopGroup has AtStop end the process group of the child too.
	stopGroup bool
	// StreamConfig is for the pipes.
	reactor.StreamConfig
}

// NewCommand returns a Command for a program and its arguments, without the program's own name.
func NewCommand(path string, args ...string) *Command {
	return &Command{Path: path, Args: append([]string{path}, args...)}
}

// File is what a descriptor of a child is. [ReadPipe], [WritePipe], [Given], [Null] and [Same] make one; the zero value is refused.
type File struct {
	kind  kernel.ChildFileKind
	fd    int
	proto reactor.Protocol
}

// ReadPipe is a pipe that the child writes and we read.
func ReadPipe() File { return File{kind: kernel.ReadPipe} }

// WritePipe is a pipe that we write and the child reads.
func WritePipe() File { return File{kind: kernel.WritePipe} }

// Given is the descriptor fd of this process. It stays open here, and the caller's. If it is not open, Spawn fails with kernel.ErrBadDescriptor (PROC-14).
func Given(fd int) File { return File{kind: kernel.GivenFile, fd: fd} }

// Null is the null device: reading it is the end at once, and what is written is dropped.
func Null() File { return File{kind: kernel.NullFile} }

// Same is the child's own descriptor n, which stands in the same map and is no Same. So standard and error output share a pipe,
// and stay in order.
func Same(n int) File { return File{kind: kernel.SameFile, fd: n} }

// For gives a pipe a protocol of its own, which is connected to a transport like any other: producers, back-pressure, Join. The
// child's Protocol does not get its data and PipeLost then, but Ended still waits for its end. A
// transport of a WritePipe receives nothing but the end. Its protocol must be told of the loss: who switches it passes the loss on. For panics if f is no pipe.
func (f File) For(p reactor.Protocol) File {
	if f.kind != kernel.ReadPipe && f.kind != kernel.WritePipe {
		panic(fmt.Sprintf("process: a protocol for what is no pipe but a %v", f.kind))
	}
	f.proto = p
	return f
}

// files returns the map of c, with the default.
func (c *Command) files() map[int]File {
	if c.Files == nil && c.Terminal == nil {
		return map[int]File{0: WritePipe(), 1: ReadPipe(), 2: ReadPipe()}
	}
	return c.Files
}

// system is c for the kernel, with the files in the order of their numbers.
func (c *Command) system(k kernel.Spawner) (*kernel.ChildCommand, error) {
	path := c.Path
	if relative := strings.Contains(path, "/") && !strings.HasPrefix(path, "/"); !relative || c.Dir == "" { // else to a directory that is not ours
		found, err := k.LookPath(path)
		if err != nil {
			return nil, err
		}
		path = found
	}
	s := &kernel.ChildCommand{Path: path, Args: c.Args, Env: c.Env, Dir: c.Dir, Credential: c.Credential, Session: c.Session, Group: c.Group, Limits: c.Limits}
	if s.Args == nil {
		s.Args = []string{c.Path}
	}
	if c.Terminal != nil {
		s.Session, s.Terminal = true, true
		for n := range 3 {
			s.Files = append(s.Files, kernel.ChildFile{Number: n, Kind: kernel.GivenFile, FD: c.Terminal.Slave()})
		}
		return s, nil
	}
	files := c.files()
	s.Files = make([]kernel.ChildFile, 0, len(files))
	for n, f := range files {
		s.Files = append(s.Files, kernel.ChildFile{Number: n, Kind: f.kind, FD: f.fd})
	}
	slices.SortFunc(s.Files, func(a, b kernel.ChildFile) int { return cmp.Compare(a.Number, b.Number) })
	return s, nil
}
