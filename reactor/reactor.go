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
)

// Reactor is one loop on one goroutine. Its methods are for that goroutine only, except those whose
// comment says otherwise, such as Post, Tell, Stop, StopWaiting, Done, Running, Ending, CallInThread, SuggestPoolSize and
// ExitSignal, which are for any goroutine. Before Run, Start or the first Turn, the goroutine that sets the
// reactor up counts as the loop's. A method that is given no function to call panics, unless its comment says that nil is not called.
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
	streams    int           // connections that are not lost
	attached   *streamParams // of the streams that Attach has made last
	drains     []*Drain      // in progress
	endReasons endReasons

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
// stops, or in [Reactor.Close]. It panics if k is nil, as it is if whatever was to open it has failed.
func New(k kernel.Kernel, c Config) *Reactor {
	if k == nil {
		panic("reactor: New without a kernel; look at the error of what was to open it")
	}
	r := &Reactor{
		k: k, cfg: c, log: c.Logger,
		ready:     make([]kernel.Event, eventsPerWait),
		events:    make(map[string]*phases.Event),
		factories: &factoryUses{of: make(map[Factory]factoryUse)},
		stopped:   make(chan struct{}),
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
	Turns        uint64 // turns of the loop; while it awaits the next input of a lone client, several for each
	Events       uint64 // sockets reported ready, some of them too soon by a kernel.Guesser
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
