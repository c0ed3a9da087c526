//go:build unix

package process_test

import (
	"errors"
	"io"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"golang.org/x/sys/unix"
)

// leaver is a script that leaves its terminal, and exits with code 5 when the function lets it.
func leaver(t *testing.T) (*process.Command, func()) {
	t.Helper()
	gate := filepath.Join(t.TempDir(), "gate")
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := sh(`exec <&- >&- 2>&-; read x <"$1"; exit 5`, gate)
	cmd.Terminal = openPTY(t, process.Size{})
	fd, err := unix.Open(gate, unix.O_RDWR|unix.O_CLOEXEC, 0) // so that nobody waits for another one to open it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return cmd, func() { put(t, fd, "go\n") }
}

// PROC-49: a program that leaves its terminal a while before it exits gets no SIGHUP for that: the exit status is its own. So cat, which closes
// its streams before it exits, ends with success.
func TestChildTerminalLeft(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		cmd, exit := leaver(t)
		w := new(watcher)
		c := spawn(t, r, cmd, w)
		until(t, r, func() bool { return c.Transport(1).Protocol() == nil })
		exit()
		until(t, r, w.ended)
		if w.end.Code != 5 {
			t.Errorf("PROC-49: %v", w.end)
		}
		if cmd.Terminal.Master() != -1 {
			t.Error("PROC-49: the master is open after the end")
		}
		for range 20 {
			cmd := process.NewCommand("/bin/cat")
			cmd.Terminal = openPTY(t, process.Size{})
			w := new(watcher)
			spawn(t, r, cmd, w)
			w.c.Write([]byte("\x04"))
			until(t, r, w.ended)
			if !w.end.Success() {
				t.Fatalf("PROC-49: cat: %v", w.end)
			}
		}
	})
}

// PROC-49: the same with a protocol of the terminal's own, which is told of the end at once.
func TestChildTerminalLeftAttached(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		p, half := new(screen), new(halfScreen)
		half.onReadLost = func() { half.s.Close() }
		for s, proto := range map[*screen]reactor.Protocol{p: p, &half.screen: half} {
			cmd, exit := leaver(t)
			if _, err := cmd.Terminal.Attach(r, proto, nil); err != nil {
				t.Fatal(err)
			}
			c, err := process.Spawn(r, cmd, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Kill(0) })
			var end *process.Status
			c.AfterEnd(func(s process.Status) { end = &s })
			until(t, r, s.lost)
			exit()
			until(t, r, func() bool { return end != nil })
			if end.Code != 5 {
				t.Errorf("PROC-49: %v, lost with %v", end, s.err)
			}
		}
		isOne(t, "lost", p.err, io.EOF)
	})
}

// A program of Connect that leaves its terminal has Linger to end by itself, also after Close, and is then asked to by SIGTERM.
func TestConnTerminalLeft(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		cmd, exit := leaver(t)
		p := new(halfScreen)
		connectTo(t, r, cmd, p, nil)
		until(t, r, func() bool { return len(p.events) > 1 })
		_ = p.s.Close()
		exit()
		until(t, r, p.lost)
		if s, ok := errors.AsType[process.Status](p.err); !ok || s.Code != 5 {
			t.Errorf("EP-16: lost with %v", p.err)
		}
		cmd = sh("exec <&- >&- 2>&-; exec sleep 1000")
		cmd.Terminal = openPTY(t, process.Size{})
		q := new(screen)
		connectTo(t, r, cmd, q, soon())
		until(t, r, q.lost)
		if s, ok := errors.AsType[process.Status](q.err); !ok || s.Signal != syscall.SIGTERM {
			t.Errorf("EP-16: lost with %v", q.err)
		}
	})
}

// PROC-49: Close hangs up also if the program has left the terminal; so does the end of the reactor.
func TestChildTerminalLeftAndClosed(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		for _, end := range []func(*process.Child, *process.PTY){
			func(c *process.Child, _ *process.PTY) { _ = c.Close() },
			func(_ *process.Child, p *process.PTY) { p.Close() },
		} {
			cmd, _ := leaver(t)
			w := new(watcher)
			c := spawn(t, r, cmd, w)
			until(t, r, func() bool { return c.Transport(1).Protocol() == nil })
			end(c, cmd.Terminal)
			until(t, r, w.ended)
			if w.end.Signal != syscall.SIGHUP {
				t.Errorf("PROC-49: %v", w.end)
			}
		}
		cmd, _ := leaver(t)
		c := spawn(t, r, cmd, new(watcher))
		until(t, r, func() bool { return c.Transport(1).Protocol() == nil })
		r.CallLater(0, func() { r.Stop() })
		if err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if cmd.Terminal.Master() != -1 {
			t.Error("the master is open after the end of the reactor")
		}
	})
}
