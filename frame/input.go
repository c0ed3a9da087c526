package frame

import "slices"

// flow says whether a decoder goes on.
type flow uint8

const (
	flowing flow = iota
	paused       // keeps what it is fed
	failed       // drops what it is fed; its error stays
	stopped      // drops what it is fed, for good
)

// input is what was fed and not yet taken: first own, then chunk. It stands in
// every decoder.
//
// own is never moved down or cut back to its beginning, so what was returned out
// of it is not overwritten by what is fed later: it grows at its end, and append
// leaves the taken bytes behind when it moves.
type input struct {
	own   []byte // copied; nil when empty
	chunk []byte // lent by the caller of Feed
	last  []byte // what rest returned, while it may be given back
	// lastOwn says that last lies in own's memory, not in the chunk's.
	lastOwn bool
	// walking says that Next has not told yet that there is nothing more: a Feed
	// now comes from within, and must not lend.
	walking bool
	flow    flow
	taken   int64 // bytes taken since the beginning
}

// Feed adds p to what is to be decoded. p is lent: it must stay as it is until
// Next returns false without an error, or Pause, Keep or Stop was called; then it
// is the caller's again. Feeding more before that is allowed, copies, and leaves
// the frame returned last as it is (LINE-10). After Stop, and after an error that
// was not dealt with, p is dropped.
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

// Keep copies what is still lent, so that the chunk is the caller's again. It is
// needed only to leave off in the middle of a chunk without Pause.
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

// Pause makes Next return false until Resume, also in the middle of a chunk
// (LINE-5, STR-6). What was fed, and what is fed meanwhile, is kept: the chunk is
// the caller's again. On a decoder that stopped or failed it only copies.
func (b *input) Pause() {
	b.copyLent()
	if b.flow == flowing {
		b.flow = paused
	}
}

// Resume takes Pause back. What was kept comes first, from the next call of Next.
func (b *input) Resume() {
	if b.flow == paused {
		b.flow = flowing
	}
}

// Paused tells whether Pause is in force.
func (b *input) Paused() bool { return b.flow == paused }

// Stop ends decoding for good: what was not returned is dropped, and so is what
// is fed later (LINE-6). Next returns false, without an error, from now on.
func (b *input) Stop() {
	b.drop()
	b.flow = stopped
}

// Buffered is how many bytes were fed and not yet returned, not counting a length
// that was already read.
func (b *input) Buffered() int { return len(b.own) + len(b.chunk) }

// drop gives everything up.
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

// take takes n bytes in one piece, if there are as many.
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

// rest takes what is there in one piece without copying, own before the chunk.
func (b *input) rest() (p []byte, ok bool) {
	b.lastOwn = len(b.own) > 0
	switch {
	case b.lastOwn:
		p = b.cutOwn(len(b.own))
	case len(b.chunk) > 0:
		p = b.cutChunk(len(b.chunk))
	default:
		return nil, false
	}
	b.last = p
	return p, true
}

// unread puts p before everything else. Where p is the end of what was returned
// last, and that was all there was, nothing is copied: a caller who takes a chunk
// bite by bite does not make the work quadratic.
func (b *input) unread(p []byte) {
	if len(p) == 0 {
		return
	}
	n := len(b.last)
	end := len(p) <= n && &p[len(p)-1] == &b.last[n-1]
	switch {
	case end && b.lastOwn && len(b.own) == 0:
		b.own = p[:len(p):len(p)]
	case end && !b.lastOwn: // nothing is left behind it: a Feed since would have cleared last
		b.chunk = p
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
