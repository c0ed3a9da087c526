package native

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/kerneltest"
	"golang.org/x/sys/unix"
)

// Without a pidfd children are waited for by their numbers, with the same promises.
func TestSpawnWithoutPidfd(t *testing.T) {
	for _, name := range Names() {
		kerneltest.RunSpawn(t, func(t *testing.T) kernel.Kernel {
			leaktest.KeepsDescriptors(t)
			k := openWith(t, name)
			k.noPidfd = true
			return k.set.(kernel.Kernel)
		})
	}
}

// openWith opens a kernel and returns its base.
func openWith(t *testing.T, name string) *base {
	t.Helper()
	k, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	switch k := k.(type) {
	case *epoll:
		return &k.base
	case *poll:
		return &k.base
	case *selector:
		return &k.base
	}
	t.Fatalf("%T", k)
	return nil
}

// runChild runs c to its end on the kernel of b. It returns what has come through the pipe 1, and the exit.
func runChild(t *testing.T, b *base, c kernel.ChildCommand) (string, kernel.Exit) {
	t.Helper()
	if c.Path == "" {
		c.Path = "/bin/sh"
	}
	if !slices.ContainsFunc(c.Files, func(f kernel.ChildFile) bool { return f.Number == 1 }) {
		c.Files = append(c.Files, kernel.ChildFile{Number: 1, Kind: kernel.ReadPipe})
	}
	x, err := b.Spawn(&c)
	if err != nil {
		t.Fatalf("Spawn: %v", err)
	}
	defer x.Close()
	return finish(t, b, x)
}

// finish waits for the end of the pipe 1, if x has one, and for the exit.
func finish(t *testing.T, b *base, x kernel.Child) (string, kernel.Exit) {
	t.Helper()
	k := b.set.(kernel.Kernel)
	ev := make([]kernel.Event, 4)
	var got []byte
	if out := x.Pipe(1); out != nil {
		defer out.Close()
		p := make([]byte, 4096)
		if err := k.Arm(out, 1, kernel.Readable); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := out.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil && err != kernel.ErrAgain {
				t.Fatal(err)
			}
			if err != nil {
				if _, err := k.Wait(ev, kernel.Forever); err != nil {
					t.Fatal(err)
				}
			}
		}
		k.Arm(out, 1, 0)
	}
	if err := k.Arm(x, 2, kernel.Readable); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Wait(ev, kernel.Forever); err != nil {
		t.Fatal(err)
	}
	e, gone, _ := x.Wait()
	if !gone {
		t.Fatal("the notice came and the child has not exited")
	}
	return string(got), e
}

// PROC-2: arguments arrive byte for byte.
func TestSpawnArgs(t *testing.T) {
	b := openWith(t, "epoll")
	args := []string{"the name", "$HOME", `"quoted" 'it'`, `back\slash`, "tab\tnewline\n*?[a]", "", "ünïcødé", "\xff\x80", "-n", "&|;<>()"}
	out, e := runChild(t, b, kernel.ChildCommand{Args: append([]string{"sh", "-c", `printf '%s\0' "$0" "$@"`}, args...)})
	if want := strings.Join(args, "\x00") + "\x00"; out != want || e.Code != 0 { // PROC-2
		t.Errorf("got %q, want %q", out, want)
	}
	out, _ = runChild(t, b, kernel.ChildCommand{Path: "/bin/cat", Args: []string{"own name", "/proc/self/cmdline"}})
	if out != "own name\x00/proc/self/cmdline\x00" {
		t.Errorf("PROC-2: the command line is %q", out)
	}
}

// PROC-3: the environment is what is given, and empty if nothing is.
func TestSpawnEnv(t *testing.T) {
	b := openWith(t, "epoll")
	for _, env := range [][]string{nil, {}, {"A=b c", "ODD", "=x", "A=again"}} {
		out, _ := runChild(t, b, kernel.ChildCommand{Path: "/usr/bin/env", Args: []string{"env", "-0"}, Env: env})
		want := ""
		for _, v := range env {
			want += v + "\x00"
		}
		if out != want {
			t.Errorf("PROC-3: of %q the child has %q", env, out)
		}
	}
}

