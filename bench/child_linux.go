package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is another process of this program. It is controlled by lines on its standard
// input, and ends when that is closed.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan []byte // closed when the process has ended its output
	stderr tail
	ended  sync.Once
}

// startChild runs exe with args on cpus, or on any CPU if there are none.
func startChild(exe string, cpus []int, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(exe, args...), lines: make(chan []byte, 1)}
	c.cmd.Stderr = &c.stderr
	// Its own process group, so that Ctrl-C interrupts only the runner. The runner ends
	// its children.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.in = in
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := pinned(cpus, c.cmd.Start); err != nil {
		return nil, err
	}
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			c.lines <- append([]byte(nil), s.Bytes()...)
		}
	}()
	return c, nil
}

// pinned calls start on a thread that may run on cpus only. A process that start forks
// inherits that, and its Go runtime sets GOMAXPROCS accordingly.
func pinned(cpus []int, start func() error) error {
	if len(cpus) == 0 {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	for _, c := range cpus {
		set.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pinning to CPU %v: %w", cpus, err)
	}
	err := start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// ask sends a line, unless it is empty, and decodes the next line of the child into
// answer. It waits at most limit.
func (c *child) ask(ctx context.Context, line string, limit time.Duration, answer any) error {
	if line != "" {
		if _, err := io.WriteString(c.in, line+"\n"); err != nil {
			return c.exitError()
		}
	}
	expired := time.NewTimer(limit)
	defer expired.Stop()
	select {
	case b, ok := <-c.lines:
		if !ok {
			return c.exitError()
		}
		return json.Unmarshal(b, answer)
	case <-expired.C:
		return fmt.Errorf("no answer in %v; standard error ends with: %s", limit, c.stderr.String())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// exitError waits for a process that ended unexpectedly. It returns how it ended, with
// the end of its standard error.
func (c *child) exitError() error {
	c.stop() // it may still be writing to standard error
	return fmt.Errorf("ended with %v; standard error ends with: %s", c.cmd.ProcessState, c.stderr.String())
}

// died returns the exitError of a process that ends within a moment, or nil.
func (c *child) died() error {
	moment := time.NewTimer(100 * time.Millisecond)
	defer moment.Stop()
	select {
	case _, ok := <-c.lines:
		if !ok {
			return c.exitError()
		}
	case <-moment.C:
	}
	return nil
}

// stop closes the standard input of the process and waits for its end. After three
// seconds it kills the process. A second call does nothing.
func (c *child) stop() {
	if c == nil {
		return
	}
	c.ended.Do(func() {
		c.in.Close()
		kill := time.AfterFunc(3*time.Second, func() { _ = c.cmd.Process.Kill() })
		for range c.lines {
		}
		_ = c.cmd.Wait()
		kill.Stop()
	})
}

// tail keeps the last bytes of what a process writes to its standard error.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - 400; over > 0 {
		t.text = t.text[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.text) == 0 {
		return "(none)"
	}
	return strings.Join(strings.Fields(string(t.text)), " ")
}
