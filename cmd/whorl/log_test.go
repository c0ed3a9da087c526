package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// unreadPipe makes a pipe that is full, and that nobody reads, and returns the end to write to.
func unreadPipe(t *testing.T) *os.File {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close(); write.Close() })
	for _, size := range []int{4096, 1} {
		write.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		for err = nil; err == nil; {
			_, err = write.Write(make([]byte, size))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	return write
}

// startUnread starts the tool, with standard error that nobody reads. ended gets how it ended.
func startUnread(t *testing.T, args ...string) (cmd *exec.Cmd, ended chan error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = &exec.Cmd{Path: self, Args: append([]string{"whorl"}, args...), Stderr: unreadPipe(t)} // TestMain looks at Args[0]
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, ended
}

// soon is the result of a program that must end soon.
func soon(t *testing.T, ended chan error) error {
	t.Helper()
	began := time.Now()
	select {
	case err := <-ended:
		if took := time.Since(began); took > lastWords+5*time.Second {
			t.Errorf("the end took %v", took)
		}
		return err
	case <-time.After(patience):
		t.Fatal("it does not end")
		return nil
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// A server whose standard error is a full pipe that nobody reads serves, also clients whose
// refusals it logs, and ends when it is told to, in order.
func TestServeWithUnreadLog(t *testing.T) {
	const refusals = 500
	port, nobody := freePort(t), freePort(t)
	cmd, ended := startUnread(t, "--log-level=debug", "forward",
		fmt.Sprintf("tcp:%d:interface=127.0.0.1", port), fmt.Sprintf("tcp:127.0.0.1:%d", nobody))
	deadline := time.Now().Add(patience)
	for n := 0; n < refusals; {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond) // it has not begun to listen, and cannot say so
			continue
		}
		n++
		c.SetReadDeadline(deadline)
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("client %d is not refused", n)
		}
		c.Close()
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := soon(t, ended); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// A program that has nothing but its error to say ends too.
func TestFailWithUnreadLog(t *testing.T) {
	_, ended := startUnread(t, "echo", "tpc:1")
	e, ok := errors.AsType[*exec.ExitError](soon(t, ended))
	if !ok || e.ExitCode() != statusUsage {
		t.Errorf("it ended with %v, want status %d", e, statusUsage)
	}
}

// The log comes before the error, whole.
func TestLastWords(t *testing.T) {
	var said bytes.Buffer
	status := run([]string{"--log-level=debug", "echo", "tcp:0:interface=127.0.0.1", "tcp:0:interface=192.0.2.1"},
		terminal{out: io.Discard, err: &said}, builtIn())
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	last := lines[len(lines)-1]
	if status != statusFailed || !strings.Contains(lines[0], "msg=starting") || !strings.HasPrefix(last, "whorl: tcp:0:interface=192.0.2.1: ") ||
		strings.Count(said.String(), "whorl: ") != 1 {
		t.Errorf("status %d, said\n%s", status, said.String())
	}
}

// clients cannot fill the log of a forwarder whose other side does not answer.
func TestForwardLogIsBounded(t *testing.T) {
	const clients = 40
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		port, err := r.Listen(loopback, reactor.Each[Echo](), nil)
		if err != nil {
			t.Fatal(err)
		}
		stopped := false
		port.StopListening(func(error) { stopped = true })
		until(t, r, func() bool { return stopped })
		u := &route{r: r}
		a := listen(t, r, u.forwarder(clientOf(kernel.TCPAddr(loopback.IP.Addr(), port.Addr().Port()))))
		began := r.Now()
		for range clients {
			p := dial(t, r, a, &peer{})
			until(t, r, func() bool { return p.err != nil })
		}
		u.empty(t)
		if n := strings.Count(u.log.String(), "cannot pass"); n != 1 && r.Now()-began < time.Second {
			t.Errorf("%d records at once", n)
		}
		r.Close()
		if n := strings.Count(u.log.String(), "cannot pass"); n != 2 && r.Now()-began < time.Second {
			t.Errorf("%d records in all", n)
		}
	})
}
