package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// conn is a connection to the server. All kinds of load use it. Its socket does not
// block. It must not be copied once begin was called.
type conn struct {
	fd      int
	origin  int64 // where in the pattern its bytes begin
	secure  *session
	armed   uint32 // what epoll watches it for, 0 if nothing
	drained bool   // there is nothing to read until epoll reports it
	blocked bool   // the socket took no more, or is not connected yet
}

var (
	errAgain   = errors.New("not now")
	errWrong   = errors.New("echoed wrong bytes")
	errTooMuch = errors.New("echoed more than it was sent")
	errEnded   = errors.New("ended a connection")
	errStalled = errors.New("stalled: nothing comes back")
)

// sourceAddrs is how many loopback addresses the connections are bound to.
const sourceAddrs = 32

// begin opens c, which is connection number number. It binds c to one of several loopback
// addresses, so that old connections do not use up the ports.
func (b *base) begin(c *conn, number int64) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	*c = conn{fd: fd, origin: originOf(number)}
	// Let connect choose the port: then it need only be free towards the server.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err == nil {
		from := unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + number%sourceAddrs)}}
		if err := unix.Bind(fd, &from); err != nil {
			unix.Close(fd)
			return os.NewSyscallError("bind", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		unix.Close(fd)
		return os.NewSyscallError("setsockopt", err)
	}
	if b.tls != nil {
		c.secure = newSession(c, b.tls)
	}
	return nil
}

// connect connects c. On loopback that is usually done when it returns. Otherwise write
// returns errAgain at first.
func (b *base) connect(c *conn) error {
	if err := unix.Connect(c.fd, &b.to); err != nil && err != unix.EINPROGRESS {
		return os.NewSyscallError("connect", err)
	}
	return nil
}

// dial opens c, connects it, and waits until it can be used.
func (b *base) dial(c *conn, number int64) error {
	err := b.begin(c, number)
	if err == nil {
		err = b.connect(c)
	}
	for err == nil {
		if err = c.ready(); err != errAgain {
			break
		}
		err = b.await(c)
	}
	if err != nil {
		return fmt.Errorf("connection %d of %d: %w", number, b.Conns, err)
	}
	return nil
}

// ready returns nil if c is connected and, with TLS, the handshake is done. Until then it
// returns errAgain.
func (c *conn) ready() error {
	if _, err := unix.Getpeername(c.fd); err == unix.ENOTCONN {
		code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		if err != nil {
			return os.NewSyscallError("connect", err)
		}
		c.blocked = true
		return errAgain
	}
	if c.secure != nil {
		return c.secure.handshake()
	}
	return nil
}

// await waits, without epoll, until something can be done on c.
func (b *base) await(c *conn) error {
	p := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
	if c.blocked {
		p[0].Events |= unix.POLLOUT
	}
	n, err := unix.Poll(p, int(b.Timeout.Milliseconds()))
	switch {
	case err == unix.EINTR:
		return nil
	case err != nil:
		return os.NewSyscallError("poll", err)
	case n == 0:
		return errStalled
	}
	return c.woken(uint32(p[0].Revents))
}

// arm makes epoll watch c for what it needs next. Its events carry index.
func (b *base) arm(c *conn, index int) error {
	events := uint32(unix.EPOLLIN)
	if c.blocked {
		events |= unix.EPOLLOUT
	}
	if events == c.armed {
		return nil
	}
	op := unix.EPOLL_CTL_MOD
	if c.armed == 0 {
		op = unix.EPOLL_CTL_ADD
	}
	c.armed = events
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(b.ep, op, c.fd, &unix.EpollEvent{Events: events, Fd: int32(index)}))
}

// woken notes the events that epoll or poll reported for c. Both use the same numbers.
func (c *conn) woken(events uint32) error {
	c.drained = false
	if events&unix.EPOLLOUT == 0 {
		return nil
	}
	c.blocked = false
	if c.secure != nil {
		return c.secure.flush()
	}
	return nil
}

// read returns errAgain if there is nothing more to read now, and errEnded at the end.
// After an event, call it until it returns errAgain: TLS may hold more than the socket
// does.
func (c *conn) read(p []byte) (int, error) {
	if c.secure != nil {
		return c.secure.read(p)
	}
	return c.receive(p)
}

// write returns errAgain if nothing is taken now.
func (c *conn) write(p []byte) (int, error) {
	if c.secure != nil {
		return c.secure.write(p)
	}
	return c.transmit(p)
}

func (c *conn) close() {
	if c.secure != nil {
		c.secure.end()
	}
	unix.Close(c.fd)
}

// receive reads from the socket. If a read gave less than it could, receive does not ask
// again until the next event.
func (c *conn) receive(p []byte) (int, error) {
	if c.drained {
		return 0, errAgain
	}
	n, e := read(c.fd, p)
	switch {
	case e != 0 && again(e):
		c.drained = true
		return 0, errAgain
	case e != 0:
		return 0, fmt.Errorf("%w: %w", errEnded, e)
	case n == 0:
		return 0, errEnded
	}
	c.drained = n < len(p)
	return n, nil
}

// transmit writes to the socket.
func (c *conn) transmit(p []byte) (int, error) {
	if c.blocked {
		return 0, errAgain
	}
	n, e := write(c.fd, p)
	switch {
	case e == unix.EINTR:
		return 0, nil
	case e != 0 && (again(e) || e == unix.ENOTCONN):
		c.blocked = true
		return 0, errAgain
	case e != 0:
		return 0, fmt.Errorf("%w: %w", errEnded, e)
	}
	return n, nil
}

// message returns the first message of c.
func (b *base) message(c *conn) []byte { return b.pattern[c.origin : c.origin+int64(b.Size)] }

// gather reads the echo of message as far as it has come. got is how many bytes came
// before; it returns how many have come now.
func (b *base) gather(c *conn, got int) (int, error) {
	message := b.message(c)
	for {
		n, err := c.read(b.buf)
		switch {
		case err == errAgain:
			return got, nil
		case err != nil:
			return got, err
		case got+n > len(message):
			return got, errTooMuch
		case !bytes.Equal(b.buf[:n], message[got:got+n]):
			return got, errWrong
		}
		if got += n; got == len(message) {
			return got, nil
		}
	}
}

// read makes its system call without telling the scheduler, and so does write: the
// sockets do not block, and the generator must cost less than any server.
func read(fd int, p []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), e
}

func write(fd int, p []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), e
}

func again(e unix.Errno) bool { return e == unix.EAGAIN || e == unix.EINTR }
