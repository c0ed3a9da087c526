package kernel

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Spawner is a Kernel that starts programs: those of the system, or in simulation those that a test has
// registered. Its children are of this kernel alone.
type Spawner interface {
	// LookPath returns the path of a program as package os/exec finds it: a name with a slash is returned as it is if a
	// program is there, and another one is looked for in the PATH of this process. The error is one of package os/exec: it
	// is exec.ErrNotFound, exec.ErrDot, fs.ErrNotExist or fs.ErrPermission.
	LookPath(name string) (string, error)

	// Spawn starts a program. When it returns without an error, the program runs, or has ended
	// already. The kernel keeps nothing of c. An error is a [*SpawnError], which says what has failed, or an
	// [*OptionError] for a value that cannot be; no child and no descriptor is left then (PROC-16, PROC-17). The descriptors that c
	// names stay open, and are the caller's.
	Spawn(c *ChildCommand) (Child, error)
}

// Child is a program that [Spawner].Spawn has started. As a Handle it is Readable, and nothing else, from the exit until
// Close; Local is zero. Like the other handles it is for the loop's goroutine.
type Child interface {
	// Close disarms the child and gives it up. If Wait has not told its exit yet, the kernel takes the exit
	// status when it comes, and nobody is told: the child does not become a zombie. The
	// pipes are conns of their own and stay open. A second call does nothing.
	Handle

	// Pid is the number of the process. It belongs to this child until Wait has told the exit. In
	// simulation it is a number that no other child of the host has had.
	Pid() int

	// Pipe gives the caller our end of the pipe that is the descriptor fd in the child. The caller closes it, and the child keeps
	// nothing of it: a second call returns nil, as it does if fd is no pipe of ours. A ReadPipe can only be read, and a write is ErrBroken. A WritePipe can only be written;
	// if the child has closed its end, and nothing that was written waits for room, it is Readable and Failed, and Read returns io.EOF
	// (PROC-35). Otherwise Read is ErrAgain. Connected is nil before the first Arm. Both have no addresses, Abort is Close, and CloseWrite makes later writes fail with ErrBroken.
	Pipe(fd int) Conn

	// Wait tells whether the child has exited, and how. It does not block. Once it has returned true, it
	// returns the same again. With the first time the process is gone from the system.
	// An error means that the system does not tell, for instance because somebody else has taken the exit status. Exit.Unknown is then true too,
	// and so is the second result: there is no child any more.
	Wait() (Exit, bool, error)

	// Signal sends s. Once Wait has told the exit, and after Close, it is [ErrExited]; so is the system's word that there is no such
	// process. It never reaches another process that has the same number (PROC-40). A signal that the system does not have is an
	// [*OptionError].
	Signal(s os.Signal) error

	// SignalGroup sends s to the process group of the child, which was started with Session or
	// Group. Otherwise it is ErrUnsupported. Where the system can name a group safely
	// after the exit of its leader, it works until Close, so that what the child has left behind gets s too. Elsewhere it is ErrExited then.
	SignalGroup(s os.Signal) error
}

// ChildCommand says what [Spawner].Spawn starts.
type ChildCommand struct {
	// Path is the program, as LookPath returns it. A relative path is relative to Dir.
	Path string
	// Args are all arguments. The first is the program's own name. They arrive byte for byte (PROC-2).
	Args []string
	// Env is the whole environment, as "name=value". Nil is an empty one (PROC-3).
	Env []string
	// Dir is the working directory. Empty: that of this process.
	Dir string
	// Files are the child's descriptors. It has no other (PROC-7, PROC-10). Two with one number are refused.
	Files []ChildFile
	// Credential is as whom it runs. Nil: as this process.
	Credential *Credential
	// Session starts the child in a session of its own, and Group in a process group of its own. A session has a
	// group; both together are the same as Session.
	Session, Group bool
	// Terminal makes the child's descriptor 0, which must be a terminal, the controlling terminal of the session. It needs Session.
	Terminal bool
	// Limits are limits on resources, which hold from the first instruction of the program.
	Limits []ResourceLimit
}

// ChildFile is one descriptor of a child.
type ChildFile struct {
	// Number is the descriptor in the child.
	Number int
	// Kind is what it is.
	Kind ChildFileKind
	// FD is our descriptor, of a GivenFile, or another Number of the child, of a SameFile.
	FD int
}

// ChildFileKind is what a descriptor of a child is.
type ChildFileKind uint8

// The kinds.
const (
	// ReadPipe is a pipe that the child writes and we read.
	ReadPipe ChildFileKind = iota + 1
	// WritePipe is a pipe that we write and the child reads.
	WritePipe
	// GivenFile is a descriptor of ours, whatever its number and its flags are (PROC-8).
	GivenFile
	// NullFile is the null device: reading it is the end at once, and what is written is dropped.
	NullFile
	// SameFile is another descriptor of the child, which must not be a SameFile itself. So two streams of output share a pipe and stay in order.
	SameFile
)

