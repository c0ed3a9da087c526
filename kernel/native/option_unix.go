//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// lacking is the number of an option that a system does not have.
const lacking = -1

// options sets the options of a new socket for the operation op, before it is bound or
// connected. Accepted sockets have those of their listener: Linux copies all of them.
func (s *sock) options(op string, o *kernel.StreamOptions) error {
	if !o.Nagle {
		if err := s.setOption(op, "Nagle", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return err
		}
	}
	if o.KeepAlive {
		if err := s.probe(op, o.Probes); err != nil {
			return err
		}
	}
	if o.UserTimeout != 0 {
		if err := s.giveUpAfter(op, o.UserTimeout); err != nil {
			return err
		}
	}
	return s.socketOptions(op, o)
}

// socketOptions sets those that every stream socket has.
func (s *sock) socketOptions(op string, o *kernel.StreamOptions) error {
	if o.SendBuffer != 0 {
		if err := s.setOption(op, "SendBuffer", unix.SOL_SOCKET, unix.SO_SNDBUF, o.SendBuffer); err != nil {
			return err
		}
	}
	if o.RecvBuffer != 0 {
		if err := s.setOption(op, "RecvBuffer", unix.SOL_SOCKET, unix.SO_RCVBUF, o.RecvBuffer); err != nil {
			return err
		}
	}
	if o.Control != nil {
		s.b.exposed.Store(true)
		if err := o.Control(uintptr(s.fd)); err != nil {
			return &kernel.OptionError{Op: op, Option: "Control", Err: err}
		}
	}
	return nil
}

// probe turns keepalive on.
func (s *sock) probe(op string, p kernel.Probes) error {
	if keepIdle == lacking && p != (kernel.Probes{}) {
		return &kernel.OptionError{Op: op, Option: "Probes", Value: p, Err: kernel.ErrUnsupported}
	}
	if err := s.setOption(op, "KeepAlive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil || keepIdle == lacking {
		return err
	}
	p = p.Complete()
	if err := s.setOption(op, "KeepIdle", unix.IPPROTO_TCP, keepIdle, int(p.KeepIdle/time.Second)); err != nil {
		return err
	}
	if err := s.setOption(op, "KeepInterval", unix.IPPROTO_TCP, keepInterval, int(p.KeepInterval/time.Second)); err != nil {
		return err
	}
	return s.setOption(op, "KeepCount", unix.IPPROTO_TCP, keepCount, p.KeepCount)
}

// giveUpAfter sets the user timeout, in whole milliseconds.
func (s *sock) giveUpAfter(op string, d time.Duration) error {
	return s.setOption(op, "UserTimeout", unix.IPPROTO_TCP, userTimeout, int((d+time.Millisecond-1)/time.Millisecond))
}

// setOption sets an option of the system. field is its name in package kernel.
func (s *sock) setOption(op, field string, level, name, value int) error {
	failed := func(err error) error {
		return &kernel.OptionError{Op: op, Option: field, Value: value, Err: err}
	}
	if name == lacking {
		return failed(kernel.ErrUnsupported)
	}
	switch err := unix.SetsockoptInt(int(s.fd), level, name, value); err {
	case nil:
		return nil
	case unix.EBADF:
		return s.opError("setsockopt", badFD)
	case unix.ENOPROTOOPT:
		return failed(&kernel.SysError{Op: "setsockopt", Kind: kernel.ErrUnsupported, Errno: unix.ENOPROTOOPT})
	default:
		return failed(SysError("setsockopt", errnoOf(err)))
	}
}

// option asks the system for an option.
func (s *sock) option(field string, level, name int) (int, error) {
	if name == lacking {
		return 0, &kernel.OptionError{Op: kernel.OpOption, Option: field, Err: kernel.ErrUnsupported}
	}
	v, err := unix.GetsockoptInt(int(s.fd), level, name)
	if err != nil {
		return 0, s.opError("getsockopt", errnoOf(err))
	}
	return v, nil
}