// PROC-5: the working directory.
func TestSpawnDir(t *testing.T) {
	b := openWith(t, "epoll")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pwd := kernel.ChildCommand{Path: "/bin/pwd", Args: []string{"pwd", "-P"}}
	here, _ := os.Getwd()
	if out, _ := runChild(t, b, pwd); out != here+"\n" {
		t.Errorf("PROC-5: without a directory it is %q", out)
	}
	pwd.Dir = dir
	if out, _ := runChild(t, b, pwd); out != dir+"\n" {
		t.Errorf("PROC-5: the directory is %q, not %q", out, dir)
	}
	// A directory of this process that is gone is no error.
	t.Chdir(dir)
	gone := filepath.Join(dir, "gone")
	if os.Mkdir(gone, 0o777) != nil || os.Chdir(gone) != nil || os.Remove(gone) != nil {
		t.Fatal("no directory")
	}
	if out, e := runChild(t, b, kernel.ChildCommand{Args: []string{"sh", "-c", "echo here"}}); out != "here\n" || e.Code != 0 {
		t.Errorf("PROC-5: in a directory that is gone: %q, %+v", out, e)
	}
	if err := os.Chdir(dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for bad, want := range map[string]error{"/nonexistent": fs.ErrNotExist, file: syscall.ENOTDIR} {
		before := leaktest.Descriptors()
		_, err := b.Spawn(&kernel.ChildCommand{Path: "/bin/true", Args: []string{"true"}, Dir: bad,
			Files: []kernel.ChildFile{{Number: 0, Kind: kernel.WritePipe}, {Number: 1, Kind: kernel.NullFile}}})
		var se *kernel.SpawnError
		if !errors.Is(err, want) || !errors.As(err, &se) || se.Op != "chdir" || se.Name != bad {
			t.Errorf("PROC-17: directory %q: %v", bad, err)
		}
		if n := leaktest.Descriptors(); n != before {
			t.Errorf("PROC-17: %d descriptors, %d before", n, before)
		}
	}
}

// PROC-17: when the program is there, and what is to run it is not, the error names that.
func TestSpawnNoInterpreter(t *testing.T) {
	b := openWith(t, "epoll")
	dir := t.TempDir()
	for text, want := range map[string]string{
		"#!/nonexistent/sh -e\n": `"/nonexistent/sh"`,
		"#! \t/bin/sh\r\necho\n": `"/bin/sh\r"`,
		"echo hello\n":           `#!/bin/sh`,
		"":                       `#!/bin/sh`,
	} {
		if err := os.WriteFile(filepath.Join(dir, "program"), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := b.Spawn(&kernel.ChildCommand{Path: "./program", Args: []string{"x"}, Dir: dir})
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOEXEC) {
			t.Errorf("PROC-17: %.20q: %v; want %s", text, err, want)
		}
	}
	_, err := b.Spawn(&kernel.ChildCommand{Path: dir + "/none", Args: []string{"x"}})
	if want := fmt.Sprintf("%q: exec: no such file or directory", dir+"/none"); err == nil || err.Error() != want {
		t.Errorf("PROC-17: %v; want %s", err, want)
	}
}

// PROC-13: a script is run by its interpreter.
func TestSpawnScript(t *testing.T) {
	b := openWith(t, "epoll")
	dir := t.TempDir()
	write := func(name, text string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", "#!/bin/sh -f\necho $- \"$@\"\n", 0o755)
	if out, _ := runChild(t, b, kernel.ChildCommand{Path: good, Args: []string{"x", "*"}}); out != "f *\n" {
		t.Errorf("PROC-13: the script says %q", out)
	}
	for _, c := range []struct {
		path string
		want error
	}{
		{write("lost", "#!/nonexistent/sh\n", 0o755), fs.ErrNotExist},
		{write("plain", "#!/bin/sh\n", 0o644), kernel.ErrPermission},
		{write("nothing", "nothing", 0o755), syscall.ENOEXEC},
		{dir, kernel.ErrPermission},
		{good + "/x", syscall.ENOTDIR},
	} {
		_, err := b.Spawn(&kernel.ChildCommand{Path: c.path, Args: []string{"x"}})
		var se *kernel.SpawnError
		if !errors.Is(err, c.want) || !errors.As(err, &se) || se.Op != "exec" {
			t.Errorf("PROC-17: %s: %v", c.path, err)
		}
	}
}

// fileIn returns a file with text, not close-on-exec if inherit, at its beginning.
func fileIn(t *testing.T, text string, inherit bool) int {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(f.Fd()))
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if !inherit {
		unix.CloseOnExec(fd)
	}
	if _, err := unix.Seek(fd, 0, 0); err != nil {
		t.Fatal(err)
	}
	return fd
}

// PROC-8: mappings swap numbers, give one descriptor to several, and keep numbers, whatever the flags are.
func TestSpawnMapping(t *testing.T) {
	b := openWith(t, "epoll")
	given := func(number, fd int) kernel.ChildFile {
		return kernel.ChildFile{Number: number, Kind: kernel.GivenFile, FD: fd}
	}
	for _, inherit := range []bool{false, true} {
		x, y := fileIn(t, "X", inherit), fileIn(t, "Y", inherit)
		for _, c := range []struct {
			files []kernel.ChildFile
			want  string
		}{
			{[]kernel.ChildFile{given(x, y), given(y, x)}, "YX"},                       // swapped
			{[]kernel.ChildFile{given(x, x), given(y, y)}, "XY"},                       // kept
			{[]kernel.ChildFile{given(x, x), given(y, x)}, "XX"},                       // one for two
			{[]kernel.ChildFile{given(y, x), given(x, y), given(y+40, y)}, "YX"},       // far away
			{[]kernel.ChildFile{given(x, y), given(y, y), given(0, x)}, "YY"},          // and at 0
			{[]kernel.ChildFile{given(x, y), {Number: y, Kind: kernel.NullFile}}, "Y"}, // nothing in y
		} {
			script := fmt.Sprintf("cat /proc/self/fd/%d /proc/self/fd/%d", x, y)
			if out, e := runChild(t, b, kernel.ChildCommand{Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin"}, Files: c.files}); out != c.want {
				t.Errorf("PROC-8: %v gives %q, not %q (%+v)", c.files, out, c.want, e)
			}
		}
		for _, fd := range []int{x, y} {
			if err := isOpen(fd); err != nil {
				t.Errorf("PROC-16: the caller's descriptor is closed: %v", err)
			}
		}
	}
	closed := fileIn(t, "", false)
	unix.Close(closed)
	for _, fd := range []int{closed, -1} {
		before := leaktest.Descriptors()
		_, err := b.Spawn(&kernel.ChildCommand{Path: "/bin/true", Args: []string{"true"}, Files: []kernel.ChildFile{{Number: 0, Kind: kernel.WritePipe}, given(1, fd)}})
		if !errors.Is(err, kernel.ErrBadDescriptor) {
			t.Errorf("PROC-14: descriptor %d: %v", fd, err)
		}
		if n := leaktest.Descriptors(); n != before {
			t.Errorf("PROC-16: %d descriptors, %d before", n, before)
		}
	}
}

// openIn returns what a child has open, with files.
func openIn(t *testing.T, b *base, files []kernel.ChildFile) string {
	t.Helper()
	// The list has the descriptor by which ls reads it, the first that is free.
	out, _ := runChild(t, b, kernel.ChildCommand{Path: "/bin/ls", Args: []string{"ls", "-x", "/proc/self/fd"}, Files: files})
	return strings.Join(strings.Fields(out), " ")
}

// PROC-10: the child has no descriptor but those it is given, and PROC-11: however they are found.
func TestSpawnClosesOthers(t *testing.T) {
	b := openWith(t, "epoll")
	low, high := fileIn(t, "", true), 900
	if err := unix.Dup2(low, high); err != nil { // inheritable
		t.Fatal(err)
	}
	defer unix.Close(high)
	three := []kernel.ChildFile{{Number: 0, Kind: kernel.NullFile}, {Number: 1, Kind: kernel.ReadPipe}, {Number: 2, Kind: kernel.NullFile}}
	if got := openIn(t, b, three); got != "0 1 2 3" {
		t.Errorf("PROC-10: the child has %s", got)
	}
	if got := openIn(t, b, []kernel.ChildFile{{Number: 1, Kind: kernel.ReadPipe}}); got != "0 1" {
		t.Errorf("PROC-10: the child has %s", got)
	}
	for name, mark := range map[string]func() bool{
		"/proc/self/fd": func() bool { return closeListed("/proc/self/fd") },
		"/dev/fd":       func() bool { return closeListed("/dev/fd") },
		"numbers":       func() bool { closeNumbered(); return true },
	} {
		for _, fd := range []int{low, high} {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
				t.Fatal(err)
			}
		}
		if !mark() {
			t.Errorf("PROC-11: by %s: cannot", name)
		}
		for _, fd := range []int{low, high} {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags != unix.FD_CLOEXEC {
				t.Errorf("PROC-11: by %s: descriptor %d has the flags %d, %v", name, fd, flags, err)
			}
		}
		for fd := range 3 {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags != 0 {
				t.Errorf("PROC-11: by %s: descriptor %d has the flags %d, %v", name, fd, flags, err)
			}
		}
	}
	if closeListed("/nonexistent") {
		t.Error("PROC-11: a directory that is not there was read")
	}
}

// PROC-12: signals that this process ignores have their default action in the child, and stay ignored here.
func TestSpawnDefaultSignals(t *testing.T) {
	b := openWith(t, "epoll")
	ignored := func() string {
		out, _ := runChild(t, b, kernel.ChildCommand{Path: "/bin/grep", Args: []string{"grep", "SigIgn", "/proc/self/status"}})
		return strings.TrimSpace(strings.TrimPrefix(out, "SigIgn:"))
	}
	before := ignored()
	some := []os.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTERM, syscall.SIGWINCH, syscall.SIGPIPE}
	signal.Ignore(some...)
	defer signal.Reset(some...)
	out, err := exec.Command("/bin/grep", "SigIgn", "/proc/self/status").Output()
	const mask = 0x8005201 // and more if this process was started so
	if n, _ := strconv.ParseUint(strings.TrimSpace(strings.TrimPrefix(string(out), "SigIgn:")), 16, 64); err != nil || n&mask != mask {
		t.Fatalf("nothing is ignored: %q, %v", out, err)
	}
	if got := ignored(); got != before || strings.Trim(got, "0") != "" {
		t.Errorf("PROC-12: the child ignores %s", got)
	}
	for _, s := range some {
		if !signal.Ignored(s) {
			t.Errorf("PROC-12: %v is no longer ignored here", s)
		}
	}
}

