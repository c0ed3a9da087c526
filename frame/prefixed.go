package frame

import (
	"encoding/binary"
	"math"
	"strconv"
)

// Width is how many bytes a length prefix has: 1, 2 or 4. Zero means 4. Any other Width
// panics when it is used.
type Width int

// The widths of a length prefix.
const (
	Width8  Width = 1
	Width16 Width = 2
	Width32 Width = 4
)

// Max is the greatest length that fits into a prefix of this width (STR-5).
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

// Prefixed decodes strings that follow their length, which is big-endian (STR-3). The
// zero value takes prefixes of four bytes and strings of at most 99999.
//
// After an error it returns no more frames, like [Netstrings].
type Prefixed struct {
	// Width is how many bytes the prefix has. It may be changed between strings.
	Width Width
	// MaxLength is the most bytes in a string. Zero means 99999, negative means 2^31-1;
	// greater values count as 2^31-1 too. It may be changed at any time and applies to
	// the lengths that are read later.
	MaxLength int

	input
	read   int // bytes of the prefix that were read
	length int64
	err    error
}

// Next returns the next string; it may be empty. ok is false if there is none yet, or if
// the decoder is paused or stopped. The frame is valid until the next call of Next, and
// no longer than the chunk that was fed. err is a [*TooLongError] as soon as a length
// above MaxLength has been read (STR-4).
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

// Rest drops the bytes that were fed and not yet returned, and returns them, as [Decoder]
// says.
func (d *Prefixed) Rest() []byte {
	var head [Width32]byte
	for i := range d.read {
		head[i] = byte(d.length >> (8 * (d.read - 1 - i)))
	}
	n := d.read
	d.read, d.length = 0, 0
	return d.restBehind(head[:n])
}

// AppendPrefixed appends the length of p and p to dst, and returns the result. If the
// length does not fit into the prefix, it returns dst unchanged and a [*TooLongError]
// (STR-5).
func AppendPrefixed(dst []byte, w Width, p []byte) ([]byte, error) {
	dst, err := AppendPrefix(dst, w, len(p))
	if err != nil {
		return dst, err
	}
	return append(dst, p...), nil
}

// AppendPrefix appends only the prefix, for a string of n bytes that the caller writes
// itself. The error is that of AppendPrefixed.
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
