package frame

import (
	"bytes"
	"math"
	"strconv"
)

// Defaults of [Lines].
const (
	DefaultDelimiter  = "\r\n"
	DefaultLineLength = 16384 // bytes, without the delimiter
)

// mode says how Lines treats the bytes that follow.
type mode uint8

const (
	lines mode = iota
	raw        // bytes are returned as they are
	skip       // bytes are dropped up to and including the next delimiter
)

// Lines decodes lines that end with a delimiter. In raw mode it returns the bytes as they
// come. The zero value decodes lines of at most 16384 bytes that end with "\r\n"
// (LINE-1).
//
// A line that is too long stops it. Next then returns the same [*TooLongError] each time,
// until the caller chooses how to go on: with Skip, Clear, SetRaw or SetLines.
type Lines struct {
	// Delimiter is the bytes that end a line. Empty means "\r\n". It may be changed at
	// any time; the next call of Next uses it (LINE-1).
	Delimiter string
	// MaxLength is the most bytes in a line, without its delimiter. Zero: 16384;
	// negative: no limit. It may be changed at any time.
	MaxLength int

	input
	mode mode
	// searched is how many bytes at the beginning of own are known to begin no delimiter.
	// delim is the delimiter that was searched for.
	searched int
	delim    string
	// exactly is how many bytes the next frame has, if exact is true.
	exactly int
	exact   bool
	err     *TooLongError
}

// Next returns the next line without its delimiter; it may be empty (LINE-2). In raw mode
// it returns the next bytes; they are never empty. ok is false if there is nothing yet,
// or if the decoder is paused or stopped. The frame is valid until the next call of Next,
// and no longer than the chunk that was fed.
//
// err is a [*TooLongError] as soon as MaxLength bytes plus the length of a delimiter have
// come without a delimiter. It does not matter how they were cut into chunks (LINE-8). A
// line of exactly MaxLength bytes is not too long.
func (d *Lines) Next() (frame []byte, ok bool, err error) {
	frame, ok, err = d.next()
	d.walking = ok || err != nil
	return frame, ok, err
}

func (d *Lines) next() (frame []byte, ok bool, err error) {
	d.last = nil
	switch d.flow {
	case paused, stopped:
		return nil, false, nil
	case failed:
		return nil, false, d.err
	}
	if d.exact && d.mode != skip {
		return d.takeExactly()
	}
	if d.mode == raw {
		frame, ok = d.rest()
		return frame, ok, nil
	}
	delim := d.Delimiter
	if delim == "" {
		delim = DefaultDelimiter
	}
	if delim != d.delim {
		d.delim, d.searched = delim, 0
	}
	if d.mode == skip && !d.skipped() {
		return nil, false, nil
	}
	if d.exact {
		return d.takeExactly()
	}
	return d.line()
}

// Exactly makes the next frame exactly n bytes, whatever they are and however they are cut
// into chunks, empty if n is zero. Then the mode goes on: lines or raw bytes. Changing the
// mode meanwhile changes what comes behind the n bytes; a line that Skip drops comes before
// them. The n bytes are kept until all have come, and nothing else limits them. Another call
// before that replaces n. Negative values panic.
func (d *Lines) Exactly(n int) {
	if n < 0 {
		panic("frame: a frame of " + strconv.Itoa(n) + " bytes")
	}
	d.recover()
	d.exact, d.exactly, d.searched = true, n, 0
}

func (d *Lines) takeExactly() (frame []byte, ok bool, err error) {
	d.searched = 0
	p, ok := d.take(d.exactly)
	if !ok {
		d.copyLent()
		return nil, false, nil
	}
	d.exact = false
	return p, true, nil
}

// SetRaw makes Next return all following bytes as they are, including the rest of this
// chunk (LINE-3). The frames then have any length.
func (d *Lines) SetRaw() { d.enter(raw) }

// SetLines makes Next return lines again. It puts extra, which may be empty, before the
// bytes that are still to be decoded (LINE-4). It does not keep extra. If extra is the end
// of the raw frame that Next returned last, or a copy of that end, nothing is copied
// (LINE-15). Otherwise extra is.
func (d *Lines) SetLines(extra []byte) {
	d.enter(lines)
	if d.flow != stopped {
		d.unread(extra)
	}
}

