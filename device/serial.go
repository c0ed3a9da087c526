package device

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// Parity is the parity bit of a serial line. It is sent. What comes with a wrong one is delivered as it is.
type Parity uint8

// The parities.
const (
	NoParity Parity = iota
	EvenParity
	OddParity
	MarkParity  // the bit is always 1
	SpaceParity // the bit is always 0
)

// String is "none", "even", "odd", "mark" or "space".
func (p Parity) String() string {
	names := [...]string{"none", "even", "odd", "mark", "space"}
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("Parity(%d)", uint8(p))
}

// Lines are the control lines of a serial port.
type Lines uint8

// The lines. DTR and RTS are ours to set, the others the peer's.
const (
	DTR Lines = 1 << iota // data terminal ready
	RTS                   // request to send
	CTS                   // clear to send
	DSR                   // data set ready
	DCD                   // carrier detect
	RI                    // ring indicator
)

// SerialConfig has the settings of a serial port. The zero value is 9600 baud, 8 data bits, no parity, 1 stop bit, no flow
// control (SERIAL-1).
type SerialConfig struct {
	// Baud is the speed in bits a second, any number that the hardware can have. Zero: 9600.
	Baud int
	// DataBits is 5, 6, 7 or 8. Zero: 8.
	DataBits int
	// Parity is the parity bit.
	Parity Parity
	// StopBits is 1 or 2. Zero: 1.
	StopBits int
	// HardFlow is flow control by the lines RTS and CTS.
	HardFlow bool
	// SoftFlow is flow control by the characters XON and XOFF, in both directions. They then cannot be data.
	SoftFlow bool
	// Shared lets others open the port too, if they share it as well. Otherwise who asks for its lock (flock), as Whorl and most
	// other programs do, and who is not privileged, is refused. When a shared port is closed, the last who has it sets it
	// back, and what is in the system's buffers stays.
	Shared bool
	// DrainTime is how long what was written may take to leave, when the port is closed in order. Then it is
	// dropped, unless the port is Shared. Zero: 3 s; negative: it is dropped at once.
	DrainTime time.Duration
}

var (
	// ErrBusy: somebody else has the serial port or the network device.
	ErrBusy = kernel.Sentinel("the device is in use")
	// ErrNotSerial: what was opened is neither a serial port nor another terminal.
	ErrNotSerial = kernel.Sentinel("no serial port")
)

// complete fills in the defaults, and says what cannot be.
func (c SerialConfig) complete() (SerialConfig, error) {
	for _, x := range []struct {
		value    *int
		usual    int
		from, to int
		name     string
	}{
		{&c.Baud, 9600, 1, 1<<31 - 1, "Baud"}, {&c.DataBits, 8, 5, 8, "DataBits"}, {&c.StopBits, 1, 1, 2, "StopBits"},
	} {
		if *x.value == 0 {
			*x.value = x.usual
		}
		if *x.value < x.from || *x.value > x.to {
			return c, badSetting(x.name, *x.value, fmt.Errorf("%w: it must be %d to %d", kernel.ErrInvalidOption, x.from, x.to))
		}
	}
	if c.Parity > SpaceParity {
		return c, badSetting("Parity", c.Parity, kernel.ErrInvalidOption)
	}
	if c.DrainTime == 0 {
		c.DrainTime = 3 * time.Second
	}
	return c, nil
}

// Check says what is wrong with the settings, as a [*kernel.OptionError] that names the field, or nil.
func (c SerialConfig) Check() error {
	_, err := c.complete()
	return err
}

func badSetting(name string, value any, err error) error {
	return &kernel.OptionError{Op: kernel.OpOption, Option: name, Value: value, Err: err}
}

// Serial is an open serial port. After Attach its methods are for the loop's goroutine; before, for one goroutine at a
// time. After the end they fail with kernel.ErrClosed.
//
// What a port lacks is ErrUnsupported: a pseudo-terminal, for instance, has no control lines.
type Serial struct {
	path     string
	cfg      SerialConfig
	fd       int // -1 after the end
	before   settings
	attached bool
}

// OpenSerial opens a serial port, takes it for itself, sets it up and drops what is in its buffers, unless it is Shared and
// somebody else has it, whose bytes they may be (SERIAL-1). Its former
// settings come back when it is closed. It does not wait for a carrier, and the port does not become the
// controlling terminal. With drivers of USB it may wait some milliseconds for the device: call it before the loop runs,
// or by reactor.InThread, as the endpoint "serial:" does. Linux alone has it.
//
// An error names the path. errors.Is finds fs.ErrNotExist, kernel.ErrPermission, ErrBusy, ErrNotSerial,
// kernel.ErrInvalidOption (in a [*kernel.OptionError], also if the hardware has no such speed) or ErrUnsupported.
func OpenSerial(path string, c SerialConfig) (*Serial, error) {
	s, err := openSerial(path, c)
	if err != nil {
		return nil, fmt.Errorf("serial port %s: %w", path, err)
	}
	return s, nil
}

