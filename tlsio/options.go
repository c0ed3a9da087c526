package tlsio

import (
	"runtime"
	"time"
)

// Options are what TLS connections may be told besides the tls.Config. Nil and the
// zero value are the defaults. They are read when a factory or a connection is made.
//
// Connections on one reactor whose Options are equal share buffers, and the bound
// Workers.
type Options struct {
	// HandshakeTimeout is how long a handshake may take, all told. Zero: 10 s;
	// negative: no limit. Then the connection is reset, with ErrHandshakeTimeout.
	HandshakeTimeout time.Duration
	// HandshakeBytes is the most bytes that the peer may send in a handshake. Zero:
	// 128 KiB; negative: no limit. Then the connection is reset, with
	// ErrHandshakeTooLong.
	HandshakeBytes int
	// CloseTimeout is how long a Close waits for the peer, to take what was written
	// or to answer close_notify, without any progress (TLS-26). Zero: 5 s;
	// negative: no limit. Then the connection is reset, with ErrCloseTimeout.
	CloseTimeout time.Duration
	// Workers is how many handshakes compute at a time, for one reactor, on
	// goroutines of its pool. A handshake that waits for its peer holds none. Zero:
	// one less than the processors, so that the loop has one, and at least one. It is
	// also bounded by reactor.Config.PoolSize.
	Workers int
	// Stack is where handshakes compute.
	Stack Stack
	// ShrinkIdle is how long a connection must have been idle to give the buffers
	// inside crypto/tls back, some 4 KiB, or more after large records. The next
	// message makes new ones. It reaches into tls.Conn by reflection, and does
	// nothing where that is not as expected. Zero: never.
	ShrinkIdle time.Duration
	// Pipelined says what becomes of bytes that the application was given behind the
	// command that starts TLS.
	Pipelined Pipelined
}

// Stack is where handshakes compute.
type Stack uint8

const (
	// StackAuto is StackLoop on a simulated kernel, and else StackPool.
	StackAuto Stack = iota
	// StackPool computes on goroutines of the reactor's pool. Callbacks of the
	// tls.Config run there, and may block.
	StackPool
	// StackLoop computes on the loop, about half a millisecond at a time. Callbacks of
	// the tls.Config must not block. The order of events depends on nothing else.
	StackLoop
)

// Pipelined is what becomes of bytes that came behind the command that starts TLS.
type Pipelined uint8

const (
	// Refuse ends the connection with ErrPipelined.
	Refuse Pipelined = iota
	// Discard drops them.
	Discard
	// Feed takes them for the beginning of the peer's handshake, which must then be
	// what they are. It is for protocols whose peers do not wait for a reply.
	Feed
)

const (
	defaultHandshakeTimeout = 10 * time.Second
	defaultHandshakeBytes   = 128 << 10
	defaultCloseTimeout     = 5 * time.Second
)

// orDefault is what o says.
func (o *Options) orDefault() Options {
	if o == nil {
		return Options{}
	}
	return *o
}

// withDefault is v, the default if it is zero, and max if it is negative.
func withDefault[T int | time.Duration](v, zero, none T) T {
	switch {
	case v == 0:
		return zero
	case v < 0:
		return none
	}
	return v
}

func (o Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return max(1, runtime.GOMAXPROCS(0)-1)
}
