//go:build unix

package process_test

import (
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// Kill asks first, and kills when the grace is over. One that ends in time is not killed.
func TestKill(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		ready := func(script string) (*process.Child, *watcher) {
			w := new(watcher)
			c := spawn(t, r, sh(script), w)
			until(t, r, func() bool { return w.got[1] != nil })
			return c, w
		}
		c, w := ready("echo; exec sleep 1000")
		if err := c.Kill(time.Minute); err != nil {
			t.Fatal(err)
		}
		until(t, r, w.ended)
		if w.end.Signal != syscall.SIGTERM {
			t.Errorf("one that obeys: %v", w.end)
		}
		const strong = "trap '' TERM; echo; while :; do sleep 0.01; done"
		c, w = ready(strong)
		start := r.Now()
		for _, grace := range []time.Duration{time.Minute, 50 * time.Millisecond, time.Hour, math.MaxInt64} { // the earliest counts
			if err := c.Kill(grace); err != nil {
				t.Fatal(err)
			}
		}
		until(t, r, w.ended)
		if d := r.Now() - start; w.end.Signal != syscall.SIGKILL || d < 50*time.Millisecond {
			t.Errorf("one that ignores SIGTERM: %v after %v", w.end, d)
		}
		for _, grace := range []time.Duration{0, -1} {
			c, w = ready(strong)
			if err := c.Kill(grace); err != nil {
				t.Fatal(err)
			}
			until(t, r, w.ended)
			if w.end.Signal != syscall.SIGKILL {
				t.Errorf("at once: %v", w.end)
			}
		}
		if n := r.Stats().Pending; n != 0 {
			t.Errorf("%d timers", n)
		}
	})
}

// KillGroup reaches what the child has started, also what outlives it.
func TestKillGroup(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		w := new(watcher)
		cmd := sh("(trap '' TERM; echo; while :; do sleep 0.01; done) & wait")
		cmd.Group = true
		c := spawn(t, r, cmd, w)
		until(t, r, func() bool { return w.got[1] != nil })
		const grace = 100 * time.Millisecond
		start := r.Now()
		if err := c.KillGroup(grace); err != nil {
			t.Fatal(err)
		}
		until(t, r, func() bool { return w.exit != nil })
		if w.exit.Signal != syscall.SIGTERM || w.end != nil && r.Now()-start < grace {
			t.Errorf("the child: %v, %v", w.exit, w.events)
		}
		if runtime.GOOS == "linux" {
			until(t, r, w.ended) // what it has left behind is killed
			if d := r.Now() - start; d < grace {
				t.Errorf("it had %v of %v", d, grace)
			}
		}
		w = new(watcher)
		c = spawn(t, r, sh("exec sleep 1000"), w)
		if err := c.KillGroup(grace); !errors.Is(err, kernel.ErrUnsupported) {
			t.Errorf("without a group: %v", err)
		}
		c.Kill(0)
		until(t, r, w.ended)
		w = new(watcher)
		cmd = sh("sleep 1000 & sleep 1000")
		cmd.Session = true
		c = spawn(t, r, cmd, w)
		if err := c.SignalGroup(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		until(t, r, w.ended)
	})
}

// If the reactor stops in the grace, the rest of the group is killed at once.
func TestKillGroupAtStop(t *testing.T) {
	for name, world := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			leaktest.KeepsDescriptors(t)
			for _, leader := range []string{"wait", "trap '' TERM; wait; wait"} { // it has exited, or not
				r := reactor.New(world.Open(t), reactor.Config{})
				out := newPipe(t)
				cmd := sh("(trap '' TERM; echo; while :; do sleep 0.01; done) & " + leader)
				cmd.Group = true
				cmd.Files = map[int]process.File{1: process.Given(out.w)}
				w := new(watcher)
				c := spawn(t, r, cmd, w)
				pid := c.Pid()
				closeFD(&out.w)
				if got := take(t, out.r); got != "\n" {
					t.Fatal(got)
				}
				if err := c.KillGroup(time.Hour); err != nil {
					t.Fatal(err)
				}
				if leader == "wait" {
					until(t, r, func() bool { return w.exit != nil })
				}
				r.Close()
				if w.end == nil {
					t.Errorf("%v", w.events)
				}
				if leader == "wait" {
					if got := take(t, out.r); got != "" { // the end: nobody has it any more
						t.Errorf("read %q", got)
					}
					continue
				}
				// The leader is alive, and was given up with its group: this test ends it.
				_ = syscall.Kill(-pid, syscall.SIGKILL)
			}
		})
	}
}

