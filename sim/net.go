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
	// Idle, unless nil, is called when a kernel that drives itself is about to move the
	// clock. It may wait for real, so that goroutines outside of the simulation, which
	// have no share in its time, can finish and call Wake.
	Idle func()
	// KeepTrace keeps the trace as text, for Trace; the Hash is there always.
	KeepTrace bool

	mu      sync.Mutex
	moved   sync.Cond // something happens sooner than a sleeping kernel knew
	asleep  int
	seed    uint64
	random  random
	now     time.Duration
	events  events
	order   uint64 // of calls at one moment
	hosts   []*Host
	byName  map[string]*Host
	byIP    map[netip.Addr]*Host
	links   map[[2]int]*link
	parked  []*half
	turn    int // the host to look at first
	still   int // turns since time moved
	socks   int // made so far
	trace   trace
	scratch Segment
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
	return n.newKernel(h, true)
}

// Seed is what New was given.
func (n *Net) Seed() uint64 { return n.seed }

// Now is the time since the simulation began. Every host's clock is the same.
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
	n.schedule(event{at: max(d, n.now), tie: n.order, what: call, fn: fn})
}

func (n *Net) schedule(e event) {
	n.events.push(e)
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
func (n *Net) due() bool { return len(n.events) > 0 && n.events[0].at <= n.now }

// next is when the next event is; kernel.Forever if there is none.
func (n *Net) next() time.Duration {
	if len(n.events) == 0 {
		return kernel.Forever
	}
	return n.events[0].at
}

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

// Resolve is reactor.Resolver: it knows the hosts by name, IPv4 first, and fails
// with kernel.ErrNoRoute for others. An answer takes as long as a segment there and back.
func (n *Net) Resolve(r *reactor.Reactor, name string, done func([]netip.Addr, error)) (cancel func()) {
	n.mu.Lock()
	h := n.byName[name]
	d := n.draw(n.MinLatency, n.MaxLatency) + n.draw(n.MinLatency, n.MaxLatency)
	n.mu.Unlock()
	answer := r.CallLater(d, func() {
		if h == nil {
			done(nil, fail("resolve", kernel.ErrNoRoute))
			return
		}
		done([]netip.Addr{h.ip4, h.ip6}, nil)
	})
	return func() { answer.Cancel() }
}

// Close closes the reactors of all hosts: their connections are lost, and their
// shutdown triggers run.
func (n *Net) Close() {
	for _, h := range n.hosts {
		if h.up {
			h.Reactor.Close()
		}
	}
}

var _ reactor.Resolver = (*Net)(nil)
