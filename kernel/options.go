package kernel

import (
	"fmt"
	"math"
	"time"
)

// StreamOptions are the socket options of a stream, dialled or accepted. [ListenOptions]
// and [DialOptions] embed them. The types of package endpoint do too: the tags hold the
// name of each option in an endpoint's description, and its help. The zero value is the
// defaults. [CheckOptions] says which values are refused.
type StreamOptions struct {
	// Nagle turns TCP_NODELAY off: a small segment waits until the one before it is
	// acknowledged, which may take 40 ms. The reactor sends what a callback writes in one
	// piece anyway. So Nagle is off by default, and small segments are sent at once (TCP-63).
	Nagle bool `ep:"!nodelay" help:"send small segments at once; without it, yes"`
	// KeepAlive probes a peer that is silent (SO_KEEPALIVE), and ends the connection with
	// ErrTimeout if it does not answer (TCP-85). Off by default (TCP-63).
	KeepAlive bool `ep:"keepalive" help:"probe a silent peer, and end the connection if it is gone"`
	// Probes say when KeepAlive probes. Without KeepAlive they must be zero.
	Probes
	// UserTimeout is how long what was sent may stay without acknowledgement, and what is
	// buffered without room at the peer (TCP_USER_TIMEOUT). Then the connection ends with
	// ErrTimeout (TCP-86). With KeepAlive it takes the place of KeepCount. Zero: the system
	// decides, after some 15 minutes. It is rounded up to milliseconds. At most 2^31-1 ms,
	// which is 24 days. Linux and the simulated kernel have it.
	UserTimeout time.Duration `ep:"usertimeout" help:"end the connection when the peer takes nothing for so long; without it, the system decides"`
	// SendBuffer and RecvBuffer are the sizes of the socket's buffers in bytes (SO_SNDBUF,
	// SO_RCVBUF). Zero: the system decides, and adapts them to the connection. A system may
	// give more than it was asked for, and has a limit of its own, to which it cuts the value
	// without a word; [TCPConn] tells what it gave (TCP-87). At most 1 GiB.
	SendBuffer int `ep:"sndbuf" help:"bytes that the system buffers for sending; without it, the system decides"`
	RecvBuffer int `ep:"rcvbuf" help:"bytes that the system buffers of what comes; without it, the system decides"`
	// Descriptors makes each conn a [Passing]: descriptors can be passed by it. It is for UNIX
	// sockets alone. Reading such a conn costs a little more. Without it the system takes no
	// descriptors that a peer sends: Linux from 6.16 refuses the peer's call (EPERM), so that the peer knows; others, and the
	// simulated kernel, drop them without a word. So does any system for a socket that was adopted.
	Descriptors bool
	// Control is called with each socket that Listen or Dial opens, on the loop's goroutine,
	// when its other options are set and it is neither bound nor connected. It may set more
	// options. It must not keep or close fd. Its error ends the Listen or Dial, as an
	// [*OptionError] with it inside (TCP-89). Accepted sockets have what the system lets them
	// inherit from the listener. A kernel without descriptors of the system, such as the simulated one,
	// refuses Control with ErrUnsupported.
	Control func(fd uintptr) error
}

// Probes are the times of KeepAlive. A peer that is gone is noticed KeepIdle +
// KeepInterval * KeepCount after it was last heard: by default after two and a half minutes.
// Zero fields are the defaults. Times are rounded up to seconds, because systems count them.
type Probes struct {
	// KeepIdle is how long the peer may be silent before the first probe. Zero: 15 s.
	// At most 32,767 s.
	KeepIdle time.Duration `ep:"keepidle" help:"silence before the first probe of keepalive; without it, 15 s"`
	// KeepInterval is the time between two probes without answer. Zero: 15 s. At most
	// 32,767 s.
	KeepInterval time.Duration `ep:"keepinterval" help:"time between two probes of keepalive; without it, 15 s"`
	// KeepCount is how many probes may stay without answer. Zero: 9. At most 127.
	KeepCount int `ep:"keepcount" help:"probes of keepalive without answer that end the connection; without it, 9"`
}

// The defaults and limits of options. The limits are those of Linux.
const (
	defaultKeepIdle     = 15 * time.Second
	defaultKeepInterval = 15 * time.Second
	defaultKeepCount    = 9

	maxKeepTime    = 32767 * time.Second
	maxKeepCount   = 127
	maxUserTimeout = math.MaxInt32 * time.Millisecond
	maxBuffer      = 1 << 30
)

// Complete returns p with the defaults in place of zero, and times in whole seconds.
func (p Probes) Complete() Probes {
	if p.KeepIdle == 0 {
		p.KeepIdle = defaultKeepIdle
	}
	if p.KeepInterval == 0 {
		p.KeepInterval = defaultKeepInterval
	}
	if p.KeepCount == 0 {
		p.KeepCount = defaultKeepCount
	}
	p.KeepIdle, p.KeepInterval = roundUp(p.KeepIdle, time.Second), roundUp(p.KeepInterval, time.Second)
	return p
}

// roundUp returns the least multiple of unit that is not below d. d is not negative.
func roundUp(d, unit time.Duration) time.Duration { return (d + unit - 1) / unit * unit }

