package frame

import (
	"encoding/binary"
	"math"
	"strconv"
)

// Width is how many bytes a length prefix has: 1, 2 or 4. The zero Width is 4.
// Anything else panics where it is used.
type Width int

// The widths there are.
const (
	Width8  Width = 1
	Width16 Width = 2
	Width32 Width = 4
)

// Max is the most that a prefix of this width can say (STR-5).
func (w Width) Max() int64 { return 1<<(8*w.bytes()) - 1 }

func (w Width) bytes() int {
	switch w {
	case 0:
		return int(Width32)
	case Width8, Width16, Width32:
		return int(w)
	}
	panic("frame: a length prefix has 1, 2 or 4 bytes, not " + strconv.Itoa(int(w)))
}

// Prefixed decodes strings with a length before them, big-endian (STR-3). The
// zero value takes prefixes of four bytes and strings of at most 99999.
//
// The first error is the last thing it returns, as with [Netstrings].
type Prefixed struct {
	// Width is how many bytes the prefix has. It may be changed between strings.
	Width Width
	// MaxLength is the most bytes in a string. Zero: 99999; negative, and at most
	// in any case: 2^31-1. It may be changed at any time and counts for lengths
	// that are read later.
	MaxLength int

	input
	read   int // bytes of the prefix, all of them while the string comes
	length int64
	err    error
}

// Next returns the next string, which may be empty. ok is false if there is none
// yet, or while paused or stopped. The frame is valid until the next call of Next,
// and no longer than the chunk that was fed. err is a [*TooLongError] for a
// prefix above MaxLength, at once (STR-4).
func (d *Prefixed) Next() (frame []byte, ok bool, err error) {
	frame, ok, err = d.next()
	d.walking = ok || err != nil
	return frame, ok, err
}

func (d *Prefixed) next() (frame []byte, ok bool, err error) {
	switch d.flow {
	case paused, stopped:
		return nil, false, nil
	case failed:
		return nil, false, d.err
	}
	for width := d.Width.bytes(); d.read < width; {
		c, ok := d.octet()
		if !ok {
			return nil, false, nil
		}
		d.length = d.length<<8 | int64(c)
		if d.read++; d.read < width {
			continue
		}
		if limit := limitOf(d.MaxLength); d.length > int64(limit) {
			d.fail()
			d.err = &TooLongError{Limit: limit, Length: d.length}
			return nil, false, d.err
		}
	}
	p, ok := d.take(int(d.length))
	if !ok {
		d.copyLent()
		return nil, false, nil
	}
	d.read, d.length = 0, 0
	return p, true, nil
}

// AppendPrefixed appends p with its length before it to dst, and returns the
// result. If the prefix cannot say the length, it returns dst as it was and a
// [*TooLongError] (STR-5).
func AppendPrefixed(dst []byte, w Width, p []byte) ([]byte, error) {
	dst, err := AppendPrefix(dst, w, len(p))
	if err != nil {
		return dst, err
	}
	return append(dst, p...), nil
}

// AppendPrefix is AppendPrefixed for a string of n bytes that follows elsewhere.
func AppendPrefix(dst []byte, w Width, n int) ([]byte, error) {
	if limit := w.Max(); int64(n) > limit {
		return dst, &TooLongError{Limit: int(min(limit, math.MaxInt)), Length: int64(n)}
	}
	switch w {
	case Width8:
		return append(dst, byte(n)), nil
	case Width16:
		return binary.BigEndian.AppendUint16(dst, uint16(n)), nil
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)), nil
}
