package tlsio

import (
	"crypto/tls"
	"math"
	"runtime"
	"time"
)

// Options configure TLS connections besides the tls.Config. Nil and the zero value are
// the defaults. They are read when a factory or a connection is made.
//
// Connections on one reactor share buffers and the bounds MaxPendingHandshakes,
// MaxPendingPerPeer and Workers if their Options are equal.
type Options struct {
	// HandshakeTimeout is how long a whole handshake may take. The time in which it waits
	// for a worker is not counted; all such time together may be as long again. Zero: 10 s;
	// negative: no limit. When it is over, the connection is reset, with
	// ErrHandshakeTimeout, or ErrHandshakeQueued if it was waiting for a worker. A callback
	// of the tls.Config that is running then sees the context of its ClientHelloInfo or
	// CertificateRequestInfo end, and should return.
	HandshakeTimeout time.Duration
	// HandshakeBytes is the most bytes that the peer may send in a handshake. Negative: no
	// limit. Zero: 1 MiB, but 192 KiB for a server that asks for no client certificate. That
	// is more than the longest messages that crypto/tls takes, in records of 64 bytes or
	// more. If the peer sends more, the connection is reset, with ErrHandshakeTooLong.
	HandshakeBytes int
	// CloseTimeout is how long a Close waits without progress for the peer to take what
	// was written and to answer close_notify (TLS-26). Zero: 5 s; negative: no limit.
	// When it is over, the connection is reset, with ErrCloseTimeout.
	CloseTimeout time.Duration
	// MaxPendingHandshakes is how many handshakes of servers may be in progress on one
	// reactor, see Stats.Pending. A connection beyond that is reset at once, with
	// ErrHandshakesBusy. Zero: 1024; negative: no limit.
	MaxPendingHandshakes int
	// MaxPendingPerPeer is how many of these one peer may have: an IPv4 address, or an IPv6
	// network of 64 bits. Raise it if many clients come from one address, as behind a
	// proxy. Peers without an IP address have no such limit. Zero: a quarter of
	// MaxPendingHandshakes, at most 256; negative: no limit.
	MaxPendingPerPeer int
	// Workers is how many handshakes of one reactor run at a time, on goroutines for
	// handshakes alone, which start when they are needed. A handshake that waits for its
	// peer holds none. Zero: one less than the processors, which leaves one to the loop, but
	// at least one. A handshake that has run for 10 ms without a pause is then taken to wait
	// in a callback of the tls.Config, and not counted. All together are at most 1024.
	// A number above zero counts those that wait in callbacks too.
	Workers int
	// Stack is where handshakes compute.
	Stack Stack
	// ShrinkIdle is how long nothing must have come on a connection before it gives back the
	// buffers for input inside crypto/tls: 4 KiB, or more after large records. The next message
	// that comes makes new ones. It reaches into tls.Conn by reflection, and does nothing if a Go release has
	// changed what it finds there. Zero: never.
	ShrinkIdle time.Duration
	// Pipelined says what to do with bytes that the application has received behind the
	// command that starts TLS.
	Pipelined Pipelined
}

// Stack is where handshakes compute.
type Stack uint8

const (
	// StackPool computes on goroutines for handshakes alone. Callbacks of the tls.Config
	// run there, and may block. A simulated kernel computes on the loop, after a virtual
	// time. The default.
	StackPool Stack = iota
	// StackLoop computes on the loop, about half a millisecond at a time. Callbacks of
	// the tls.Config must not block. The order of events depends on nothing else.
	StackLoop
)

// Pipelined says what to do with bytes that came behind the command that starts TLS.
type Pipelined uint8

const (
	// Refuse ends the connection with ErrPipelined.
	Refuse Pipelined = iota
	// Discard drops the bytes.
	Discard
	// Feed gives the bytes to TLS as the beginning of the peer's handshake. It is for
	// protocols whose peers do not wait for a reply.
	Feed
)

const (
	defaultHandshakeTimeout = 10 * time.Second
	defaultPending          = 1024 // the most that are blocked, too
	defaultCloseTimeout     = 5 * time.Second
)

// What a peer may send in a handshake, unless Options.HandshakeBytes says otherwise. A message
// has at most 64 KiB in crypto/tls, and a Certificate 256 KiB. A server of TLS 1.2 sends the
// most: a Certificate and seven others. A client without a certificate sends two hellos and two
// short messages. In records of 64 bytes half as much comes on top.
const (
	handshakeBytes            = 1 << 20
	handshakeBytesOfAnonymous = 192 << 10
)

// maxRead is how many bytes the peer may send in a handshake with cfg.
func (o Options) maxRead(cfg *tls.Config, client bool) int {
	zero := handshakeBytes
	if !client && cfg.ClientAuth == tls.NoClientCert && cfg.GetConfigForClient == nil {
		zero = handshakeBytesOfAnonymous
	}
	return withDefault(o.HandshakeBytes, zero, math.MaxInt)
}

// orDefault is *o, or the defaults if o is nil.
func (o *Options) orDefault() Options {
	if o == nil {
		return Options{}
	}
	return *o
}

// withDefault is v, but zero if v is 0, and none if v is negative.
func withDefault[T int | time.Duration](v, zero, none T) T {
	switch {
	case v == 0:
		return zero
	case v < 0:
		return none
	}
	return v
}

// workers returns how many steps of handshakes may run at a time, and how many of them may
// compute.
func (o Options) workers() (most, compute int) {
	if o.Workers > 0 {
		return o.Workers, o.Workers
	}
	return defaultPending, max(1, runtime.GOMAXPROCS(0)-1)
}
