package whorl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// childEnv makes the test binary a server: its value is the kernel's name, and, after a
// blank, "stuck" if work that never ends shall hold its shutdown up, "blocked" if a trigger
// shall block its loop, after the shutdown has waited for all else, or "context" if its signals shall end the context of Serve too, and no connection ends by itself.
const childEnv = "WHORL_TEST_CHILD"

// child serves with the usual signals. It prints its address, and then its log.
func child() {
	var name, how string
	fmt.Sscan(os.Getenv(childEnv), &name, &how)
	c := Config{Kernel: name, Grace: time.Hour, Logger: slog.New(slog.NewTextHandler(os.Stdout, nil))}
	ctx, f := context.Background(), reactor.Factory(reactor.Each[polite]())
	if how == "context" {
		var stop func()
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		f = reactor.Each[echo]()
	}
	c.Started = func(r *reactor.Reactor, _ []endpoint.Listener) {
		switch how {
		case "stuck":
			r.CallInThread(func() { time.Sleep(time.Hour) })
		case "blocked":
			r.CallInThread(func() { time.Sleep(time.Hour) })
			r.AddTrigger(reactor.After, reactor.Shutdown, func() {
				fmt.Println("blocked")
				time.Sleep(time.Hour)
			})
		}
	}
	if err := c.Serve(ctx, f, anywhere); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// childProcess is a child process, its output, and a connection to it.
type childProcess struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *bufio.Scanner
	pipe io.Closer // what out reads
	conn net.Conn
}

// run starts a child and connects to it.
func run(t *testing.T, kernel, how string) *childProcess {
	t.Helper()
	p := &childProcess{t: t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), childEnv+"="+kernel+" "+how, "GORACE=atexit_sleep_ms=0")
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	p.out, p.pipe = bufio.NewScanner(out), out
	addr := p.until(`listening on tcp ([^" ]+)"`)
	if p.conn, err = net.Dial("tcp", addr[1]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.conn.Close() })
	p.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(p.conn, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return p
}

// until waits for a line of output, and returns its submatches.
func (p *childProcess) until(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	for p.out.Scan() {
		if m := re.FindStringSubmatch(p.out.Text()); m != nil {
			return m
		}
	}
	p.t.Fatalf("the child ended without %q", pattern)
	return nil
}

func (p *childProcess) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// The usual signals end a program in order, with status 0. A second signal ends a shutdown that
// hangs, and the error says for what it no longer waits.
func TestServeOnSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process can be sent a signal")
	}
	for _, name := range native.Names() {
		for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
			t.Run(name+"/"+sig.String(), func(t *testing.T) {
				t.Parallel() // some of the time is waiting
				p := run(t, name, "")
				p.signal(sig)
				if got, err := io.ReadAll(p.conn); string(got) != "bye" || err != nil {
					t.Errorf("got %q and %v, want bye: it was not drained", got, err)
				}
				p.until("msg=stopped")
				if err := p.cmd.Wait(); err != nil {
					t.Errorf("it ended with %v", err)
				}
			})
		}
		t.Run(name+"/blocked", func(t *testing.T) { t.Parallel(); killed(t, name) })
		t.Run(name+"/context", func(t *testing.T) { t.Parallel(); twoWays(t, name) })
		t.Run(name+"/pipe", func(t *testing.T) { t.Parallel(); noReader(t, name) })
		t.Run(name+"/stuck", func(t *testing.T) {
			t.Parallel() // most of the time is waiting
			p := run(t, name, "stuck")
			for range 2 {
				p.signal(syscall.SIGTERM)
				p.until("caught a signal")
				time.Sleep(program.SignalTwins) // the next one within it would count as this one
			}
			p.until("gave up waiting: for the blocking work .*child")
			err := p.cmd.Wait()
			if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 1 {
				t.Errorf("it ended with %v, want status 1", err)
			}
		})
	}
}

// twoWays ends a program whose signals end its context too. That is one order, so connections have their grace, and only another signal ends it.
func twoWays(t *testing.T, name string) {
	p := run(t, name, "context")
	p.signal(syscall.SIGTERM)
	p.until("stopping: no longer listening")
	time.Sleep(program.SignalTwins)
	if _, err := io.WriteString(p.conn, "y"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.conn.Read(make([]byte, 1)); err != nil {
		t.Fatalf("SVC-28: one signal was taken for two: %v", err)
	}
	p.signal(syscall.SIGTERM)
	p.until(`aborting connections that have not finished.*because="a second signal"`)
	p.until("msg=stopped")
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// killed ends a program whose loop is blocked after the second signal: the third one has its
// default action, once it cannot be the second one's twin.
func killed(t *testing.T, name string) {
	p := run(t, name, "blocked")
	p.signal(syscall.SIGTERM)
	p.until("caught a signal")
	time.Sleep(program.SignalTwins) // the next one within it would count as this one
	p.signal(syscall.SIGTERM)
	p.until("^blocked$") // it may come before what the log says of the second signal
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	deadline := time.After(30 * time.Second)
	for {
		p.cmd.Process.Signal(syscall.SIGTERM) // nobody can see whether the child still takes it
		select {
		case err := <-ended:
			e, ok := errors.AsType[*exec.ExitError](err)
			if s, _ := e.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGTERM {
				t.Errorf("it ended with %v, want SIGTERM", err)
			}
			return
		case <-deadline:
			t.Fatal("a third signal does not end it")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Signals are given back when a twin of the last one can no longer come, not before: neither at
// the second one nor at the end.
func TestSignalsAreGivenBackLate(t *testing.T) {
	for _, name := range native.Names() {
		for signals := range 3 {
			t.Run(fmt.Sprint(name, "/", signals), func(t *testing.T) {
				c := Config{Kernel: name, Logger: slog.New(slog.DiscardHandler)}
				l, err := c.open(1)
				if err != nil {
					t.Fatal(err)
				}
				var later []func()
				var left time.Duration // of the last one
				l.signals.After = func(d time.Duration, f func()) {
					later, left = append(later, f), d
				}
				stop, taken := l.signals.Release, true
				l.signals.Release = func() { stop(); taken = false }
				l.r.CallWhenRunning(func() {
					for range signals {
						l.signals.Last -= program.SignalTwins
						l.signals.Caught(os.Interrupt)
					}
					if signals == 2 && left != program.SignalTwins {
						t.Errorf("after the second they are given back after %v, want %v", left, program.SignalTwins)
					}
					l.r.Stop()
				})
				l.run(context.Background())
				const ago = 100 * time.Millisecond
				l.signals.Last = l.r.Now() - ago // however long the run was
				l.close(func() {})
				if taken != (signals > 0) || len(later) != signals {
					t.Errorf("at the end signals are taken: %v; %d will be given back later", taken, len(later))
				}
				if signals > 0 && (left <= 0 || left > program.SignalTwins-ago) {
					t.Errorf("after the end they are given back after %v, want %v at most", left, program.SignalTwins-ago)
				}
				for _, f := range later {
					f()
				}
				if taken {
					t.Error("they are never given back")
				}
			})
		}
	}
}

// noReader ends the pipe to which a program logs. The program serves on, and ends in order.
func noReader(t *testing.T, name string) {
	p := run(t, name, "")
	p.pipe.Close()
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGHUP} { // both are logged
		p.signal(s)
		if _, err := io.WriteString(p.conn, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := p.conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	p.signal(syscall.SIGTERM)
	if got, err := io.ReadAll(p.conn); string(got) != "bye" || err != nil {
		t.Errorf("got %q and %v, want bye", got, err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