// PROC-12: so it is with signals that were ignored when this process began, as behind nohup, also after Notify and Stop have made package
// os/signal forget it.
func TestSpawnSignalsIgnoredFromBirth(t *testing.T) {
	const name = "TestSpawnSignalsIgnoredFromBirth"
	born := []os.Signal{syscall.SIGHUP, syscall.SIGINT}
	if !isHelper(name) {
		signal.Ignore(born...)
		defer signal.Reset(born...)
		helperProcess(t, name, nil)
		return
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, born...)
	signal.Stop(c)
	b := openWith(t, "epoll")
	for range 2 {
		out, _ := runChild(t, b, kernel.ChildCommand{Path: "/bin/grep", Args: []string{"grep", "SigIgn", "/proc/self/status"}})
		if got := strings.TrimSpace(strings.TrimPrefix(out, "SigIgn:")); strings.Trim(got, "0") != "" {
			t.Errorf("PROC-12: the child ignores %s", got)
		}
		for _, s := range born {
			if !signal.Ignored(s) {
				t.Errorf("PROC-12: %v is no longer ignored here", s)
			}
		}
	}
}

// Limits hold from the first instruction, and one that cannot be set starts nothing.
func TestSpawnLimits(t *testing.T) {
	for _, name := range Names() {
		b := openWith(t, name)
		out, e := runChild(t, b, kernel.ChildCommand{Args: []string{"sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c; exit 3"},
			Limits: []kernel.ResourceLimit{{Resource: unix.RLIMIT_NOFILE, Soft: 33, Hard: 44}, {Resource: unix.RLIMIT_CORE}}})
		if out != "33\n44\n0\n" || e.Code != 3 {
			t.Errorf("%s: the child has %q, %+v", name, out, e)
		}
	}
	b := openWith(t, "epoll")
	before := leaktest.Descriptors()
	_, err := b.Spawn(&kernel.ChildCommand{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, Limits: []kernel.ResourceLimit{{Resource: 999}},
		Files: []kernel.ChildFile{{Number: 0, Kind: kernel.WritePipe}}})
	var se *kernel.SpawnError
	if !errors.As(err, &se) || se.Op != "limit" || !errors.Is(err, unix.EINVAL) {
		t.Errorf("a limit that is none: %v", err)
	}
	if n := leaktest.Descriptors(); n != before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
	noChildren(t)
}

