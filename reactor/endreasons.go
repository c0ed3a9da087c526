package reactor

// endReasons are why streams end, from Stream.end to Stream.lose. A Stream has no field for it. Mostly one stream ends at a
// time. Its reason is kept without the map, which would cost 0.2 µs for each connection.
type endReasons struct {
	one  *Stream // has the reason why; nil: none
	why  error
	more map[*Stream]error // those of the others
}

// set notes why s ends, in place of what was noted before.
func (e *endReasons) set(s *Stream, why error) {
	switch {
	case e.one == s:
		e.why = why
	case e.one == nil && e.more[s] == nil:
		e.one, e.why = s, why
	default:
		if e.more == nil {
			e.more = make(map[*Stream]error)
		}
		e.more[s] = why
	}
}

// of returns why s ends, or nil if it does not.
func (e *endReasons) of(s *Stream) error {
	if e.one == s {
		return e.why
	}
	return e.more[s]
}

// take is of, and forgets s.
func (e *endReasons) take(s *Stream) error {
	why := e.of(s)
	if e.one == s {
		e.one, e.why = nil, nil
	} else {
		delete(e.more, s)
	}
	return why
}
