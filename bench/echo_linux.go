package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// echoLoad keeps a number of messages outstanding on each of its connections.
type echoLoad struct {
	base
	conns   []echoConn
	pending int // messages outstanding
}

// echoConn is one connection. Its stream repeats the pattern, beginning at origin. The
// counts are of bytes since it was made.
type echoConn struct {
	conn
	wanted   int64 // to be sent
	sent     int64
	received int64
	whole    int64           // messages received
	stamps   []time.Duration // when each outstanding message was sent; a ring
}

func (l *echoLoad) open() error {
	l.conns = make([]echoConn, l.Conns)
	for i := range l.conns {
		c := &l.conns[i]
		if err := l.dial(&c.conn, int64(i)); err != nil {
			return err
		}
		c.stamps = make([]time.Duration, l.Outstanding)
		if err := l.arm(&c.conn, i); err != nil {
			return err
		}
		pause(i)
	}
	return nil
}

// pause gives the server time to accept. If its queue were full, connecting would take a
// second.
func pause(i int) {
	if i%64 == 63 {
		time.Sleep(2 * time.Millisecond)
	}
}

func (l *echoLoad) touch() error { return errors.ErrUnsupported }

func (l *echoLoad) slice(warm, measure time.Duration) (answer, error) {
	l.span.begin(&l.loadSpec, l.now(), warm, measure)
	for i := range l.conns {
		c := &l.conns[i]
		now := l.now()
		for k := range c.stamps {
			c.stamps[k] = now
		}
		if err := l.send(i, l.Outstanding); err != nil {
			return answer{}, err
		}
	}
	for l.span.sending() || l.pending > 0 {
		if err := l.span.step(l.now()); err != nil {
			return answer{}, fmt.Errorf("%w, %d messages outstanding", err, l.pending)
		}
		ready, err := l.wait()
		if err != nil {
			return answer{}, err
		}
		for k := range ready {
			if err := l.handle(&ready[k]); err != nil {
				return answer{}, err
			}
		}
	}
	return l.span.result, nil
}

func (l *echoLoad) handle(ev *unix.EpollEvent) error {
	i := int(ev.Fd)
	c := &l.conns[i]
	if err := c.woken(ev.Events); err != nil {
		return err
	}
	if ev.Events&unix.EPOLLOUT != 0 {
		if err := l.flush(i); err != nil {
			return err
		}
	}
	for {
		n, err := c.read(l.buf)
		if err == errAgain {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.received(i, l.buf[:n]); err != nil {
			return err
		}
	}
}

// received checks the bytes that came back. For each message that is complete it sends
// another one.
func (l *echoLoad) received(i int, p []byte) error {
	c := &l.conns[i]
	at := (c.origin + c.received) % period
	switch {
	case c.received+int64(len(p)) > c.sent:
		return errTooMuch
	case !bytes.Equal(p, l.pattern[at:at+int64(len(p))]):
		return fmt.Errorf("%w on connection %d, near byte %d", errWrong, i, c.received)
	}
	c.received += int64(len(p))
	now := l.now()
	l.span.moved = now
	whole := c.received / int64(l.Size)
	count := int(whole - c.whole)
	for ; c.whole < whole; c.whole++ {
		stamp := &c.stamps[c.whole%int64(len(c.stamps))]
		l.span.count(now, *stamp)
		*stamp = now
	}
	l.pending -= count
	if count == 0 || !l.span.sending() {
		return nil
	}
	return l.send(i, count)
}

// send sends count more messages on connection i.
func (l *echoLoad) send(i, count int) error {
	l.conns[i].wanted += int64(count * l.Size)
	l.pending += count
	return l.flush(i)
}

func (l *echoLoad) flush(i int) error {
	c := &l.conns[i]
	for c.sent < c.wanted {
		at := (c.origin + c.sent) % period
		n, err := c.write(l.pattern[at : at+min(c.wanted-c.sent, maxChunk)])
		if err == errAgain {
			break
		}
		if err != nil {
			return err
		}
		c.sent += int64(n)
	}
	return l.arm(&c.conn, i)
}
