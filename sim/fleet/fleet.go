package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// fleet is child processes that run seeds. A world that brings its process down takes one
// seed with it, and the others go on. Everything happens on the loop's goroutine, except
// child.listen.
type fleet struct {
	r       *reactor.Reactor
	command func() *exec.Cmd   // makes a process that calls Work
	timeout time.Duration      // for a job, in real time; 0: none
	next    func() (Job, bool) // false: there are no more
	done    func(Verdict)
	over    func(err error) // once, when all children have ended; err is why none could be started
	live    []*child
	ended   bool // no more jobs are handed out
	err     error
}

// child is a process, and the job it is at.
type child struct {
	f     *fleet
	cmd   *exec.Cmd
	in    io.WriteCloser
	said  tail
	job   Job
	state state
	spent int // tenths of the timeout
	limit reactor.DelayedCall
}

// state is what a child does.
type state uint8

const (
	idle    state = iota // its job is done, or nobody wants to know
	working              // at its job
	overdue              // at its job, and killed for taking too long
)

// Self makes commands that run this very program with other arguments: those with which it
// calls [Work]. It is for [Batch.Command].
func Self(args ...string) func() *exec.Cmd {
	return func() *exec.Cmd {
		self, err := os.Executable()
		if err != nil {
			self = os.Args[0]
		}
		cmd := exec.Command(self, args...)
		cmd.Args[0] = os.Args[0]
		return cmd
	}
}

// run starts n children, or fewer if there are fewer jobs.
func (f *fleet) run(n int) {
	for range n {
		f.start()
	}
	f.check()
}

// start starts another child if there is a job for it.
func (f *fleet) start() {
	if f.ended {
		return
	}
	j, ok := f.next()
	if !ok {
		f.ended = true
		return
	}
	f.launch(j)
}

// launch starts a child and gives it j.
func (f *fleet) launch(j Job) {
	c := &child{f: f, cmd: f.command()}
	if err := c.start(); err != nil {
		f.err = fmt.Errorf("starting a process for seed %d: %w", j.Seed, err)
		f.stop()
		return
	}
	f.live = append(f.live, c)
	c.give(j)
}

// check calls over when no child is left.
func (f *fleet) check() {
	if over := f.over; len(f.live) == 0 && over != nil {
		f.over = nil
		over(f.err)
	}
}

// stop ends all children. Their jobs get no verdict.
func (f *fleet) stop() {
	f.ended = true
	for _, c := range f.live {
		c.state = idle
		_ = c.cmd.Process.Kill() // it fails if the child has ended, which is as good
	}
}

func (c *child) start() error {
	c.cmd.Stderr = &c.said
	c.cmd.WaitDelay = time.Second
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	c.in = in
	c.limit.Init(c.f.r, c.expired)
	go c.listen(out)
	return nil
}

// listen reads verdicts until there are no more.
func (c *child) listen(out io.Reader) {
	from := json.NewDecoder(out)
	for {
		var v Verdict
		if err := from.Decode(&v); err != nil {
			if err != io.EOF {
				_ = c.cmd.Process.Kill() // it says something else
			}
			break
		}
		c.f.r.Post(func() { c.answered(v) })
	}
	err := c.cmd.Wait()
	c.f.r.Post(func() { c.gone(err) })
}

// give hands the child a job.
func (c *child) give(j Job) {
	c.job, c.state, c.spent = j, working, 0
	if c.f.timeout > 0 {
		c.limit.Reset(c.f.timeout / 10)
	}
	_ = json.NewEncoder(c.in).Encode(j) // a child that is gone is noticed by listen
}

func (c *child) answered(v Verdict) {
	c.limit.Cancel()
	if c.state != working {
		return // the answer came too late: the job has timed out, and the process is killed
	}
	c.state = idle
	c.f.done(v)
	if !c.f.ended {
		if j, ok := c.f.next(); ok {
			c.give(j)
			return
		}
		c.f.ended = true
	}
	_ = c.in.Close() // it ends
}

// expired is called after each tenth of the timeout. If all processes were stopped meanwhile,
// by Ctrl-Z say, at most one tenth of that time counts.
func (c *child) expired() {
	if c.spent++; c.spent < 10 {
		c.limit.Reset(c.f.timeout / 10)
		return
	}
	c.state = overdue
	_ = c.cmd.Process.Kill()
}

// gone is called when the process has ended. err is that of Wait.
func (c *child) gone(err error) {
	f := c.f
	c.limit.Cancel()
	for i := range f.live {
		if f.live[i] == c {
			f.live = append(f.live[:i], f.live[i+1:]...)
			break
		}
	}
	switch {
	case c.state != idle && interrupted(err): // it had no time to ignore Ctrl-C; the parent hears of that itself
		f.launch(c.job)
	case c.state != idle:
		f.done(c.verdict(err))
		f.start()
	}
	f.check()
}

// interrupted tells whether a process ended because of Ctrl-C.
func interrupted(err error) bool {
	e, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := e.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGINT
}

// verdict is the verdict on a seed whose process is gone.
func (c *child) verdict(err error) Verdict {
	v := Verdict{World: c.job.World, Seed: c.job.Seed, What: "process"}
	if c.job.Faults != nil {
		v.Faults = *c.job.Faults
	} else {
		v.Faults = sim.Swarm(c.job.Seed).String()
	}
	if c.state == overdue {
		v.What = "timeout"
		v.Error = fmt.Sprintf("not over after %v of real time, so its process was killed (more: --timeout)", c.f.timeout)
		return v
	}
	how := "ended early"
	if err != nil {
		how = err.Error()
	}
	v.Error = "the process that ran it is gone: " + how
	if said := c.said.String(); said != "" {
		v.Error += ": " + said
	}
	return v
}

// tail keeps the end of what a process writes to standard error.
type tail struct{ text []byte }

// said is how many bytes a tail keeps at least.
const said = 64 << 10

// Write implements io.Writer.
func (b *tail) Write(p []byte) (int, error) {
	if len(b.text) > 2*said {
		b.text = append(b.text[:0], b.text[len(b.text)-said:]...)
	}
	b.text = append(b.text, p...)
	return len(p), nil
}

// String is the last message of a process that died: the Go runtime's, with what follows it,
// or else the last line.
func (b *tail) String() string {
	text := strings.TrimSpace(string(b.text))
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "fatal error: ") || strings.HasPrefix(line, "panic: ") {
			return strings.Join(lines[i:], "\n")
		}
	}
	return lines[len(lines)-1]
}