// String is "read pipe", "write pipe" ...
func (k ChildFileKind) String() string {
	names := [...]string{"no kind", "read pipe", "write pipe", "given file", "null file", "same file"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind %d", k)
}

// Credential is as whom a child runs. Only a process with the privilege for it can give another one than its own
// (PROC-6).
type Credential struct {
	// UID and GID are numbers of a user and a group. A negative one is the effective one of this process, and one above 1<<32 - 2 is
	// refused, as in Groups, where a negative one is refused too.
	UID, GID int
	// Groups are the supplementary groups. Nil means none; a process without the privilege keeps its own then.
	Groups []int
}

// ResourceLimit is a limit on a resource of a child.
type ResourceLimit struct {
	// Resource is the number that the system has for the resource, such as syscall.RLIMIT_NOFILE.
	Resource int
	// Soft and Hard are the limits. [NoLimit] is none.
	Soft, Hard uint64
}

// NoLimit is the value of a [ResourceLimit] that is none.
const NoLimit = ^uint64(0)

// Exit is how a child has ended.
type Exit struct {
	// Code is what it has returned, 0 to 255. It is -1 if a signal has ended it, and if Unknown.
	Code int
	// Signal is the signal that has ended it. 0: none has.
	Signal syscall.Signal
	// Core tells whether the system has written a core file.
	Core bool
	// Unknown: the child is gone, and the system does not tell how it has ended.
	Unknown bool
	// Raw is the status as wait(2) encodes it.
	Raw uint32
	// Usage is what it has used, together with its own children that it has waited for.
	Usage Usage
}

// Usage is the resources that a child has used.
type Usage struct {
	// User and System are the times for which processors have run the program, and the system for it.
	User, System time.Duration
	// MaxResident is the most memory that it had at a time, in bytes. 0: not known.
	MaxResident int64
}

// OpSpawn is the operation of an [OptionError] of Spawn.
const OpSpawn = "spawn"

// The kinds of errors of children.
var (
	// ErrExited: that child has exited. It is also os.ErrProcessDone.
	ErrExited = Sentinel("the child has exited", os.ErrProcessDone)
	// ErrTooManyProcesses: the system, or the limit of the user, allows no more. It is also ErrNoResources.
	ErrTooManyProcesses = Sentinel("too many processes", ErrNoResources)
)

// SpawnError says why a child was not started. errors.Is finds Err in it: fs.ErrNotExist and fs.ErrPermission of the file or
// directory, ErrTooManyFiles, ErrTooManyProcesses, ErrBadDescriptor ...
type SpawnError struct {
	// Op is "exec" if it is about the program, or about the system's means to start one, "chdir" about
	// the directory, "pipe", "descriptor", or "limit".
	Op string
	// Name is the program or the directory, or what the descriptor or the limit is.
	Name string
	// Err is the cause, often a [*SysError].
	Err error
}

// Error is `"/bin/nothing": exec: no such file or directory`.
func (e *SpawnError) Error() string { return fmt.Sprintf("%q: %v", e.Name, e.Err) }

// Unwrap is Err.
func (e *SpawnError) Unwrap() error { return e.Err }

// maxChildNumber is the greatest number of a descriptor in a child, which Linux has too, unless its administrator says otherwise.
const maxChildNumber = 1<<20 - 1

// CheckSpawn returns why c cannot be used, as an [*OptionError] that is ErrInvalidOption, or nil. Every kernel calls it.
func CheckSpawn(c *ChildCommand) error {
	for _, f := range []struct {
		name   string
		values []string
	}{{"Path", []string{c.Path}}, {"Args", c.Args}, {"Env", c.Env}, {"Dir", []string{c.Dir}}} {
		for _, v := range f.values {
			if strings.IndexByte(v, 0) >= 0 {
				return invalid(OpSpawn, f.name, strconv.Quote(v), "it has a NUL byte, which ends a string of the system")
			}
		}
	}
	switch {
	case c.Path == "":
		return invalid(OpSpawn, "Path", c.Path, "it is empty")
	case len(c.Args) == 0:
		return invalid(OpSpawn, "Args", c.Args, "the first argument is the program's own name")
	case c.Terminal && !c.Session:
		return &OptionError{Op: OpSpawn, Option: "Terminal", Value: true, Needs: "Session", Err: fmt.Errorf("%w: only a session has a controlling terminal", ErrInvalidOption)}
	}
	if err := c.Credential.check(); err != nil {
		return err
	}
	return checkChildFiles(c.Files)
}

// check refuses numbers that the system would cut, or take as "none".
func (c *Credential) check() error {
	const most = 1<<32 - 2
	if c == nil {
		return nil
	}
	if int64(c.UID) > most || int64(c.GID) > most {
		return invalid(OpSpawn, "Credential", fmt.Sprintf("%d:%d", c.UID, c.GID), "a user or a group has a number up to 1<<32 - 2")
	}
	for _, g := range c.Groups {
		if g < 0 || int64(g) > most {
			return invalid(OpSpawn, "Credential", g, "a group has a number from 0 to 1<<32 - 2")
		}
	}
	return nil
}

func checkChildFiles(files []ChildFile) error {
	byNumber := func(f, g ChildFile) int { return cmp.Compare(f.Number, g.Number) }
	if !slices.IsSortedFunc(files, byNumber) {
		files = slices.SortedFunc(slices.Values(files), byNumber)
	}
	for i, f := range files {
		switch {
		case f.Number < 0 || f.Number > maxChildNumber:
			return invalid(OpSpawn, "Files", f.Number, "it is no number of a descriptor")
		case f.Kind < ReadPipe || f.Kind > SameFile:
			return invalid(OpSpawn, "Files", f.Number, "its kind is none of those of ChildFileKind")
		case i > 0 && f.Number == files[i-1].Number:
			return invalid(OpSpawn, "Files", f.Number, "it stands there twice")
		}
	}
	for _, f := range files {
		if f.Kind != SameFile {
			continue
		}
		if at, ok := slices.BinarySearchFunc(files, ChildFile{Number: f.FD}, byNumber); !ok || files[at].Kind == SameFile {
			return invalid(OpSpawn, "Files", f.Number, fmt.Sprintf("it is to be the same as %d, which is no file of its own", f.FD))
		}
	}
	return nil
}
