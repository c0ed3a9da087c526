package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// churnLoad connects, has one message echoed, closes, and begins again, on a
// number of connections at a time.
type churnLoad struct {
	base
	slots []churnSlot
	made  int64
	alive int // connections now
}

type churnSlot struct {
	fd     int
	origin int64
	got    int
	sent   bool
	began  time.Duration
}

func (l *churnLoad) open() error {
	l.slots = make([]churnSlot, l.Conns)
	return nil
}

func (l *churnLoad) touch() error { return errors.ErrUnsupported }

func (l *churnLoad) slice(warm, measure time.Duration) (answer, error) {
	l.span.begin(&l.order, l.now(), warm, measure)
	for i := range l.slots {
		if err := l.connect(i); err != nil {
			return answer{}, err
		}
	}
	for l.span.sending() || l.alive > 0 {
		if err := l.span.step(l.now()); err != nil {
			return answer{}, fmt.Errorf("%w, %d connections waiting", err, l.alive)
		}
		ready, err := l.wait()
		if err != nil {
			return answer{}, err
		}
		for k := range ready {
			if err := l.handle(int(ready[k].Fd)); err != nil {
				return answer{}, err
			}
		}
	}
	return l.span.result, nil
}

// connect begins a connection in slot i. On loopback the handshake is usually
// over when connect returns, so the message can go at once.
func (l *churnLoad) connect(i int) error {
	began := l.now()
	fd, err := l.socket(unix.SOCK_NONBLOCK, int(l.made))
	if err != nil {
		return err
	}
	l.slots[i] = churnSlot{fd: fd, origin: originOf(l.made), began: began}
	l.made++
	l.alive++
	if err := unix.Connect(fd, &l.to); err != nil && err != unix.EINPROGRESS {
		return os.NewSyscallError("connect", err)
	}
	if err := l.send(i); err != nil {
		return err
	}
	events := uint32(unix.EPOLLIN)
	if !l.slots[i].sent {
		events |= unix.EPOLLOUT
	}
	return l.watch(unix.EPOLL_CTL_ADD, fd, i, events)
}

func (l *churnLoad) send(i int) error {
	s := &l.slots[i]
	n, e := write(s.fd, l.pattern[s.origin:s.origin+int64(l.Size)])
	switch {
	case e != 0 && (again(e) || e == unix.ENOTCONN):
		return nil
	case e != 0:
		return fmt.Errorf("%w: %w", errEnded, e)
	case n != l.Size:
		return errors.New("a new connection did not take one message")
	}
	s.sent = true
	return nil
}

func (l *churnLoad) handle(i int) error {
	s := &l.slots[i]
	if !s.sent {
		if err := l.send(i); err != nil || !s.sent {
			return err
		}
		return l.watch(unix.EPOLL_CTL_MOD, s.fd, i, unix.EPOLLIN)
	}
	n, e := read(s.fd, l.buf)
	switch {
	case e != 0 && again(e):
		return nil
	case e != 0:
		return fmt.Errorf("%w: %w", errEnded, e)
	case n == 0:
		return errEnded
	case s.got+n > l.Size:
		return errTooMuch
	}
	at := s.origin + int64(s.got)
	if !bytes.Equal(l.buf[:n], l.pattern[at:at+int64(n)]) {
		return errWrong
	}
	if s.got += n; s.got < l.Size {
		return nil
	}
	unix.Close(s.fd)
	l.alive--
	now := l.now()
	l.span.moved = now
	l.span.count(now, s.began)
	if !l.span.sending() {
		return nil
	}
	return l.connect(i)
}