// ListenOptions are the options of Listen. Nil and the zero value are the defaults. A
// kernel neither keeps nor changes the struct.
type ListenOptions struct {
	// StreamOptions apply to each accepted conn. The system hands them on from the listener.
	StreamOptions
	// Backlog is how many connections may wait to be accepted. Zero or negative means as
	// many as the system allows.
	Backlog int `ep:"backlog" help:"connections that may wait; without it, as many as the system allows"`
	// ReusePort lets several listeners have one address, if all of them say so; the system
	// shares the connections out among them (TCP-88). So each loop of a process, or the new
	// and the old process of a server, can have a listener of its own. Connections that
	// wait in the queue of a listener are lost when it is closed. Linux, FreeBSD and the
	// simulated kernel have it.
	ReusePort bool `ep:"reuseport" help:"share the port with other listeners that say so"`
	// UNIX has the options of a UNIX address. For others it must be the zero value.
	UNIX UNIXOptions
}

// DialOptions are the options of Dial. Nil and the zero value are the defaults. A kernel
// neither keeps nor changes the struct.
type DialOptions struct {
	StreamOptions
	// Bind is the local address. If it is the zero Addr the system chooses; a UNIX socket then
	// has no name. The file of a UNIX name must not exist, has the mode that the umask leaves, and
	// is removed when the conn is closed. If only a TCP address's port is zero the system chooses
	// the port: on Linux one that is free for that destination, elsewhere one that is free for all.
	Bind Addr
	// ReuseAddr lets Bind take a port that has connections already, if they were dialled
	// with ReuseAddr too or have ended and are in TIME_WAIT (SO_REUSEADDR). So one port can
	// dial several destinations (TCP-90). A second connection to the same destination is
	// ErrAddrUnavailable. Without a port in Bind it changes nothing.
	ReuseAddr bool
	// CheckLock has the Dial of a UNIX path fail with ErrNotLocked unless a live process holds the
	// path's lock file (UNIX-13). See [UNIXOptions].
	CheckLock bool
}

// OptionError says why an option cannot be set. errors.Is finds Err in it.
type OptionError struct {
	// Op is the operation: [OpListen], [OpConnect], or [OpOption] on a conn.
	Op string
	// Option is the name of the field, such as "KeepIdle".
	Option string
	// Value is its value. It is nil for Control.
	Value any
	// Needs is the name of the field that must be set too, such as "KeepAlive"; empty if that is
	// not what is wrong.
	Needs string
	// Err is ErrInvalidOption with the reason, ErrUnsupported if the kernel or the system
	// lacks the option, the system's [*SysError], or what Control returned.
	Err error
}

// Error is "listen: option KeepIdle is -1s: invalid option: it is negative".
func (e *OptionError) Error() string {
	if e.Value == nil {
		return fmt.Sprintf("%s: option %s: %v", e.Op, e.Option, e.Err)
	}
	return fmt.Sprintf("%s: option %s is %v: %v", e.Op, e.Option, e.Value, e.Err)
}

// Unwrap is Err.
func (e *OptionError) Unwrap() error { return e.Err }

// CheckOptions returns why o cannot be used for the operation, as an [*OptionError] that is
// ErrInvalidOption, or nil: a value is negative, it is greater than its field allows, or
// Probes are given without KeepAlive. Every kernel calls it.
func CheckOptions(op string, o *StreamOptions) error {
	switch {
	case o.KeepAlive:
	case o.KeepIdle != 0:
		return needsKeepAlive(op, "KeepIdle", o.KeepIdle)
	case o.KeepInterval != 0:
		return needsKeepAlive(op, "KeepInterval", o.KeepInterval)
	case o.KeepCount != 0:
		return needsKeepAlive(op, "KeepCount", o.KeepCount)
	}
	if err := within(op, "KeepIdle", o.KeepIdle, maxKeepTime); err != nil {
		return err
	}
	if err := within(op, "KeepInterval", o.KeepInterval, maxKeepTime); err != nil {
		return err
	}
	if err := within(op, "KeepCount", o.KeepCount, maxKeepCount); err != nil {
		return err
	}
	if err := within(op, "UserTimeout", o.UserTimeout, maxUserTimeout); err != nil {
		return err
	}
	if err := within(op, "SendBuffer", o.SendBuffer, maxBuffer); err != nil {
		return err
	}
	return within(op, "RecvBuffer", o.RecvBuffer, maxBuffer)
}

// CheckBuffer is CheckOptions for a size that is set while a conn lives: option is
// "SendBuffer" or "RecvBuffer". It refuses zero too.
func CheckBuffer(option string, size int) error {
	if size == 0 {
		return invalid(OpOption, option, size, "a system cannot go back to a size of its own")
	}
	return within(OpOption, option, size, maxBuffer)
}

// within refuses a value that is negative or greater than most.
func within[T int | time.Duration](op, option string, v, most T) error {
	switch {
	case v < 0:
		return invalid(op, option, v, "it is negative")
	case v > most:
		return invalid(op, option, v, fmt.Sprintf("it is greater than %v", most))
	}
	return nil
}

func needsKeepAlive(op, option string, value any) error {
	err := invalid(op, option, value, "it needs KeepAlive")
	err.Needs = "KeepAlive"
	return err
}

func invalid(op, option string, value any, reason string) *OptionError {
	return &OptionError{Op: op, Option: option, Value: value, Err: fmt.Errorf("%w: %s", ErrInvalidOption, reason)}
}
