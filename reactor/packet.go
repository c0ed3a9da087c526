package reactor

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// PacketProtocol is the application's end of a datagram port. Its methods are called on the loop's
// goroutine, never two at a time: StartProtocol once, DatagramReceived any number of times,
// StopProtocol once (UDP-4, UDP-5). Afterwards it may be put on a port again (UDP-6). A panic in
// DatagramReceived is logged, and the port goes on with the next datagram (UDP-13).
//
// A protocol may implement [PacketsReceiver], [DatagramRefusalListener] and [SendFailureListener] too. One that wraps another has
// Unwrap() PacketProtocol, so that these are found in the inner one.
type PacketProtocol interface {
	// StartProtocol is called when the socket is bound, before the first datagram. t stays the same as
	// long as the port lasts. Writing and stopping are allowed here. If it panics, the port is not opened.
	StartProtocol(t PacketTransport)

	// DatagramReceived gets one datagram, which may be empty, and its sender (UDP-9, UDP-11). p belongs to
	// the port again when DatagramReceived returns. A UNIX sender that has bound no name has
	// none: from is the zero Addr (UNIXD-3).
	DatagramReceived(p []byte, from kernel.Addr)

	// StopProtocol is called last, when the socket is closed. err is never nil: [ErrClosed] after
	// StopListening, [ErrStopped] if the reactor stopped, or an [*OpError] if the socket failed.
	StopProtocol(err error)
}

// PacketProtocolAs returns p as a T, or the first T among the protocols that p wraps.
func PacketProtocolAs[T any](p PacketProtocol) (T, bool) { return kernel.Walk[T](p) }

// PacketsReceiver is implemented by a PacketProtocol that takes the datagrams as they were read: many at
// a time, with our address to which each came, and whether it was cut. Then DatagramReceived is not called.
type PacketsReceiver interface {
	// PacketsReceived gets at least one datagram. ps and all that is in it belong to the port again when
	// PacketsReceived returns. After a panic the datagrams of ps count as delivered. Err of each is nil.
	PacketsReceived(ps []kernel.Packet)
}

// TrainsReceiver is a PacketsReceiver that knows trains: datagrams of one size that one sender has sent one after the other, and that the
// system has put together as one [kernel.Packet] with a Segment. To leave them together, and to send them back or on with
// WritePackets, costs the same for one as for sixty. Without TrainsReceiver each datagram is a Packet. A wrapper that has PacketsReceived has its own TakesTrains too.
type TrainsReceiver interface {
	PacketsReceiver
	// TakesTrains is asked once, before StartProtocol. After true, PacketsReceived may get trains, but not if PacketConfig.MaxPacketSize is less than 64 KiB.
	// If it panics, the port is not opened.
	TakesTrains() bool
}

// DatagramRefusalListener is implemented by a PacketProtocol that wants to hear of datagrams that could not be
// delivered. On a connected port the network tells of some of them, for instance when nobody has the
// peer's port (UDP-15, UDP-27). On others refusals are ignored.
type DatagramRefusalListener interface {
	// DatagramRefused is called for each datagram that the system reports. to is where it was sent, p as much of it
	// as the system returns, which may be nothing, and err is kernel.ErrRefused or kernel.ErrNoRoute.
	// p belongs to the port again when it returns. The port stays open.
	DatagramRefused(p []byte, to kernel.Addr, err error)
}

// SendFailureListener is implemented by a PacketProtocol that wants to hear of datagrams that were
// taken by a write and could not be sent. Without it they are counted, and logged at a limited rate.
type SendFailureListener interface {
	// SendFailed is called once for each of them, later, never inside the write. err is an [*OpError]:
	// kernel.ErrMessageSize, kernel.ErrPermission, kernel.ErrNoRoute, kernel.ErrRefused (nobody has that UNIX name),
	// [ErrSendTimeout], or what did not fit into the queue: ErrQueueFull, or kernel.ErrAgain if nothing may wait. At an end
	// other than StopListening's it is why the port ends. p is not used any more by the port.
	SendFailed(p []byte, to kernel.Addr, err error)
}

