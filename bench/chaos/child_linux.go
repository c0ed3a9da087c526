package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is another process of this program. Lines on its standard input control it, and it
// answers each with a line. It ends when its input is closed.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan []byte // closed when its output has ended
	stderr tail
	unread *os.File // its standard error, if nobody reads that
	ended  chan struct{}
}

// answerTime is how long a child may take for an answer.
const answerTime = 20 * time.Second

// startChild runs this program as mode. If unread, its standard error is a pipe that nobody
// reads. flags make namespaces.
func startChild(mode string, spec any, unread bool, flags uintptr) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(exe, mode, string(text)), lines: make(chan []byte, 1), ended: make(chan struct{})}
	// Its own process group, so that Ctrl-C interrupts only the program that ends it.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: flags}
	if flags&syscall.CLONE_NEWUSER != 0 {
		c.cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		c.cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	c.cmd.Stderr = &c.stderr
	var theirs *os.File
	if unread {
		if c.unread, theirs, err = os.Pipe(); err != nil {
			return nil, err
		}
		if err := fill(theirs); err != nil {
			return nil, err
		}
		c.cmd.Stderr = theirs
	}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.cmd.Stdout = w
	err = c.cmd.Start()
	w.Close()
	if theirs != nil {
		theirs.Close()
	}
	if err != nil {
		out.Close()
		return nil, err
	}
	go func() {
		defer close(c.lines)
		defer out.Close()
		for s := bufio.NewScanner(out); s.Scan(); {
			c.lines <- append([]byte(nil), s.Bytes()...)
		}
	}()
	go func() {
		_ = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// fill makes the next write to a new pipe block.
func fill(pipe *os.File) error {
	size, err := unix.FcntlInt(pipe.Fd(), unix.F_GETPIPE_SZ, 0)
	if err == nil {
		_, err = pipe.Write(make([]byte, size))
	}
	return err
}

// ask sends a line, unless it is empty, and decodes the next line of the child.
func ask[T any](c *child, line string) (answer T, err error) {
	if line != "" {
		if _, err := io.WriteString(c.in, line+"\n"); err != nil {
			return answer, fmt.Errorf("child %s: %w; it says: %s", c.cmd.Args[1], err, c.stderr.String())
		}
	}
	select {
	case b, ok := <-c.lines:
		if !ok {
			return answer, fmt.Errorf("child %s has ended; it says: %s", c.cmd.Args[1], c.stderr.String())
		}
		return answer, json.Unmarshal(b, &answer)
	case <-time.After(answerTime):
		return answer, fmt.Errorf("child %s: no answer to %q in %v; it says: %s", c.cmd.Args[1], line, answerTime, c.stderr.String())
	}
}

func (c *child) signal(sig os.Signal) { _ = c.cmd.Process.Signal(sig) }

// wait waits for the end of the process and returns its status. ok is false if it has not
// ended in time.
func (c *child) wait(limit time.Duration) (status int, ok bool) {
	select {
	case <-c.ended:
		return c.cmd.ProcessState.ExitCode(), true
	case <-time.After(limit):
		return 0, false
	}
}

// stop closes the standard input of the process, and kills it if it does not end.
func (c *child) stop() {
	if c == nil {
		return
	}
	c.in.Close()
	go func() {
		for range c.lines { // so that nobody waits to write there
		}
	}()
	if _, ok := c.wait(3 * time.Second); !ok {
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
	if c.unread != nil {
		c.unread.Close()
	}
}

// tail keeps the last bytes of what a process writes to its standard error.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = t.text[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.text) == 0 {
		return "(nothing)"
	}
	return string(t.text)
}
