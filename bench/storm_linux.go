package main

import "time"

// stormLoad makes all its connections begin at the same moment, once a slice. It computes
// the first flight of each handshake before the first of them connects.
type stormLoad struct{ churnLoad }

func (l *stormLoad) slice(_, _ time.Duration) (answer, error) {
	for i := range l.slots {
		if err := l.prepare(i); err != nil {
			return answer{}, err
		}
		s := l.slots[i].secure
		if s == nil {
			continue
		}
		s.corked = true
		if err := s.handshake(); err != errAgain {
			return answer{}, err
		}
		s.corked = false
	}
	if err := l.span.beginOnce(&l.loadSpec, l.now()); err != nil {
		return answer{}, err
	}
	for i := range l.slots {
		if err := l.start(i, l.now()); err != nil {
			return answer{}, err
		}
	}
	if err := l.work(); err != nil {
		return answer{}, err
	}
	err := l.span.finish(l.now())
	return l.span.result, err
}
