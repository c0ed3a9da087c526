package sim

import (
	"net/netip"
	"sync"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Net is a simulated network. Its exported fields are set before it is used, Options also
// between steps. The zero Options is the perfect network, in which the seed still decides
// what any network leaves open.
//
// Its methods are for one goroutine, and not for a Rule. They may be called in
// functions given to At and in callbacks, except Run, RunUntil, Step and Close.
type Net struct {
	// Options are the conditions of the network. Fields from Clog to Drift take effect in
	// Apply. Apply changes them, and Calm sets them back.
	Options Options
	// MaxTurns is how many turns reactors may make without time moving before that
	// is a livelock. Zero: 100,000. Where there is no latency, on UNIX sockets and within a host, no
	// time passes: a program that sends more there at one moment needs more. Turns of a transfer
	// that Chunk or buffers cut into pieces do not count, up to 64 times MaxTurns.
	MaxTurns int
	// Config is for each host's reactor. A nil Resolver is one that knows the hosts by
	// name. With a nil Panicked a panic in a callback ends the run: the turn ends, and then Run,
	// RunUntil or Step panics with the *reactor.PanicError.
	Config reactor.Config
	// Resolving, if set, is called at each look-up of a name by a host. The answer takes
	// delay more; if err is not nil, the look-up fails with it. h is nil if the asking
	// reactor does not belong to this network. It may use the Net.
	Resolving func(h *Host, name string) (delay time.Duration, err error)
	// Wrap, if set, replaces the kernel of a host's reactor; tests use it to plant bugs. It
	// is called each time the host starts, before h.Kernel and h.Reactor are set; k is the
	// host's own kernel. The result must:
	//
	//   - hand k's handles back to k unchanged;
	//   - implement any capability it changes;
	//   - have a method Unwrap() kernel.Kernel, through which the rest is found.
	//
	// Most invariants are not checked on a kernel without Unwrap, nor for conns of its own
	// without Unwrap() kernel.Conn.
	Wrap func(h *Host, k kernel.Kernel) kernel.Kernel
	// Idle, if set, is called when a kernel that drives itself is about to move the clock.
	// It may wait in real time, so that goroutines outside of the simulation can finish and
	// call Wake.
	Idle func()
	// KeepTrace keeps the trace, for Trace and Events. Hash needs no trace.
	KeepTrace bool

	mu       sync.Mutex
	moved    sync.Cond // something happens sooner than a sleeping kernel knew
	asleep   int
	seed     uint64
	random   random
	now      time.Duration
	events   events
	order    uint64 // of calls at one moment
	hosts    []*Host
	left     []func() // of programs that have ended without their loop, until Close
	byName   map[string]*Host
	byIP     map[netip.Addr]*Host
	links    map[[2]int]*link
	parked   []*half
	turn     int // the host to look at first
	still    int // turns since time moved
	socks    int // made so far
	programs int // begun so far
	trace    trace
	rules    []*rule // in the order in which they are asked
	scratch  Segment
	sites    sites
	broken   *InvariantError // the first
	segments uint64          // sent so far
	lastEnd  lastEnd         // of sockets that nobody has any more
	nemesis  *nemesis        // the faults of Apply; nil in calm
	turning  *Host           // whose reactor makes a turn
	lookups  random          // for Options.Resolve
	works    random          // for Options.Work
	air      air             // the datagrams under way
	children children        // of programs
	branches []*branch       // of Reactor.Rare, in the order in which they became known
	branchOf map[string]*branch
	states   []State        // of Sometimes, in the order in which they became known
	stateOf  map[string]int // where each stands in states

	cut      int                 // how many turns a piece takes that was written in this turn; 0: all was taken
	cuts     int                 // of the turns that still counts, those that took pieces from one end to the other
	inTurn   bool                // a reactor makes a turn, or is started for one
	panicked *reactor.PanicError // the first of the turn, which ends the run after it
	spin     spin                // what is called while time stands still
}

const (
	defaultBuffer       = 128 << 10
	defaultBacklog      = 4096
	defaultRetryTimeout = 2 * time.Minute
	defaultMaxTurns     = 100_000
)

// New makes a network without hosts. Its clock begins at one nanosecond, because a kernel's
// clock is always positive.
func New(seed uint64) *Net {
	n := &Net{
		seed: seed, random: random{seed}, now: 1, lookups: stream(seed, "nemesis resolve"), works: stream(seed, "work"),
		air: air{random: stream(seed, "packets")}, children: children{random: stream(seed, "children")},
		byName: map[string]*Host{}, byIP: map[netip.Addr]*Host{}, links: map[[2]int]*link{}, stateOf: map[string]int{}, branchOf: map[string]*branch{},
	}
	n.moved.L = &n.mu
	return n
}

// Of is the network that k, or the kernel inside its wrappers, belongs to; nil if it is not a
// simulated kernel.
func Of(k kernel.Kernel) *Net {
	if s, ok := kernel.As[*simKernel](k); ok {
		return s.n
	}
	return nil
}

// OpenKernel is New(seed).Kernel().
func OpenKernel(seed uint64) kernel.Kernel { return New(seed).Kernel() }

// Kernel opens a kernel that drives itself, on the host "localhost". Several kernels share
// that host's addresses and ports, as processes do. Wait delivers what is due. When nothing
// is ready, it moves the clock to the next event; if only a Wake can come, it blocks in real
// time. Several kernels may be used at a time, each on a goroutine of its own; a run is
// determined by its seed only if one goroutine uses all of them.
func (n *Net) Kernel() kernel.Kernel {
	h := n.Host("localhost")
	n.mu.Lock()
	defer n.mu.Unlock()
	h.shared = true
	k := n.newKernel(h, true)
	h.alone = append(h.alone, k)
	return k
}

// Seed is what New was given.
func (n *Net) Seed() uint64 { return n.seed }

// Now is true time: the time since the simulation began. Every host's clock shows it, unless
// Host.SetClock has set the clock.
func (n *Net) Now() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now
}

