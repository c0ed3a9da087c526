package frame

// Exact decodes frames whose sizes the caller knows, such as the headers and bodies of a
// binary protocol (STR-8). The size may change after each frame.
type Exact struct {
	// Size is how many bytes the next frame has. If it is negative, or zero without Empty, Next
	// returns false and keeps what was fed. There is no other limit.
	Size int
	// Empty has a Size of zero mean an empty frame. Next returns it each time it is called, so the
	// caller changes the Size in between; [All] would not end.
	Empty bool

	input
}

// Next returns the next Size bytes. ok is false if fewer have been fed, or if the decoder
// is paused or stopped. The frame is valid until the next call of Next, and no longer
// than the chunk that was fed. err is always nil.
func (d *Exact) Next() (frame []byte, ok bool, err error) {
	frame, ok, err = d.next()
	d.walking = ok || err != nil
	return frame, ok, err
}

func (d *Exact) next() (frame []byte, ok bool, err error) {
	if d.flow != flowing {
		return nil, false, nil
	}
	if d.Size > 0 || d.Size == 0 && d.Empty {
		frame, ok = d.take(d.Size)
	}
	if !ok {
		d.copyLent()
	}
	return frame, ok, nil
}
