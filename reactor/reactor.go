package reactor

import (
	"iter"
	"log/slog"
	"os"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/internal/chunks"
	"github.com/whorl-go/whorl/internal/phases"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/pool"
)

// Reactor is one loop on one goroutine. Its methods are for that goroutine only,
// except Post, Stop, Running, CallInThread and ExitSignal, which are for any.
// Before Run or the first Turn, the loop's goroutine is whichever sets it up.
type Reactor struct {
	k    kernel.Kernel
	caps capabilities
	cfg  Config
	log  *slog.Logger
	life atomic.Int32 // a life

	posts      posts
	timers     timers
	turnTime   time.Duration // a reading of the clock, no later than now
	inTurn     bool          // in a turn, or in Start
	turnDriven bool          // Start has started it: Turn drives it

	slots   []source // by token
	free    []uint32
	freed   []uint32 // in this turn: events for them may still be in the batch
	current source   // whose event is being handled
	ready   []kernel.Event
	next    int // the next of the batch to handle
	batch   int
	replies replies

	hooks
	buf        []byte // lent to DataReceived
	chunks     chunks.FreeList
	vec        [][]byte
	dirty      []source // something to settle before the loop waits
	dirtyBatch []source
	endReasons []endReason // of streams that are about to end

	events    map[string]*phases.Event
	factories map[Factory]int      // uses of those that want to know
	shared    map[reflect.Type]any // nil until there is one
	watches   watches
	work      workerSet
	reserve   reserve

	waitErr    error // why the kernel ended the run
	waitFailed int   // in a row
	stopNotify func()
	exitSignal atomic.Pointer[os.Signal]
	stopped    chan struct{}
	stats      Stats
}

const (
	defaultReadBuffer = 256 << 10
	eventsPerWait     = 512
	waitFailuresLimit = 100
)

