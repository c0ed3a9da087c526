package kernel

import "time"

// Observer is a Kernel that wants to hear what the reactor on it does. A simulated
// network is one: it enters callbacks in its trace and checks invariants.
type Observer interface {
	// Observe is called on the loop's goroutine with each Note, before what the note
	// tells of happens where that is a callback, and else right after it. It must not
	// call the reactor. What the note refers to is not to be changed.
	Observe(Note)
}

// Note is one thing that a reactor did. Fields that its Kind does not name are zero.
type Note struct {
	Kind NoteKind
	// Token is the connection's, port's or connector's, 0 where there is none yet; a
	// valid token may also be 0. It was or will be given to Arm.
	Token uint32
	// Sock is the sock the note is about, as the kernel gave it to the reactor, or nil.
	// It may be closed already.
	Sock Sock
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
	// NoteBuild: a factory's BuildProtocol, for Sock.
	NoteBuild NoteKind = iota + 1
	// NoteMade: ConnectionMade.
	NoteMade
	// NoteData: DataReceived with N bytes, which were read from Sock just now. The read
	// buffer is lent to the protocol until NoteDataDone.
	NoteData
	// NoteReadLost: ReadConnectionLost.
	NoteReadLost
	// NoteWriteLost: WriteConnectionLost.
	NoteWriteLost
	// NoteLost: ConnectionLost with Err. Sock was closed or aborted just before.
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
	// NoteSent: Sock took N bytes. With NoteWritten this tells what is buffered.
	NoteSent
	// NoteDrained: N bytes were read from Sock and discarded, because it is being closed.
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

// Rare is a Kernel that has the reactor on it take branches that are seldom taken in
// life. Whatever it decides is something a real system may do.
type Rare interface {
	// Rare tells whether the reactor is to do at this moment what the site says. It is
	// called on the loop's goroutine, each time the site is passed.
	Rare(Site) bool
}

// Site is a place in the reactor where a rare branch can be forced.
type Site uint8

// The sites at which a correct program notices nothing.
const (
	// SiteReadOne reads with a buffer of one byte.
	SiteReadOne Site = iota
	// SiteReadAgain finds nothing to read, though readiness was reported.
	SiteReadAgain
	// SiteScribble overwrites the read buffer when DataReceived has returned.
	SiteScribble
	// SiteWriteOne offers the socket one byte.
	SiteWriteOne
	// SiteWriteAgain finds the socket full.
	SiteWriteAgain
	// SiteNoVectors writes one piece of memory instead of several.
	SiteNoVectors
	// SiteFlushLater sends in the next turn what would be sent now.
	SiteFlushLater
	// SiteFlushNow sends at once what would wait until the callback returns, as if it had
	// filled a chunk. What is written just before an Abort may then arrive.
	SiteFlushNow
	// SiteResumeLater resumes a producer a turn later.
	SiteResumeLater
	// SiteEventOne asks the kernel for one event only.
	SiteEventOne
	// SiteWaitEarly returns from the kernel at once, as a signal has it.
	SiteWaitEarly
	// SiteAcceptOne accepts one connection for all that wait.
	SiteAcceptOne
	// SiteAcceptAgain finds no connection to accept, as if another process had it.
	SiteAcceptAgain
	// SiteConnectAgain finds that a Dial is not over, though readiness was reported.
	SiteConnectAgain
	// SiteTimersOne makes one delayed call of those that are due.
	SiteTimersOne
	// SitePostsLater leaves posted functions for the next turn, as if they came late.
	SitePostsLater
)

// The sites that end a connection. A program must expect it, and yet may
// notice.
const (
	// SiteReadReset finds at a read that the connection was reset.
	SiteReadReset Site = iota + SitePostsLater + 1
	// SiteWriteReset finds it at a write.
	SiteWriteReset
	// SiteAcceptReset finds that a connection went away before it was accepted.
	SiteAcceptReset

	// Sites is how many there are; they are numbered from 0.
	Sites
)

// String is the site's name as options have it: "read-one", "write-again" ...
func (s Site) String() string {
	names := [...]string{"read-one", "read-again", "scribble", "write-one", "write-again", "no-vectors", "flush-later",
		"flush-now", "resume-later", "event-one", "wait-early", "accept-one", "accept-again", "connect-again",
		"timers-one", "posts-later", "read-reset", "write-reset", "accept-reset"}
	if int(s) < len(names) {
		return names[s]
	}
	return "site"
}

// Resets tells whether the site ends a connection.
func (s Site) Resets() bool { return s >= SiteReadReset && s < Sites }

// As finds T in k, or in what k.Unwrap() leads to. A wrapper hides nothing by accident
// that way.
func As[T any](k Kernel) (T, bool) {
	for k != nil {
		if c, ok := k.(T); ok {
			return c, true
		}
		u, ok := k.(interface{ Unwrap() Kernel })
		if !ok {
			break
		}
		k = u.Unwrap()
	}
	var none T
	return none, false
}

// Base is the kernel that k, and what its Unwrap leads to, are around, or k itself.
func Base(k Kernel) Kernel {
	for {
		u, ok := k.(interface{ Unwrap() Kernel })
		if !ok {
			return k
		}
		k = u.Unwrap()
	}
}
