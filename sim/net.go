package sim

import (
	"net/netip"
	"sync"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Net is a simulated network. Its exported fields are set before it is used. Their
// zero values are the perfect network: no latency and no faults, yet seeded in
// what any network leaves open.
//
// Its methods are for one goroutine, and not for a Rule. They may be called in
// functions given to At and in callbacks, except Run, RunUntil, Step and Close.
type Net struct {
	// MaxChunk is the most bytes that one read or write moves; how many of them is
	// drawn each time. Zero: no limit.
	MaxChunk int
	// MinLatency and MaxLatency bound how long a segment travels between two hosts;
	// it is drawn for each. Within a host it takes no time, unless SetLatency says.
	MinLatency, MaxLatency time.Duration
	// Latency, unless zero, is how long instead, with a distribution of its own.
	Latency Latency
	// Bandwidth is how many bytes per second go over each direction of each link between
	// two hosts. Segments of all connections leave one after the other; each takes 40
	// bytes besides its data. Only then their latency begins. Zero or negative: no limit.
	Bandwidth int
	// Lossy is the probability, from 0 to 1, that a segment between hosts is lost at the
	// first try; it is sent again 200 ms later, and comes through unless the Rule drops it.
	Lossy float64
	// SendBuffer and RecvBuffer are the sizes of a socket's buffers in bytes. Zero:
	// 128 KiB.
	SendBuffer, RecvBuffer int
	// Backlog is the most connections that may wait to be accepted. Zero: 4096.
	Backlog int
	// MaxDescriptors is how many sockets a host may have open. Zero: no limit.
	MaxDescriptors int
	// RetryTimeout is how long something is sent again before the connection, or the
	// attempt to connect, ends with kernel.ErrTimeout. Zero: two minutes.
	RetryTimeout time.Duration
	// Spurious is the probability, from 0 to 1, that a look at a kernel's sockets
	// also reports an armed one that is not ready.
	Spurious float64
	// MaxTurns is how many turns reactors may make without time moving before that
	// is a livelock. Zero: 100,000.
	MaxTurns int
	// Rule, unless nil, is asked about each segment as it arrives. It must not call
	// the Net or what lives on it.
	Rule func(*Segment) Verdict
	// Config is for each host's reactor. If Resolver is nil it is one that knows the
	// hosts by name; if Panicked is nil, a panic in a callback ends the run.
	Config reactor.Config
	// Resolving, unless nil, is asked at each look-up of a name by a host: the answer takes
	// delay more, and is err unless that is nil. h is nil if the asking reactor is none
	// of this network's. It may use the Net.
	Resolving func(h *Host, name string) (delay time.Duration, err error)
	// Wrap, unless nil, is asked for the kernel that a host's reactor is to stand on,
	// whenever it gets a new one; k is the host's own. What it returns passes handles of k on
	// to k as it got them; of interfaces beyond kernel.Kernel it needs
	// its own, but for probe.Observer and probe.Forcer, which are found through a method
	// Unwrap() kernel.Kernel; without it most invariants are not looked at, and neither for
	// conns of its own that lack Unwrap() kernel.Conn. h.Kernel and h.Reactor are not there
	// yet. For planted bugs.
	Wrap func(h *Host, k kernel.Kernel) kernel.Kernel
	// Idle, unless nil, is called when a kernel that drives itself is about to move the
	// clock. It may wait for real, so that goroutines outside of the simulation, which
	// have no share in its time, can finish and call Wake.
	Idle func()
	// Sites is how many of the rare branches inside the reactor are forced, see
	// Site: each is enabled in a run with probability Sites/4, and then taken one
	// time in four. 1 is a good mix, 4 is all of them. Zero: none. A correct program
	// works as ever.
	Sites float64
	// Resets is the probability, from 0 to 1, that a read, a write or an accept finds the
	// connection reset, at the sites for that.
	Resets float64
	// KeepTrace keeps the trace as text, for Trace, and as data, for Events; the Hash is
	// there always.
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
	byName   map[string]*Host
	byIP     map[netip.Addr]*Host
	links    map[[2]int]*link
	parked   []*half
	turn     int // the host to look at first
	still    int // turns since time moved
	socks    int // made so far
	trace    trace
	scratch  Segment
	sites    sites
	broken   *InvariantError // the first
	segments uint64          // sent so far
	nemesis  *nemesis        // what Apply set going, nil in calm
}

const (
	defaultBuffer       = 128 << 10
	defaultBacklog      = 4096
	defaultRetryTimeout = 2 * time.Minute
	defaultMaxTurns     = 100_000
)

// New makes a network without hosts. Its clock stands at one nanosecond, because a
// kernel's is always positive.
func New(seed uint64) *Net {
	n := &Net{
		seed: seed, random: random{seed}, now: 1,
		byName: map[string]*Host{}, byIP: map[netip.Addr]*Host{}, links: map[[2]int]*link{},
	}
	n.moved.L = &n.mu
	return n
}

// OpenKernel is New(seed).Kernel().
func OpenKernel(seed uint64) kernel.Kernel { return New(seed).Kernel() }

// Kernel opens a kernel that drives itself, on the host "localhost"; several share
// that host's addresses and ports, as processes do. Its Wait delivers what is due and,
// when nothing is ready, moves the clock to what comes next; it blocks for real when
// nothing can come but a Wake. Several may be used at a time, each on a goroutine of
// its own; a run is determined by its seed only if one goroutine does everything.
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

// Now is the time since the simulation began: true time. Every host's clock shows it,
// unless Host.SetClock says otherwise.
func (n *Net) Now() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now
}

// At has fn called when the clock stands at d, outside of every callback; at once,
// in the next step, if that has passed. Functions of the same time are called in
// the order of these calls, before anything arrives. fn may use every host.
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

// rouse lets kernels that sleep look again.
func (n *Net) rouse() {
	if n.asleep > 0 {
		n.moved.Broadcast()
	}
}

// tie draws a place among the events of one moment, behind all calls.
func (n *Net) tie() uint64 { return n.random.next() | 1<<63 }

// step does the first event, which is due.
func (n *Net) step() {
	e := n.events.pop()
	if e.what == call {
		n.note(opCall, nil, 0)
		for _, h := range n.hosts {
			h.touch()
		}
		n.mu.Unlock()
		defer n.mu.Lock()
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

// due tells whether an event is.
func (n *Net) due() bool { return n.events.len() > 0 && n.events.next() <= n.now }

// next is when the next event is; kernel.Forever if there is none.
func (n *Net) next() time.Duration { return n.events.next() }

func (n *Net) chunk(m int) int {
	if n.MaxChunk > 0 {
		m = min(m, 1+n.random.below(n.MaxChunk))
	}
	return m
}

func or[T int | time.Duration](v, zero T) T {
	if v > 0 {
		return v
	}
	return zero
}

func (n *Net) sendBuffer() int             { return or(n.SendBuffer, defaultBuffer) }
func (n *Net) recvBuffer() int             { return or(n.RecvBuffer, defaultBuffer) }
func (n *Net) retryTimeout() time.Duration { return or(n.RetryTimeout, defaultRetryTimeout) }

// Close closes the reactors of all hosts: their connections are lost, and their
// shutdown triggers run. Then nothing may be in use any more. It returns Err.
func (n *Net) Close() error {
	for _, h := range n.hosts {
		if h.up {
			h.Reactor.Close()
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leftovers()
	return n.failed()
}