func openSerial(path string, c SerialConfig) (*Serial, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	fd, err := openPort(path)
	if err != nil {
		return nil, sysError("open", err)
	}
	s := &Serial{path: path, cfg: c, fd: fd}
	alone, err := claimPort(fd, c.Shared)
	if err != nil {
		closePort(fd)
		return nil, sysError("flock", err)
	}
	if s.before, err = getSettings(fd); err != nil {
		closePort(fd)
		return nil, sysError("tcgetattr", err)
	}
	err = s.apply(c)
	if err == nil && alone {
		err = s.Flush(true, true)
	}
	if err != nil {
		s.finish(0)
		return nil, err
	}
	// The function that was to have it may never be called, if it was posted to a reactor that has crashed.
	runtime.SetFinalizer(s, (*Serial).Close)
	return s, nil
}

// sysError makes a kernel's error of one of the system's.
func sysError(op string, err error) error {
	errno := errnoOf(err)
	switch {
	case err == nil:
		return nil
	case errno == 0:
		return err
	}
	sys := native.SysError(op, errno)
	switch {
	case errno == syscall.ENOTTY && op == "tcgetattr":
		return fmt.Errorf("%w: %w", ErrNotSerial, sys)
	case errno == syscall.EBUSY, op == "flock" && errno == syscall.EWOULDBLOCK:
		return fmt.Errorf("%w: %w", ErrBusy, sys)
	case errno == syscall.ENOTTY, errno == syscall.EINVAL && op == "ioctl":
		return fmt.Errorf("%w: %w", ErrUnsupported, sys)
	}
	return sys
}

// apply gives the port the settings.
func (s *Serial) apply(c SerialConfig) error {
	if err := setSettings(s.fd, encode(s.before, c)); err != nil {
		return sysError("tcsetattr", err)
	}
	now, err := getSettings(s.fd)
	if err != nil {
		return sysError("tcgetattr", err)
	}
	// A system may take a speed for the nearest that it has. Beyond 3 % nobody understands the other.
	if got := decode(now).Baud; got < c.Baud-c.Baud/33 || got > c.Baud+c.Baud/33 {
		return badSetting("Baud", c.Baud, fmt.Errorf("%w: the port would have %d", kernel.ErrInvalidOption, got))
	}
	s.cfg = c
	return nil
}

// Path is the path that was given to OpenSerial.
func (s *Serial) Path() string { return s.path }

// Config asks the system for the settings. A port that cannot do something may have another value than
// the one it was given; pseudo-terminals have 8 bits and no parity.
func (s *Serial) Config() (SerialConfig, error) {
	if s.fd < 0 {
		return SerialConfig{}, kernel.ErrClosed
	}
	now, err := getSettings(s.fd)
	runtime.KeepAlive(s)
	if err != nil {
		return SerialConfig{}, sysError("tcgetattr", err)
	}
	c := decode(now)
	c.Shared, c.DrainTime = s.cfg.Shared, s.cfg.DrainTime
	return c, nil
}

// SetConfig changes the settings at once, also for what is on its way out. Shared has no effect. On an error the
// former ones hold.
func (s *Serial) SetConfig(c SerialConfig) error {
	if s.fd < 0 {
		return kernel.ErrClosed
	}
	c, err := c.complete()
	if err != nil {
		return err
	}
	was := s.cfg
	c.Shared = was.Shared
	if err := s.apply(c); err != nil {
		return errors.Join(err, s.apply(was))
	}
	return nil
}

// SetBaud changes the speed, as SetConfig does.
func (s *Serial) SetBaud(baud int) error {
	c := s.cfg
	c.Baud = baud
	return s.SetConfig(c)
}

// Flush drops what the system has received and nobody has read, and what it has not sent yet. What a stream has
// buffered stays.
func (s *Serial) Flush(input, output bool) error {
	return s.with("tcflush", func(fd int) error { return flushPort(fd, input, output) })
}

// Waiting is how many bytes the system has received and nobody has read, and how many it has still to send.
func (s *Serial) Waiting() (input, output int, err error) {
	err = s.with("ioctl", func(fd int) (err error) {
		input, output, err = waitingIn(fd)
		return err
	})
	return input, output, err
}

