//go:build unix

package process_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// PROC-1, PROC-28: the child is there when Spawn returns, and its number from ChildMade to the exit.
func TestSpawn(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		w := new(watcher)
		pid := 0
		w.onMade = func() { pid = w.c.Pid() }
		w.onExited = func() {
			if n := w.c.Pid(); n != 0 {
				t.Errorf("PROC-28: in Exited the number is %d", n)
			}
		}
		w.onEnded = func() {
			if n := r.Stats().Sources; n != 0 {
				t.Errorf("PROC-29: in Ended there are %d sources", n)
			}
		}
		c := spawn(t, r, sh("read x; echo out $x $$; echo err >&2; exit 5"), w)
		if w.c != c || !slices.Equal(w.events, []string{"made"}) || pid <= 0 || c.Pid() != pid { // PROC-1
			t.Fatalf("PROC-1: events %v, number %d, then %d", w.events, pid, c.Pid())
		}
		if _, known := c.Status(); known || c.Reactor() != r {
			t.Error("the status is known already, or another reactor")
		}
		if n, err := c.Write([]byte("in\n")); n != 3 || err != nil { // PROC-31
			t.Errorf("PROC-31: Write: %d, %v", n, err)
		}
		until(t, r, w.ended)
		if got := string(w.got[1]); got != "out in "+fmtInt(pid)+"\n" { // PROC-20, PROC-28
			t.Errorf("PROC-20: output %q, the number is %d", got, pid)
		}
		if got := string(w.got[2]); got != "err\n" {
			t.Errorf("PROC-20: error output %q", got)
		}
		// PROC-21, PROC-22, PROC-23: each once, the end last.
		for what, n := range map[string]int{"made": 1, "lost 0": 1, "lost 1": 1, "lost 2": 1, "exited": 1, "ended": 1} {
			if got := w.count(what); got != n {
				t.Errorf("PROC-21, PROC-22: %q %d times in %v", what, got, w.events)
			}
		}
		if last := w.events[len(w.events)-1]; last != "ended" {
			t.Errorf("PROC-23: %v", w.events)
		}
		for fd, err := range w.lost {
			if err != io.EOF {
				t.Errorf("PROC-21: pipe %d was lost with %v", fd, err)
			}
		}
		// PROC-26, PROC-27
		if *w.exit != *w.end || w.end.Code != 5 || w.end.Raw != 5<<8 || w.end.Signal != 0 || w.end.Err() == nil ||
			!errors.Is(*w.end, process.ErrTerminated) || !errors.Is(*w.end, reactor.ErrLost) || errors.Is(*w.end, process.ErrDone) {
			t.Errorf("PROC-26, PROC-27: exit %+v, end %+v", w.exit, w.end)
		}
		if s, known := c.Status(); !known || s != *w.end || c.Pid() != 0 {
			t.Errorf("PROC-28: afterwards %+v, %v, number %d", s, known, c.Pid())
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, reactor.ErrClosed) {
			t.Errorf("PROC-32: Write after the end: %v", err)
		}
	})
}

// PROC-26: how a child can end, and how the status says it.
func TestStatus(t *testing.T) {
	r := first(t)
	for script, c := range map[string]struct {
		text string
		is   []error
		not  error
	}{
		"exit 0":         {"exit status 0", []error{process.ErrDone, io.EOF}, process.ErrTerminated},
		"exit 255":       {"exit status 255", []error{process.ErrTerminated, reactor.ErrLost}, process.ErrDone},
		"kill -TERM $$":  {"signal: terminated", []error{process.ErrTerminated, reactor.ErrLost}, process.ErrDone},
		"kill -KILL $$ ": {"signal: killed", []error{process.ErrTerminated}, io.EOF},
	} {
		s := *run(t, r, sh(script), new(watcher)).end
		if s.Error() != c.text {
			t.Errorf("PROC-26: %s is %q", script, s.Error())
		}
		for _, e := range c.is {
			if !errors.Is(s, e) {
				t.Errorf("PROC-26: %v is not %v", s, e)
			}
		}
		if errors.Is(s, c.not) || s.Success() != (s.Err() == nil) || s.Success() != errors.Is(s, process.ErrDone) {
			t.Errorf("PROC-26: %v is %v, or its Err is %v", s, c.not, s.Err())
		}
		if strings.HasPrefix(script, "kill") && (s.Code != -1 || s.Signal == 0 || s.Raw != uint32(s.Signal)) {
			t.Errorf("PROC-26: %+v", s)
		}
	}
	unknown := process.Status{Exit: kernel.Exit{Code: -1, Unknown: true}}
	if unknown.Success() || unknown.Error() != "exit status unknown" || !errors.Is(unknown, process.ErrTerminated) {
		t.Errorf("%v", unknown)
	}
	unknown.Cause = reactor.ErrStopped
	if unknown.Error() != "exit status unknown: reactor stopped" || !errors.Is(unknown, reactor.ErrStopped) {
		t.Errorf("%v", unknown)
	}
	core := process.Status{Exit: kernel.Exit{Code: -1, Signal: syscall.SIGABRT, Core: true}}
	if core.Error() != "signal: aborted (core dumped)" {
		t.Errorf("%v", core)
	}
}

