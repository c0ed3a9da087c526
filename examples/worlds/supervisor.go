package worlds

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/examples/supervisor/supervise"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
	"github.com/whorl-go/whorl/sim"
)

// The rules of the supervisors of this world.
const (
	supervisorRestarts = 8
	supervisorWithin   = 20 * time.Second
	supervisorSilence  = 2 * time.Second
	supervisorGrace    = 500 * time.Millisecond
	supervisorPause    = 5 * time.Second // after it has given up
)

// Supervisor is examples/supervisor: two hosts with three workers each, one for one and one for all. The workers fail in all ways:
// they crash with a line half written, hang, ignore SIGTERM, end at once. It checks that
//   - a supervisor never has two of the same worker at a time, and one for all never two runs of the set;
//   - a worker that is left behind by a supervisor never works beside its successor;
//   - no supervisor makes more restarts than it may, and it gives up sometimes;
//   - what is delivered of each worker's output is what it has written, once and in order, and all of it if it has ended in order;
//   - every worker works again soon after the faults.
func Supervisor() sim.World { return supervisorWorld(func(*supervise.Supervisor) {}) }

// supervisorWorld is Supervisor, with a function that changes each supervisor before it starts.
func supervisorWorld(prepare func(*supervise.Supervisor)) sim.World {
	return sim.World{
		Name:   "supervisor",
		About:  "supervisors that start workers again, one for one and one for all, while those crash and hang",
		Length: 40 * time.Second,
		Settle: 30 * time.Second,
		Faults: steady,
		Setup: func(n *sim.Net) sim.Checks {
			small(n)
			w := &supervisors{n: n, prepare: prepare, workers: map[string]*simWorker{}}
			n.Program("/bin/worker", w.work)
			c := sim.Checks{Always: w.always}
			for _, name := range []string{"one", "all"} {
				x := &supervisorHost{w: w, name: name, random: chance{n.Seed()}}
				w.hosts = append(w.hosts, x)
				n.Host(name).Start(x.start)
				for _, worker := range workerNames {
					c.Eventually = append(c.Eventually, sim.Condition{Name: worker + " of " + name + " works again", Holds: func() bool { return w.worksAgain(name + "/" + worker) }})
				}
			}
			for _, state := range []string{"a supervisor gives up", "a worker that ignores SIGTERM is killed", "a worker is left behind", "a line is half written"} {
				c.Sometimes = append(c.Sometimes, sim.Condition{Name: state})
			}
			return c
		},
	}
}

var workerNames = [...]string{"a", "b", "c"}

type supervisors struct {
	verdict
	n       *sim.Net
	prepare func(*supervise.Supervisor)
	hosts   []*supervisorHost
	workers map[string]*simWorker // by host and name and number
	lives   []*simWorker          // that have not ended, or began a short time ago
	working []*simWorker          // that have their lock, and had not ended when always looked
	calm    time.Duration         // when the faults ended; 0: not yet
	worked  map[string]time.Duration
}

// supervisorHost is a host with a supervisor.
type supervisorHost struct {
	w      *supervisors
	name   string
	life   int // of its program
	random chance
}

// simWorker is one worker process.
type simWorker struct {
	w       *supervisors
	p       *sim.Program
	key     string // host/name
	life    string // of the supervisor that has started it
	run     string
	began   time.Duration
	random  chance
	out     *reactor.Stream
	written int  // lines
	told    int  // of them, by the supervisor
	deaf    bool // to SIGTERM, and hangs
	ended   bool // in order, so all it has written must come
}

func (x *supervisorHost) start(h *sim.Host) {
	x.life++
	s := &supervise.Supervisor{
		Together:    x.name == "all",
		Backoff:     retry.Exponential{Initial: 50 * time.Millisecond, Max: 4 * time.Second, Jitter: 50 * time.Millisecond},
		Random:      &x.random,
		MaxRestarts: supervisorRestarts, Within: supervisorWithin,
		Silence: supervisorSilence, Grace: supervisorGrace,
	}
	s.Line = func(w *supervise.Worker, pid int, line []byte, whole bool) { x.line(w.Name, pid, string(line), whole) }
	r := h.Reactor
	s.GaveUp = func() {
		r.Sometimes("a supervisor gives up", true)
		r.CallLater(supervisorPause, func() { x.start(h) })
	}
	life := x.name + "." + strconv.Itoa(x.life)
	for _, name := range workerNames {
		s.Workers = append(s.Workers, supervise.Worker{Name: name, Command: process.Command{Path: "worker",
			Args: []string{"worker", x.name + "/" + name}, Env: []string{"LIFE=" + life}}})
	}
	x.w.prepare(s)
	s.Start(r)
}

// line compares what the supervisor was given with what the worker has written.
func (x *supervisorHost) line(name string, pid int, line string, whole bool) {
	key := fmt.Sprintf("%s/%s/%d", x.name, name, pid)
	o := x.w.workers[key]
	if o == nil {
		x.w.fail("output", "%s has written %q before it began", key, line)
		return
	}
	want := o.lineNumber(o.told)
	switch {
	case whole && line != want, !whole && !strings.HasPrefix(want, line):
		x.w.fail("output", "%s: %q came, and not %q", key, line, want)
	case whole:
		o.told++
		if x.w.worked == nil {
			x.w.worked = map[string]time.Duration{}
		}
		x.w.worked[o.key] = x.w.n.Now()
	default:
		x.w.n.Sometimes("a line is half written", true)
	}
}

func (o *simWorker) lineNumber(n int) string { return fmt.Sprintf("%s line %d", o.key, n) }

