// Package probe lets a reactor and a simulated kernel work together more closely than the
// kernel interface allows. The reactor tells an [Observer] what it does. A [Forcer] makes
// the reactor take branches that real runs rarely take.
//
// The kernel of an operating system is neither. A reactor on it then spends one
// comparison at each of these points. Programs do not need this package.
package probe

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// Observer is implemented by a kernel.Kernel that wants to know what its reactor does. A
// simulated kernel writes callbacks into its trace and checks invariants. A reactor looks
// for an Observer with kernel.As.
type Observer interface {
	// Observe is called on the loop's goroutine with each Note: just before a callback to
	// the application, and right after anything else. It must not call the reactor, and
	// must not change what the note refers to.
	Observe(Note)
}

// Note is one action of a reactor. Fields that its Kind does not use are zero.
type Note struct {
	Kind NoteKind
	// Token belongs to a connection, port or connector; Arm uses the same one. It is 0 if
	// there is none yet. A valid token may also be 0.
	Token uint32
	// Conn is the connection that the note is about, or nil: the value that the kernel
	// gave the reactor. It may be closed already.
	Conn kernel.Conn
	// Packet is the datagram socket that the note is about, or nil, as Conn is for connections.
	Packet kernel.PacketConn
	// N is a number of bytes or datagrams, the number of a buffer, or the phase of a trigger.
	N int
	// Due is the time, by Now, for which a delayed call was set.
	Due time.Duration
	// Err is why something ended. Nil means success.
	Err error
	// Name is the event of a trigger.
	Name string
	// Call is the function of a delayed call, and a posted function. An observer may look up its name, and does not call it.
	Call func()
}

// NoteKind says which action a Note is about.
type NoteKind uint8

// The callbacks to the application. Each is noted just before it is made.
const (
	// NoteBuild: a factory's BuildProtocol, for Conn.
	NoteBuild NoteKind = iota + 1
	// NoteMade: ConnectionMade.
	NoteMade
	// NoteData: DataReceived with N bytes, which were read from Conn just now. The read
	// buffer is lent to the protocol until NoteDataDone.
	NoteData
	// NoteReadLost: ReadConnectionLost.
	NoteReadLost
	// NoteWriteLost: WriteConnectionLost.
	NoteWriteLost
	// NoteLost: ConnectionLost with Err. Conn was closed or aborted just before.
	NoteLost
	// NoteDialed: the done function of Dial, with Err.
	NoteDialed
	// NoteStarted: StartedConnecting of a factory that is a ConnectorListener.
	NoteStarted
	// NoteFailed: ConnectionFailed of such a factory, with Err.
	NoteFailed
	// NoteEnded: ConnectionEnded of such a factory, with Err.
	NoteEnded
	// NoteUnlistened: the done function of StopListening, with Err.
	NoteUnlistened
	// NoteStartFactory: a factory's StartFactory.
	NoteStartFactory
	// NoteStopFactory: a factory's StopFactory.
	NoteStopFactory
	// NoteDelayed: a delayed call that was Due.
	NoteDelayed
	// NotePosted: a posted function. Some are the reactor's own. Functions that run while
	// the reactor ends are not noted: threads of the pool post them, in no fixed order.
	NotePosted
	// NoteTrigger: a trigger of the event Name, in phase N.
	NoteTrigger
	// NotePauseProducer: PauseProducing of a stream's producer.
	NotePauseProducer
	// NoteResumeProducer: ResumeProducing of a stream's producer.
	NoteResumeProducer
	// NoteStopProducer: StopProducing of a stream's producer.
	NoteStopProducer
	// NoteStartProtocol: StartProtocol of a PacketProtocol, on Packet.
	NoteStartProtocol
	// NoteDatagram: DatagramReceived with N bytes.
	NoteDatagram
	// NoteDatagrams: PacketsReceived with N datagrams.
	NoteDatagrams
	// NoteRefused: DatagramRefused with Err.
	NoteRefused
	// NoteSendFailed: SendFailed with Err.
	NoteSendFailed
	// NoteStopProtocol: StopProtocol with Err. Packet was closed just before.
	NoteStopProtocol
)

// Other actions that invariants need to know. Each is noted when it has been done.
const (
	// NoteDataDone: DataReceived has returned or panicked; the read buffer is back.
	NoteDataDone NoteKind = iota + 64
	// NotePaused: the protocol of a connection or of a datagram port paused delivery.
	NotePaused
	// NoteResumed: the protocol resumed delivery.
	NoteResumed
	// NoteClosing: the datagram port is being stopped, or the stream was closed, was aborted or has failed. Nothing more is
	// delivered. If the program has closed it, Err is not nil.
	NoteClosing
	// NoteWritten: the protocol wrote N bytes, and the stream took them.
	NoteWritten
	// NoteSent: Conn took N bytes. With NoteWritten this tells what is buffered.
	NoteSent
	// NoteDrained: N bytes were read from Conn and discarded, because the stream is being
	// closed.
	NoteDrained
	// NoteChunk: buffer number N was taken to hold output. Each reactor numbers its
	// buffers from 1.
	NoteChunk
	// NoteChunkDone: buffer number N was given back.
	NoteChunkDone
	// NotePanic: a callback panicked with Err.
	NotePanic
	// NoteChanged: a slice that was given to WriteShared was changed before the connection
	// had sent it or was lost.
	NoteChanged
	// NoteDiscarded: N datagrams were read from Packet and are not delivered, because the port was stopped.
	NoteDiscarded
)

// String is one or two words: "made", "data", "lost" ...
func (k NoteKind) String() string {
	callbacks := [...]string{NoteBuild: "build", NoteMade: "made", NoteData: "data", NoteReadLost: "read lost",
		NoteWriteLost: "write lost", NoteLost: "lost", NoteDialed: "dialed", NoteStarted: "connecting",
		NoteFailed: "failed", NoteEnded: "ended", NoteUnlistened: "unlistened", NoteStartFactory: "start factory",
		NoteStopFactory: "stop factory", NoteDelayed: "delayed call", NotePosted: "posted", NoteTrigger: "trigger",
		NotePauseProducer: "pause producer", NoteResumeProducer: "resume producer", NoteStopProducer: "stop producer",
		NoteStartProtocol: "start protocol", NoteDatagram: "datagram", NoteDatagrams: "datagrams", NoteRefused: "refused",
		NoteSendFailed: "send failed", NoteStopProtocol: "stop protocol"}
	others := [...]string{"data done", "paused", "resumed", "closing", "written", "sent", "drained", "chunk",
		"chunk done", "panic", "changed", "discarded"}
	switch {
	case int(k) < len(callbacks):
		return callbacks[k]
	case k >= NoteDataDone && int(k-NoteDataDone) < len(others):
		return others[k-NoteDataDone]
	}
	return "note"
}

// Callback tells whether the note is about a callback to the application.
func (k NoteKind) Callback() bool { return k >= NoteBuild && k <= NoteStopProtocol }