// Skip drops all bytes up to and including the next delimiter, whenever that comes. After
// a TooLongError they are the rest of that line. Then lines go on.
func (d *Lines) Skip() { d.enter(skip) }

// Raw tells whether Lines is in raw mode.
func (d *Lines) Raw() bool { return d.mode == raw }

// Clear drops the bytes that were fed and not yet returned, and returns them (LINE-7).
// After a TooLongError they are the line, its delimiter if that has come, and all that
// follows; decoding then goes on with the bytes that are fed later (LINE-9). The result
// is valid until the next call of Next, and no longer than the chunk that was fed.
func (d *Lines) Clear() []byte {
	d.recover()
	d.searched = 0
	return d.input.Rest()
}

// Rest is Clear, so it deals with a TooLongError.
func (d *Lines) Rest() []byte { return d.Clear() }

// enter changes the mode. A decoder that has failed goes on.
func (d *Lines) enter(m mode) {
	d.recover()
	d.mode, d.searched = m, 0
}

func (d *Lines) recover() {
	if d.flow == failed {
		d.flow, d.err = flowing, nil
	}
}

// line takes the next line. If there is none it fails or keeps what there is of one.
func (d *Lines) line() (frame []byte, ok bool, err error) {
	limit := d.MaxLength
	if limit == 0 {
		limit = DefaultLineLength
	}
	window := math.MaxInt // the most bytes that a line and its delimiter may have
	if limit >= 0 && limit <= math.MaxInt-len(d.delim) {
		window = limit + len(d.delim)
	}
	if end := d.find(window); end >= 0 {
		d.searched = 0
		p, _ := d.take(end)
		n := end - len(d.delim)
		return p[:n:n], true, nil
	}
	if d.Buffered() >= window {
		d.flow, d.err = failed, &TooLongError{Limit: limit, Length: -1}
		return nil, false, d.err
	}
	d.copyLent()
	d.searched = max(0, len(d.own)-len(d.delim)+1)
	return nil, false, nil
}

// skipped drops all bytes up to and including the next delimiter, and returns true. If
// there is no delimiter it drops all bytes that cannot begin one.
func (d *Lines) skipped() bool {
	d.searched = 0
	if end := d.find(math.MaxInt); end >= 0 {
		d.discard(end)
		d.mode = lines
		return true
	}
	d.discard(max(0, d.Buffered()-len(d.delim)+1))
	d.copyLent()
	return false
}

// find returns the index behind the first delimiter among the next window bytes, or -1.
// It takes nothing. It skips the bytes of own that were searched before.
func (d *Lines) find(window int) int {
	n := len(d.own)
	if n > 0 {
		hi := min(n, window)
		lo := min(d.searched, hi)
		if i := bytes.Index(d.own[lo:hi], []byte(d.delim)); i >= 0 {
			return lo + i + len(d.delim)
		}
		lo = max(lo, hi-len(d.delim)+1)
		if hi == window {
			return -1
		}
		// Look for a delimiter that begins in own and ends in the chunk.
		k := min(len(d.delim)-1, len(d.chunk), window-n)
		d.own = append(d.own, d.chunk[:k]...)
		i := bytes.Index(d.own[lo:], []byte(d.delim))
		d.own = d.own[:n]
		if i >= 0 {
			return lo + i + len(d.delim)
		}
	}
	if i := bytes.Index(d.chunk[:min(len(d.chunk), window-n)], []byte(d.delim)); i >= 0 {
		return n + i + len(d.delim)
	}
	return -1
}

// discard drops n bytes.
func (d *Lines) discard(n int) {
	k := min(n, len(d.own))
	if k > 0 {
		d.cutOwn(k)
	}
	if n > k {
		d.cutChunk(n - k)
	}
}

// AppendLine appends line and delimiter to dst and returns the result (LINE-11). An empty
// delimiter means "\r\n".
func AppendLine(dst, line []byte, delimiter string) []byte {
	if delimiter == "" {
		delimiter = DefaultDelimiter
	}
	return append(append(dst, line...), delimiter...)
}
