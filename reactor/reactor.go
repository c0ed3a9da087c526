package reactor

import (
	"iter"
	"log/slog"
	"os"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/internal/chunks"
	"github.com/whorl-go/whorl/internal/pages"
	"github.com/whorl-go/whorl/internal/phases"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/pool"
)

// Reactor is one loop on one goroutine. Its methods are for that goroutine only, except
// Post, Stop, StopWaiting, Done, Running, CallInThread, SuggestPoolSize and ExitSignal, which
// are for any goroutine. Before Run, Start or the first Turn, the goroutine that sets the
// reactor up counts as the loop's.
type Reactor struct {
	k    kernel.Kernel
	caps capabilities
	cfg  Config
	log  *slog.Logger
	life atomic.Int32 // a life
	// goroutine is the number of the loop's goroutine; 0 before Run, Start or the first Turn.
	goroutine atomic.Uint64
	standIns  atomic.Bool // StandIn was called
	loopPC    uintptr     // see learn
	atDeath   []func()    // of OnDeath

	posts      posts
	timers     timers
	turnTime   time.Duration // the clock, as runDue read it last
	inTurn     bool          // in a turn, in Start, or in a shutdown fired by hand
	turnDriven bool          // Start has started the reactor, so Turn drives it

	slots   pages.Table[source] // by token
	free    []uint32            // tokens that may be assigned
	freed   []uint32            // tokens released in this turn; the batch may still have events for them
	current source              // the source whose event is being handled
	ready   []kernel.Event
	next    int // the next event of ready to handle
	batch   int // how many events of ready the kernel has filled
	replies replies

	hooks
	buf        []byte // lent to DataReceived
	chunks     chunks.FreeList
	maxChunks  int // Config.MaxBufferedTotal
	vec        [][]byte
	dirty      []source // their touched is called before the loop waits
	dirtyBatch []source // the part of dirty that runDirty is working on
	gathered   gathered
	lingerers  lingerers
	streams    int               // connections that are not lost
	attached   *streamParams     // of the streams that Attach has made last
	drains     []*Drain          // in progress
	endReasons map[*Stream]error // why streams end, from end to lose; a Stream has no field for it

	events          map[string]*phases.Event
	factories       *factoryUses            // of each StartStopper that was started here
	packetProtocols map[PacketProtocol]bool // on a port; nil until there is one
	shared          map[reflect.Type]any    // for Shared; nil until there is one
	watches         watches
	work            workerSet
	reserve         reserve
	inherit         func(kernel.Addr) *Inherited // of Inherit
	member          *member                      // in a group; nil: in none
	questions       questions
	shutdown        shutdown
	limits          logLimits
	slow            slow
	optionals       optionals

	waitErr    error // the error of the kernel that ended the run
	waitFailed int   // failures of Kernel.Wait in a row
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

// New makes a reactor on k. From now on k belongs to the reactor, which closes it when it
// stops, or in [Reactor.Close].
func New(k kernel.Kernel, c Config) *Reactor {
	r := &Reactor{
		k: k, cfg: c, log: c.Logger,
		ready:      make([]kernel.Event, eventsPerWait),
		events:     make(map[string]*phases.Event),
		factories:  &factoryUses{of: make(map[Factory]factoryUse)},
		endReasons: make(map[*Stream]error),
		stopped:    make(chan struct{}),
	}
	if r.log == nil {
		r.log = slog.New(errorsToDefault{})
	}
	r.maxChunks = chunksOf(c.MaxBufferedTotal)
	if c.ReadBuffer <= 0 {
		r.cfg.ReadBuffer = defaultReadBuffer
	}
	r.slow.limit = max(c.Slow, 0)
	r.buf = make([]byte, r.cfg.ReadBuffer)
	r.caps.find(k)
	r.hooks.init(k)
	if r.observer != nil {
		r.chunks.Note, r.chunks.Changed = r.noteChunk, r.noteChanged
	}
	r.posts.posted.L = &r.posts.mu
	r.work.init(r)
	r.lingerers.init()
	r.reserve.init(r)
	r.shutdown.init(r)
	r.limits.init(r)
	r.optionals.init()
	r.event(Startup).Builtin = r.started
	e := r.event(Shutdown)
	e.Builtin = r.ending
	e.Ended = func() { r.ended(); r.limits.flushAll() }
	r.learn()
	return r
}

// Kernel is the kernel that New was given.
func (r *Reactor) Kernel() kernel.Kernel { return r.k }

// Logger is Config.Logger, or what takes its place. A package whose objects live on the reactor logs by it, under the rules of
// Config.Logger.
func (r *Reactor) Logger() *slog.Logger { return r.log }

// Now is the reactor's clock: monotonic time since an origin that the kernel chooses
// (TIME-1).
func (r *Reactor) Now() time.Duration { return r.k.Now() }

// Turn makes one turn of the loop, for tests and foreign loops. It waits in the kernel at
// most for timeout; zero does not wait, negative has no limit (CORE-19). If the turn calls a
// posted function or a delayed call first, it does not wait at all, so that
// `for !done { r.Turn(-1) }` sees the effect.
//
// Turn is for a reactor that is not in Run: one that Start has started, one that was never
// started, or one that waits in a Shutdown fired by hand. A Turn during Run or inside a
// Turn panics. On a stopped reactor it fails with ErrNotRestartable. If the kernel of a
// started reactor fails persistently, the reactor shuts down, and the last turn returns the
// kernel's error.
func (r *Reactor) Turn(timeout time.Duration) error {
	if r.is(lifeStopped) {
		return ErrNotRestartable
	}
	if r.inTurn || !r.mayTurn() {
		panic("reactor: Turn inside Turn")
	}
	r.work.start()
	r.claim()
	r.asLoop(func() { r.turn(timeout, waitIfIdle) })
	r.endCrash()
	if r.is(lifeStopped) {
		return r.result()
	}
	return nil
}

// waitPolicy tells whether a turn that has called something still waits.
type waitPolicy bool

const (
	waitAnyway waitPolicy = true  // for Run: one turn comes after the other
	waitIfIdle waitPolicy = false // for Turn, whose caller wants to see the effect
)

// turn makes one turn, or as many as Run needs.
//
// What runs between two waits is in few functions on purpose: the processor does not foresee where a function returns to after a
// system call, so each function that is on the stack meanwhile costs some 20 ns.
func (r *Reactor) turn(timeout time.Duration, p waitPolicy) {
	for {
		r.inTurn = true
		until, goesOn := r.beforeWait(timeout, p)
		if !goesOn {
			break // the kernel is closed and must not be asked again (CORE-27)
		}
		n, err := r.k.Wait(r.ready, until)
		r.afterWait(n, err)
		// A panic ends the source whose event was being handled, and then the rest of the batch is handled.
		for r.next < r.batch || r.replies.held() {
			if e := r.dispatch(); e != nil {
				r.eventPanicked(e)
			}
		}
		r.current = nil
		r.runDirty()
		r.recycle()
		if p == waitIfIdle {
			r.slow.suspends(r)
			break
		}
		if r.is(lifeCrashed) || r.is(lifeStopped) {
			break
		}
	}
	r.inTurn = false
}

// beforeWait makes the part of a turn that comes before the kernel waits. It returns until when that may wait, and false if the reactor has
// stopped.
func (r *Reactor) beforeWait(timeout time.Duration, p waitPolicy) (until time.Duration, goesOn bool) {
	if p == waitIfIdle {
		r.slow.resumes(r)
	}
	r.stats.Turns++
	called := r.stats.Posted + r.stats.DelayedCalls
	if r.timers.Unsettled() {
		r.timers.Settle(r.k.Now())
	}
	// A forcer may leave posted functions for the next turn, as if they had come later. It
	// may not if Stop was called, because what was posted before Stop runs before the
	// shutdown.
	if r.posts.waiting() && (!r.posts.nonEmpty.Load() || r.is(lifeRunningStopPending) || !r.forced(probe.SitePostsLater)) {
		r.runPosted()
	}
	r.runDue()
	switch life(r.life.Load()) {
	case lifeStartingStopPending, lifeStopping:
		r.awaitEnd() // triggers may have been added
	case lifeRunningStopPending:
		r.life.Store(int32(lifeStopping))
		r.event(Shutdown).Fire()
		r.awaitEnd()
		if p == waitIfIdle {
			timeout = 0
		}
	}
	if r.is(lifeStopped) {
		return 0, false
	}
	if p == waitIfIdle && (called != r.stats.Posted+r.stats.DelayedCalls || len(r.dirty) > 0) {
		timeout = 0
	}
	r.runDirty()
	return r.fallAsleep(r.waitDeadline(timeout)), true
}

// waitDeadline is the time until which the kernel may wait, on its clock. Zero means that it
// must not wait.
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

// fallAsleep is called before the kernel waits until a time, and returns until when it may.
func (r *Reactor) fallAsleep(until time.Duration) time.Duration {
	p := &r.posts
	if until != 0 {
		// Whoever posts from here on sees a sleeping loop and rings; what was
		// posted before is seen here. So no wake-up is lost (THR-4, THR-5).
		p.sleep.Store(asleep)
		if p.nonEmpty.Load() || r.is(lifeRunningStopPending) {
			until = 0
		}
	}
	r.slow.ends(r)
	return until
}

// afterWait takes the n events of a wait, and its error.
func (r *Reactor) afterWait(n int, err error) {
	r.slow.begins(r)
	r.posts.sleep.Store(awake)
	r.next, r.batch = 0, n
	r.stats.Events += uint64(n)
	if err == nil {
		r.waitFailed = 0
		return
	}
	r.limits.waits.Log(r, r.log, slog.LevelError, "the kernel cannot wait", slog.Any("err", err))
	if r.waitFailed++; r.waitFailed >= waitFailuresLimit && r.waitErr == nil && !r.is(lifeFresh) {
		r.waitErr = err
		r.Stop()
	}
}

// eventPanicked ends the source whose event was being handled.
func (r *Reactor) eventPanicked(e *PanicError) {
	src := r.current
	if r.lent {
		r.noteDataDone()
	}
	e.In = nameOf(src)
	r.report(e)
	src.panicked(e)
	r.current = nil
}

// dispatch hands the rest of the batch to its sources, and sends the answers that they hold back. A panic leaves it before the end,
// and is returned. So there is one deferred recover a batch, not one an event.
func (r *Reactor) dispatch() (e *PanicError) {
	defer pool.Caught(&e)
	q := &r.replies
	for {
		for r.next < r.batch && !q.full() {
			ev := r.ready[r.next]
			r.next++
			// A slot is empty if its source ended earlier in this batch (FDS-14).
			if src := r.slots.At(int(ev.Token)); src != nil {
				r.current = src
				// Right after a system call, an indirect call costs more than this comparison.
				if s, ok := src.(*Stream); ok {
					s.ready(ev.Ready)
				} else {
					src.ready(ev.Ready)
				}
				if r.slow.limit > 0 {
					r.slow.returned(r, src)
				}
			}
		}
		if !q.held() {
			return nil
		}
		for q.held() {
			s := q.next()
			r.current = s
			b := s.out.Single()
			if b == nil || r.hooked || !s.steady() {
				s.settle()
				continue
			}
			// Nearly every answer is one piece, which the socket takes whole. It is sent here, as settle would.
			s.direct = 0
			n, err := s.conn.Write(b)
			if n < len(b) || err != nil {
				s.wrote(n, true, err)
				s.settle()
				continue
			}
			s.sent += uint64(n)
			s.out.DropSingle(&r.chunks)
		}
		q.first, q.to = 0, 0
	}
}

// Streams iterates over the connections that are not lost yet, in no promised order.
func (r *Reactor) Streams() iter.Seq[*Stream] {
	return func(yield func(*Stream) bool) {
		for _, src := range r.slots.All() {
			if s, ok := src.(*Stream); ok && !yield(s) {
				return
			}
		}
	}
}

// Stats are counters of a reactor since New.
type Stats struct {
	Turns        uint64 // turns of the loop
	Events       uint64 // sockets reported ready
	Posted       uint64 // posted functions called
	DelayedCalls uint64 // delayed calls made
	Accepted     uint64 // connections accepted
	Refused      uint64 // of these, refused by the factory or by a limit, or because no descriptor was left
	Panics       uint64 // panics recovered
	Slow         uint64 // callbacks that took longer than Config.Slow
	Lingered     uint64 // connections closed before the peer had ended: their input was discarded for a while
	Connections  int    // connections that are not lost, now
	Sources      int    // ports, connectors, connections and descriptors now
	Pending      int    // delayed calls now

	// Only if Config.Slow is set:
	Slowest     time.Duration // the longest callback
	SlowestName string        // whose it was: a function, or LogPrefix of a protocol
	TurnTimes   TurnTimes     // how long turns took, without waiting
}

// Stats returns a copy of the counters.
func (r *Reactor) Stats() Stats {
	s := r.stats
	s.Connections = r.streams
	s.Sources = r.slots.Len() - len(r.free) - len(r.freed)
	s.Pending = r.timers.Len()
	return s
}