// New makes a reactor on k, which is the reactor's from now on: it is closed
// when the reactor stops, or by [Reactor.Close].
func New(k kernel.Kernel, c Config) *Reactor {
	r := &Reactor{
		k: k, cfg: c, log: c.Logger,
		ready:     make([]kernel.Event, eventsPerWait),
		events:    make(map[string]*phases.Event),
		factories: make(map[Factory]int),
		stopped:   make(chan struct{}),
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if c.ReadBuffer <= 0 {
		r.cfg.ReadBuffer = defaultReadBuffer
	}
	r.buf = make([]byte, r.cfg.ReadBuffer)
	r.caps.find(k)
	r.hooks.init(k)
	if r.observer != nil {
		r.chunks.Note = r.noteChunk
	}
	r.posts.posted.L = &r.posts.mu
	r.work.init(r)
	r.reserve.init(r)
	r.event(Startup).Builtin = r.started
	e := r.event(Shutdown)
	e.Builtin, e.Ended = r.ending, r.ended
	return r
}

// Kernel is what the reactor stands on.
func (r *Reactor) Kernel() kernel.Kernel { return r.k }

// Now is the reactor's clock: monotonic, from an origin of the kernel's (TIME-1).
func (r *Reactor) Now() time.Duration { return r.k.Now() }

// Turn makes one turn of the loop and waits in it at most so long; zero does not
// wait, negative has no limit (CORE-19). If the turn called something before it
// came to wait, it does not wait at all, so that `for !done { r.Turn(-1) }` sees
// what was done. Turn is for tests and foreign loops, on a reactor that is not in
// Run: one that Start has started, or that was never started; also while a Shutdown
// fired by hand waits. A Turn inside a Turn, or during Run, panics. On a stopped
// reactor it fails with ErrNotRestartable. If the kernel of a started reactor fails
// persistently, it shuts down, and the last turn returns the kernel's error.
func (r *Reactor) Turn(timeout time.Duration) error {
	if r.is(lifeStopped) {
		return ErrNotRestartable
	}
	if r.inTurn || !r.mayTurn() {
		panic("reactor: Turn inside Turn")
	}
	r.work.start()
	r.turn(timeout, waitIfIdle)
	r.endCrash()
	if r.is(lifeStopped) {
		return r.waitErr
	}
	return nil
}

// waitPolicy is whether a turn that has called something still waits.
type waitPolicy bool

const (
	waitAnyway waitPolicy = true  // Run: the next turn comes at once
	waitIfIdle waitPolicy = false // Turn: the caller wants to see what was done
)

func (r *Reactor) turn(timeout time.Duration, p waitPolicy) {
	r.inTurn = true
	defer func() { r.inTurn = false }()
	r.stats.Turns++
	called := r.stats.Posted + r.stats.DelayedCalls
	if r.timers.Unsettled() {
		r.timers.Settle(r.k.Now())
	}
	// What is posted from outside may always come a little later; but before a shutdown
	// that was asked for after it.
	if !r.posts.nonEmpty.Load() || r.is(lifeRunningStopPending) || !r.forced(probe.SitePostsLater) {
		r.runPosted()
	}
	r.runDue()
	if r.is(lifeRunningStopPending) {
		r.life.Store(int32(lifeStopping))
		r.event(Shutdown).Fire()
		if p == waitIfIdle {
			timeout = 0
		}
	}
	if r.is(lifeStopped) {
		return // no last poll (CORE-27)
	}
	if p == waitIfIdle && (called != r.stats.Posted+r.stats.DelayedCalls || len(r.dirty) > 0) {
		timeout = 0
	}
	r.runDirty()
	r.wait(r.waitDeadline(timeout))
	r.dispatch()
	r.runDirty()
	r.recycle()
}

// waitDeadline is how long the kernel may wait, on its clock.
func (r *Reactor) waitDeadline(timeout time.Duration) time.Duration {
	if timeout == 0 || len(r.dirty) > 0 || r.is(lifeCrashed) {
		return 0
	}
	if r.timers.Unsettled() {
		r.timers.Settle(r.k.Now())
	}
	until := r.timers.Next()
	if timeout > 0 {
		until = min(until, after(r.k.Now(), timeout))
	}
	return until
}

func (r *Reactor) wait(until time.Duration) {
	p := &r.posts
	if until != 0 {
		// Whoever posts from here on sees a sleeping loop and rings; what was
		// posted before is seen here. So no wake-up is lost (THR-4, THR-5).
		p.sleep.Store(asleep)
		if p.nonEmpty.Load() || r.is(lifeRunningStopPending) {
			until = 0
		}
	}
	n, err := r.k.Wait(r.ready, until)
	p.sleep.Store(awake)
	r.next, r.batch = 0, n
	r.stats.Events += uint64(n)
	if err == nil {
		r.waitFailed = 0
		return
	}
	r.log.Error("the kernel cannot wait", slog.Any("err", err))
	if r.waitFailed++; r.waitFailed >= waitFailuresLimit && r.waitErr == nil && !r.is(lifeFresh) {
		r.waitErr = err
		r.Stop()
	}
}

// dispatch hands the batch to its sources. A panic ends the source whose event it was, and
// the rest of the batch goes on.
func (r *Reactor) dispatch() {
	for r.next < r.batch || r.replies.held() {
		if e := pool.Catch(r.dispatchRest); e != nil {
			src := r.current
			if r.lent {
				r.noteDataDone()
			}
			e.In = nameOf(src)
			r.report(e)
			src.panicked(e)
		}
		r.current = nil
	}
}

// dispatchRest hands the rest of the batch to its sources, up to its end or a panic. There
// is one deferred recover a batch, and it is the caller's.
func (r *Reactor) dispatchRest() {
	for r.next < r.batch || r.replies.held() {
		if r.next == r.batch || r.replies.full() {
			r.sendReplies()
			continue
		}
		ev := r.ready[r.next]
		r.next++
		// A slot is empty if its source ended earlier in this batch (FDS-14).
		if src := r.slots[ev.Token]; src != nil {
			r.current = src
			// Behind a system call an indirect call costs more than a comparison.
			if s, ok := src.(*Stream); ok {
				s.ready(ev.Ready)
			} else {
				src.ready(ev.Ready)
			}
		}
	}
}

// Streams walks the connections that are not lost yet, in no promised order.
func (r *Reactor) Streams() iter.Seq[*Stream] {
	return func(yield func(*Stream) bool) {
		for _, src := range r.slots {
			if s, ok := src.(*Stream); ok && !yield(s) {
				return
			}
		}
	}
}

// Stats are counters of a reactor, since it was made.
type Stats struct {
	Turns        uint64 // turns of the loop
	Events       uint64 // sockets reported ready
	Posted       uint64 // posted functions called
	DelayedCalls uint64 // delayed calls made
	Accepted     uint64 // connections accepted
	Refused      uint64 // of these, refused by the factory or for want of descriptors
	Panics       uint64 // panics recovered
	Sources      int    // ports, connectors, connections and descriptors now
	Pending      int    // delayed calls now
}

// Stats is a copy of the counters.
func (r *Reactor) Stats() Stats {
	s := r.stats
	s.Sources = len(r.slots) - len(r.free) - len(r.freed)
	s.Pending = r.timers.Len()
	return s
}