// first is a reactor on the first kernel of the machine.
func first(t *testing.T) *reactor.Reactor {
	for _, w := range testworld.Native() {
		return w.New(t, reactor.Config{})
	}
	panic("no kernel")
}

// PROC-2, PROC-3, PROC-5: arguments, environment and directory arrive.
func TestCommand(t *testing.T) {
	r := first(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	args := []string{`"a b"`, `\`, "\t", "$(id)", "", "*"}
	w := run(t, r, &process.Command{Path: "/bin/sh", Dir: dir, Env: []string{"ONLY=this"},
		Args: append([]string{"own", "-c", `pwd; echo "$ONLY"; echo "$0"; printf '[%s]' "$@"`, "name"}, args...)}, new(watcher))
	if want := dir + "\nthis\nname\n[" + strings.Join(args, "][") + "]"; string(w.got[1]) != want {
		t.Errorf("PROC-2, PROC-5: %q, not %q", w.got[1], want)
	}
	t.Setenv("WHORL_TEST_OF_ENV", "parent")
	w = run(t, r, &process.Command{Path: "/usr/bin/env"}, new(watcher))
	if len(w.got[1]) != 0 {
		t.Errorf("PROC-3: without an environment the child has %q", w.got[1])
	}
	w = run(t, r, &process.Command{Path: "/usr/bin/env", Env: os.Environ()}, new(watcher))
	if !strings.Contains(string(w.got[1]), "WHORL_TEST_OF_ENV=parent\n") {
		t.Errorf("PROC-3: that of the parent was asked for and is %q", w.got[1])
	}
	w = run(t, r, process.NewCommand("/bin/echo", "-n", "x  y"), new(watcher))
	if string(w.got[1]) != "x  y" {
		t.Errorf("NewCommand: %q", w.got[1])
	}
	// A relative path is relative to the directory of the child.
	if err := os.WriteFile(filepath.Join(dir, "prog"), []byte("#!/bin/sh\necho script $0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	w = run(t, r, &process.Command{Path: "./prog", Dir: dir}, new(watcher))
	if string(w.got[1]) != "script ./prog\n" { // PROC-13
		t.Errorf("PROC-13: %q", w.got[1])
	}
}

// PROC-4: a bare name is looked for in the PATH of this process, and never in the current directory alone.
func TestCommandPath(t *testing.T) {
	r := first(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "whorl-test-program"), []byte("#!/bin/sh\necho found\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	w := run(t, r, &process.Command{Path: "whorl-test-program", Env: []string{"PATH=/nowhere"}}, new(watcher))
	if string(w.got[1]) != "found\n" {
		t.Errorf("PROC-4: %q", w.got[1])
	}
	t.Chdir(dir)
	t.Setenv("PATH", ".")
	if _, err := process.Spawn(r, &process.Command{Path: "whorl-test-program"}, new(watcher)); !errors.Is(err, exec.ErrDot) {
		t.Errorf("PROC-4: a program in the current directory: %v", err)
	}
	t.Setenv("PATH", "/nowhere")
	if _, err := process.Spawn(r, &process.Command{Path: "whorl-test-program"}, new(watcher)); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("PROC-4: a program that is not there: %v", err)
	}
}

// PROC-17, PROC-14, PROC-15, PROC-18: errors of the start are told at once, and leave nothing.
func TestSpawnFails(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		pty := openPTY(t, process.Size{})
		defer pty.Close()
		closed := openPTY(t, process.Size{})
		closed.Close()
		good := sh("exit 0")
		change := func(f func(c *process.Command)) *process.Command {
			c := *good
			f(&c)
			return &c
		}
		before := leaktest.Descriptors()
		for _, c := range []struct {
			what string
			cmd  *process.Command
			p    process.Protocol
			want error
		}{
			{"PROC-17: no such program", change(func(c *process.Command) { c.Path = "/nonexistent" }), new(watcher), fs.ErrNotExist},
			{"PROC-17: no program", change(func(c *process.Command) { c.Path = "/etc/passwd" }), new(watcher), fs.ErrPermission},
			{"PROC-17: no such directory", change(func(c *process.Command) { c.Dir = "/nonexistent" }), new(watcher), fs.ErrNotExist},
			{"PROC-17: no such name", change(func(c *process.Command) { c.Path = "no-such-program-of-whorl" }), new(watcher), exec.ErrNotFound},
			{"no path", change(func(c *process.Command) { c.Path = "" }), new(watcher), exec.ErrNotFound},
			{"a NUL byte", change(func(c *process.Command) { c.Args = []string{"a\x00"} }), new(watcher), kernel.ErrInvalidOption},
			{"PROC-14: a closed descriptor", change(func(c *process.Command) {
				c.Files = map[int]process.File{0: process.WritePipe(), 7: process.Given(9999)}
			}), new(watcher), kernel.ErrBadDescriptor},
			{"PROC-14: the zero File", change(func(c *process.Command) { c.Files = map[int]process.File{0: {}} }), new(watcher), kernel.ErrInvalidOption},
			{"PROC-15: a terminal and files", change(func(c *process.Command) { c.Terminal, c.Files = pty, map[int]process.File{} }), new(watcher), process.ErrTerminalFiles},
			{"a closed terminal", change(func(c *process.Command) { c.Terminal = closed }), new(watcher), kernel.ErrClosed},
			{"PROC-18: no protocol", good, nil, process.ErrProtocol},
			{"PROC-18: no protocol for a terminal", change(func(c *process.Command) { c.Terminal = pty }), nil, process.ErrProtocol},
			{"bad marks", change(func(c *process.Command) { c.LowWater, c.HighWater = 7, 7 }), new(watcher), reactor.ErrMarks},
			{"negative marks", change(func(c *process.Command) { c.LowWater = -1 }), new(watcher), reactor.ErrMarks},
		} {
			x, err := process.Spawn(r, c.cmd, c.p)
			op, ok := errors.AsType[*reactor.OpError](err)
			if x != nil || !errors.Is(err, c.want) || !ok || op.Op != "spawn" || errors.Is(err, reactor.ErrLost) {
				t.Errorf("%s: %v, %v", c.what, x, err)
			}
			if w, ok := c.p.(*watcher); ok && len(w.events) > 0 {
				t.Errorf("%s: callbacks %v", c.what, w.events) // PROC-17
			}
			if n := leaktest.Descriptors(); n != before {
				t.Errorf("%s: %d descriptors, %d before", c.what, n, before) // PROC-16
			}
		}
		if n := r.Stats().Sources; n != 0 {
			t.Errorf("%d sources", n)
		}
	})
}

// PROC-7, PROC-8: descriptors of any number, pipes in both directions and descriptors of ours, in any order.
func TestSpawnFiles(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		f, err := os.Open("/bin/sh")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		w := new(watcher)
		w.onMade = func() {
			for _, fd := range []int{0, 5} {
				if _, err := w.c.WriteTo(fd, []byte{'0' + byte(fd), '\n'}); err != nil { // PROC-31
					t.Errorf("PROC-31: WriteTo(%d): %v", fd, err)
				}
			}
			for _, fd := range []int{1, 4, 6, 7, 99, -1} {
				if n, err := w.c.WriteTo(fd, []byte("x")); n != 0 || err != process.ErrNoPipe {
					t.Errorf("PROC-31: WriteTo(%d): %d, %v", fd, n, err)
				}
			}
		}
		cmd := sh(`read a; read b <&5; echo one; echo four $a $b >&4; head -c 4 <&6 >&9; cat <&7; echo null >&7; ls -x /proc/self/fd`)
		cmd.Files = map[int]process.File{0: process.WritePipe(), 1: process.ReadPipe(), 2: process.Same(1), 4: process.ReadPipe(),
			5: process.WritePipe(), 6: process.Given(int(f.Fd())), 7: process.Null(), 9: process.ReadPipe()}
		run(t, r, cmd, w)
		if got := string(w.got[4]); got != "four 0 5\n" {
			t.Errorf("PROC-7: descriptor 4: %q", got)
		}
		if got := string(w.got[9]); got != "\x7fELF" {
			t.Errorf("PROC-8: descriptor 9: %q", got)
		}
		// PROC-10: these, and the one by which ls reads the list.
		if got := strings.Fields(string(w.got[1])); runtime.GOOS == "linux" && strings.Join(got, " ") != "one 0 1 2 3 4 5 6 7 9" {
			t.Errorf("PROC-10: %q", got)
		}
		if n := w.count("lost"); n != 5 || w.lost[0] == nil || w.lost[9] == nil {
			t.Errorf("PROC-21: %v", w.events)
		}
		if _, err := f.Stat(); err != nil {
			t.Errorf("PROC-16: the caller's file: %v", err)
		}
	})
}

// PROC-9: a child without pipes: the end follows the exit, also without a protocol (PROC-18).
func TestSpawnWithoutPipes(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		cmd := sh("exit 3")
		cmd.Files = map[int]process.File{}
		w := run(t, r, cmd, new(watcher))
		if !slices.Equal(w.events, []string{"made", "exited", "ended"}) || w.end.Code != 3 {
			t.Errorf("PROC-9: %v, %+v", w.events, w.end)
		}
		c, err := process.Spawn(r, cmd, nil)
		if err != nil {
			t.Fatalf("PROC-18: %v", err)
		}
		var got *process.Status
		c.AfterEnd(func(s process.Status) { got = &s })
		until(t, r, func() bool { return got != nil })
		if got.Code != 3 {
			t.Errorf("PROC-9: %+v", got)
		}
		got = nil
		c.AfterEnd(func(s process.Status) { got = &s })
		if got != nil {
			t.Error("AfterEnd has called at once")
		}
		until(t, r, func() bool { return got != nil })
		if n, err := c.Write([]byte("x")); n != 0 || err != process.ErrNoPipe {
			t.Errorf("PROC-31: %d, %v", n, err)
		}
		r.Close()
		got = nil
		if c.AfterEnd(func(s process.Status) { got = &s }); got == nil || got.Code != 3 {
			t.Errorf("THR-32: after the reactor has stopped: %+v", got)
		}
	})
}

// PROC-19: a child that is gone before the reactor runs is told by the loop, and never inside Spawn.
func TestSpawnBeforeRun(t *testing.T) {
	for name, world := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := reactor.New(world.Open(t), reactor.Config{})
			w := new(watcher)
			c, err := process.Spawn(r, sh("echo early; exit 4"), w)
			if err != nil {
				t.Fatal(err)
			}
			awaitZombie(t, c.Pid())
			if !slices.Equal(w.events, []string{"made"}) {
				t.Errorf("PROC-19: before the loop runs %v", w.events)
			}
			w.onEnded = func() { r.Stop() }
			if err := r.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if w.end == nil || w.end.Code != 4 || string(w.got[1]) != "early\n" {
				t.Errorf("PROC-19: %+v, %v", w.end, w.got)
			}
		})
	}
}

// PROC-39: many children at a time, each with the full order of callbacks and its own code.
func TestSpawnMany(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		const n = 25
		all := make([]*watcher, n)
		for i := range all {
			all[i] = new(watcher)
			c := spawn(t, r, sh("cat; echo $1 >&2; exit $1", fmtInt(i)), all[i])
			c.Write([]byte("to " + fmtInt(i)))
			c.CloseStdin()
		}
		for i, w := range all {
			until(t, r, w.ended)
			if w.end.Code != i || string(w.got[1]) != "to "+fmtInt(i) || string(w.got[2]) != fmtInt(i)+"\n" {
				t.Errorf("PROC-39: child %d: %+v, %v", i, w.end, w.got)
			}
			if w.events[0] != "made" || w.events[len(w.events)-1] != "ended" || w.count("lost") != 3 || w.count("exited") != 1 || w.count("ended") != 1 {
				t.Errorf("PROC-39: child %d: %v", i, w.events)
			}
		}
	})
}

// PROC-6: as another user.
func TestSpawnCredential(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can change its user")
	}
	r := first(t)
	cred, err := process.LookupCredential("nobody")
	if err != nil {
		t.Skip(err)
	}
	byNumber, err := process.LookupCredential(fmtInt(cred.UID))
	if err != nil || byNumber.UID != cred.UID || byNumber.GID != cred.GID {
		t.Errorf("by number: %+v, %v", byNumber, err)
	}
	cmd := sh("id -un; id -u; id -g; id -G")
	cmd.Credential = cred
	w := run(t, r, cmd, new(watcher))
	if want := "nobody " + fmtInt(cred.UID) + " " + fmtInt(cred.GID); !strings.HasPrefix(strings.Join(strings.Fields(string(w.got[1])), " "), want) {
		t.Errorf("PROC-6: %q, not %q", w.got[1], want)
	}
	if os.Getuid() != 0 || os.Getgid() != 0 {
		t.Error("PROC-6: this process has changed")
	}
	if c, err := process.LookupCredential("no such user of whorl"); c != nil || err == nil {
		t.Errorf("%+v, %v", c, err)
	}
}

// PROC-12: what this process ignores has its default action in the child.
func TestSpawnIgnoredSignals(t *testing.T) {
	ignore(t, syscall.SIGUSR2)
	w := run(t, first(t), sh("kill -USR2 $$; echo survived"), new(watcher))
	if w.end.Signal != syscall.SIGUSR2 || len(w.got[1]) > 0 {
		t.Errorf("PROC-12: %v, %q", w.end, w.got[1])
	}
}
