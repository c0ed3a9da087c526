//go:build unix

package process_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// PROC-48, the part of the pair: output comes with the line ends that the terminal makes, and what is typed comes back as echo.
func TestPTYEchoAndLineEnds(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		pty := openPTY(t, process.Size{})
		p := new(screen)
		if _, err := pty.Attach(r, p, nil); err != nil {
			t.Fatal(err)
		}
		put(t, pty.Slave(), "one\ntwo\n")
		until(t, r, p.has("two\r\n"))
		if string(p.got) != "one\r\ntwo\r\n" {
			t.Errorf("PROC-48: output %q", p.got)
		}
		p.got = nil
		p.s.Write([]byte("typed\r"))
		until(t, r, p.has("typed\r\n"))
		if got := take(t, pty.Slave()); got != "typed\n" {
			t.Errorf("PROC-48: input %q", got)
		}
		p.s.Abort()
		until(t, r, p.lost)
		isOne(t, "lost", p.err, reactor.ErrAborted)
		if err := pty.Resize(process.Size{}); err != kernel.ErrClosed {
			t.Errorf("Resize after the end: %v", err)
		}
		pty.Close()
		pty.Close()
	})
}

// All that was written to the slave is delivered before the end, which is io.EOF (PROC-49).
func TestPTYEnd(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		pty := openPTY(t, process.Size{})
		p := new(halfScreen)
		p.onReadLost = func() { p.s.Close() }
		var end reactor.Protocol = p
		if strings.HasSuffix(t.Name(), "wrapped") { // the other kind of protocol
			end = &p.screen
		}
		s, err := pty.Attach(r, end, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.PauseProducing() // everything, and then the end, waits in the system
		text := strings.Repeat("0123456789abcde\n", 200)
		put(t, pty.Slave(), text)
		pty.CloseSlave()
		until(t, r, func() bool { return true })
		s.ResumeProducing()
		until(t, r, p.lost)
		if want := strings.ReplaceAll(text, "\n", "\r\n"); string(p.got) != want {
			t.Errorf("%d bytes came, not %d", len(p.got), len(want))
		}
		if end == reactor.Protocol(p) {
			sameEvents(t, p.events, "made", "read lost", "lost")
			isOne(t, "lost", p.err, reactor.ErrClosed)
		} else {
			isOne(t, "lost", p.err, io.EOF)
		}
	})
}

// What is typed into a terminal that nobody has open is taken, and keeps nothing of what came before from being delivered, nor
// the end from being a clean one.
func TestPTYWriteAfterEnd(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		pty := openPTY(t, process.Size{})
		p := new(screen)
		s, err := pty.Attach(r, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		put(t, pty.Slave(), "last words")
		pty.CloseSlave()
		s.Write([]byte("anybody?"))
		until(t, r, p.lost)
		isOne(t, "lost", p.err, io.EOF)
		if !strings.HasPrefix(string(p.got), "last words") {
			t.Errorf("came: %q", p.got)
		}
	})
}

// The close of the transport hangs up: the session of the terminal gets SIGHUP (PROC-49). Before that, it sees each new size
// with SIGWINCH, and is in the foreground.
func TestPTYHangUpAndResize(t *testing.T) {
	python := "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		t.Skip(err)
	}
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		pty := openPTY(t, process.Size{Columns: 80, Rows: 24})
		program := `
import os, signal
window = {signal.SIGWINCH}
signal.pthread_sigmask(signal.SIG_BLOCK, window) # a handler could come between two pauses, and wait for the next signal
def size(): print("size", *os.get_terminal_size(0), flush=True)
size()
print(os.ttyname(0), flush=True)
while True:
    signal.sigwait(window)
    size()
`
		cmd := exec.Command(python, "-c", program)
		slave := slaveFile(t, pty)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		slave.Close()
		pty.CloseSlave()
		p := new(screen)
		if _, err := pty.Attach(r, p, nil); err != nil {
			t.Fatal(err)
		}
		until(t, r, p.has(pty.Name()+"\r\n"))
		if !p.has("size 80 24\r\n")() {
			t.Errorf("the program saw %q", p.got)
		}
		for i := range 3 {
			want := process.Size{Columns: uint16(100 + i), Rows: 50, XPixels: 7, YPixels: 8}
			if err := pty.Resize(want); err != nil {
				t.Fatal(err)
			}
			until(t, r, p.has(fmt.Sprintf("size %d 50\r\n", 100+i)))
			if got, err := pty.Size(); got != want || err != nil {
				t.Errorf("Size is %v, %v", got, err)
			}
		}
		if pgrp, err := pty.Foreground(); pgrp != cmd.Process.Pid || err != nil {
			t.Errorf("in the foreground: %d, %v", pgrp, err)
		}
		p.s.Close()
		until(t, r, p.lost)
		_ = cmd.Wait()
		if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != syscall.SIGHUP {
			t.Errorf("PROC-49: the program ended by %v, not by SIGHUP", cmd.ProcessState)
		}
	})
}