// noChildren fails if this process has a child, alive or not.
func noChildren(t *testing.T) {
	t.Helper()
	var ws unix.WaitStatus
	if pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("a child is left: %d, %v", pid, err)
	}
}

// PROC-44: if somebody else has taken the exit status, it is unknown.
func TestSpawnReapedElsewhere(t *testing.T) {
	for _, without := range []bool{false, true} {
		b := openWith(t, "epoll")
		b.noPidfd = without
		x, err := b.Spawn(&kernel.ChildCommand{Path: "/bin/true", Args: []string{"true"}})
		if err != nil {
			t.Fatal(err)
		}
		if pid, err := unix.Wait4(x.Pid(), nil, 0, nil); pid != x.Pid() || err != nil {
			t.Fatal(err)
		}
		_, e := finish(t, b, x)
		if _, gone, err := x.Wait(); !e.Unknown || e.Code != -1 || !gone || !errors.Is(err, unix.ECHILD) {
			t.Errorf("PROC-44: %+v, %v, %v", e, gone, err)
		}
		if err := x.Signal(syscall.SIGTERM); err != kernel.ErrExited {
			t.Errorf("PROC-40: a signal to nobody: %v", err)
		}
		x.Close()
	}
}

// The resources that a child has used, and its core.
func TestSpawnUsage(t *testing.T) {
	b := openWith(t, "epoll")
	start := time.Now()
	_, e := runChild(t, b, kernel.ChildCommand{Args: []string{"sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"}})
	if u := e.Usage; u.User <= 0 || u.User > 2*time.Since(start) || u.System < 0 || u.MaxResident < 100<<10 || u.MaxResident > 1<<30 {
		t.Errorf("usage %+v in %v", u, time.Since(start))
	}
	_, e = runChild(t, b, kernel.ChildCommand{Args: []string{"sh", "-c", "kill -ABRT $$"}, Limits: []kernel.ResourceLimit{{Resource: unix.RLIMIT_CORE}}})
	if e.Signal != syscall.SIGABRT || e.Core {
		t.Errorf("without a core: %+v", e)
	}
	for _, c := range []struct {
		code, status int32
		want         unix.WaitStatus
	}{{1, 7, 7 << 8}, {2, 15, 15}, {3, 6, 6 | 0x80}} {
		var i siginfo
		i.Code = c.code
		*i.status() = c.status
		if got := i.waitStatus(); got != c.want {
			t.Errorf("code %d, status %d is %#x, not %#x", c.code, c.status, got, c.want)
		}
	}
	if !unix.WaitStatus(6|0x80).CoreDump() || !exitOf(6|0x80, new(unix.Rusage)).Core {
		t.Error("a core is not told")
	}
}

