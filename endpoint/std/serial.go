package std

import (
	"errors"
	"fmt"
	"strings"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
)

// SerialPlace has the arguments that a serial port takes on both sides: serial:path[:baudrate].
type SerialPlace struct {
	// Path is the path of the device.
	Path string `ep:"path,0" help:"path of the device, such as /dev/ttyUSB0"`
	// Baud is the speed. Zero: 9600.
	Baud int `ep:"baudrate,1,optional" help:"bits a second, any number; without it, 9600"`
	// DataBits is 5 to 8. Zero: 8.
	DataBits int `ep:"bytesize" help:"data bits, 5 to 8; without it, 8"`
	// Parity is none, even, odd, mark or space, or its first letter. Empty: none.
	Parity string `ep:"parity" help:"none, even, odd, mark or space; without it, none"`
	// StopBits is 1 or 2. Zero: 1.
	StopBits int `ep:"stopbits" help:"1 or 2; without it, 1"`
	// HardFlow and SoftFlow are flow control by lines and by characters.
	HardFlow bool `ep:"rtscts" help:"flow control by the lines RTS and CTS; without it, no"`
	SoftFlow bool `ep:"xonxoff" help:"flow control by XON and XOFF; without it, no"`
	// Shared lets other programs open the port too.
	Shared bool `ep:"!exclusive" help:"keep other programs from the port; without it, yes"`
	// StreamConfig configures the buffers of the connection. It is no argument.
	StreamConfig reactor.StreamConfig
}

// config is how to open the port.
func (e *SerialPlace) config() (device.SerialConfig, error) {
	c := device.SerialConfig{Baud: e.Baud, DataBits: e.DataBits, StopBits: e.StopBits, HardFlow: e.HardFlow, SoftFlow: e.SoftFlow, Shared: e.Shared}
	if e.Parity == "" {
		return c, nil
	}
	for p := device.NoParity; p <= device.SpaceParity; p++ {
		if name := p.String(); strings.EqualFold(e.Parity, name) || strings.EqualFold(e.Parity, name[:1]) {
			c.Parity = p
			return c, nil
		}
	}
	return c, badArgument("serial", "parity", e.Parity, "%q is not none, even, odd, mark or space", e.Parity)
}

// Check fails if Path is empty or if a setting has a value that it cannot have.
func (e *SerialPlace) Check() error {
	if e.Path == "" {
		return badArgument("serial", "path", "", "it is empty")
	}
	c, err := e.config()
	if err != nil {
		return err
	}
	if oe, ok := errors.AsType[*kernel.OptionError](c.Check()); ok {
		argument := map[string]string{"Baud": "baudrate", "DataBits": "bytesize", "StopBits": "stopbits"}[oe.Option]
		return badArgument("serial", argument, fmt.Sprint(oe.Value), "%v: %w", oe.Value, oe.Err)
	}
	return nil
}

// addr is what factories and logs see.
func (e *SerialPlace) addr() kernel.Addr { return kernel.Addr{Net: kernel.Pipe, Name: e.Path} }

// open opens the port. A kernel that cannot watch it is an error before.
func (e *SerialPlace) open(r *reactor.Reactor) (*device.Serial, error) {
	err := e.Check()
	if err != nil {
		return nil, err
	}
	if _, ok := kernel.As[kernel.Watcher](r.Kernel()); !ok {
		return nil, device.ErrUnsupported
	}
	c, err := e.config()
	if err != nil {
		return nil, err
	}
	return device.OpenSerial(e.Path, c)
}

// connect builds the protocol and puts it on the port, which it closes if that fails. ended is called when the connection is lost.
func (e *SerialPlace) connect(r *reactor.Reactor, s *device.Serial, f reactor.Factory, ended func()) (p reactor.Protocol, t reactor.Transport, err error) {
	if pe := r.Guard(f, func() { p = f.BuildProtocol(e.addr()) }); pe != nil {
		s.Close()
		return nil, nil, pe
	}
	if p == nil {
		s.Close()
		return nil, nil, reactor.ErrNoProtocol
	}
	stream, err := s.Attach(r, &serialProtocol{p, ended}, &e.StreamConfig)
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return p, stream, nil
}

// serialProtocol tells of the end of the connection.
type serialProtocol struct {
	reactor.Protocol
	ended func()
}

// Unwrap is the application's protocol.
func (p *serialProtocol) Unwrap() reactor.Protocol { return p.Protocol }

