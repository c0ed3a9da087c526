package process

import (
	"errors"
	"io"
	"syscall"

	"github.com/whorl-go/whorl/internal/terminal"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// Size is the size of a terminal's window, in characters and in pixels. Pixels of 0 mean that nobody knows. A Size of 0
// columns and rows is that of a terminal whose size nobody has set; most programs then take it for 80 by 24.
type Size struct{ Columns, Rows, XPixels, YPixels uint16 }

func (s Size) system() terminal.Size {
	return terminal.Size{Rows: s.Rows, Columns: s.Columns, XPixels: s.XPixels, YPixels: s.YPixels}
}

func sizeFrom(s terminal.Size) Size {
	return Size{Columns: s.Columns, Rows: s.Rows, XPixels: s.XPixels, YPixels: s.YPixels}
}

// PTY is a pseudo-terminal: a terminal that this program plays. Programs have its one side, the slave, as their standard
// streams. The other, the master, is a transport (Attach): its bytes are what the programs write, with the echo and the line
// ends that the terminal makes of them, and what it is sent is typed to them. Its methods are for the loop's goroutine, or,
// before Attach, for one goroutine at a time.
type PTY struct {
	master, slave int // -1: closed
	name          string
	attached      bool
	left          bool // nobody has had the slave open any more
	over          bool // the transport has ended
	programs      int  // that Spawn has given it, and whose exit is not known
}

// OpenPTY makes a pseudo-terminal with that size of window. It belongs to the caller, who attaches it, and gives the slave to
// a program and closes it, or closes the PTY. Both descriptors are close-on-exec. An error is a [*kernel.SysError], such as
// kernel.ErrTooManyFiles; where there are no pseudo-terminals it is [errors.ErrUnsupported].
func OpenPTY(s Size) (*PTY, error) {
	p, err := terminal.Open(s.system())
	if err != nil {
		return nil, systemError(err)
	}
	return &PTY{master: p.Master, slave: p.Slave, name: p.Name}, nil
}

// Name is the path of the slave, such as "/dev/pts/3". It stays valid as long as the master is open.
func (p *PTY) Name() string { return p.name }

// Slave is the descriptor of the slave, or -1 when it is closed. It is the PTY's: who wants to keep it duplicates it.
func (p *PTY) Slave() int { return p.slave }

// Master is the descriptor of the master, or -1 when it is closed. It is the PTY's too.
func (p *PTY) Master() int { return p.master }

// CloseSlave closes the slave. It is called when the program has it: as long as this descriptor is open, the end of the
// program is no end of the transport. A second call does nothing.
func (p *PTY) CloseSlave() {
	if p.slave >= 0 {
		closeFD(p.slave)
		p.slave = -1
	}
}

// Attach makes a transport of the master and connects it to proto, as [reactor.Reactor.Attach] does. From now on the stream
// closes the master, when it ends. Then the system sends SIGHUP to the session whose controlling terminal this is.
//
// The transport ends with io.EOF when nobody has the slave open any more, after all that was written to it. A program that Spawn has started
// on the terminal gets no SIGHUP then: many close their streams a moment before they exit. The master is closed when its exit is known, or
// by Close of the PTY or of the Child. The other
// direction has no end of its own: CloseWrite only makes later writes fail. If a program is to see the end of its input,
// write the terminal's end-of-file character, Ctrl-D, at the beginning of a line. What is written when nobody has the slave
// open is taken, and nobody reads it. Addresses are zero.
//
// It fails with kernel.ErrClosed after Close or a first Attach, with kernel.ErrUnsupported if the kernel watches no
// descriptors, as a simulated one, and as Reactor.Attach does. Then the master still belongs to the PTY.
func (p *PTY) Attach(r *reactor.Reactor, proto reactor.Protocol, c *reactor.StreamConfig) (*reactor.Stream, error) {
	if p.master < 0 || p.attached {
		return nil, &reactor.OpError{Op: "attach", Err: kernel.ErrClosed}
	}
	w, ok := kernel.As[kernel.Watcher](r.Kernel())
	if !ok {
		return nil, &reactor.OpError{Op: "attach", Err: kernel.ErrUnsupported}
	}
	conn, err := w.Watch(p.master, p.master)
	if err != nil {
		return nil, &reactor.OpError{Op: "attach", Err: err}
	}
	p.attached = true // ConnectionMade may call Close
	s, err := r.Attach(&masterConn{conn, p}, proto, c)
	if err != nil {
		p.attached = false
		_ = conn.Close()
	}
	return s, err
}

// Resize sets the size of the window. If it changes, the system sends SIGWINCH to the programs in the foreground. It fails
// with kernel.ErrClosed when the master is closed.
func (p *PTY) Resize(s Size) error {
	if p.master < 0 {
		return kernel.ErrClosed
	}
	return systemError(terminal.SetSize(p.master, s.system()))
}

// Size returns the size of the window, which programs may change too. It fails with kernel.ErrClosed when the master is closed.
func (p *PTY) Size() (Size, error) {
	if p.master < 0 {
		return Size{}, kernel.ErrClosed
	}
	s, err := terminal.SizeOf(p.master)
	return sizeFrom(s), systemError(err)
}

// Foreground returns the process group in the foreground of the terminal, which its keys for signals reach; 0 if there is
// none. It fails with kernel.ErrClosed when the master is closed.
func (p *PTY) Foreground() (pgrp int, err error) {
	if p.master < 0 {
		return 0, kernel.ErrClosed
	}
	pgrp, err = terminal.Foreground(p.master)
	return pgrp, systemError(err)
}

// Close closes the slave, and the master unless a transport has it. A second call does nothing.
func (p *PTY) Close() {
	p.CloseSlave()
	if !p.attached || p.over {
		p.closeMaster()
	}
}

// given notes that a program has the terminal, and closes the slave here.
func (p *PTY) given() {
	p.programs++
	p.CloseSlave()
}

// exited notes that such a program has exited.
func (p *PTY) exited() {
	if p.programs--; p.programs == 0 && p.over {
		p.closeMaster()
	}
}

func (p *PTY) closeMaster() {
	if p.master >= 0 {
		closeFD(p.master)
		p.master = -1
	}
}

// masterConn is the master as a conn, which owns it.
type masterConn struct {
	kernel.Conn // of Watch
	p           *PTY
}

// Unwrap is the conn of Watch.
func (c *masterConn) Unwrap() kernel.Conn { return c.Conn }

// Read ends when nobody has the slave open any more. Linux says EIO then, after the last byte.
func (c *masterConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, syscall.EIO) {
		n, err = 0, io.EOF
	}
	c.p.left = c.p.left || err == io.EOF
	return n, err
}

// Close closes the master. If the programs have left the terminal and still run, that waits for their exit: SIGHUP would end one
// that has closed its streams and is about to exit, and its status would say so.
func (c *masterConn) Close() error {
	err := c.Conn.Close()
	c.p.over = true
	if !c.p.left || c.p.programs == 0 {
		c.p.closeMaster()
	}
	return err
}

// Abort is Close.
func (c *masterConn) Abort() error { return c.Close() }

// systemError makes an error of package terminal one of a kernel.
func systemError(err error) error {
	e, ok := errors.AsType[*terminal.Error](err)
	if !ok {
		return err
	}
	if errno, ok := errors.AsType[syscall.Errno](e.Err); ok {
		return native.SysError(e.Call, errno)
	}
	return err
}
