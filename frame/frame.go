// Package frame cuts a stream of bytes into frames: lines, netstrings, length-prefixed
// strings, and frames of a protocol's own. Bytes go in, frames come out. The package has no
// I/O, no clock and no goroutine.
//
// Feed a decoder a chunk as it arrived, then ask it for frames until there are no more:
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
// It makes no difference how the stream is cut into chunks. A frame that lies whole
// in the chunk is a slice of the chunk. Only an unfinished tail is copied. The buffer for
// the tail is released as soon as it is empty. The work is proportional to the bytes fed:
// no byte is searched twice, except a part of a delimiter at the end of a chunk.
//
// Between two calls of Next the caller may pause, stop, switch modes, or set another
// delimiter or limit. [All] does the same as an iterator.
//
// A decoder belongs to one goroutine. Its zero value is ready for use.
package frame

import (
	"errors"
	"fmt"
	"iter"
)

// Decoder has the methods that all decoders of this package share.
type Decoder interface {
	// Feed adds p to the bytes to be decoded. See [Lines.Feed].
	Feed(p []byte)
	// Next returns the next frame. ok is false if there is none yet. err says what is
	// wrong with the stream. The frame is valid until the next call of Next, and no
	// longer than the chunk it came with.
	Next() (frame []byte, ok bool, err error)
	// Keep copies the bytes that are still lent. See [Lines.Keep].
	Keep()
	// Rest drops the bytes that were fed and not yet returned, and returns them. They begin
	// with the first byte of an unfinished frame, its length included. Decoding goes on
	// with the bytes that are fed later. The result is valid until the next call of Next,
	// and no longer than the chunk that was fed. It is nil after Stop.
	//
	// After an error of [Lines] the result is the line that is too long and all that follows,
	// and decoding goes on: Rest deals with that error, as [Lines.Clear] does. The errors of the
	// other decoders cannot be dealt with; after one, the result is nil, and the error stays.
	Rest() []byte
}

var (
	_ Decoder = (*Lines)(nil)
	_ Decoder = (*Netstrings)(nil)
	_ Decoder = (*Prefixed)(nil)
	_ Decoder = (*Exact)(nil)
	_ Decoder = (*Split)(nil)
)

// All feeds p to d and iterates over the frames that are then complete. If there is an
// error it is the last pair, with a nil frame. The loop's body may change d in the ways
// that are allowed between calls of Next. If the loop is left early, the remaining bytes
// are kept and come first the next time. After the loop, p belongs to the caller again.
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

// ErrTooLong is found by errors.Is in every [*TooLongError].
var ErrTooLong = errors.New("frame too long")

// ErrSyntax is found by errors.Is in every [*SyntaxError].
var ErrSyntax = errors.New("frame syntax error")

// TooLongError says that a frame is too long: a received one for the decoder's MaxLength,
// or one to be sent for its length prefix.
type TooLongError struct {
	// Limit is how many bytes were allowed.
	Limit int
	// Length is the length in bytes, as announced or given. For a netstring it is the
	// number that the digits make so far. For a line it is negative, because nobody knows
	// how long the line is.
	Length int64
}

// Error names the limit, and the length if it is known.
func (e *TooLongError) Error() string {
	if e.Length < 0 {
		return fmt.Sprintf("frame too long: limit is %d bytes", e.Limit)
	}
	return fmt.Sprintf("frame too long: %d bytes, limit is %d", e.Length, e.Limit)
}

// Is tells whether target is [ErrTooLong].
func (e *TooLongError) Is(target error) bool { return target == ErrTooLong }

// SyntaxError says which byte of the stream is wrong and what was expected there.
type SyntaxError struct {
	// Offset is the position of the byte. The first byte ever fed has position 0.
	Offset int64
	// Want is what was expected: "digit", "digit or ':'", "':'" or "','".
	Want string
	// Got is the byte at that position.
	Got byte
}

// Error names the byte, its position and what was expected.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("byte %d is %q, expected %s", e.Offset, e.Got, e.Want)
}

// Is tells whether target is [ErrSyntax].
func (e *SyntaxError) Is(target error) bool { return target == ErrSyntax }
