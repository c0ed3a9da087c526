package double

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Transport is a recording transport, for the test of one protocol alone. The test calls the protocol's methods itself:
//
//	transport := double.NewTransport(t, nil)
//	p.ConnectionMade(transport)
//	p.DataReceived([]byte("hello"))
//	transport.Written()
//
// Whether it takes a write, and what it does with a producer, a real stream on the simulated kernel decides, which Unwrap
// returns. It differs in these points:
//
//   - It never calls the protocol. Close, Abort and CloseWrite are remembered, and the test calls
//     ConnectionLost itself. [TransportConfig].Loses has it called.
//   - Local and Remote are those of the TransportConfig.
//   - What a real transport forgives fails the test, unless the TransportConfig is Lenient: pausing or resuming after StopProducing,
//     Close or Abort, and unregistering without a producer.
type Transport struct {
	t       testing.TB
	s       *reactor.Stream
	cfg     TransportConfig
	written []byte
	reading ReadState
	ending  Ending
	halved  bool
	lost    bool // Loses has been told
	watched *producer
}

// TransportConfig configures a [Transport]. Nil and the zero value are the defaults.
type TransportConfig struct {
	// Local and Remote are the addresses. Zero: 10.0.0.1:12345 and 192.168.1.1:54321.
	Local, Remote kernel.Addr
	// Stream has the marks and limits of the stream.
	Stream reactor.StreamConfig
	// Lenient forgives what a real transport forgives.
	Lenient bool
	// Loses, if not nil, is the protocol whose ConnectionLost is called inside the first Close or Abort. A real transport
	// calls it later; use it for a protocol of which the test only wants to see the end.
	Loses reactor.Protocol
	// Reactor is a reactor of [New]. Nil: a new one.
	Reactor *reactor.Reactor
}

// ReadState says whether a source of bytes produces.
type ReadState uint8

// The states.
const (
	Producing ReadState = iota
	Paused
	Stopped
)

// String is "producing", "paused" or "stopped".
func (s ReadState) String() string { return [...]string{"producing", "paused", "stopped"}[s] }

// Ending says whether the protocol has ended its connection.
type Ending uint8

// The values of Ending.
const (
	Open    Ending = iota
	Closing        // by Close or StopProducing
	Aborted        // by Abort
)

// String is "open", "closing" or "aborted".
func (e Ending) String() string { return [...]string{"open", "closing", "aborted"}[e] }

var (
	_ reactor.Connection   = (*Transport)(nil)
	_ reactor.Vectored     = (*Transport)(nil)
	_ reactor.SharedWriter = (*Transport)(nil)
	_ reactor.FileSender   = (*Transport)(nil)
	_ reactor.Retirer      = (*Transport)(nil)
)

// NewTransport returns a connected transport. Everything it needs ends with the test.
func NewTransport(t testing.TB, o *TransportConfig) *Transport {
	t.Helper()
	x := &Transport{t: t}
	if o != nil {
		x.cfg = *o
	}
	if x.cfg.Local.IsZero() {
		x.cfg.Local = address("10.0.0.1:12345")
	}
	if x.cfg.Remote.IsZero() {
		x.cfg.Remote = address("192.168.1.1:54321")
	}
	p := deafPump(t, x.cfg.Reactor, &x.cfg.Stream)
	if err := p.Client.v.setFree(); err != nil { // so that the stream is always rid of what it sends
		t.Fatalf("arming: %v", err)
	}
	x.s = p.Server.Stream
	return x
}

// Written returns what the protocol has written since the last Clear.
func (x *Transport) Written() string { return string(x.written) }

// Clear forgets what was written.
func (x *Transport) Clear() { x.written = nil }

// Ending tells whether Close or Abort was called.
func (x *Transport) Ending() Ending { return x.ending }

// WriteClosed tells whether CloseWrite was called.
func (x *Transport) WriteClosed() bool { return x.halved }

// Connected tells whether the protocol has a connection: until TransportConfig.Loses was told.
func (x *Transport) Connected() bool { return !x.lost }

// State tells whether the read side produces: by PauseProducing, ResumeProducing and StopProducing.
func (x *Transport) State() ReadState { return x.reading }

// Producer is the producer that is registered, or nil. That of a pull producer is flow.Pull's own.
func (x *Transport) Producer() reactor.Producer {
	if x.watched == nil {
		return nil
	}
	return x.watched.p
}

// Flush has the peer take everything. So a producer that was paused because of the high-water mark is resumed. It returns whether anything has moved.
func (x *Transport) Flush() bool {
	x.t.Helper()
	before := x.s.Stats()
	for still := 0; still < quiet; still++ {
		was := x.s.Stats()
		if err := x.s.Reactor().Turn(0); err != nil {
			x.t.Fatalf("turn: %v", err)
		}
		if x.s.Stats() != was {
			still = 0
		}
	}
	return x.s.Stats() != before
}

// Unwrap returns the stream.
func (x *Transport) Unwrap() reactor.Transport { return x.s }

// Local implements reactor.Transport.
func (x *Transport) Local() kernel.Addr { return x.cfg.Local }

// Remote implements reactor.Transport.
func (x *Transport) Remote() kernel.Addr { return x.cfg.Remote }

// Reactor implements reactor.Transport. Its clock is for [Advance].
func (x *Transport) Reactor() *reactor.Reactor { return x.s.Reactor() }
