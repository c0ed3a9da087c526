//go:build unix

package process_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// churn starts children of all kinds and ends them in random order, up to so many at a time. When all were started it stops the
// reactor with those that are left.
type churn struct {
	t       *testing.T
	r       *reactor.Reactor
	rnd     *rand.Rand
	left    int // to be started
	running map[*watcher]bool
	most    int
	scarce  int // starts that have failed for want of
	want    error
	user    *kernel.Credential // of the children; nil: ours
	ended   int
	atStop  map[int]*watcher // by the numbers of the processes
}

// programs never end by themselves, but for the first two.
func (c *churn) command() *process.Command {
	programs := [][]string{{"/bin/true"}, {"/bin/sh", "-c", "echo out; echo err >&2; exit 7"}, {"/bin/cat"}, {"/bin/sleep", "1000"}, {"/usr/bin/yes"},
		{"/bin/sh", "-c", "exec sleep 1000 <&- >&- 2>&-"}, {"/bin/sh", "-c", "trap '' TERM; exec sleep 1000"}}
	p := programs[c.rnd.IntN(len(programs))]
	cmd := process.NewCommand(p[0], p[1:]...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	switch c.rnd.IntN(8) {
	case 0:
		cmd.Files = map[int]process.File{}
	case 1:
		cmd.Files = map[int]process.File{0: process.Null(), 1: process.ReadPipe(), 2: process.Same(1)}
	}
	cmd.AtStop = []time.Duration{0, -1, time.Millisecond}[c.rnd.IntN(3)]
	cmd.Group = c.rnd.IntN(2) == 0
	cmd.Credential = c.user
	return cmd
}

// step starts children, and ends some of those that run.
func (c *churn) step() {
	for c.left > 0 && len(c.running) < c.most {
		c.left--
		w := new(watcher)
		child, err := process.Spawn(c.r, c.command(), w)
		if err != nil {
			if c.scarce++; c.want == nil || !errors.Is(err, c.want) {
				c.t.Errorf("Spawn: %v", err)
			}
			break
		}
		c.running[w] = true
		w.onEnded = func() { delete(c.running, w); c.ended++ }
		if c.rnd.IntN(3) == 0 {
			child.Write(make([]byte, c.rnd.IntN(200_000)))
		}
		if c.rnd.IntN(10) == 0 {
			child.PauseProducing()
		}
	}
	for w := range c.running {
		switch c.rnd.IntN(20) {
		case 0:
			w.c.Kill(0)
		case 1:
			w.c.Kill(time.Duration(c.rnd.IntN(3)) * time.Millisecond)
		case 2:
			w.c.Signal(syscall.SIGINT)
		case 3:
			w.c.Close()
		case 4:
			w.c.CloseStdin()
		case 5:
			w.c.KillGroup(time.Duration(c.rnd.IntN(3)) * time.Millisecond)
		case 6:
			w.c.ResumeProducing()
		}
	}
	if c.left == 0 {
		for w := range c.running {
			c.atStop[w.c.Pid()] = w
		}
		c.r.Stop()
		return
	}
	c.r.CallLater(0, c.step)
}

// run runs n children on a kernel of w, at most so many at a time, and checks that nothing is left.
func (c *churn) run(w testworld.World, n, most int, seed uint64) {
	t := c.t
	c.rnd, c.left, c.most, c.running = rand.New(rand.NewPCG(seed, 0)), n, most, map[*watcher]bool{}
	c.atStop = map[int]*watcher{}
	k, err := w.Open(t), error(nil)
	c.r = reactor.New(k, reactor.Config{Panicked: func(e *reactor.PanicError) { t.Errorf("%v\n%s", e, e.Stack) }})
	c.r.CallLater(0, c.step)
	if err = c.r.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if len(c.running) != 0 || c.ended+c.scarce < n {
		t.Errorf("%d children of %d have ended, %d were not started, %d run", c.ended, n, c.scarce, len(c.running))
	}
	for pid, w := range c.atStop {
		if pid > 0 && w.end != nil && errors.Is(*w.end, reactor.ErrStopped) { // it is left to itself
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	noChildren(t)
	t.Logf("seed %d: %d ended, %d not started, %d at the stop", seed, c.ended, c.scarce, len(c.atStop))
}

// Thousands of children, started and ended in random order, the last by the end of the reactor, leave no process, descriptor or
// goroutine. (The last is TestMain's to see.)
func TestChurn(t *testing.T) {
	n := 2000
	if raced || testing.Short() {
		n = 200
	}
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			leaktest.KeepsDescriptors(t)
			(&churn{t: t}).run(w, n, 20, uint64(n)+uint64(len(name)))
		})
		n = min(n, 200)
	}
}

