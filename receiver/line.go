package receiver

import (
	"fmt"
	"slices"

	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/reactor"
)

// Line receives lines, and raw bytes between them. If only LineReceived is set it is what
// Twisted calls a line-only receiver (LINE-12).
type Line struct {
	// Base has T, the connection's transport, from ConnectionMade on.
	reactor.Base
	conn

	// LineReceived takes each line without its delimiter. The line may be empty (LINE-2).
	// Nil: lines are dropped.
	LineReceived func(line []byte)
	// RawReceived takes the bytes that arrive in raw mode, as they come. p is never empty
	// (LINE-3). Nil: they are dropped.
	RawReceived func(p []byte)
	// LineLengthExceeded is called when a line is too long. rest is what has arrived of
	// that line, and everything behind it (LINE-9). Nil: the connection is closed.
	//
	// The function may close the connection. It may call SkipLine to drop only that line.
	// If it does neither, the bytes that arrive later are taken for a new line.
	LineLengthExceeded func(rest []byte)
	// Made is called once, when T is set, and Lost once and last. They are for users
	// without ConnectionMade and ConnectionLost of their own. Nil: nothing is called.
	Made func()
	Lost func(err error)
	// Delimiter is the bytes that end a line, received or sent. Empty means "\r\n"
	// (LINE-1).
	Delimiter string
	// MaxLength is the most bytes in a line without its delimiter. Zero means 16384,
	// negative means no limit. A line of exactly MaxLength bytes is not too long
	// (LINE-8).
	MaxLength int

	dec   frame.Lines
	delim []byte    // the Delimiter that SendLine used last
	reads []reading // of ReadExactly, the first in progress
}

// reading is a call of ReadExactly.
type reading struct {
	n  int
	fn func(p []byte)
}

var (
	_ reactor.Protocol = (*Line)(nil)
	_ reactor.Producer = (*Line)(nil)
)

// ConnectionMade sets T and calls Made.
func (l *Line) ConnectionMade(t reactor.Transport) { l.made(t, l, &l.Base, l.Made) }

// ConnectionLost drops what was not delivered and calls Lost.
func (l *Line) ConnectionLost(err error) {
	defer func() { l.reads = nil }() // the delivery before the loss needs them, and Lost may panic
	l.lost(err, l.Lost)
}

// SendLine writes line and the delimiter (LINE-11). The error is that of the transport's
// Write.
func (l *Line) SendLine(line []byte) error {
	delimiter := l.Delimiter
	if delimiter == "" {
		delimiter = frame.DefaultDelimiter
	}
	if string(l.delim) != delimiter {
		l.delim = []byte(delimiter)
	}
	return l.write(line, l.delim)
}

// SetRawMode makes RawReceived take all following bytes, including the rest of what has
// arrived (LINE-3).
func (l *Line) SetRawMode() {
	l.dec.SetRaw()
	l.deliver()
}

// SetLineMode goes back to lines. It takes extra, which may be empty, as if it had
// arrived before everything else (LINE-4). extra is not kept, so the caller may change it.
// Usually extra is the end of what RawReceived was given, or a copy of that end; then
// nothing is copied (LINE-15). If SetLineMode is called outside of this receiver's
// callbacks, it delivers lines before it returns.
func (l *Line) SetLineMode(extra []byte) {
	l.dec.SetLines(extra)
	l.deliver()
}

// ReadExactly has fn called once, with exactly the next n bytes, however they are cut into
// chunks. Then lines go on, or raw bytes in raw mode (LINE-14). It is for bodies whose length
// a line has said, as in HTTP, IMAP and RESP. In a callback of this receiver, the n bytes
// begin behind the line in progress. Outside of one, bytes that are there already are
// delivered before ReadExactly returns. If n is zero, fn gets an empty slice. If fn is nil,
// the bytes are dropped. Negative n panics. ReadExactly may be called from Made on.
//
// The slice is lent until fn returns. All n bytes are kept until the last one has come. So
// if the peer says what n is, compare it with a limit first, and limit the time with a
// DelayedCall: nothing else does.
//
// Calls made before the bytes of an earlier one have come take their turns. SetRawMode and
// SetLineMode meanwhile set what comes behind all of them; extra of SetLineMode counts as
// arrived before. Pausing holds fn back as it does lines. After T.Close or T.Abort, and if the
// connection is lost before the last byte has come, fn is not called: ConnectionLost is.
func (l *Line) ReadExactly(n int, fn func(p []byte)) {
	if n < 0 {
		panic(fmt.Sprintf("receiver: ReadExactly of %d bytes", n))
	}
	l.reads = append(l.reads, reading{n, fn})
	if len(l.reads) == 1 {
		l.dec.Exactly(n)
	}
	l.deliver()
}

// SkipLine drops the line that is too long, up to and including its delimiter, whenever
// that comes. Lines go on behind it. LineLengthExceeded calls it, with its own argument.
// The result does not depend on how the stream is cut; without SkipLine it does.
func (l *Line) SkipLine(rest []byte) {
	l.dec.SetLines(rest)
	l.dec.Skip()
	l.deliver()
}

// ClearLineBuffer drops the bytes that have arrived and were not delivered, and returns
// them (LINE-7). It is Rest, under Twisted's name.
func (l *Line) ClearLineBuffer() []byte { return l.dec.Clear() }

func (l *Line) decoder() decoder {
	l.dec.Delimiter, l.dec.MaxLength = l.Delimiter, l.MaxLength
	return &l.dec
}

func (l *Line) received(p []byte) {
	switch {
	case len(l.reads) > 0:
		if fn := l.nextRead(); fn != nil {
			fn(p)
		}
	case l.dec.Raw():
		l.call(l.RawReceived, p, "RawReceived")
	default:
		l.call(l.LineReceived, p, "LineReceived")
	}
}

// nextRead ends the first of reads, and begins the next one. It returns the function of the
// first.
func (l *Line) nextRead() func(p []byte) {
	fn := l.reads[0].fn
	l.reads = slices.Delete(l.reads, 0, 1)
	if len(l.reads) > 0 {
		l.dec.Exactly(l.reads[0].n)
	}
	return fn
}

func (l *Line) failed(error) {
	rest := l.dec.Clear()
	if l.LineLengthExceeded == nil {
		l.missing("LineLengthExceeded")
		l.T.Close()
		return
	}
	l.LineLengthExceeded(rest)
}
