package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// churnLoad keeps a number of slots busy. Each slot connects, has one message echoed,
// closes, and begins again.
type churnLoad struct {
	base
	slots []churnSlot
	made  int64
	alive int // connections now
}

type churnSlot struct {
	conn
	sent  int // bytes of the message
	got   int // of its echo
	began time.Duration
}

func (l *churnLoad) open() error {
	l.slots = make([]churnSlot, l.Conns)
	return nil
}

func (l *churnLoad) touch() error { return errors.ErrUnsupported }

func (l *churnLoad) slice(warm, measure time.Duration) (answer, error) {
	l.span.begin(&l.loadSpec, l.now(), warm, measure)
	for i := range l.slots {
		if err := l.restart(i); err != nil {
			return answer{}, err
		}
	}
	if err := l.work(); err != nil {
		return answer{}, err
	}
	return l.span.result, nil
}

// work handles events until the slice is over and no connection is left.
func (l *churnLoad) work() error {
	for l.span.sending() || l.alive > 0 {
		if err := l.span.step(l.now()); err != nil {
			return fmt.Errorf("%w, %d connections waiting", err, l.alive)
		}
		ready, err := l.wait()
		if err != nil {
			return err
		}
		for k := range ready {
			if err := l.handle(&ready[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// restart makes a new connection in slot i.
func (l *churnLoad) restart(i int) error {
	began := l.now()
	if err := l.prepare(i); err != nil {
		return err
	}
	return l.start(i, began)
}

func (l *churnLoad) prepare(i int) error {
	l.slots[i] = churnSlot{}
	err := l.begin(&l.slots[i].conn, l.made)
	l.made++
	return err
}

// start connects slot i, which prepare has set up. If it is connected at once, it sends
// the message too.
func (l *churnLoad) start(i int, began time.Duration) error {
	s := &l.slots[i]
	s.began = began
	l.alive++
	if err := l.connect(&s.conn); err != nil {
		return err
	}
	if err := l.send(s); err != nil {
		return err
	}
	return l.arm(&s.conn, i)
}

func (l *churnLoad) send(s *churnSlot) error {
	message := l.message(&s.conn)
	for s.sent < len(message) {
		n, err := s.write(message[s.sent:])
		if err == errAgain {
			return nil
		}
		if err != nil {
			return err
		}
		s.sent += n
	}
	return nil
}

func (l *churnLoad) handle(ev *unix.EpollEvent) error {
	i := int(ev.Fd)
	s := &l.slots[i]
	if err := s.woken(ev.Events); err != nil {
		return err
	}
	if s.sent < l.Size {
		if err := l.send(s); err != nil {
			return err
		}
	}
	if s.sent == l.Size {
		var err error
		if s.got, err = l.gather(&s.conn, s.got); err != nil {
			return err
		}
	}
	if s.got < l.Size {
		return l.arm(&s.conn, i)
	}
	s.close()
	l.alive--
	now := l.now()
	l.span.moved = now
	l.span.count(now, s.began)
	if !l.span.sending() {
		return nil
	}
	return l.restart(i)
}
