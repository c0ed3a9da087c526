package receiver

import (
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
	delim []byte // the Delimiter that SendLine used last
}

var (
	_ reactor.Protocol = (*Line)(nil)
	_ reactor.Producer = (*Line)(nil)
)

// ConnectionMade sets T and calls Made.
func (l *Line) ConnectionMade(t reactor.Transport) { l.made(t, l, &l.Base, l.Made) }

// ConnectionLost drops what was not delivered and calls Lost.
func (l *Line) ConnectionLost(err error) { l.lost(err, l.Lost) }

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
// arrived before everything else (LINE-4). Usually extra is the end of what RawReceived
// was given; then it is not copied. If SetLineMode is called outside of this receiver's
// callbacks, it delivers lines before it returns.
func (l *Line) SetLineMode(extra []byte) {
	l.dec.SetLines(extra)
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
// them (LINE-7). The slice is lent until the current callback returns.
func (l *Line) ClearLineBuffer() []byte { return l.dec.Clear() }

func (l *Line) decoder() decoder {
	l.dec.Delimiter, l.dec.MaxLength = l.Delimiter, l.MaxLength
	return &l.dec
}

func (l *Line) received(p []byte) {
	if l.dec.Raw() {
		call(l.RawReceived, p)
		return
	}
	call(l.LineReceived, p)
}

func (l *Line) failed(error) {
	rest := l.dec.Clear()
	if l.LineLengthExceeded == nil {
		l.T.Close()
		return
	}
	l.LineLengthExceeded(rest)
}