// PacketTransport is the reactor's end of a datagram port. Its methods are for the loop's goroutine
// only. The transport of this package is a [*PacketPort].
//
// What a callback writes is gathered, and handed to the system together when the callback has ended. So a write
// returns only what is wrong with its arguments, or that the port takes no more. What the system says
// goes to [SendFailureListener]. What is written stays in order; only datagrams that wait for one UNIX receiver
// let those to others pass.
type PacketTransport interface {
	// WriteTo sends p to the address to, an IP and a port, or the name of a UNIX datagram socket (UDP-18). It never
	// blocks, and keeps no reference to p. On a connected port, to must be the peer or the zero Addr (UDP-26).
	//
	// The error is an [*OpError]: a [*kernel.AddrError] if to is no address to send to from here (UDP-19,
	// UDP-20), kernel.ErrMessageSize (UDP-21), [ErrQueueFull], or [ErrClosed] when the port is stopping or stopped.
	WriteTo(p []byte, to kernel.Addr) error
	// Write sends p to the peer of a connected port (UDP-26). On others the error is ErrNoPeer.
	Write(p []byte) error
	// WriteVec sends the concatenation of bufs as one datagram (UDP-23).
	WriteVec(bufs [][]byte, to kernel.Addr) error
	// WritePacket is WriteTo of p.Data to p.Peer from the address p.Local, if that is valid: a server with many
	// addresses answers from the one that it was asked at.
	WritePacket(p kernel.Packet) error
	// WritePackets sends many, in order, and what was written before first. They are not gathered: the system has them when it
	// returns, and nothing was copied but what has to wait. So a protocol that sends back what PacketsReceived got, in
	// whole or in parts that follow one another, costs least. A Packet with a Segment is a train, as [TrainsReceiver] says: the
	// counters, the limits and SendFailed have its datagrams. ps is the port's until it returns, which may change what is in it.
	// It returns how many were taken, and why not the next: what WriteTo says of one.
	WritePackets(ps []kernel.Packet) (int, error)

	// Connect fixes the peer, an IP and a port, or the name of a UNIX datagram socket (UDP-25). Nothing is sent. What waits for
	// other receivers fails, as SendFailed tells. The error is an
	// [*OpError]: ErrAlreadyConnected, a [*kernel.AddrError], or the system's.
	Connect(to kernel.Addr) error

	// PauseProducing stops the delivery of datagrams, ResumeProducing goes on. Meanwhile the system queues what
	// comes as far as the socket's buffer goes, and drops the rest.
	PauseProducing()
	ResumeProducing()

	// StopListening sends what is queued, for at most PacketConfig.QueueTimeout, and then closes the socket.
	// Nothing more is received. Later, never inside the call, StopProtocol is called, and then done, if it is not nil (UDP-5). done gets nil,
	// or an [*OpError] that tells how many datagrams were not sent since the call, and why the first was not. On a stopped port done is called later, with nil,
	// and if the reactor has stopped, before StopListening returns (THR-32).
	StopListening(done func(error))

	// Local is the address of the port, with the number that the system chose (UDP-3). Remote is the peer that
	// Connect has fixed, or the zero Addr. Both stay valid after the end.
	Local() kernel.Addr
	Remote() kernel.Addr

	// Reactor is the loop of this port.
	Reactor() *Reactor
}