// SetBreak begins or ends a break, the state of a line that sends nothing. A break takes a quarter of a second,
// as a rule: end it by [reactor.Reactor.CallLater].
func (s *Serial) SetBreak(on bool) error {
	return s.with("ioctl", func(fd int) error { return setBreak(fd, on) })
}

// Lines asks for the control lines.
func (s *Serial) Lines() (l Lines, err error) {
	err = s.with("ioctl", func(fd int) (err error) {
		l, err = getLines(fd)
		return err
	})
	return l, err
}

// SetLines raises the lines of on and lowers those of off. The others stay. With HardFlow, RTS belongs to the system.
func (s *Serial) SetLines(on, off Lines) error {
	return s.with("ioctl", func(fd int) error { return setLines(fd, on, off) })
}

func (s *Serial) with(op string, fn func(fd int) error) error {
	if s.fd < 0 {
		return kernel.ErrClosed
	}
	defer runtime.KeepAlive(s)
	return sysError(op, fn(s.fd))
}

// Attach makes a transport of the port and connects it to p, as [reactor.Reactor.Attach] does. Now the stream closes the
// port, when it ends (SERIAL-2): after Close, what the system has still to send gets DrainTime, on a goroutine of the
// reactor's pool; after any other end it is dropped. The stream's addresses are zero.
//
// An error is a [*reactor.OpError]: ErrUnsupported if the reactor's kernel takes no descriptors, kernel.ErrClosed after the
// end or a first Attach, or that of Reactor.Attach. The port then still belongs to the caller.
func (s *Serial) Attach(r *reactor.Reactor, p reactor.Protocol, c *reactor.StreamConfig) (*reactor.Stream, error) {
	fail := func(err error) (*reactor.Stream, error) {
		return nil, &reactor.OpError{Op: "attach", Err: err}
	}
	if s.fd < 0 || s.attached {
		return fail(kernel.ErrClosed)
	}
	w, ok := kernel.As[kernel.Watcher](r.Kernel())
	if !ok {
		return fail(ErrUnsupported)
	}
	conn, err := w.Watch(s.fd, s.fd)
	if err != nil {
		return fail(err)
	}
	s.attached = true // ConnectionMade may call Close
	stream, err := r.Attach(&serialConn{Conn: conn, s: s, r: r}, p, c)
	if err != nil {
		s.attached = false
		_ = conn.Close()
	}
	return stream, err
}

// Close closes a port that has no stream, and drops what it has still to send; after Attach close the stream instead. A second
// call does nothing.
func (s *Serial) Close() {
	if !s.attached {
		s.finish(0)
	}
}

// finish gives the port what it was, and closes it. What is to be sent gets as long as drain says.
func (s *Serial) finish(drain time.Duration) {
	if s.fd < 0 {
		return
	}
	fd := s.fd
	s.fd = -1
	if drain > 0 {
		drainPort(fd, drain, s.cfg.Baud)
	}
	restorePort(fd, s.before, s.cfg.Shared)
	closePort(fd)
}

// serialConn is a port as a conn, which owns it.
type serialConn struct {
	kernel.Conn // of Watch
	s           *Serial
	r           *reactor.Reactor
	wrote       bool
}

// Unwrap is the conn of Watch.
func (c *serialConn) Unwrap() kernel.Conn { return c.Conn }

// Write notes that something was written.
func (c *serialConn) Write(p []byte) (int, error) {
	c.wrote = true
	return c.Conn.Write(p)
}

// Close closes the port when all was sent, off the loop.
func (c *serialConn) Close() error {
	if !c.wrote || c.gone() {
		return c.Abort()
	}
	err := c.Conn.Close()
	ending := *c.s // its own copy, for the other goroutine
	c.s.fd = -1
	if e := c.r.CallInThread(func() { ending.finish(ending.cfg.DrainTime) }); e != nil {
		ending.finish(0) // nobody works for a reactor that has stopped
	}
	return err
}

// Abort closes the port at once. What was not sent is dropped.
func (c *serialConn) Abort() error {
	if c.gone() {
		c.s.fd = -1
	}
	err := c.Conn.Close()
	c.s.finish(0)
	return err
}

// gone tells whether the number of the port is no longer its own: somebody has closed it, and may have another file there.
func (c *serialConn) gone() bool {
	w, ok := kernel.ConnAs[kernel.Watched](c.Conn)
	return ok && w.Changed()
}