// work is the program of a worker.
func (w *supervisors) work(p *sim.Program) {
	o := &simWorker{w: w, p: p, key: p.Args[1], life: p.Getenv("LIFE"), run: p.Getenv("RUN"), began: w.n.Now(), random: chance{w.n.Seed()<<20 + uint64(p.Pid())}}
	w.workers[fmt.Sprintf("%s/%d", o.key, p.Pid())] = o
	w.lives = append(w.lives, o)
	w.compare(o)
	if w.wild() && o.random.Float64() < 0.2 {
		p.Exit(3) // before anything
		return
	}
	// A worker that a killed supervisor has left behind has the lock until it finds the end of its input.
	if _, err := p.Host().Kernel.Listen(kernel.UNIXAddr("@"+o.key), nil); err != nil {
		if !errors.Is(err, kernel.ErrAddrInUse) && !errors.Is(err, kernel.ErrTooManyFiles) {
			w.fail("starts", "%s: %w", o.key, err)
		}
		w.n.Sometimes("a worker is left behind", true)
		p.Exit(75)
		return
	}
	w.working = append(w.working, o)
	stdin := &watchdog{gone: func() { p.Exit(0) }}
	if _, err := p.Attach(0, stdin); err != nil {
		w.fail("starts", "%s: input: %w", o.key, err)
		return
	}
	var err error
	if o.out, err = p.Attach(1, &watchdog{}); err != nil {
		w.fail("starts", "%s: output: %w", o.key, err)
		return
	}
	beat, err := p.Attach(3, &watchdog{})
	if err != nil {
		w.fail("starts", "%s: beat: %w", o.key, err)
		return
	}
	o.plan(beat)
}

// watchdog is told of the end of a pipe.
type watchdog struct {
	reactor.Base
	gone func()
}

func (d *watchdog) DataReceived([]byte) {}

func (d *watchdog) ConnectionLost(error) {
	if d.gone != nil {
		d.gone()
	}
}

// wild tells whether workers fail.
func (w *supervisors) wild() bool { return w.calm == 0 }

// plan has o work, until it fails.
func (o *simWorker) plan(beat *reactor.Stream) {
	r, p := o.p.Reactor(), o.p
	hangs := false
	tick := new(reactor.DelayedCall)
	tick.Init(r, func() {
		tick.Reset(200 * time.Millisecond)
		if hangs {
			return
		}
		_, _ = beat.Write([]byte("."))
		o.write()
	})
	tick.Reset(0)
	if !o.w.wild() {
		return
	}
	after := time.Duration(o.random.Float64() * float64(12*time.Second))
	r.CallLater(after, func() {
		switch how := o.random.Float64(); {
		case !o.w.wild():
		case how < 0.3: // a crash, with half a line
			text := o.lineNumber(o.written)
			_, _ = o.out.Write([]byte(text[:len(text)-1]))
			r.CallLater(time.Millisecond, func() { p.Exit(1) })
			hangs = true
		case how < 0.5: // in order
			hangs = true
			o.leave()
		case how < 0.8:
			hangs = true
			if how < 0.7 {
				o.deaf = true
				p.Handle(syscall.SIGTERM, nil)
			}
		default:
			p.Exit(2)
		}
	})
}

func (o *simWorker) write() {
	n, _ := o.out.Write([]byte(o.lineNumber(o.written) + "\n"))
	if n > 0 {
		o.written++
	}
}

// leave ends o when everything is written.
func (o *simWorker) leave() {
	if o.out.Buffered() > 0 {
		o.p.Reactor().CallLater(time.Millisecond, o.leave)
		return
	}
	o.ended = true
	o.p.Exit(0)
}

func (o *simWorker) alive() bool { return o.p.Host().Up() }

// compare looks at those that run when o starts.
func (w *supervisors) compare(o *simWorker) {
	live := w.lives[:0]
	recent := 0
	for _, x := range w.lives {
		if x.life == o.life && o.began-x.began < supervisorWithin-5*time.Second {
			recent++
		}
		if x.alive() || o.began-x.began < supervisorWithin {
			live = append(live, x)
		}
		if x == o || x.life != o.life {
			continue
		}
		gone := !x.alive()
		if gone && x.deaf {
			w.n.Sometimes("a worker that ignores SIGTERM is killed", true)
		}
		switch {
		case gone && x.key == o.key && x.ended && x.told != x.written:
			w.fail("all output", "%s has written %d lines as %d, and %d came", x.key, x.written, x.p.Pid(), x.told)
		case gone:
		case x.key == o.key:
			w.fail("one of each", "%s runs twice, as %d and %d", o.key, x.p.Pid(), o.p.Pid())
		case strings.HasPrefix(o.key, "all/") && x.run != o.run:
			w.fail("one run", "%s of run %s starts while %s of run %s runs", o.key, o.run, x.key, x.run)
		}
	}
	w.lives = live
	each := 1
	if strings.HasPrefix(o.key, "all/") {
		each = len(workerNames)
	}
	if most := supervisorRestarts*each + len(workerNames); recent > most {
		w.fail("no storm", "%s has started %d workers in a short time, and may start %d", o.life, recent, most)
	}
}

func (w *supervisors) worksAgain(key string) bool {
	if w.calm == 0 {
		w.calm = w.n.Now()
	}
	return w.worked[key] > w.calm
}

// always is called after each event, so it looks only at those that work.
func (w *supervisors) always() error {
	live := w.working[:0]
	for _, o := range w.working {
		if !o.alive() {
			continue
		}
		for _, x := range live {
			if x.key == o.key {
				w.fail("one works", "%s works twice, as %d and %d", o.key, x.p.Pid(), o.p.Pid())
			}
		}
		live = append(live, o)
	}
	w.working = live
	return w.first
}