// At has fn called at the time d, outside of every callback; in the next step if d has
// passed. Functions of the same time are called in the order of the calls of At, before
// anything arrives. fn may use every host.
func (n *Net) At(d time.Duration, fn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.order++
	n.schedule(max(d, n.now), n.order, event{what: call, fn: fn})
}

// schedule has e happen at the time at. tie decides among events of the same moment.
func (n *Net) schedule(at time.Duration, tie uint64, e event) {
	n.events.push(at, tie, e)
	n.rouse()
}

// rouse wakes kernels that sleep, so that they look at the events again.
func (n *Net) rouse() {
	if n.asleep > 0 {
		n.moved.Broadcast()
	}
}

// tieBreak draws a place among the events of one moment, behind all calls.
func (n *Net) tieBreak() uint64 { return n.random.next() | 1<<63 }

// step does the first event, which is due.
func (n *Net) step() {
	e := n.events.pop()
	if e.what == call {
		n.note(OpCall, nil, 0)
		n.touchAll()
		n.mu.Unlock()
		defer n.mu.Lock()
		e.fn()
		return
	}
	if e.what == ready {
		e.fn()
		return
	}
	if e.flow.epoch != e.epoch {
		return
	}
	switch e.what {
	case arrive:
		e.flow.arrive()
	case again:
		e.flow.resend()
	case giveUp:
		e.flow.giveUp()
	}
}

// due tells whether an event is due.
func (n *Net) due() bool { return n.events.len() > 0 && n.events.next() <= n.now }

// next is when the next event is; kernel.Forever if there is none.
func (n *Net) next() time.Duration { return n.events.next() }

func (n *Net) chunk(m int) int {
	if n.Options.Chunk > 0 {
		m = min(m, 1+n.random.below(n.Options.Chunk))
	}
	return m
}

func or[T int | time.Duration](v, zero T) T {
	if v > 0 {
		return v
	}
	return zero
}

func (n *Net) sendBuffer() int             { return or(n.Options.SendBuffer, defaultBuffer) }
func (n *Net) recvBuffer() int             { return or(n.Options.RecvBuffer, defaultBuffer) }
func (n *Net) retryTimeout() time.Duration { return or(n.Options.RetryTimeout, defaultRetryTimeout) }

// Close closes the reactors of all hosts: their connections are lost, and their
// shutdown triggers run. Then nothing may be in use any more. What programs that have crashed
// have left to Reactor.OnDeath is freed now and not earlier, because it may run code of theirs, such
// as deferred functions of coroutines, and a crash runs none. It returns Err.
func (n *Net) Close() error {
	for _, h := range n.everyProgram() {
		if h.up {
			h.Reactor.Close()
		}
	}
	for _, fn := range n.left {
		fn()
	}
	n.left = nil
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.hosts {
		h.leftovers()
	}
	n.account()
	return n.failed()
}
