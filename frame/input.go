package frame

import (
	"bytes"
	"slices"
)

// flow says whether a decoder returns frames.
type flow uint8

const (
	flowing flow = iota
	paused       // keeps what it is fed
	failed       // drops what it is fed; its error stays
	stopped      // drops what it is fed, for good
)

// input is embedded in every decoder. It holds the bytes that were fed and not yet taken:
// first own, then chunk.
//
// Bytes in own are never moved down or overwritten from the beginning. So a frame that
// was returned out of own stays as it is when more is fed. own grows at its end; when
// append moves it, the taken bytes are left behind.
type input struct {
	own   []byte // copied; nil when empty
	chunk []byte // lent by the caller of Feed
	last  []byte // what rest returned, while unread may put it back
	// lastOwn says that last lies in own's memory. Otherwise it lies in the chunk's.
	lastOwn bool
	// walking says that Next has not yet returned false since the last Feed. Until then
	// the caller may be inside a loop over frames, so a Feed must copy.
	walking bool
	flow    flow
	taken   int64 // bytes taken since the beginning
}

// Feed adds p to the bytes to be decoded. p is lent: the caller must not change it until
// Next returns false without an error, or until Pause, Keep or Stop was called. Then p
// belongs to the caller again.
//
// More may be fed before that. It is copied, and the frame that was returned last stays
// as it is (LINE-10). After Stop, and after an error that was not dealt with, p is
// dropped.
func (b *input) Feed(p []byte) {
	switch {
	case b.flow == failed || b.flow == stopped || len(p) == 0:
	case b.flow == paused || b.walking:
		b.copyLent()
		b.own = append(b.own, p...)
	default:
		b.chunk, b.walking = p, true
	}
}

// Keep copies the bytes that are still lent, so that the chunk belongs to the caller
// again. Only a caller that leaves off in the middle of a chunk without Pause needs it.
func (b *input) Keep() {
	b.copyLent()
	b.walking = false
}

func (b *input) copyLent() {
	if len(b.chunk) > 0 {
		b.own = append(b.own, b.chunk...)
	}
	b.chunk = nil
	if !b.lastOwn {
		b.last = nil
	}
}

// Pause makes Next return false until Resume, also in the middle of a chunk (LINE-5,
// STR-6). It copies the bytes that are still lent, so the chunk belongs to the caller
// again. Bytes that are fed meanwhile are kept. On a decoder that has stopped or failed,
// Pause only copies.
func (b *input) Pause() {
	b.copyLent()
	if b.flow == flowing {
		b.flow = paused
	}
}

// Resume ends Pause. The next call of Next begins with the bytes that were kept.
func (b *input) Resume() {
	if b.flow == paused {
		b.flow = flowing
	}
}

// Paused tells whether the decoder is paused.
func (b *input) Paused() bool { return b.flow == paused }

// Stop ends decoding for good. Bytes that were not returned are dropped, and so are bytes
// that are fed later (LINE-6). From now on Next returns false without an error.
func (b *input) Stop() {
	b.drop()
	b.flow = stopped
}

// Buffered is how many bytes were fed and not yet returned. A length that was already
// decoded is not counted.
func (b *input) Buffered() int { return len(b.own) + len(b.chunk) }

// Rest drops the bytes that were fed and not yet returned, and returns them, as [Decoder]
// says.
func (b *input) Rest() []byte {
	if len(b.own) > 0 {
		b.copyLent() // one piece
	}
	p, _ := b.rest()
	return p
}

// restBehind is Rest of a decoder that has taken head of an unfinished frame already.
func (b *input) restBehind(head []byte) []byte {
	p := b.Rest()
	if len(head) == 0 || b.flow == failed || b.flow == stopped {
		return p
	}
	return slices.Concat(head, p)
}

// drop drops all bytes.
func (b *input) drop() { b.own, b.chunk, b.last = nil, nil, nil }

// octet takes one byte.
func (b *input) octet() (c byte, ok bool) {
	switch {
	case len(b.own) > 0:
		c = b.own[0]
		b.cutOwn(1)
	case len(b.chunk) > 0:
		c = b.chunk[0]
		b.cutChunk(1)
	default:
		return 0, false
	}
	return c, true
}

// take takes n bytes in one piece. ok is false if there are fewer.
func (b *input) take(n int) (p []byte, ok bool) {
	kept := len(b.own)
	switch {
	case kept == 0 && len(b.chunk) >= n:
		return b.cutChunk(n), true
	case kept < n && n-kept <= len(b.chunk):
		b.own = append(b.own, b.chunk[:n-kept]...)
		if b.chunk = b.chunk[n-kept:]; len(b.chunk) == 0 {
			b.chunk = nil
		}
		return b.cutOwn(n), true
	case kept >= n:
		return b.cutOwn(n), true
	}
	return nil, false
}

// cutOwn takes n bytes of own.
func (b *input) cutOwn(n int) []byte {
	p := b.own[:n:n]
	if b.own = b.own[n:]; len(b.own) == 0 {
		b.own = nil
	}
	b.taken += int64(n)
	return p
}

// cutChunk takes n bytes of the chunk. own must be empty.
func (b *input) cutChunk(n int) []byte {
	p := b.chunk[:n:n]
	if b.chunk = b.chunk[n:]; len(b.chunk) == 0 {
		b.chunk = nil
	}
	b.taken += int64(n)
	return p
}

// rest takes one piece without copying: own if it is not empty, otherwise the chunk.
func (b *input) rest() (p []byte, ok bool) {
	b.lastOwn = len(b.own) > 0
	switch {
	case b.lastOwn:
		b.last = b.own // with the room behind it
		return b.cutOwn(len(b.own)), true
	case len(b.chunk) > 0:
		b.last = b.chunk
		return b.cutChunk(len(b.chunk)), true
	}
	return nil, false
}

// unread puts p before all other bytes. If p is the end of what rest returned last, or a copy
// of that end, the bytes are put back where they are, and p is neither copied nor kept. What
// was fed since, if anything, is appended. So a caller may take a chunk in small bites and
// give back each rest, and the bytes that are copied do not grow with the rests. Two slices
// in different memory are compared, which costs less than the copy that the caller has made.
func (b *input) unread(p []byte) {
	if len(p) == 0 {
		return
	}
	at := len(b.last) - len(p)
	back := at >= 0 && (&b.last[at] == &p[0] || bytes.Equal(b.last[at:], p))
	switch {
	case back && b.lastOwn:
		b.own = append(b.last[at:], b.own...)
	case back: // own and the chunk are empty: a Feed since would have cleared last
		b.chunk = b.last[at:]
	default:
		b.own = slices.Concat(p, b.own)
	}
	b.last = nil
}

// fail ends decoding with an error that stays.
func (b *input) fail() {
	b.drop()
	b.flow = failed
}