// PROC-6: as whom the child runs.
func TestSpawnCredential(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can change its user")
	}
	b := openWith(t, "epoll")
	id := func(c *kernel.Credential) string {
		out, _ := runChild(t, b, kernel.ChildCommand{Args: []string{"sh", "-c", "id -u; id -g; id -G"}, Env: []string{"PATH=/usr/bin:/bin"}, Credential: c})
		return strings.Join(strings.Fields(out), " ")
	}
	for want, c := range map[string]*kernel.Credential{
		"12 34 34":       {UID: 12, GID: 34},
		"12 34 34 56 78": {UID: 12, GID: 34, Groups: []int{56, 78}},
		"12 0 0":         {UID: 12, GID: -1},
		"0 34 34":        {UID: -1, GID: 34},
	} {
		if got := id(c); got != want {
			t.Errorf("PROC-6: %+v runs as %q, not %q", c, got, want)
		}
	}
	if os.Getuid() != 0 || os.Geteuid() != 0 || os.Getegid() != 0 {
		t.Error("PROC-6: this process has changed")
	}
}

// Sessions and groups of their own.
func TestSpawnSession(t *testing.T) {
	b := openWith(t, "epoll")
	for _, c := range []struct{ session, group bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		out, _ := runChild(t, b, kernel.ChildCommand{Path: "/bin/sh", Args: []string{"sh", "-c", "cut -d' ' -f5,6 /proc/$$/stat; echo $$"}, Env: []string{"PATH=/usr/bin:/bin"},
			Session: c.session, Group: c.group})
		f := strings.Fields(out)
		if len(f) != 3 {
			t.Fatalf("%q", out)
		}
		if leads := f[0] == f[2]; leads != (c.session || c.group) {
			t.Errorf("%+v: it leads a group: %v", c, leads)
		}
		if leads := f[1] == f[2]; leads != c.session {
			t.Errorf("%+v: it leads a session: %v", c, leads)
		}
	}
}

