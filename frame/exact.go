package frame

// Exact decodes pieces of a given number of bytes, which the caller may change
// after each: the headers and bodies of a binary protocol (STR-8).
type Exact struct {
	// Size is how many bytes the next frame has. Zero or negative: none, Next
	// returns false and keeps what was fed. There is no limit but this one.
	Size int

	input
}

// Next returns the next Size bytes. ok is false if there are not as many yet, or
// while paused or stopped. The frame is valid until the next call of Next, and no
// longer than the chunk that was fed. err is always nil.
func (d *Exact) Next() (frame []byte, ok bool, err error) {
	frame, ok, err = d.next()
	d.walking = ok || err != nil
	return frame, ok, err
}

func (d *Exact) next() (frame []byte, ok bool, err error) {
	if d.flow != flowing {
		return nil, false, nil
	}
	if d.Size > 0 {
		frame, ok = d.take(d.Size)
	}
	if !ok {
		d.copyLent()
	}
	return frame, ok, nil
}