// A child that still runs when the reactor stops is left to itself, and its end is told with ErrStopped. It does not become a zombie.
func TestStopLeavesChild(t *testing.T) {
	for name, world := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			leaktest.KeepsDescriptors(t)
			r := reactor.New(world.Open(t), reactor.Config{})
			w := new(watcher)
			c := spawn(t, r, sh("exec sleep 1000"), w)
			pid := c.Pid()
			r.Close()
			if w.end == nil || !w.end.Unknown || !errors.Is(*w.end, reactor.ErrStopped) || !errors.Is(*w.end, process.ErrTerminated) || w.exit != nil {
				t.Errorf("%v, %+v", w.events, w.end)
			}
			for fd := range 3 {
				if w.lost[fd] != reactor.ErrStopped {
					t.Errorf("pipe %d lost with %v", fd, w.lost[fd])
				}
			}
			if err := c.Signal(syscall.SIGTERM); !errors.Is(err, process.ErrExited) {
				t.Errorf("Signal: %v", err)
			}
			if s := stateOf(pid); s == "" || s == "Z" {
				t.Errorf("the process is in state %q", s)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			awaitGone(t, pid)
			if _, err := process.Spawn(r, sh("exit 0"), new(watcher)); !errors.Is(err, reactor.ErrStopped) {
				t.Errorf("Spawn on a stopped reactor: %v", err)
			}
		})
	}
}

// A child whose grace is not over when the reactor ends is killed: it does not outlive the reactor.
func TestStopKillsInGrace(t *testing.T) {
	for name, world := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			leaktest.KeepsDescriptors(t)
			for _, atStop := range []bool{true, false} {
				r := reactor.New(world.Open(t), reactor.Config{ShutdownTimeout: 30 * time.Millisecond})
				cmd, w := sh("trap '' TERM; echo; exec sleep 1000"), new(watcher)
				if atStop {
					cmd.AtStop = time.Hour
				}
				c := spawn(t, r, cmd, w)
				pid := c.Pid()
				until(t, r, func() bool { return w.got[1] != nil })
				if !atStop {
					if err := c.Kill(time.Hour); err != nil {
						t.Fatal(err)
					}
				}
				r.Post(func() { _ = r.Stop() })
				_ = r.Run(t.Context()) // it gives up waiting
				if w.end == nil {
					t.Errorf("AtStop %v: %v", atStop, w.events)
				}
				awaitGone(t, pid)
			}
		})
	}
}

