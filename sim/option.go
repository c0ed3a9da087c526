package sim

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// noControl refuses Control: the numbers of a simulated program are none of the system.
func noControl(op string, o *kernel.StreamOptions) error {
	if o.Control != nil {
		return &kernel.OptionError{Op: op, Option: "Control", Err: kernel.ErrUnsupported}
	}
	return nil
}

// optionsOf is o as a socket has it: complete, and in the units of systems.
func optionsOf(o kernel.StreamOptions) kernel.StreamOptions {
	o.Probes = o.Probes.Complete()
	o.UserTimeout = (o.UserTimeout + time.Millisecond - 1) / time.Millisecond * time.Millisecond
	return o
}

// sendBuffer is how many bytes s takes that were not sent yet.
func (s *sock) sendBuffer() int { return or(s.options.SendBuffer, s.h.n.sendBuffer()) }

// recvBuffer is how many bytes may be on their way to s, or wait there to be read.
func (s *sock) recvBuffer() int { return or(s.options.RecvBuffer, s.h.n.recvBuffer()) }

// patience is how long s sends again what does not come through.
func (s *sock) patience() time.Duration { return or(s.options.UserTimeout, s.h.n.retryTimeout()) }

// SetNoDelay is kernel.TCPConn; it is remembered and changes nothing: segments are always sent
// at once.
func (s *sock) SetNoDelay(on bool) error {
	return s.set(nil, func(o *kernel.StreamOptions) { o.Nagle = !on })
}

// NoDelay is kernel.TCPConn.
func (s *sock) NoDelay() (bool, error) { return get(s, func() bool { return !s.options.Nagle }) }

// SetKeepAlive is kernel.TCPConn.
func (s *sock) SetKeepAlive(on bool) error {
	return s.set(nil, func(o *kernel.StreamOptions) {
		if o.KeepAlive = on; on {
			o.Probes = kernel.Probes{}.Complete()
		}
	})
}

// KeepAlive is kernel.TCPConn.
func (s *sock) KeepAlive() (bool, error) { return get(s, func() bool { return s.options.KeepAlive }) }

// SetProbes is kernel.TCPConn.
func (s *sock) SetProbes(p kernel.Probes) error {
	err := kernel.CheckOptions(kernel.OpOption, &kernel.StreamOptions{KeepAlive: true, Probes: p})
	return s.set(err, func(o *kernel.StreamOptions) { o.KeepAlive, o.Probes = true, p.Complete() })
}

// Probes is kernel.TCPConn.
func (s *sock) Probes() (kernel.Probes, error) {
	return get(s, func() kernel.Probes { return s.options.Probes })
}

// SetUserTimeout is kernel.TCPConn.
func (s *sock) SetUserTimeout(d time.Duration) error {
	given := kernel.StreamOptions{UserTimeout: d}
	err := kernel.CheckOptions(kernel.OpOption, &given)
	return s.set(err, func(o *kernel.StreamOptions) { o.UserTimeout = optionsOf(given).UserTimeout })
}

// UserTimeout is kernel.TCPConn.
func (s *sock) UserTimeout() (time.Duration, error) {
	return get(s, func() time.Duration { return s.options.UserTimeout })
}

// SetSendBuffer is kernel.TCPConn.
func (s *sock) SetSendBuffer(size int) error {
	return s.set(kernel.CheckBuffer("SendBuffer", size), func(o *kernel.StreamOptions) { o.SendBuffer = size })
}

// SendBuffer is kernel.TCPConn.
func (s *sock) SendBuffer() (int, error) { return get(s, func() int { return s.sendBuffer() }) }

// SetRecvBuffer is kernel.TCPConn. The peer hears of more room by an acknowledgement. Room
// that it was promised is not taken back, but used up before it gets more.
func (s *sock) SetRecvBuffer(size int) error {
	return s.set(kernel.CheckBuffer("RecvBuffer", size), func(o *kernel.StreamOptions) {
		before := s.recvBuffer()
		o.RecvBuffer = size
		if s.in != nil {
			s.in.owed += size - before
			s.in.acknowledge()
		}
	})
}

// RecvBuffer is kernel.TCPConn.
func (s *sock) RecvBuffer() (int, error) { return get(s, func() int { return s.recvBuffer() }) }

// set changes the options, unless err is not nil or s is closed.
func (s *sock) set(err error, change func(*kernel.StreamOptions)) error {
	n := s.lock()
	defer n.mu.Unlock()
	switch {
	case err != nil:
		return err
	case s.noHandle():
		return kernel.ErrClosed
	}
	probed := s.options.KeepAlive
	change(&s.options)
	if s.of != nil {
		change(&s.of.options)
	}
	if s.options.KeepAlive && !probed {
		s.heard = n.now // silence counts from now
	}
	s.keepAlive()
	s.starve()
	s.notify()
	return nil
}

// get returns an option, unless s is closed.
func get[T any](s *sock, option func() T) (v T, err error) {
	n := s.lock()
	defer n.mu.Unlock()
	if s.noHandle() {
		return v, kernel.ErrClosed
	}
	return option(), nil
}
