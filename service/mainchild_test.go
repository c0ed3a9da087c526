package service_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/internal/notifytest"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/service"
)

// childEnv makes the test binary a program: its value is the kernel's name, and, after a blank, how it is.
const childEnv = "WHORL_TEST_SERVICE"

// child runs Main. Its log goes to standard output.
func child(how string) int {
	name, how, _ := strings.Cut(how, " ")
	c := service.MainConfig{Name: "app", Kernel: name, Logger: slog.New(slog.NewTextHandler(os.Stdout, nil))}
	if how == "default log" {
		c.Logger = nil
	}
	if how == "late" {
		defer func() { // it goes on, and a signal may end it
			fmt.Println("goes on")
			time.Sleep(time.Hour)
		}()
	}
	return service.Main(context.Background(), c, func(p *service.Program) error {
		r := p.Reactor()
		_, there := os.LookupEnv("NOTIFY_SOCKET")
		fmt.Println("inherits", there)
		switch how {
		case "build":
			return &service.ExitError{Code: 4, Err: errTest}
		case "late":
			taken := make(chan os.Signal, 1)
			signal.Notify(taken, syscall.SIGTERM)
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				self.Signal(syscall.SIGTERM)
			}
			<-taken
			signal.Stop(taken)
			time.Sleep(10 * time.Millisecond) // for the program, which hears of it by another goroutine
			return errTest
		case "panic":
			panic("no")
		}
		j := &journal{r: r}
		if how == "stuck" {
			p.Add(service.Named(r, "stuck", &stuck{part{j: j, name: "stuck"}}))
		}
		for _, name := range []string{"a", "b"} {
			x := &reloading{part: part{j: j, name: name}}
			if how == "fails" && name == "b" {
				x.start = errTest
			}
			p.Add(service.Named(r, name, x))
		}
		return nil
	})
}

// stuck is a service that blocks the loop when it is to reload.
type stuck struct{ part }

func (*stuck) Reload() *deferred.Deferred[service.None] {
	time.Sleep(time.Hour)
	return nil
}

// process is a child, and its output.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	out *bufio.Scanner
}

func start(t *testing.T, how string, env ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(append(os.Environ(), childEnv+"="+how, "GORACE=atexit_sleep_ms=0"), env...)
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.cmd.Stderr = p.cmd.Stdout
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	p.out = bufio.NewScanner(out)
	return p
}

// until waits for a line of output that contains text.
func (p *process) until(text string) {
	p.t.Helper()
	for p.out.Scan() {
		if strings.Contains(p.out.Text(), text) {
			return
		}
	}
	p.t.Fatalf("the child ended without %q", text)
}

// status is that with which the child ends.
func (p *process) status() int {
	for p.out.Scan() {
	}
	err := p.cmd.Wait()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return e.ExitCode()
	} else if err != nil {
		p.t.Error(err)
	}
	return 0
}

// SVC-28, SVC-30, SVC-31: a real program tells a real socket what becomes of it, in order, and ends on a signal with status 0.
func TestMainNotifies(t *testing.T) {
	for _, name := range native.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := notifytest.New(t)
			p := start(t, name, "NOTIFY_SOCKET="+m.Path, "WATCHDOG_USEC=200000")
			p.until("inherits false")                                 // SYSD-3
			lives := func(s string) bool { return s == "WATCHDOG=1" } // the more often, the longer the start takes
			if s, others := m.Until("READY=1"); s != "READY=1 STATUS=running" || len(others) == 0 || len(slices.DeleteFunc(others, lives)) > 0 {
				t.Errorf("SVC-30: %q after %q", s, others)
			}
			m.Until("WATCHDOG=1")
			m.Until("WATCHDOG=1")
			p.cmd.Process.Signal(syscall.SIGHUP)
			m.Until("RELOADING=1 MONOTONIC_USEC=")
			m.Until("READY=1 STATUS=running")
			p.cmd.Process.Signal(syscall.SIGTERM)
			m.Until("STOPPING=1 EXTEND_TIMEOUT_USEC=15000000 STATUS=stopping")
			if code := p.status(); code != 0 {
				t.Errorf("SVC-28, SVC-35: status %d", code)
			}
			for _, s := range m.Said() {
				if s != "WATCHDOG=1" {
					t.Errorf("SVC-30: after STOPPING=1: %q", s)
				}
			}
		})
	}
}

// SVC-28: signals are given back also if one has come while the program was built, and that has failed.
func TestMainGivesSignalsBack(t *testing.T) {
	t.Parallel()
	p := start(t, " late")
	p.until("goes on")
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	again, limit := time.NewTicker(50*time.Millisecond), time.After(10*time.Second)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			p.cmd.Process.Signal(syscall.SIGTERM)
		case err := <-ended:
			if err == nil || err.Error() != "signal: terminated" {
				t.Errorf("SVC-28: %v", err)
			}
			return
		case <-limit:
			t.Fatal("SVC-28: Main has returned, and SIGTERM has no effect")
		}
	}
}

// SVC-31: a program whose loop is stuck is silent, although its other goroutines live.
func TestMainStuck(t *testing.T) {
	t.Parallel()
	m := notifytest.New(t)
	p := start(t, " stuck", "NOTIFY_SOCKET="+m.Path, "WATCHDOG_USEC=400000")
	m.Until("READY=1")
	m.Until("WATCHDOG=1") // it is not stuck yet
	p.cmd.Process.Signal(syscall.SIGHUP)
	m.Until("RELOADING=1")
	for range 10 {
		if m.Next(600*time.Millisecond) == "" {
			return
		}
	}
	t.Error("SVC-31: the watchdog hears of a loop that is stuck")
}

// SVC-33: without a manager, or with one that is not there, a program is the same. SVC-35: its status says how it has ended.
func TestMainStatus(t *testing.T) {
	for _, c := range []struct {
		how, env, says string
		code           int
	}{
		{" fails", "", `msg="the program has failed" err="service app/b: start: test"`, 1},
		{" fails", "NOTIFY_SOCKET=/nowhere/notify", `msg="the service manager was not told"`, 1},
		{" build", "NOTIFY_SOCKET=vsock:2:1", "err=test", 4},
		{" panic", "", "panic in build of the program: no", 1},
		{"abacus", "", "abacus", 1},
		{" default log", "NOTIFY_SOCKET=@", "INFO started services=2", 0},
	} {
		t.Run(c.how+c.env, func(t *testing.T) {
			t.Parallel()
			p := start(t, c.how, c.env)
			p.until(c.says)
			if c.code == 0 {
				p.cmd.Process.Signal(syscall.SIGTERM)
			}
			if code := p.status(); code != c.code {
				t.Errorf("SVC-35: %q: status %d, want %d", c.how, code, c.code)
			}
		})
	}
}