// With AtStop the shutdown waits for the child, which gets SIGTERM, and SIGKILL when its grace is over. Its last words are
// delivered.
func TestAtStop(t *testing.T) {
	for name, world := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			leaktest.KeepsDescriptors(t)
			for _, c := range []struct {
				script string
				grace  time.Duration
				want   syscall.Signal
				out    string
			}{
				{"trap 'echo bye; exit 0' TERM; echo; while :; do sleep 0.01; done", time.Minute, 0, "\nbye\n"},
				{"trap '' TERM; echo; while :; do sleep 0.01; done", 50 * time.Millisecond, syscall.SIGKILL, "\n"},
				{"echo; exec sleep 1000", -1, syscall.SIGKILL, "\n"},
				{"trap 'exit 0' TERM; (echo; exec sleep 0.5) & while :; do sleep 0.01; done", time.Minute, 0, "\n"},
			} {
				r := reactor.New(world.Open(t), reactor.Config{})
				w := new(watcher)
				cmd := sh(c.script)
				cmd.AtStop = c.grace
				spawn(t, r, cmd, w)
				stopped := false
				w.onData = func(int, []byte) {
					if !stopped {
						stopped = true
						r.Stop()
					}
				}
				if err := r.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if w.exit == nil || w.end == nil || w.end.Signal != c.want || w.end.Cause != nil || string(w.got[1]) != c.out {
					t.Errorf("%s: %v, %v, %q", c.script, w.events, w.end, w.got[1])
				}
			}
			// All of the last words, though the exit is known before they were read.
			f := &testworld.Faults{MaxRead: 1}
			r := reactor.New(f.Wrap(world.Open(t)), reactor.Config{})
			w := new(watcher)
			cmd := sh("(exec sleep 1) & trap 'echo these are the last words; exit 0' TERM; echo; while :; do sleep 0.01; done")
			cmd.AtStop = time.Minute
			c := spawn(t, r, cmd, w)
			until(t, r, func() bool { return w.got[1] != nil })
			pid := c.Pid()
			r.AddTrigger(reactor.Before, reactor.Shutdown, func() { awaitZombie(t, pid) })
			r.CallLater(0, func() { r.Stop() })
			if err := r.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := string(w.got[1]); got != "\nthese are the last words\n" {
				t.Errorf("the last words: %q", got)
			}
			// One that has exited before is not waited for.
			r = reactor.New(world.Open(t), reactor.Config{})
			w = new(watcher)
			cmd = sh("exit 0")
			cmd.AtStop = time.Hour
			spawn(t, r, cmd, w)
			w.onEnded = func() { r.Stop() }
			if err := r.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// PROC-47, PROC-48, PROC-49: a child with a terminal.
func TestChildTerminal(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		pty := openPTY(t, process.Size{Columns: 91, Rows: 17})
		w := new(watcher)
		cmd := sh("trap 'echo winch' WINCH; tty; stty size; read x; echo got $x >&2; tty <&1; tty <&2; exit 3")
		cmd.Terminal = pty
		c := spawn(t, r, cmd, w)
		if pty.Slave() != -1 {
			t.Error("PROC-47: the slave is open here")
		}
		name := pty.Name()
		until(t, r, func() bool { return len(w.got[1]) > len(name)+7 })
		for range 2 {
			c.CloseStdin() // PROC-48: nothing of it happens
			c.ClosePipe(1)
		}
		if _, err := c.WriteTo(3, []byte("x")); err != process.ErrNoPipe {
			t.Errorf("PROC-48: %v", err)
		}
		if n, err := c.Write([]byte("typed\r")); n != 6 || err != nil {
			t.Errorf("PROC-47: Write: %d, %v", n, err)
		}
		until(t, r, w.ended)
		want := name + "\r\n17 91\r\ntyped\r\ngot typed\r\n" + name + "\r\n" + name + "\r\n"
		if got := string(w.got[1]); got != want || w.got[2] != nil {
			t.Errorf("PROC-47, PROC-48: %q, not %q", got, want)
		}
		if w.end.Code != 3 || len(w.lost) != 0 || w.events[len(w.events)-1] != "ended" {
			t.Errorf("PROC-49: %v, %v", w.end, w.events)
		}
		if c.Transport(0) != c.Transport(1) {
			t.Error("a terminal has one transport")
		}
	})
}

