package reactor

import (
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// Config is what a Reactor may be told. The zero value is the defaults.
type Config struct {
	// Logger hears of the edges of life: ports opened and closed, connections
	// refused, panics, failures of the kernel. Nil: silence. Nothing is logged
	// per message.
	Logger *slog.Logger
	// Panicked is called on the loop's goroutine with each panic recovered from
	// a callback, after it was logged. Nil: nothing more than the log.
	Panicked func(*PanicError)
	// ReadBuffer is the size in bytes of the one buffer that reads use, and so
	// the most that one wake-up reads from one connection. Zero: 256 KiB.
	ReadBuffer int
	// PoolSize is how many goroutines may run blocking work at a time
	// (CallInThread). Zero: 10 (THR-10).
	PoolSize int
	// Resolver turns host names into addresses. Nil: the system's resolver, run
	// in the pool.
	Resolver Resolver
	// Signals stop the reactor when they are delivered while it runs. Nil: none
	// are taken; [StopSignals] is the usual choice of a program.
	Signals []os.Signal
}

// Resolver turns a host name into addresses.
type Resolver interface {
	// Resolve looks name up and calls done once on the loop's goroutine, never
	// before Resolve returns, with at least one address or an error. cancel, on
	// the loop's goroutine, gives up: done is then not called.
	Resolve(r *Reactor, name string, done func([]netip.Addr, error)) (cancel func())
}

// StreamConfig configures the buffers of a stream. [ListenConfig] and
// [DialConfig] embed it.
type StreamConfig struct {
	// HighWater and LowWater are the marks, in bytes buffered and unsent, at
	// which a registered producer is paused and resumed. Zero: 64 KiB and 0
	// (PROD-4). LowWater must be below HighWater.
	HighWater int
	LowWater  int
	// MaxBuffered is the most bytes that may be buffered and unsent. A write
	// beyond it is refused and the connection ends with [ErrBufferFull]. Zero:
	// 1 GiB; negative: no limit.
	MaxBuffered int
}

// ListenConfig configures a port. Nil and the zero value are the defaults.
type ListenConfig struct {
	StreamConfig
	// ListenOptions go to the kernel: NoDelay, KeepAlive and Backlog.
	kernel.ListenOptions
}

// DialConfig configures a connector. Nil and the zero value are the defaults.
type DialConfig struct {
	StreamConfig
	// DialOptions go to the kernel: NoDelay, KeepAlive and Bind, the local
	// address (TCP-32).
	kernel.DialOptions
	// Timeout is how long the look-up of a name and connecting to its addresses may take
	// together (TCP-33); each address gets its share of it. Zero: 30 s; negative: no
	// limit.
	Timeout time.Duration
	// AttemptDelay is how long after one address of a name the next is tried as well.
	// Zero: 300 ms; negative: one address at a time.
	AttemptDelay time.Duration
	// Family is the family of the addresses of a name that are tried. Zero: any.
	Family Family
}

// Defaults of StreamConfig and DialConfig.
const (
	defaultHighWater   = 64 << 10
	defaultMaxBuffered = 1 << 30
	defaultTimeout     = 30 * time.Second
)

func (c *StreamConfig) fill() error {
	if c.HighWater == 0 {
		c.HighWater = defaultHighWater
	}
	if c.MaxBuffered == 0 {
		c.MaxBuffered = defaultMaxBuffered
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
