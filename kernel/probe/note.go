// Package probe is what a reactor and a simulated kernel say to each other, besides
// what the reactor asks of every kernel. The reactor tells an [Observer] what it does;
// a [Forcer] makes it take branches that are rare in life.
//
// A kernel of an operating system is neither, and then a reactor spends one comparison
// on each place. Programs do not need this package.
package probe

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// Observer is implemented by a kernel.Kernel that wants to hear what the reactor on it
// does. A simulated kernel does: it writes callbacks into its trace and checks
// invariants. A reactor looks for it with kernel.As.
type Observer interface {
	// Observe is called on the loop's goroutine with each Note. The call comes just
	// before a callback to the application, and right after anything else. It must not
	// call the reactor, nor change what the note refers to.
	Observe(Note)
}

// Note is one thing that a reactor did. Fields that its Kind does not name are zero.
type Note struct {
	Kind NoteKind
	// Token is the connection's, port's or connector's, 0 where there is none yet; a
	// valid token may also be 0. It was or will be given to Arm.
	Token uint32
	// Conn is the connection the note is about, as the kernel gave it to the reactor, or
	// nil. It may be closed already.
	Conn kernel.Conn
	// N is a number of bytes, for buffers their number, for triggers their phase.
	N int
	// Due is when a delayed call was to be made, by Now.
	Due time.Duration
	// Err is why something ended; nil is success.
	Err error
	// Name is a trigger's event.
	Name string
}

// NoteKind is what a Note tells of.
type NoteKind uint8

// The callbacks to the application, noted just before they are made.
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
	// NoteStarted: StartedConnecting of a factory that listens to its connector.
	NoteStarted
	// NoteFailed: its ConnectionFailed, with Err.
	NoteFailed
	// NoteEnded: its ConnectionEnded, with Err.
	NoteEnded
	// NoteUnlistened: the done function of StopListening, with Err.
	NoteUnlistened
	// NoteStartFactory: a factory's StartFactory.
	NoteStartFactory
	// NoteStopFactory: a factory's StopFactory.
	NoteStopFactory
	// NoteDelayed: a delayed call that was Due.
	NoteDelayed
	// NotePosted: a posted function. Some are the reactor's own. Those that run while
	// the reactor ends are not noted: threads of the pool post then, in no order.
	NotePosted
	// NoteTrigger: a trigger of the event Name, in phase N.
	NoteTrigger
	// NotePauseProducer: PauseProducing of a stream's producer.
	NotePauseProducer
	// NoteResumeProducer: its ResumeProducing.
	NoteResumeProducer
	// NoteStopProducer: its StopProducing.
	NoteStopProducer
)

// What invariants need besides the callbacks, noted when it has been done.
const (
	// NoteDataDone: DataReceived has returned or panicked; the read buffer is back.
	NoteDataDone NoteKind = iota + 64
	// NotePaused: the protocol paused delivery.
	NotePaused
	// NoteResumed: it resumed delivery.
	NoteResumed
	// NoteClosing: the stream was closed, aborted or has failed: nothing more is delivered.
	NoteClosing
	// NoteWritten: the protocol wrote N bytes, and the stream took them.
	NoteWritten
	// NoteSent: Conn took N bytes. With NoteWritten this tells what is buffered.
	NoteSent
	// NoteDrained: N bytes were read from Conn and discarded, because it is being closed.
	NoteDrained
	// NoteChunk: the piece of memory number N was taken to hold output. Numbers are of
	// one reactor, from 1.
	NoteChunk
	// NoteChunkDone: it was given back.
	NoteChunkDone
	// NotePanic: a callback panicked with Err.
	NotePanic
)

// String is a word or two: "made", "data", "lost" ...
func (k NoteKind) String() string {
	callbacks := [...]string{NoteBuild: "build", NoteMade: "made", NoteData: "data", NoteReadLost: "read lost",
		NoteWriteLost: "write lost", NoteLost: "lost", NoteDialed: "dialed", NoteStarted: "connecting",
		NoteFailed: "failed", NoteEnded: "ended", NoteUnlistened: "unlistened", NoteStartFactory: "start factory",
		NoteStopFactory: "stop factory", NoteDelayed: "delayed call", NotePosted: "posted", NoteTrigger: "trigger",
		NotePauseProducer: "pause producer", NoteResumeProducer: "resume producer", NoteStopProducer: "stop producer"}
	others := [...]string{"data done", "paused", "resumed", "closing", "written", "sent", "drained", "chunk",
		"chunk done", "panic"}
	switch {
	case int(k) < len(callbacks):
		return callbacks[k]
	case k >= NoteDataDone && int(k-NoteDataDone) < len(others):
		return others[k-NoteDataDone]
	}
	return "note"
}

// Callback tells whether the note is of a callback to the application.
func (k NoteKind) Callback() bool { return k >= NoteBuild && k <= NoteStopProducer }