// PROC-47: the child leads a session whose controlling terminal it is, so the terminal's keys send signals. PROC-41: so does Signal.
func TestChildTerminalSession(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		for _, way := range []string{"key", "signal", "group"} {
			pty := openPTY(t, process.Size{})
			w := new(watcher)
			cmd := sh("echo ready; exec sleep 1000")
			cmd.Terminal = pty
			c := spawn(t, r, cmd, w)
			until(t, r, func() bool { return len(w.got[1]) > 6 })
			if pgrp, err := pty.Foreground(); pgrp != c.Pid() || err != nil {
				t.Errorf("PROC-47: in the foreground: %d, %v", pgrp, err)
			}
			switch way {
			case "key":
				c.Write([]byte("\x03"))
			case "signal":
				c.Signal(syscall.SIGINT)
			case "group":
				c.SignalGroup(syscall.SIGINT)
			}
			until(t, r, w.ended)
			if w.end.Signal != syscall.SIGINT {
				t.Errorf("PROC-41, PROC-47: by %s: %v", way, w.end)
			}
		}
	})
}

// PROC-49: Close closes the terminal, and the child gets SIGHUP.
func TestChildTerminalClose(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		pty := openPTY(t, process.Size{})
		w := new(watcher)
		cmd := sh("echo ready; exec sleep 1000")
		cmd.Terminal = pty
		c := spawn(t, r, cmd, w)
		until(t, r, func() bool { return len(w.got[1]) > 6 })
		c.Close()
		until(t, r, w.ended)
		if w.end.Signal != syscall.SIGHUP || !slices.Equal(w.events, []string{"made", "data 1", "exited", "ended"}) {
			t.Errorf("PROC-49: %v, %v", w.end, w.events)
		}
	})
}

// PROC-47: a terminal that has a protocol already keeps it, and the child need have none.
func TestChildTerminalAttached(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		pty := openPTY(t, process.Size{})
		p := new(screen)
		if _, err := pty.Attach(r, p, nil); err != nil {
			t.Fatal(err)
		}
		cmd := sh("read x; echo got $x; exit 4")
		cmd.Terminal = pty
		c, err := process.Spawn(r, cmd, nil)
		if err != nil {
			t.Fatal(err)
		}
		var end *process.Status
		c.AfterEnd(func(s process.Status) { end = &s })
		if _, err := c.Write([]byte("x")); err != process.ErrNoPipe || c.Transport(1) != nil || pty.Slave() != -1 {
			t.Errorf("PROC-47: Write: %v, transport %v, slave %d", err, c.Transport(1), pty.Slave())
		}
		p.s.Write([]byte("typed\r"))
		until(t, r, func() bool { return end != nil && p.lost() })
		if string(p.got) != "typed\r\ngot typed\r\n" || end.Code != 4 || p.err != io.EOF {
			t.Errorf("PROC-47: %q, %v, %v", p.got, end, p.err)
		}
	})
}

// PROC-16: a start with a terminal that fails leaves it to the caller.
func TestChildTerminalFails(t *testing.T) {
	r := first(t)
	pty := openPTY(t, process.Size{})
	cmd := &process.Command{Path: "/nonexistent", Terminal: pty}
	if _, err := process.Spawn(r, cmd, new(watcher)); err == nil {
		t.Fatal("it has started")
	}
	if pty.Slave() < 0 {
		t.Error("PROC-16: the slave was closed")
	}
	p := new(screen)
	if _, err := pty.Attach(r, p, nil); err != nil {
		t.Errorf("PROC-16: the master: %v", err)
	}
	pty.CloseSlave()
	until(t, r, p.lost)
	if p.err != io.EOF {
		t.Error(p.err)
	}
}

// When a child has exited of KillGroup and was alone in its group, nothing is kept for the rest of the grace: a server whose clients break off does
// not collect descriptors.
func TestKillGroupAlone(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		cmd := sh("echo; exec sleep 1000")
		cmd.Group = true
		w := new(watcher)
		c := spawn(t, r, cmd, w)
		until(t, r, func() bool { return w.got[1] != nil })
		before := r.Stats().Pending
		if err := c.KillGroup(time.Hour); err != nil {
			t.Fatal(err)
		}
		until(t, r, w.ended)
		if n := r.Stats().Pending; n > before {
			t.Errorf("%d delayed calls, %d before", n, before)
		}
	})
}
