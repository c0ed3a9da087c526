package reactor

import (
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// Config configures a Reactor. The zero value is the defaults.
type Config struct {
	// Logger gets what happens seldom: ports opened and closed, connections refused,
	// panics, failures of the kernel. Nothing is logged per message, and what a peer can
	// cause is logged at a limited rate ([LogLimit]). Nil: errors go to slog.Default(), such
	// as the panics of callbacks and the failures of the kernel, and the rest is not logged.
	// A Handler is called on the loop's goroutine, so it must not block: a pipe that nobody
	// reads would stop the loop. Package logqueue makes one of any Handler that cannot.
	Logger *slog.Logger
	// Panicked is called on the loop's goroutine with each panic recovered from
	// a callback, after the panic was logged. With a nil Logger, panics are told here and
	// not logged. Nil: they are only logged. A callback that is called after the reactor has
	// stopped panics on its caller's goroutine (THR-32), and Panicked is called there.
	Panicked func(*PanicError)
	// MaxBufferedTotal is how many bytes of memory the unsent output of all connections
	// together may take, counted in pieces of 16 KiB. Slices given to WriteShared are the
	// caller's memory and do not count. If more is needed, the connections that hold the most
	// end with [ErrBufferFull], one after the other until a sixteenth is free. So one that does
	// not read costs the others nothing. Zero: 1 GiB; negative: no limit (CORE-52).
	MaxBufferedTotal int
	// ReadBuffer is the size in bytes of the buffer that all reads share. One wake-up
	// reads no more than that from one connection. Zero or negative: 256 KiB.
	ReadBuffer int
	// Slow is how long a callback may take before it counts as slow: while it runs, all other
	// connections wait. Each slow one is counted in Stats.Slow, and the log has its name, one
	// record a second at most. Stats.Slowest and Stats.TurnTimes then have the longest
	// callback and a histogram. It costs two readings of the clock a turn, and one more for
	// each further callback of the turn. Zero or negative: nothing is measured (CORE-53).
	Slow time.Duration
	// PoolSize is how many goroutines may run the program's blocking work at a time
	// (InThread, CallInThread). Zero or negative: 10 (THR-10).
	PoolSize int
	// Resolver turns host names into addresses. Nil: [SystemResolver].
	Resolver Resolver
	// Signals stop the reactor when they are delivered while it runs. One that comes when it
	// was stopped already, by a signal or by Stop, has the effect of StopWaiting, and later
	// ones have their default action. Nil: the reactor takes no signals. Programs usually use [StopSignals].
	Signals []os.Signal
	// ShutdownTimeout limits how long a shutdown waits, from its beginning: for the functions
	// of AddWaitTrigger, and then for blocking work to finish. Afterwards the shutdown goes on
	// without them, and Run returns ErrUnfinished. A Stop during a startup that waits is
	// limited in the same way, and the shutdown that follows has what is left of the time.
	// On a kernel that does the work itself, work given to Pool directly has no limit. Zero:
	// one minute; negative: no limit.
	ShutdownTimeout time.Duration
}

// Resolver turns a host name into addresses.
type Resolver interface {
	// Resolve looks name up. It calls done once, on the loop's goroutine, with at least
	// one address or an error, and never before Resolve returns. cancel gives up the
	// look-up; done is then not called. Resolve and cancel are called on the loop's
	// goroutine. If Resolve panics, the look-up fails with the [PanicError].
	Resolve(r *Reactor, name string, done func([]netip.Addr, error)) (cancel func())
}

// StreamConfig configures the buffers of a stream. [ListenConfig] and
// [DialConfig] embed it.
type StreamConfig struct {
	// HighWater and LowWater are in bytes that are buffered and unsent. A registered
	// producer is paused when more than HighWater are buffered, and resumed when they
	// have fallen to LowWater (PROD-4). Zero: 64 KiB and 0. LowWater must not be
	// negative and must be below HighWater; otherwise the error is ErrMarks.
	HighWater int
	LowWater  int
	// MaxBuffered is how many bytes may be buffered and unsent. A write beyond it is
	// refused, and the connection ends with [ErrBufferFull]. Zero: 64 MiB; negative: no
	// limit. Config.MaxBufferedTotal limits all connections together.
	MaxBuffered int
	// CloseTimeout is how long a connection that ends may go without progress in sending
	// what is buffered. Then it is reset, with [ErrCloseTimeout]. It is also how long
	// delivering what the peer sent before its reset may take altogether. Zero: 30 s;
	// negative: no limit.
	CloseTimeout time.Duration
}

// ListenConfig configures a port. Nil and the zero value are the defaults.
type ListenConfig struct {
	StreamConfig
	// ListenOptions are for the kernel: the options of sockets, Backlog and ReusePort.
	kernel.ListenOptions
	// PortLimits are MaxConnections, MaxPerPeer and AcceptRate. By default nothing is limited.
	PortLimits
	// ShareLimits has the limits of that port, of the same reactor or group, hold for both together: their
	// connections are counted in one place. PortLimits is then ignored. If clients wait at several
	// of the ports, these accept one at a time in turn, and the one that has waited longest is
	// first. It is for places that listen at several addresses. Nil: the port has limits of its
	// own (TCP-92, TCP-95).
	ShareLimits Listening
}

// DialConfig configures a connector. Nil and the zero value are the defaults.
type DialConfig struct {
	StreamConfig
	// DialOptions are for the kernel: the options of sockets, and Bind, the local address
	// (TCP-32).
	kernel.DialOptions
	// Timeout limits the look-up of a name and the connecting to its addresses, both
	// together (TCP-33). Each address gets its share of it. Zero: 30 s; negative: no
	// limit.
	Timeout time.Duration
	// AttemptDelay is the time between the start of one address of a name and the start
	// of the next. Both attempts then go on side by side. Zero: 300 ms; negative: one
	// address at a time. At most 32 addresses of a name are tried, both families in turn.
	AttemptDelay time.Duration
	// Family selects the addresses of a name that are tried. Zero: any family.
	Family Family
}

// Defaults of StreamConfig and DialConfig.
const (
	defaultHighWater    = 64 << 10
	defaultMaxBuffered  = 64 << 20
	defaultTotal        = 1 << 30
	defaultTimeout      = 30 * time.Second
	defaultCloseTimeout = 30 * time.Second
)

// fill sets the defaults of zero fields. It fails with ErrMarks.
func (c *StreamConfig) fill() error {
	if c.HighWater == 0 {
		c.HighWater = defaultHighWater
	}
	if c.MaxBuffered == 0 {
		c.MaxBuffered = defaultMaxBuffered
	}
	if c.CloseTimeout == 0 {
		c.CloseTimeout = defaultCloseTimeout
	}
	if c.LowWater < 0 || c.LowWater >= c.HighWater {
		return ErrMarks
	}
	return nil
}

// complete copies c and fills in the defaults.
func (c *StreamConfig) complete() (StreamConfig, error) {
	var full StreamConfig
	if c != nil {
		full = *c
	}
	return full, full.fill()
}

// complete copies c and fills in the defaults.
func (c *ListenConfig) complete() (ListenConfig, error) {
	var full ListenConfig
	if c != nil {
		full = *c
	}
	return full, full.fill()
}

// complete copies c and fills in the defaults.
func (c *DialConfig) complete() (DialConfig, error) {
	var full DialConfig
	if c != nil {
		full = *c
	}
	if full.Timeout == 0 {
		full.Timeout = defaultTimeout
	}
	return full, full.fill()
}
