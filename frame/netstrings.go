package frame

import (
	"math"
	"strconv"
)

// DefaultStringLength is the MaxLength of [Netstrings] and [Prefixed] if none is set, in
// bytes.
const DefaultStringLength = 99999

// limitOf returns the limit that a MaxLength stands for, in bytes.
func limitOf(maxLength int) int {
	switch {
	case maxLength == 0:
		return DefaultStringLength
	case maxLength < 0:
		return math.MaxInt32
	}
	return min(maxLength, math.MaxInt32)
}

// The parts of a netstring. Netstrings.state is the one that comes next.
const (
	firstDigit = iota
	moreDigits
	colon // after a zero
	payload
)

// Netstrings decodes netstrings: a decimal length, ":", that many bytes, "," (STR-1). The
// zero value takes strings of at most 99999 bytes.
//
// After an error it returns no more frames. Every later call of Next returns the same
// error, and what is fed is dropped (STR-2).
type Netstrings struct {
	// MaxLength is the most bytes in a string. Zero means 99999, negative means 2^31-1;
	// greater values count as 2^31-1 too. It may be changed at any time and applies to
	// the lengths that are read later.
	MaxLength int

	input
	state  int
	length int
	err    error
}

// Next returns the next string; it may be empty. ok is false if there is none yet, or if
// the decoder is paused or stopped. The frame is valid until the next call of Next, and
// no longer than the chunk that was fed.
//
// err is a [*SyntaxError] at the first byte that is not allowed at its position, or a
// [*TooLongError] at the first digit that makes the length too great (STR-2).
func (d *Netstrings) Next() (frame []byte, ok bool, err error) {
	frame, ok, err = d.next()
	d.walking = ok || err != nil
	return frame, ok, err
}

func (d *Netstrings) next() (frame []byte, ok bool, err error) {
	switch d.flow {
	case paused, stopped:
		return nil, false, nil
	case failed:
		return nil, false, d.err
	}
	for d.state != payload {
		c, ok := d.octet()
		if !ok {
			return nil, false, nil
		}
		if err := d.header(c); err != nil {
			return nil, false, d.broken(err)
		}
	}
	var p []byte
	if d.length < math.MaxInt { // no memory has room for more, where an int has 32 bits
		p, ok = d.take(d.length + 1)
	}
	if !ok {
		d.copyLent()
		return nil, false, nil
	}
	if c := p[d.length]; c != ',' {
		return nil, false, d.broken(&SyntaxError{Offset: d.taken - 1, Want: "','", Got: c})
	}
	frame = p[:d.length:d.length]
	d.state, d.length = firstDigit, 0
	return frame, true, nil
}

// Rest drops the bytes that were fed and not yet returned, and returns them, as [Decoder]
// says.
func (d *Netstrings) Rest() []byte {
	var head []byte
	if d.state != firstDigit {
		head = strconv.AppendInt(nil, int64(d.length), 10)
	}
	if d.state == payload {
		head = append(head, ':')
	}
	d.state, d.length = firstDigit, 0
	return d.restBehind(head)
}

// header reads one byte of the length.
func (d *Netstrings) header(c byte) error {
	digit := c >= '0' && c <= '9'
	want := "digit or ':'"
	switch d.state {
	case firstDigit:
		want = "digit"
		d.state = moreDigits
		if c == '0' {
			d.state = colon
		}
	case colon:
		want = "':'"
		digit = false
		fallthrough
	case moreDigits:
		if c == ':' {
			d.state = payload
			return nil
		}
	}
	if !digit {
		return &SyntaxError{Offset: d.taken - 1, Want: want, Got: c}
	}
	length := int64(d.length)*10 + int64(c-'0')
	if limit := limitOf(d.MaxLength); length > int64(limit) {
		return &TooLongError{Limit: limit, Length: length}
	}
	d.length = int(length)
	return nil
}

func (d *Netstrings) broken(err error) error {
	d.fail()
	d.err = err
	return err
}

// AppendNetstring appends p to dst as a netstring and returns the result (STR-1).
func AppendNetstring(dst, p []byte) []byte {
	dst = strconv.AppendInt(dst, int64(len(p)), 10)
	dst = append(dst, ':')
	dst = append(dst, p...)
	return append(dst, ',')
}
