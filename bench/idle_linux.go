package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// idleLoad holds connections, and uses them when told to.
type idleLoad struct {
	base
	fds []int
}

func (l *idleLoad) open() error {
	for i := range l.Conns {
		fd, err := l.dial(i)
		if err != nil {
			return fmt.Errorf("connection %d of %d: %w", i, l.Conns, err)
		}
		l.fds = append(l.fds, fd)
		pause(i)
	}
	return nil
}

func (l *idleLoad) slice(_, _ time.Duration) (answer, error) {
	return answer{}, errors.ErrUnsupported
}

// touch sends a message on each connection and waits for it, one after the
// other. The sockets block, with a limit.
func (l *idleLoad) touch() error {
	for i, fd := range l.fds {
		at := originOf(int64(i))
		message := l.pattern[at : at+int64(l.Size)]
		n, err := unix.Write(fd, message)
		for err == unix.EINTR {
			n, err = unix.Write(fd, message)
		}
		if err != nil || n != len(message) {
			return fmt.Errorf("%w: %d bytes written, %v", errEnded, n, err)
		}
		for got := 0; got < len(message); {
			n, err := unix.Read(fd, l.buf)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				return errStalled
			case err != nil:
				return fmt.Errorf("%w: %w", errEnded, err)
			case n == 0:
				return errEnded
			case got+n > len(message):
				return errTooMuch
			case !bytes.Equal(l.buf[:n], message[got:got+n]):
				return errWrong
			}
			got += n
		}
	}
	return nil
}