// The same with 64 descriptors, and with a user who may have ten processes, which do not suffice for all.
func TestChurnScarce(t *testing.T) {
	const nproc = 6 // RLIMIT_NPROC of Linux
	for what, c := range map[string]struct {
		limit func() error
		churn churn
	}{
		"descriptors": {func() error { return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: 64}) },
			churn{want: kernel.ErrTooManyFiles}},
		"processes": {func() error { return syscall.Setrlimit(nproc, &syscall.Rlimit{Cur: 10, Max: 10}) },
			churn{want: kernel.ErrTooManyProcesses, user: &kernel.Credential{UID: 54321, GID: 54321}}},
	} {
		t.Run(what, func(t *testing.T) {
			if c.churn.user != nil && (runtime.GOOS != "linux" || os.Getuid() != 0) {
				t.Skip("the limit of another user needs root, and is that of Linux")
			}
			if os.Getenv("WHORL_SCARCE") == "" {
				cmd := exec.Command(os.Args[0], "-test.run=^TestChurnScarce$/^"+what+"$", "-test.v", "-test.timeout=60s")
				cmd.Env = append(os.Environ(), "WHORL_SCARCE=yes")
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.Contains(string(out), "--- PASS: TestChurnScarce/"+what) {
					t.Errorf("%v\n%s", err, out)
				}
				return
			}
			for name, w := range testworld.Native() {
				t.Run(name, func(t *testing.T) {
					leaktest.KeepsDescriptors(t)
					if err := c.limit(); err != nil {
						t.Fatal(err)
					}
					x := c.churn
					x.t = t
					x.run(w, 200, 40, 7)
					if x.scarce == 0 || x.ended == 0 {
						t.Errorf("%d children were started, and %d were not", x.ended, x.scarce)
					}
				})
			}
		})
	}
}

// A child that becomes a daemon: two forks, a session of its own, and its streams are not the pipes any more. The end comes when the first
// process has exited, and the daemon lives on.
func TestDaemon(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		setsid, err := exec.LookPath("setsid")
		if err != nil {
			t.Skip(err)
		}
		file := filepath.Join(t.TempDir(), "pid")
		w := new(watcher)
		spawn(t, r, sh("("+setsid+" sh -c 'echo $$ >$1.new; mv $1.new $1; exec sleep 1000' sh $1 </dev/null >/dev/null 2>&1 &) ; exit 0", file), w)
		until(t, r, w.ended)
		if w.end.Code != 0 {
			t.Error(w.end)
		}
		var text []byte
		for range 5000 {
			if text, _ = os.ReadFile(file); len(text) > 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if pid := atoi(string(text)); stateOf(pid) == "" {
			t.Errorf("the daemon %q is gone", text)
		}
		killNumber(t, text)
	})
}

// A child that floods both outputs while we pause: what we hold is bounded, and it ends when it is killed.
func TestFlood(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		w := new(watcher)
		c := spawn(t, r, sh("yes & exec yes >&2"), w)
		w.onData = func(int, []byte) { w.got[1], w.got[2] = w.got[1][:0], w.got[2][:0] }
		until(t, r, func() bool { return w.c.Transport(1).Stats().In > 10<<20 })
		c.PauseProducing()
		in := c.Transport(1).Stats().In + c.Transport(2).Stats().In
		testworld.Turns(t, r, 20)
		if got := c.Transport(1).Stats().In + c.Transport(2).Stats().In; got != in {
			t.Errorf("%d bytes were read while paused", got-in)
		}
		c.Close()
		until(t, r, w.ended)
		if w.end.Signal != syscall.SIGPIPE {
			t.Error(w.end)
		}
	})
}