// PacketConfig configures a datagram port. Nil and the zero value are the defaults.
type PacketConfig struct {
	// PacketOptions are for the kernel: the options of the socket.
	kernel.PacketOptions
	// Bind is the local address of DialPacket. The zero Addr: the system chooses; a UNIX socket then has no
	// name, and gets no answers (UNIXD-8). For ListenPacket it must be zero.
	Bind kernel.Addr
	// SetUp is called with the socket when it is bound and, by DialPacket, connected, before StartProtocol: to join groups,
	// or to set what a [kernel.Multicast] has. Its error fails the opening. The socket belongs to the port. Nil: nothing is called.
	SetUp func(kernel.PacketConn) error
	// MaxPacketSize is the length in bytes beyond which a datagram that comes is cut (UDP-12). [PacketsReceiver] hears of it, and
	// PacketStats counts it. Zero or negative: 65,536, so that no datagram of UDP is cut.
	MaxPacketSize int
	// MaxQueued is how many bytes may wait because the system takes no more, with 64 bytes for each datagram. A write
	// beyond it is refused with [ErrQueueFull]. Zero: 1 MiB. Negative: nothing waits. What the system does not take at
	// once is then dropped, counted, and told by SendFailed. The same limit, for a negative one 1 MiB, holds for
	// datagrams that failed and that SendFailed has not told yet.
	MaxQueued int
	// QueueTimeout is how long a datagram may wait. Then it is dropped, with [ErrSendTimeout]. Zero: 30 s;
	// negative: no limit.
	QueueTimeout time.Duration
}

const (
	defaultMaxPacket    = 64 << 10
	defaultMaxQueued    = 1 << 20
	defaultQueueTimeout = 30 * time.Second
	// queuedOverhead is what a queued datagram counts besides its bytes.
	queuedOverhead = 64
)

// complete copies c and fills in the defaults.
func (c *PacketConfig) complete() PacketConfig {
	var full PacketConfig
	if c != nil {
		full = *c
	}
	if full.MaxPacketSize <= 0 {
		full.MaxPacketSize = defaultMaxPacket
	}
	if full.MaxQueued == 0 {
		full.MaxQueued = defaultMaxQueued
	}
	if full.QueueTimeout == 0 {
		full.QueueTimeout = defaultQueueTimeout
	}
	return full
}

// mostFailed is how many bytes of datagrams that failed may wait to be told.
func (c *PacketConfig) mostFailed() int {
	if c.MaxQueued < 0 {
		return defaultMaxQueued
	}
	return c.MaxQueued
}

var (
	// ErrQueueFull: a datagram was refused, because more wait to be sent than PacketConfig.MaxQueued allows, or to be told as failed.
	ErrQueueFull = kernel.Sentinel("datagram queue full")
	// ErrSendTimeout: a datagram has waited for PacketConfig.QueueTimeout and was dropped. It is also os.ErrDeadlineExceeded.
	ErrSendTimeout = kernel.Sentinel("the system took the datagram not in time", kernel.ErrTimeout)
	// ErrNoPeer: Write on a port that is not connected; use WriteTo, or Connect.
	ErrNoPeer = kernel.Sentinel("the port is not connected")
	// ErrAlreadyConnected: Connect of a port that is connected.
	ErrAlreadyConnected = kernel.Sentinel("the port is connected already")
	// ErrProtocolInUse: the PacketProtocol is on another port; stop that first (UDP-7).
	ErrProtocolInUse = kernel.Sentinel("the protocol is on another port")
)

// PacketStats are counters of a datagram port. What was written is, at any time, Sent, Dropped, Failed, or waits.
type PacketStats struct {
	Received      uint64 // datagrams delivered
	ReceivedBytes uint64
	Truncated     uint64 // of these, cut
	Discarded     uint64 // datagrams read and not delivered, because the port had been stopped
	Lost          uint64 // datagrams that the system has dropped for want of room, as far as it tells

	Sent      uint64 // datagrams that the system took
	SentBytes uint64
	Refusals  uint64 // of these, told to be undeliverable
	Failed    uint64 // datagrams that the system refused
	Dropped   uint64 // datagrams dropped, by QueueTimeout, at the end, or because nothing may wait
	QueueFull uint64 // writes refused with ErrQueueFull
	Waited    uint64 // datagrams that had to wait
	Queued    int    // datagrams that wait now, with those that a callback has written and that leave when it ends
}
