package reactor

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// SetProbes turns keepalive on, with these probes (TCP-85). Errors are as for SetNoDelay, and
// a *kernel.OptionError for a value that is refused.
func (s *Stream) SetProbes(p kernel.Probes) error {
	o, err := s.options()
	if err != nil {
		return err
	}
	return o.SetProbes(p)
}

// Probes returns when keepalive probes, also if it is off. Errors are as for SetNoDelay.
func (s *Stream) Probes() (kernel.Probes, error) {
	o, err := s.options()
	if err != nil {
		return kernel.Probes{}, err
	}
	return o.Probes()
}

// SetUserTimeout sets how long the peer may take nothing (TCP-86). Zero leaves it to the
// system. Errors are as for SetProbes.
func (s *Stream) SetUserTimeout(d time.Duration) error {
	o, err := s.options()
	if err != nil {
		return err
	}
	return o.SetUserTimeout(d)
}

// UserTimeout returns what SetUserTimeout sets. Errors are as for SetNoDelay.
func (s *Stream) UserTimeout() (time.Duration, error) {
	o, err := s.options()
	if err != nil {
		return 0, err
	}
	return o.UserTimeout()
}

// SetSendBuffer sets how many bytes the system buffers for sending (TCP-87). Whorl's own
// buffer is another: see StreamConfig. Errors are as for SetProbes.
func (s *Stream) SetSendBuffer(size int) error {
	o, err := s.options()
	if err != nil {
		return err
	}
	return o.SetSendBuffer(size)
}

// SendBuffer returns the size that the system gave. Errors are as for SetNoDelay.
func (s *Stream) SendBuffer() (int, error) {
	o, err := s.options()
	if err != nil {
		return 0, err
	}
	return o.SendBuffer()
}

// SetRecvBuffer sets how many bytes the system buffers of what comes (TCP-87). Errors are as
// for SetProbes.
func (s *Stream) SetRecvBuffer(size int) error {
	o, err := s.options()
	if err != nil {
		return err
	}
	return o.SetRecvBuffer(size)
}

// RecvBuffer returns the size that the system gave. Errors are as for SetNoDelay.
func (s *Stream) RecvBuffer() (int, error) {
	o, err := s.options()
	if err != nil {
		return 0, err
	}
	return o.RecvBuffer()
}

// Credentials are those of the process at the other end of a UNIX socket, as [kernel.UNIXConn]
// says. Other streams are kernel.ErrUnsupported; a lost one is ErrClosed.
func (s *Stream) Credentials() (kernel.Credentials, error) {
	if s.state == streamLost {
		return kernel.Credentials{}, ErrClosed
	}
	if u, ok := kernel.ConnAs[kernel.UNIXConn](s.conn); ok {
		return u.Credentials()
	}
	return kernel.Credentials{}, kernel.ErrUnsupported
}

var _ kernel.TCPConn = (*Stream)(nil)