// ConnectionLost tells the protocol, and then the place.
func (p *serialProtocol) ConnectionLost(err error) {
	defer p.ended() // also after a panic
	p.Protocol.ConnectionLost(err)
}

// SerialServer is serial:path[:baudrate] for listening. Listen opens the port, on the loop, which with drivers of USB may take
// some milliseconds. A serial line has one peer, which is there from the beginning: the factory builds one protocol, in
// the next turn. When that connection is lost, the place stays without one.
type SerialServer struct {
	_ struct{} `help:"Serves what is at the other end of a serial line: one connection, from the beginning."`

	SerialPlace
}

// Listen opens the port; see [endpoint.Server].
func (e *SerialServer) Listen(on reactor.Loops, f reactor.Factory) (endpoint.Listener, error) {
	var l *serialListener
	err := on.InOne(func(r *reactor.Reactor) error { // there is one connection
		s, err := e.open(r)
		if err != nil {
			return err
		}
		release, err := r.UseFactory(f)
		if err != nil {
			s.Close()
			return err
		}
		l = &serialListener{r: r, release: release, at: e.addr(), idle: s}
		r.Post(func() { // which is called even if the reactor ends before
			if s := l.take(); s != nil {
				_, _, _ = e.connect(r, s, f, func() {}) // a factory's panic was reported, and it may refuse
			}
		})
		return nil
	})
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Local: e.addr(), Err: err}
	}
	return l, nil
}

// String is the description.
func (e *SerialServer) String() string { return endpoint.Describe("serial", e) }

// serialListener is a serial port that is listened on.
type serialListener struct {
	r       *reactor.Reactor
	release func() error // ends the use of the factory
	at      kernel.Addr
	idle    *device.Serial // until it has its stream
	stopped bool
}

// take returns the port, once.
func (l *serialListener) take() *device.Serial {
	s := l.idle
	l.idle = nil
	return s
}

// Addr is the path of the port.
func (l *serialListener) Addr() kernel.Addr { return l.at }

// StopListening stops the factory. A connection lives on.
func (l *serialListener) StopListening(done func(error)) {
	l.r.Tell(func(gone error) {
		var err error
		if !l.stopped && gone == nil {
			l.stopped = true
			if s := l.take(); s != nil {
				s.Close()
			}
			err = l.release()
		}
		if done != nil {
			done(err)
		}
	})
}

// SerialClient is serial:path[:baudrate] for connecting. The port is opened on a goroutine of the reactor's pool,
// because some drivers take a while.
type SerialClient struct {
	_ struct{} `help:"Uses a serial port."`

	SerialPlace
}

// Connect opens the port; see [endpoint.Client].
func (e *SerialClient) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	cancelled := false
	fail := func(err error) {
		if cancelled {
			err = reactor.ErrCancelled
		}
		done(nil, &reactor.OpError{Op: "dial", Remote: e.addr(), Err: err})
	}
	release, err := r.UseFactory(f)
	if err != nil {
		r.Tell(func(error) { fail(err) })
		return func() { cancelled = true }
	}
	stop := func() { _ = release() } // a panic was reported; nobody is left to hear an error
	openInThread(r, func() (*device.Serial, error) { return e.open(r) }, func(s *device.Serial, err error) {
		if err != nil || cancelled {
			if s != nil {
				s.Close()
			}
			stop()
			fail(err)
			return
		}
		p, t, err := e.connect(r, s, f, stop)
		switch {
		case err != nil:
			stop()
			fail(err)
		case cancelled: // inside ConnectionMade
			t.Close()
			fail(nil)
		default:
			done(p, nil)
		}
	})
	return func() { cancelled = true }
}

// openInThread is [reactor.InThread] for a port. If the reactor has stopped before it is open, the port is closed.
func openInThread(r *reactor.Reactor, open func() (*device.Serial, error), done func(*device.Serial, error)) {
	task := pool.Task(open, func(s *device.Serial, err error) {
		if !r.Post(func() { done(s, err) }) && s != nil {
			s.Close()
		}
	})
	if err := r.CallInThread(func() { task() }); err != nil { // a function of this place, whose name the log tells if it is slow
		r.Tell(func(error) { done(nil, err) })
	}
}

// String is the description.
func (e *SerialClient) String() string { return endpoint.Describe("serial", e) }
