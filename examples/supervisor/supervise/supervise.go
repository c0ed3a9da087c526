// Package supervise keeps worker processes running: it starts a worker again when it has ended, later after each failure, and gives up when
// they fail too often.
package supervise

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
)

// Worker is a program that is to run.
type Worker struct {
	// Name is for reports, and no other worker has it.
	Name string
	// Command is what is started. Its Files and AtStop are set by the Supervisor: the worker's standard input is a pipe that ends when the supervisor does; its output and error output are
	// one pipe for lines; and 3 is a pipe on which it writes something now and then, to show that it lives. RUN in its environment says how often the worker's set was started.
	Command process.Command
}

// Supervisor keeps workers running. Its fields are set before Start, and it is for the loop's goroutine.
type Supervisor struct {
	// Workers are those that run.
	Workers []Worker
	// Together has all workers end, and start again, when one has ended (one for all). Otherwise only that one does (one for one).
	Together bool
	// Backoff is how long to wait before a restart. The failures are counted anew for a worker, or a set, that has run for Within.
	Backoff retry.Exponential
	// Random is for Backoff. It may be nil.
	Random retry.Source
	// If MaxRestarts workers, or sets, were started again in the last Within, the next one is not: the supervisor gives up, and ends all.
	MaxRestarts int
	Within      time.Duration
	// A worker that writes nothing on 3 for Silence is asked to end, and killed when Grace is over. Zero: that is not looked at.
	Silence, Grace time.Duration
	// Line gets each line of output without its end. whole is false for what a worker has left without an end at last, and for a part of a line of
	// more than 64 KiB. line is valid in the call.
	Line func(w *Worker, pid int, line []byte, whole bool)
	// GaveUp is called when the supervisor has given up, and no worker runs any more.
	GaveUp func()

	r        *reactor.Reactor
	groups   []*group
	restarts []time.Duration // of the last Within
	over     bool            // it has given up
}

// group is what is started and ended together.
type group struct {
	s        *Supervisor
	workers  []*Worker
	running  []*run
	failures int
	starts   int
	since    time.Duration
	ending   bool // one has ended, and so do the others
	timer    reactor.DelayedCall
}

// Start starts the workers on r. They end with r.
func (s *Supervisor) Start(r *reactor.Reactor) {
	s.r = r
	for i := range s.Workers {
		if i == 0 || !s.Together {
			g := &group{s: s}
			g.timer.Init(r, g.restart)
			s.groups = append(s.groups, g)
		}
		g := s.groups[len(s.groups)-1]
		g.workers = append(g.workers, &s.Workers[i])
	}
	for _, g := range s.groups {
		g.start()
	}
}

// restart starts g again, unless there was too much of it.
func (g *group) restart() {
	s, now := g.s, g.s.r.Now()
	if s.over || s.r.Ending() {
		return
	}
	s.restarts = slices.DeleteFunc(s.restarts, func(at time.Duration) bool { return now-at > s.Within })
	if len(s.restarts) >= s.MaxRestarts {
		s.giveUp()
		return
	}
	s.restarts = append(s.restarts, now)
	g.start()
}

func (g *group) start() {
	g.since, g.ending = g.s.r.Now(), false
	g.starts++
	for _, w := range g.workers {
		if !g.spawn(w) {
			g.end()
			return
		}
	}
}

// spawn starts one worker. It returns false if that is not possible now.
func (g *group) spawn(w *Worker) bool {
	cmd := w.Command
	cmd.Files = map[int]process.File{0: process.WritePipe(), 1: process.ReadPipe(), 2: process.Same(1), 3: process.ReadPipe()}
	cmd.Env = append(slices.Clone(cmd.Env), "RUN="+strconv.Itoa(g.starts))
	if cmd.AtStop = g.s.Grace; cmd.AtStop == 0 {
		cmd.AtStop = -1
	}
	x := &run{g: g, w: w}
	if _, err := process.Spawn(g.s.r, &cmd, x); err != nil {
		return false
	}
	g.running = append(g.running, x)
	return true
}

// end ends all of g, because one has ended or could not start.
func (g *group) end() {
	if !g.ending {
		g.ending = true
		for _, x := range g.running {
			_ = x.C.Kill(g.s.Grace)
		}
	}
	switch {
	case len(g.running) > 0:
	case g.s.over:
		g.s.ended()
	case g.s.r.Ending():
	default:
		if g.s.Within > 0 && g.s.r.Now()-g.since >= g.s.Within {
			g.failures = 0
		}
		wait, _ := g.s.Backoff.Delay(g.failures, g.s.Random)
		g.failures++
		g.timer.Reset(wait)
	}
}

// giveUp ends all workers.
func (s *Supervisor) giveUp() {
	s.over = true
	for _, g := range s.groups {
		g.timer.Cancel()
		if len(g.running) > 0 {
			g.end()
		}
	}
	s.ended()
}

// ended tells that the supervisor has given up, when nothing runs.
func (s *Supervisor) ended() {
	for _, g := range s.groups {
		if len(g.running) > 0 {
			return
		}
	}
	if told := s.GaveUp; told != nil {
		s.GaveUp = nil
		told()
	}
}

// Running is how many workers run.
func (s *Supervisor) Running() (n int) {
	for _, g := range s.groups {
		n += len(g.running)
	}
	return n
}

// run is a worker that runs.
type run struct {
	process.Base
	g       *group
	w       *Worker
	pid     int
	part    []byte
	silence reactor.DelayedCall
}

// ChildMade is process.Protocol.
func (x *run) ChildMade(c *process.Child) {
	x.C, x.pid = c, c.Pid()
	x.silence.Init(c.Reactor(), func() { _ = c.Kill(x.g.s.Grace) })
	x.alive()
}

func (x *run) alive() {
	if x.g.s.Silence > 0 {
		x.silence.Reset(x.g.s.Silence)
	}
}

// maxLine is the most bytes of a line that are kept.
const maxLine = 64 << 10

// DataReceived is process.Protocol.
func (x *run) DataReceived(fd int, p []byte) {
	if fd == 3 {
		x.alive()
		return
	}
	x.part = append(x.part, p...)
	for {
		line, rest, whole := bytes.Cut(x.part, []byte("\n"))
		switch {
		case len(line) > maxLine:
			x.tell(line[:maxLine], false)
			x.part = x.part[maxLine:]
		case whole:
			x.tell(line, true)
			x.part = rest
		default:
			return
		}
	}
}

// Exited is process.ExitListener.
func (x *run) Exited(process.Status) { x.silence.Cancel() }

// Ended is process.Protocol.
func (x *run) Ended(process.Status) {
	x.silence.Cancel()
	if len(x.part) > 0 {
		x.tell(x.part, false)
	}
	x.g.running = slices.DeleteFunc(x.g.running, func(o *run) bool { return o == x })
	x.g.end()
}

func (x *run) tell(line []byte, whole bool) {
	if x.g.s.Line != nil {
		x.g.s.Line(x.w, x.pid, line, whole)
	}
}
