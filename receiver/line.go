package receiver

import (
	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/reactor"
)

// Line receives lines, and raw bytes in between. With nothing but LineReceived set
// it is what Twisted calls a line-only receiver (LINE-12).
type Line struct {
	// Base has T, the connection's transport, from ConnectionMade on.
	reactor.Base
	conn

	// LineReceived takes each line, without its delimiter; it may be empty
	// (LINE-2). Nil: lines are dropped.
	LineReceived func(line []byte)
	// RawReceived takes what arrives in raw mode, as it comes, never empty
	// (LINE-3). Nil: it is dropped.
	RawReceived func(p []byte)
	// LineLengthExceeded takes what has arrived of a line that is too long, and
	// all that has arrived behind it (LINE-9). It may close, or go on: by
	// returning, with what arrives later as if that were a new line; or by
	// SkipLine. Nil: the connection is closed.
	LineLengthExceeded func(rest []byte)
	// Made, when T is there, and Lost, once and last, are ConnectionMade and
	// ConnectionLost without a method of one's own. Nil: nothing.
	Made func()
	Lost func(err error)
	// Delimiter ends a line, in both directions: any bytes. Empty: "\r\n" (LINE-1).
	Delimiter string
	// MaxLength is the most bytes in a line without its delimiter. Zero: 16384;
	// negative: no limit. A line of exactly so many is fine (LINE-8).
	MaxLength int

	dec   frame.Lines
	delim []byte // Delimiter as SendLine used it last
}

var (
	_ reactor.Protocol = (*Line)(nil)
	_ reactor.Producer = (*Line)(nil)
)

// ConnectionMade sets T and calls Made.
func (l *Line) ConnectionMade(t reactor.Transport) { l.made(t, l, &l.Base, l.Made) }

// ConnectionLost drops what was not delivered and calls Lost.
func (l *Line) ConnectionLost(err error) { l.lost(err, l.Lost) }

// SendLine writes line and the delimiter (LINE-11). The error is the transport's.
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

// SetRawMode hands all following bytes to RawReceived, the rest of what has
// arrived included (LINE-3).
func (l *Line) SetRawMode() {
	l.dec.SetRaw()
	l.deliver()
}

// SetLineMode goes back to lines, and takes extra, which may be empty, as arrived
// before everything else (LINE-4): usually the end of what RawReceived was given,
// which is then not copied. Outside of this receiver's callbacks lines are
// delivered before it returns.
func (l *Line) SetLineMode(extra []byte) {
	l.dec.SetLines(extra)
	l.deliver()
}

// SkipLine, in LineLengthExceeded and with its argument, drops only the line that
// is too long, as far as its delimiter, whenever that comes; lines go on behind it.
// Unlike going on by returning, it gives the same for every way of cutting the
// stream.
func (l *Line) SkipLine(rest []byte) {
	l.dec.SetLines(rest)
	l.dec.Skip()
	l.deliver()
}

// ClearLineBuffer returns what has arrived and was not delivered, and drops it
// (LINE-7). The slice is lent until the callback in progress returns.
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
