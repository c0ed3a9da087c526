package frame

import "fmt"

// Split decodes frames whose ends a function finds (STR-12). It is for protocols with a
// framing of their own, such as RESP, MQTT or the header of HTTP.
//
// After an error it returns no more frames, like [Netstrings].
type Split struct {
	// Find looks for the end of the first frame in p. p begins with that frame, is never empty,
	// and may go on behind it. Find returns how many bytes the frame has, or 0 if its end is not
	// in p. Then Find is called again when more has come, with the same bytes and those
	// behind them. So it may remember how far it has looked. It must not keep p or change it.
	//
	// An error says that p begins with no frame, whatever follows. It is the last that Next
	// returns. If Find depends only on the bytes up to the end of the frame, or up to what is
	// wrong, it makes no difference how the stream is cut. A result that is negative or
	// beyond p panics. Rest, Stop and errors take bytes away: the next call begins elsewhere.
	//
	// Find must be set before bytes are fed. It may be changed between frames.
	Find func(p []byte) (n int, err error)
	// MaxLength is the most bytes in a frame. Zero means 99999, negative means 2^31-1; greater
	// values count as 2^31-1 too. It may be changed between frames. Find is shown at most as many
	// bytes, and no more than these are kept of a frame without an end.
	MaxLength int

	input
	err error
}

// Next returns the next frame. ok is false if there is none yet, or if the decoder is paused or
// stopped. The frame is valid until the next call of Next, and no longer than the chunk that was
// fed. err is the error of Find, or a [*TooLongError] with a negative Length if MaxLength bytes have come
// and Find sees no end in them.
func (d *Split) Next() (frame []byte, ok bool, err error) {
	frame, ok, err = d.next()
	d.walking = ok || err != nil
	return frame, ok, err
}

func (d *Split) next() (frame []byte, ok bool, err error) {
	switch d.flow {
	case paused, stopped:
		return nil, false, nil
	case failed:
		return nil, false, d.err
	}
	n, err := 0, error(nil)
	if len(d.own) > 0 {
		n, err = d.findJoined()
	} else {
		n, err = d.find(d.chunk)
	}
	switch {
	case err != nil:
		d.fail()
		d.err = err
		return nil, false, err
	case n == 0:
		d.copyLent()
		return nil, false, nil
	}
	frame, _ = d.take(n)
	return frame, true, nil
}

// firstJoin is how many bytes of a chunk are copied first, to complete a frame that has begun
// before it.
const firstJoin = 512

// findJoined is find for a frame that begins in own. Find wants one piece, so the beginning of
// the chunk is copied behind own, twice as much each time. What was copied and is behind the
// frame is forgotten again: it is still in the chunk. So the bytes that are copied grow with the
// frame, and not with the chunk.
func (d *Split) findJoined() (n int, err error) {
	kept := len(d.own)
	n, err = d.find(d.own)
	for size := firstJoin; n == 0 && err == nil && len(d.own) < kept+len(d.chunk); size *= 2 {
		have := len(d.own) - kept
		d.own = append(d.own, d.chunk[have:min(have+size, len(d.chunk))]...)
		n, err = d.find(d.own)
	}
	d.own = d.own[:kept]
	return n, err
}

// find calls Find with what it may see of p.
func (d *Split) find(p []byte) (int, error) {
	limit := limitOf(d.MaxLength)
	if p = p[:min(len(p), limit)]; len(p) == 0 {
		return 0, nil
	}
	n, err := d.Find(p)
	switch {
	case err != nil:
		return 0, err
	case n < 0 || n > len(p):
		panic(fmt.Sprintf("frame: Find has found a frame of %d bytes in %d", n, len(p)))
	case n == 0 && len(p) == limit:
		return 0, &TooLongError{Limit: limit, Length: -1}
	}
	return n, nil
}
