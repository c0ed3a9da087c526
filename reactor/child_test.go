//go:build unix

package reactor_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"golang.org/x/sys/unix"
)

// childEnv holds what this test binary is to do in a process of its own.
const childEnv = "WHORL_TEST_CHILD"

// TestChild asserts nothing itself. A test that would disturb the process of the other
// tests starts this binary again, and TestChild does its work there. It prints for its
// parent.
func TestChild(t *testing.T) {
	what, arg, _ := strings.Cut(os.Getenv(childEnv), " ")
	switch what {
	case "idle":
		childIdle(t, arg)
	case "starve":
		childStarve(t, arg)
	}
}

// child is the binary doing something in a process of its own.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startChild(t *testing.T, what string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0], "-test.run=^TestChild$")}
	c.cmd.Env = append(os.Environ(), childEnv+"="+what, "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// hear returns the child's next line after the word.
func (c *child) hear(t *testing.T, word string) string {
	t.Helper()
	if !c.out.Scan() {
		t.Errorf("the child said nothing more; %q was to come", word)
		return ""
	}
	first, rest, _ := strings.Cut(c.out.Text(), " ")
	if first != word {
		t.Errorf("the child said %q; %q was to come", c.out.Text(), word)
	}
	return rest
}

// stop lets the child go and waits for its end.
func (c *child) stop(t *testing.T) {
	t.Helper()
	c.in.Close()
	for c.out.Scan() { // its own verdict
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
}

// parentGone tells, later, that the parent has closed our input.
func parentGone() <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(gone)
	}()
	return gone
}

// childStarve echoes, on the kernel of that name, with only a few descriptors to
// spare.
func childStarve(t *testing.T, name string) {
	k, err := native.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{Panicked: func(e *reactor.PanicError) { t.Error(e) }})
	p := listen(t, r, reactor.Each[echo](), nil)
	free, err := unix.Dup(0) // the lowest number that is free
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(free)
	var limit unix.Rlimit
	set(&limit.Cur, free+starveRoom)
	set(&limit.Max, free+starveRoom)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	fmt.Println("addr", p.Addr())
	gone := parentGone()
	for {
		select {
		case <-gone:
			s := p.Stats()
			fmt.Println("stats", s.Accepted, s.Refused, r.Stats().Turns)
			r.Close()
			return
		default:
			r.Turn(5e6)
		}
	}
}

// echo sends back what it gets.
type echo struct {
	reactor.Base
	n int
}

func (e *echo) DataReceived(p []byte) {
	e.n++
	e.T.Write(p)
}

// set is an assignment to a field whose type depends on the system.
func set[T int64 | uint64](to *T, n int) { *to = T(n) }
