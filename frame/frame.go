// Package frame cuts a stream of bytes into frames: lines, netstrings and
// length-prefixed strings. Bytes go in, frames come out; there is no I/O, no
// clock and no goroutine here.
//
// A decoder is fed a chunk as it arrived, and then asked for frames until it has
// no more:
//
//	var d frame.Lines
//	d.Feed(chunk)
//	for {
//		line, ok, err := d.Next()
//		if err != nil {
//			return err // the peer broke the rules
//		}
//		if !ok {
//			break // the rest comes with a later chunk
//		}
//		use(line)
//	}
//
// How the stream is cut into chunks changes nothing. A frame that lies
// whole in the chunk is a slice of it, so nothing is copied; only an unfinished
// tail is, and the buffer for it is given up as soon as it is empty. Work is
// proportional to the bytes fed: none is searched again, but for a part of a
// delimiter at the end of a chunk.
//
// Between two calls of Next the caller may change anything: pause, stop, switch
// modes, set another delimiter or limit. [All] is the same as an iterator.
//
// A decoder belongs to one goroutine. Its zero value is ready for use.
package frame

import (
	"errors"
	"fmt"
	"iter"
)

// Decoder is what the decoders of this package have in common.
type Decoder interface {
	// Feed adds p to what is to be decoded. See [Lines.Feed].
	Feed(p []byte)
	// Next returns the next frame, ok false if there is none yet, or what is
	// wrong with the stream. The frame is valid until the next call of Next, and
	// no longer than the chunk it came with.
	Next() (frame []byte, ok bool, err error)
	// Keep copies what is still lent.
	Keep()
}

var (
	_ Decoder = (*Lines)(nil)
	_ Decoder = (*Netstrings)(nil)
	_ Decoder = (*Prefixed)(nil)
	_ Decoder = (*Exact)(nil)
)

// All feeds p to d and walks over the frames that are then there. An error is
// the last pair, with a nil frame. The loop's body may change d as between calls
// of Next. Leaving the loop early loses nothing: what was not walked over is kept
// and comes first the next time. When the loop is over, p is the caller's again.
func All(d Decoder, p []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		d.Feed(p)
		for {
			f, ok, err := d.Next()
			if err != nil {
				d.Keep()
				yield(nil, err)
				return
			}
			if !ok {
				return
			}
			if !yield(f, nil) {
				d.Keep()
				return
			}
		}
	}
}

// ErrTooLong is what every [*TooLongError] is, for errors.Is.
var ErrTooLong = errors.New("frame too long")

// ErrSyntax is what every [*SyntaxError] is, for errors.Is.
var ErrSyntax = errors.New("frame syntax error")

// TooLongError says that a frame is longer than allowed: one that arrives longer
// than the decoder's MaxLength, one to be sent longer than its prefix can say.
type TooLongError struct {
	// Limit is the most bytes that were allowed.
	Limit int
	// Length is the length as announced or given, in bytes. For a netstring it
	// is what the digits said so far. It is negative for a line, whose length
	// nobody knows.
	Length int64
}

// Error tells the limit, and the length where it is known.
func (e *TooLongError) Error() string {
	if e.Length < 0 {
		return fmt.Sprintf("frame too long: limit is %d bytes", e.Limit)
	}
	return fmt.Sprintf("frame too long: %d bytes, limit is %d", e.Length, e.Limit)
}

// Is tells that target is [ErrTooLong].
func (e *TooLongError) Is(target error) bool { return target == ErrTooLong }

// SyntaxError says which byte of the stream is wrong and what should stand there.
type SyntaxError struct {
	// Offset is the position of the byte, counted from the first one ever fed.
	Offset int64
	// Want is what was expected: "digit", "digit or ':'", "':'" or "','".
	Want string
	// Got is the byte that stands there.
	Got byte
}

// Error names the byte, where it stands and what was expected.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("byte %d is %q, expected %s", e.Offset, e.Got, e.Want)
}

// Is tells that target is [ErrSyntax].
func (e *SyntaxError) Is(target error) bool { return target == ErrSyntax }