// A megabyte in each direction at once, through a terminal that changes nothing, in pieces of any size.
func TestPTYTransfer(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			pty := openPTY(t, process.Size{})
			cmd := exec.Command("sh", "-c", "stty raw -echo && echo ready && exec cat")
			slave := slaveFile(t, pty)
			cmd.Stdin, cmd.Stdout = slave, slave
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			slave.Close()
			pty.CloseSlave()
			p := new(screen)
			s, err := pty.Attach(r, p, nil)
			if err != nil {
				t.Fatal(err)
			}
			until(t, r, p.has("ready\n"))
			p.got = p.got[:0]
			text := strings.Repeat("the quick brown fox\r\n\x03\x04\x11\x13", 40_000)
			s.Write([]byte(text))
			until(t, r, func() bool { return len(p.got) >= len(text) })
			if string(p.got) != text {
				t.Errorf("%d bytes came back changed", len(p.got))
			}
			s.Close()
			until(t, r, p.lost)
			_ = cmd.Wait()
		})
	}
}

// What can go wrong leaves nothing open, and the pair where it was.
func TestPTYErrors(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		pty := openPTY(t, process.Size{})
		if _, err := pty.Attach(r, new(screen), &reactor.StreamConfig{LowWater: -1}); !errors.Is(err, reactor.ErrMarks) {
			t.Errorf("Attach with bad marks: %v", err)
		}
		p := &screen{}
		p.onMade = func() { pty.Close() } // a transport has the master already
		if _, err := pty.Attach(r, p, nil); err != nil {
			t.Fatalf("Attach after one that failed: %v", err)
		}
		_, err := pty.Attach(r, new(screen), nil)
		isOne(t, "a second Attach", err, kernel.ErrClosed)
		until(t, r, p.lost)
		isOne(t, "lost", p.err, io.EOF)
		if pty.Slave() != -1 {
			t.Errorf("the slave is %d", pty.Slave())
		}
		for what, call := range map[string]func() error{
			"Resize":     func() error { return pty.Resize(process.Size{}) },
			"Size":       func() error { _, err := pty.Size(); return err },
			"Foreground": func() error { _, err := pty.Foreground(); return err },
			"Attach":     func() error { _, err := pty.Attach(r, p, nil); return err },
		} {
			isOne(t, what, call(), kernel.ErrClosed)
		}
	})
}

// slaveFile is a duplicate of the slave for a program. A file of the number itself would close that when it is collected, when
// something else may have it.
func slaveFile(t *testing.T, p *process.PTY) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(p.Slave()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "slave")
}

// PROC-47: the terminal of a child that runs as another user belongs to that user, who can open it by its name.
func TestTerminalOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can change its user")
	}
	cred, err := process.LookupCredential("nobody")
	if err != nil {
		t.Skip(err)
	}
	r := first(t)
	cmd := sh("echo hello >$(tty)")
	cmd.Credential, cmd.Terminal = cred, openPTY(t, process.Size{})
	if w := run(t, r, cmd, new(watcher)); w.end.Code != 0 || !strings.Contains(string(w.got[1]), "hello") {
		t.Errorf("PROC-47: %v, %q", w.end, w.got[1])
	}
}
