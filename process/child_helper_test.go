//go:build unix

package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"golang.org/x/sys/unix"
)

// watcher is a protocol that notes what happens to its child, in order.
type watcher struct {
	c        *process.Child
	got      map[int][]byte
	lost     map[int]error
	events   []string
	exit     *process.Status
	end      *process.Status
	onMade   func()
	onData   func(fd int, p []byte)
	onLost   func(fd int, err error)
	onExited func()
	onEnded  func()
}

func (w *watcher) note(format string, args ...any) {
	w.events = append(w.events, fmt.Sprintf(format, args...))
}

func (w *watcher) ChildMade(c *process.Child) {
	w.c, w.got, w.lost = c, map[int][]byte{}, map[int]error{}
	w.note("made")
	if w.onMade != nil {
		w.onMade()
	}
}

func (w *watcher) DataReceived(fd int, p []byte) {
	w.got[fd] = append(w.got[fd], p...)
	if n := len(w.events); w.events[n-1] != fmt.Sprint("data ", fd) {
		w.note("data %d", fd)
	}
	if w.onData != nil {
		w.onData(fd, p)
	}
}

func (w *watcher) PipeLost(fd int, err error) {
	w.note("lost %d", fd)
	w.lost[fd] = err
	if w.onLost != nil {
		w.onLost(fd, err)
	}
}

func (w *watcher) Exited(s process.Status) {
	w.note("exited")
	w.exit = &s
	if w.onExited != nil {
		w.onExited()
	}
}

func (w *watcher) Ended(s process.Status) {
	w.note("ended")
	w.end = &s
	if w.onEnded != nil {
		w.onEnded()
	}
}

func (w *watcher) ended() bool { return w.end != nil }

// count returns how many events begin with what.
func (w *watcher) count(what string) (n int) {
	for _, e := range w.events {
		if strings.HasPrefix(e, what) {
			n++
		}
	}
	return n
}

// sh is a Command for a script.
func sh(script string, args ...string) *process.Command {
	return &process.Command{Path: "/bin/sh", Args: append([]string{"sh", "-c", script, "sh"}, args...), Env: []string{"PATH=/usr/bin:/bin"}}
}

// spawn starts cmd with w. The child is killed when the test ends, if it still runs.
func spawn(t *testing.T, r *reactor.Reactor, cmd *process.Command, w *watcher) *process.Child {
	t.Helper()
	c, err := process.Spawn(r, cmd, w)
	if err != nil {
		t.Fatalf("Spawn: %v", err)
	}
	t.Cleanup(func() { _ = c.Kill(0) }) // after the reactor's end it does nothing
	return c
}

// run starts cmd with w and turns r until its end.
func run(t *testing.T, r *reactor.Reactor, cmd *process.Command, w *watcher) *watcher {
	t.Helper()
	spawn(t, r, cmd, w)
	until(t, r, w.ended)
	return w
}

func fmtInt(n int) string { return strconv.Itoa(n) }

// awaitZombie waits until the process has exited, and leaves its status to others.
func awaitZombie(t *testing.T, pid int) {
	t.Helper()
	for range 5000 {
		if stateOf(pid) == "Z" {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("process %d is in state %q", pid, stateOf(pid))
}

// stateOf is the letter that ps has for the process; "" if there is none.
func stateOf(pid int) string {
	out, _ := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return strings.TrimSpace(string(out))
}

// ignore has this process ignore s until the test ends.
func ignore(t *testing.T, s os.Signal) {
	signal.Ignore(s)
	t.Cleanup(func() { signal.Reset(s) })
}

// atoi is the number in s, or 0.
func atoi(s string) int {
	n, _ := strconv.Atoi(strings.TrimSpace(s))
	return n
}

// awaitGone waits until the process is gone from the system.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for range 5000 {
		if stateOf(pid) == "" {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("process %d is in state %q", pid, stateOf(pid))
}

// awaitDead waits until the process, which is no child of ours, has ended. That it is gone from the system is up to its new parent,
// which is init: it may take seconds.
func awaitDead(t *testing.T, pid int) {
	t.Helper()
	for range 5000 {
		if s := stateOf(pid); s == "" || s == "Z" {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("process %d is in state %q", pid, stateOf(pid))
}

// pipe is a pipe of the test. Its ends are closed when the test ends, unless they are -1.
type pipe struct{ r, w int }

func newPipe(t *testing.T) *pipe {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	p := &pipe{fds[0], fds[1]}
	t.Cleanup(func() { closeFD(&p.r); closeFD(&p.w) })
	return p
}

func closeFD(fd *int) {
	if *fd >= 0 {
		unix.Close(*fd)
		*fd = -1
	}
}
