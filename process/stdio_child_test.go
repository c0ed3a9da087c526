//go:build unix

package process_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/internal/terminal"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"golang.org/x/sys/unix"
)

// terminalChild says what TestTerminalChild does.
const terminalChild = "WHORL_TEST_TERMINAL"

// TestTerminalChild asserts nothing itself. It is the program on a terminal of the tests below, in a process of its own. It has
// its standard streams raw, tells what happens to it, and does what it is sent.
func TestTerminalChild(t *testing.T) {
	what := os.Getenv(terminalChild)
	if what == "" {
		t.Skip("only for other tests")
	}
	k, err := native.Open("")
	if err != nil {
		t.Fatal(err)
	}
	c := reactor.Config{}
	switch what {
	case "reactor", "not run", "stuck":
		c.Signals = reactor.StopSignals()
	case "notify":
		signal.Notify(make(chan os.Signal, 1), unix.SIGTERM)
	}
	r := reactor.New(k, c)
	p := new(screen)
	p.onData = func(b []byte) {
		switch string(b) {
		case "q":
			p.s.Close()
		case "e":
			r.Stop()
		case "p":
			panic("in a callback")
		default:
			fmt.Fprintf(p.s, "[%q]", b)
		}
	}
	cfg := &process.StdioConfig{Raw: true, Resized: func(s process.Size) { fmt.Fprintf(p.s, "<%dx%d>", s.Columns, s.Rows) }}
	s, err := process.Stdio(r, p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if what == "panic" {
		r.CallLater(0, func() { p.s.Write([]byte("ready")) })
		defer s.Restore()
		for range 5 {
			_ = r.Turn(0)
		}
		panic("outside of the loop")
	}
	p.s.Write([]byte("ready"))
	if what == "not run" {
		for range 5 {
			_ = r.Turn(0)
		}
		time.Sleep(time.Minute)
	}
	if what == "stuck" {
		r.CallLater(0, func() {
			p.s.Write([]byte("stuck"))
			r.Post(func() { time.Sleep(time.Minute) })
		})
	}

	r.AddWaitTrigger(reactor.Shutdown, func(done func()) { r.CallLater(100*time.Millisecond, done) })
	if r.Run(context.Background()) != nil {
		os.Exit(8) // a second signal has ended the waiting
	}
	os.Exit(7)
}

// onTerminal runs TestTerminalChild on a new terminal, which it is the session of. It returns when the program is ready.
func onTerminal(t *testing.T, r *reactor.Reactor, what string) (*process.PTY, *screen, *exec.Cmd) {
	t.Helper()
	pty := openPTY(t, process.Size{Columns: 80, Rows: 24})
	slave, err := unix.Dup(pty.Slave())
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(slave), "slave")
	defer f.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestTerminalChild$")
	cmd.Env = append(os.Environ(), terminalChild+"="+what)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, nil
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	p := new(screen)
	if _, err := pty.Attach(r, p, nil); err != nil {
		t.Fatal(err)
	}
	until(t, r, p.has("ready"))
	if what == "stuck" {
		until(t, r, p.has("stuck"))
	}
	return pty, p, cmd
}

// isRaw tells whether a terminal is in raw mode, and fails the test if the descriptor, which the program has too, does not block.
func isRaw(t *testing.T, pty *process.PTY) bool {
	t.Helper()
	if flags, err := unix.FcntlInt(uintptr(pty.Slave()), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("STDIO-10: the terminal's descriptor does not block: %#x, %v", flags, err)
	}
	m, err := terminal.ModeOf(pty.Slave())
	if err != nil {
		t.Fatal(err)
	}
	return m == m.Raw()
}

// On the way to each end of the program its terminal gets its mode back, and never stops blocking. The program ends as the
// signal says.
func TestStdioRestores(t *testing.T) {
	for _, c := range []struct {
		name, what, send string
		signal           syscall.Signal
		status           string
		raw              bool // the terminal stays raw
	}{
		{name: "closed", send: "q"},
		{name: "stopped", send: "e", status: "exit status 7"},
		{name: "panic in a callback", send: "p"},
		{name: "panic outside", what: "panic", status: "exit status 2"},
		{name: "SIGTERM", signal: unix.SIGTERM, status: "signal: terminated"},
		{name: "SIGINT", signal: unix.SIGINT, status: "signal: interrupt"},
		{name: "SIGHUP", signal: unix.SIGHUP, status: "signal: hangup"},
		{name: "SIGTERM of the reactor", what: "reactor", signal: unix.SIGTERM, status: "exit status 7"},
		{name: "SIGTERM of a reactor that does not run", what: "not run", signal: unix.SIGTERM, status: "signal: terminated"},
		{name: "SIGTERM of a reactor that is stuck", what: "stuck", signal: unix.SIGTERM},
		{name: "SIGTERM of somebody else", what: "notify", signal: unix.SIGTERM},
		{name: "SIGKILL", signal: unix.SIGKILL, status: "signal: killed", raw: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaktest.KeepsDescriptors(t)
			k, err := native.Open("")
			if err != nil {
				t.Fatal(err)
			}
			r := reactor.New(k, reactor.Config{})
			defer r.Close()
			if c.what == "" {
				c.what = "plain"
			}
			pty, _, cmd := onTerminal(t, r, c.what)
			if c.what != "panic" && !isRaw(t, pty) {
				t.Error("the terminal is not raw")
			}
			if c.send != "" {
				put(t, pty.Master(), c.send)
			} else if c.signal != 0 {
				if err := cmd.Process.Signal(c.signal); err != nil {
					t.Fatal(err)
				}
			}
			if c.status != "" {
				_ = cmd.Wait()
				if got := cmd.ProcessState.String(); !strings.HasPrefix(got, c.status) {
					t.Errorf("the program ended by %q, not %q", got, c.status)
				}
				if isRaw(t, pty) != c.raw {
					t.Errorf("raw is %v", !c.raw)
				}
				return
			}
			// The program lives on.
			until(t, r, func() bool {
				r.CallLater(5*time.Millisecond, func() {}) // nothing tells
				return !isRaw(t, pty)
			})
		})
	}
}

// A program that is stopped by SIGTSTP leaves the terminal to others, and gets it raw again when it goes on. New sizes of the
// window come as calls on the loop.
func TestStdioStopsAndResizes(t *testing.T) {
	k, err := native.Open("")
	if err != nil {
		t.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	defer r.Close()
	pty, p, cmd := onTerminal(t, r, "plain")
	p.s.Write([]byte("\x03\x1a\x1c"))
	until(t, r, p.has(`["\x03\x1a\x1c"]`)) // keys are no signals
	for i := range 3 {
		if err := pty.Resize(process.Size{Columns: uint16(100 + i), Rows: 40}); err != nil {
			t.Fatal(err)
		}
		until(t, r, p.has(fmt.Sprintf("<%dx40>", 100+i)))
	}
	for range 3 {
		p.got = nil
		if err := cmd.Process.Signal(unix.SIGTSTP); err != nil {
			t.Fatal(err)
		}
		var ws unix.WaitStatus
		if _, err := unix.Wait4(cmd.Process.Pid, &ws, unix.WUNTRACED, nil); err != nil || !ws.Stopped() {
			t.Fatalf("the program has not stopped: %v, %v", ws, err)
		}
		if isRaw(t, pty) {
			t.Error("the terminal of a stopped program is raw")
		}
		if err := cmd.Process.Signal(unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		until(t, r, p.has("<102x40>"))
		if !isRaw(t, pty) {
			t.Error("the terminal of a program that goes on is not raw")
		}
	}
}