// on is 1 or 0.
func on(v bool) int {
	if v {
		return 1
	}
	return 0
}

// SetNoDelay sets TCP_NODELAY.
func (s *conn) SetNoDelay(v bool) error {
	return s.setOption(kernel.OpOption, "Nagle", unix.IPPROTO_TCP, unix.TCP_NODELAY, on(v))
}

// NoDelay asks the system for TCP_NODELAY.
func (s *conn) NoDelay() (bool, error) {
	v, err := s.option("Nagle", unix.IPPROTO_TCP, unix.TCP_NODELAY)
	return v != 0, err
}

// SetKeepAlive sets SO_KEEPALIVE, and the default Probes if v is true.
func (s *conn) SetKeepAlive(v bool) error {
	if v {
		return s.probe(kernel.OpOption, kernel.Probes{})
	}
	return s.setOption(kernel.OpOption, "KeepAlive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
}

// KeepAlive asks the system for SO_KEEPALIVE.
func (s *conn) KeepAlive() (bool, error) {
	v, err := s.option("KeepAlive", unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	return v != 0, err
}

// SetProbes sets SO_KEEPALIVE and the times of its probes.
func (s *conn) SetProbes(p kernel.Probes) error {
	if err := kernel.CheckOptions(kernel.OpOption, &kernel.StreamOptions{KeepAlive: true, Probes: p}); err != nil {
		return err
	}
	return s.probe(kernel.OpOption, p)
}

// Probes asks the system for the times of keepalive.
func (s *conn) Probes() (p kernel.Probes, err error) {
	idle, err := s.option("KeepIdle", unix.IPPROTO_TCP, keepIdle)
	if err != nil {
		return p, err
	}
	interval, err := s.option("KeepInterval", unix.IPPROTO_TCP, keepInterval)
	if err != nil {
		return p, err
	}
	count, err := s.option("KeepCount", unix.IPPROTO_TCP, keepCount)
	if err != nil {
		return p, err
	}
	return kernel.Probes{KeepIdle: time.Duration(idle) * time.Second, KeepInterval: time.Duration(interval) * time.Second, KeepCount: count}, nil
}

// SetUserTimeout sets TCP_USER_TIMEOUT.
func (s *conn) SetUserTimeout(d time.Duration) error {
	if err := kernel.CheckOptions(kernel.OpOption, &kernel.StreamOptions{UserTimeout: d}); err != nil {
		return err
	}
	return s.giveUpAfter(kernel.OpOption, d)
}

// UserTimeout asks the system for TCP_USER_TIMEOUT.
func (s *conn) UserTimeout() (time.Duration, error) {
	v, err := s.option("UserTimeout", unix.IPPROTO_TCP, userTimeout)
	return time.Duration(v) * time.Millisecond, err
}

// SetSendBuffer sets SO_SNDBUF.
func (s *conn) SetSendBuffer(size int) error { return s.setBuffer("SendBuffer", unix.SO_SNDBUF, size) }

// SendBuffer asks the system for SO_SNDBUF.
func (s *conn) SendBuffer() (int, error) {
	return s.option("SendBuffer", unix.SOL_SOCKET, unix.SO_SNDBUF)
}

// SetRecvBuffer sets SO_RCVBUF.
func (s *conn) SetRecvBuffer(size int) error { return s.setBuffer("RecvBuffer", unix.SO_RCVBUF, size) }

// RecvBuffer asks the system for SO_RCVBUF.
func (s *conn) RecvBuffer() (int, error) {
	return s.option("RecvBuffer", unix.SOL_SOCKET, unix.SO_RCVBUF)
}

func (s *sock) setBuffer(field string, name, size int) error {
	if err := kernel.CheckBuffer(field, size); err != nil {
		return err
	}
	return s.setOption(kernel.OpOption, field, unix.SOL_SOCKET, name, size)
}

var _ kernel.TCPConn = (*conn)(nil)
