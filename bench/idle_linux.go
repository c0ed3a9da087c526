package main

import (
	"errors"
	"time"
)

// idleLoad holds connections that do nothing until touch uses them.
type idleLoad struct {
	base
	conns []conn
}

func (l *idleLoad) open() error {
	l.conns = make([]conn, l.Conns)
	for i := range l.conns {
		if err := l.dial(&l.conns[i], int64(i)); err != nil {
			return err
		}
		pause(i)
	}
	return nil
}

func (l *idleLoad) slice(_, _ time.Duration) (answer, error) {
	return answer{}, errors.ErrUnsupported
}

// touch sends a message on each connection, one after the other, and waits for its echo.
func (l *idleLoad) touch() error {
	for i := range l.conns {
		if err := l.exchange(&l.conns[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *idleLoad) exchange(c *conn) error {
	message := l.message(c)
	for sent, got := 0, 0; got < len(message); {
		if sent < len(message) {
			n, err := c.write(message[sent:])
			if err != nil && err != errAgain {
				return err
			}
			sent += n
		}
		if err := l.await(c); err != nil {
			return err
		}
		var err error
		if got, err = l.gather(c, got); err != nil {
			return err
		}
	}
	return nil
}