// PROC-31: several slices written to a pipe at once arrive one after the other, as far as there is room, and a pipe that nobody reads any more fails.
func TestSpawnPipeWritev(t *testing.T) {
	b := openWith(t, "epoll")
	x, err := b.Spawn(&kernel.ChildCommand{Path: "/bin/sh", Args: []string{"sh", "-c", "exec 0<&3 3<&-; sleep 0.05; exec cat"},
		Files: []kernel.ChildFile{{Number: 1, Kind: kernel.ReadPipe}, {Number: 3, Kind: kernel.WritePipe}}})
	if err != nil {
		t.Fatal(err)
	}
	in, out := x.Pipe(3), x.Pipe(1)
	v, ok := kernel.ConnAs[kernel.Vectors](in)
	if !ok {
		t.Fatal("no Writev")
	}
	want := "one two " + strings.Repeat("x", 1<<20)
	n, err := v.Writev([][]byte{[]byte("one "), nil, []byte("two "), []byte(want[8:])})
	if n < 8 || n == len(want) || err != nil {
		t.Errorf("Writev: %d, %v", n, err)
	}
	if _, err := v.Writev([][]byte{[]byte("more")}); err != kernel.ErrAgain {
		t.Errorf("Writev to a full pipe: %v", err)
	}
	if n, err := v.Writev([][]byte{nil, {}}); n != 0 || err != nil {
		t.Errorf("Writev of nothing: %d, %v", n, err)
	}
	var got []byte
	buf := make([]byte, 1<<16)
	for len(got) < n {
		m, err := out.Read(buf)
		if err != nil && err != kernel.ErrAgain {
			t.Fatal(err)
		}
		got = append(got, buf[:m]...)
	}
	if string(got) != want[:n] {
		t.Errorf("PROC-31: %d bytes came changed", len(got))
	}
	if allocs := testing.AllocsPerRun(10, func() { _, _ = v.Writev([][]byte{}) }); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
	_ = x.Signal(syscall.SIGKILL)
	finish(t, b, x)
	if _, err := v.Writev([][]byte{[]byte("late")}); !errors.Is(err, kernel.ErrBroken) {
		t.Errorf("Writev after the end: %v", err)
	}
	_ = in.Close()
	_ = out.Close()
	_ = x.Close()
}
