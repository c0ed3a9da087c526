package testworld

import (
	"os"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// Faults makes a kernel fail on demand. The fields may be changed at any time on the
// loop's goroutine. If a function is nil or returns nil, the call goes through.
type Faults struct {
	// MaxRead and MaxWrite are the most bytes that one call reads or writes. Zero: no
	// limit.
	MaxRead  int
	MaxWrite int
	// Each function is called before the call of its name. If it returns an error, that
	// is returned instead of making the call.
	Wait      func() error
	Listen    func(kernel.Addr) error
	Dial      func(kernel.Addr) error
	Arm       func(kernel.Ready) error
	Accept    func() error
	Connected func() error
	Read      func() error
	Write     func() error
	Reserve   func() error
	Spawn     func() error
	Signal    func(os.Signal) error // of a child, or its group
	// Writev, if not nil, is called with the slices of each call of that name, after Write.
	Writev func(bufs [][]byte)
	// Calls counts the calls by method name, including those of conns and listeners.
	Calls map[string]int
	// Closed lists how conns and listeners were closed: "close" or "abort".
	Closed []string
}

// Wrap returns a kernel that is k with these faults. Capabilities of k are found through
// it.
func (f *Faults) Wrap(k kernel.Kernel) kernel.Kernel {
	if f.Calls == nil {
		f.Calls = make(map[string]int)
	}
	faulty := &faultyKernel{Kernel: k, f: f}
	if r, ok := kernel.As[kernel.Reserver](k); ok {
		return &faultyReserver{faulty, r}
	}
	return faulty
}

type faultyKernel struct {
	kernel.Kernel
	f *Faults
}

// faultyReserver is a faultyKernel whose kernel is a Reserver.
type faultyReserver struct {
	*faultyKernel
	r kernel.Reserver
}

var (
	_ kernel.Reserver = (*faultyReserver)(nil)
	_ kernel.Vectors  = (*faultyConn)(nil)
	_ kernel.Files    = (*faultyConn)(nil)
)

// Unwrap returns the kernel below.
func (k *faultyKernel) Unwrap() kernel.Kernel { return k.Kernel }

func (f *Faults) ask(name string, fault func() error) error {
	f.Calls[name]++
	if fault == nil {
		return nil
	}
	return fault()
}

func (k *faultyKernel) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	if err := k.f.ask("Wait", k.f.Wait); err != nil {
		return 0, err
	}
	return k.Kernel.Wait(ev, until)
}

func (k *faultyKernel) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	k.f.Calls["Listen"]++
	if k.f.Listen != nil {
		if err := k.f.Listen(a); err != nil {
			return nil, err
		}
	}
	l, err := k.Kernel.Listen(a, o)
	if err != nil {
		return nil, err
	}
	return &faultyListener{l, k.f}, nil
}

func (k *faultyKernel) Dial(a kernel.Addr, o *kernel.DialOptions) (kernel.Conn, error) {
	k.f.Calls["Dial"]++
	if k.f.Dial != nil {
		if err := k.f.Dial(a); err != nil {
			return nil, err
		}
	}
	return k.f.conn(k.Kernel.Dial(a, o))
}

func (f *Faults) conn(c kernel.Conn, err error) (kernel.Conn, error) {
	if err != nil {
		return nil, err
	}
	return &faultyConn{c, f}, nil
}

func (k *faultyKernel) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	k.f.Calls["Arm"]++
	if k.f.Arm != nil {
		if err := k.f.Arm(r); err != nil {
			return err
		}
	}
	switch x := h.(type) {
	case *faultyConn:
		h = x.Conn
	case *faultyListener:
		h = x.Listener
	case *wrappedChild:
		h = x.Child
	}
	return k.Kernel.Arm(h, token, r)
}

func (k *faultyReserver) Reserve() error {
	if err := k.f.ask("Reserve", k.f.Reserve); err != nil {
		return err
	}
	return k.r.Reserve()
}

func (k *faultyReserver) Release() bool {
	k.f.Calls["Release"]++
	return k.r.Release()
}

type faultyConn struct {
	kernel.Conn
	f *Faults
}

// Unwrap returns the conn below.
func (c *faultyConn) Unwrap() kernel.Conn { return c.Conn }

func (c *faultyConn) Read(p []byte) (int, error) {
	if err := c.f.ask("Read", c.f.Read); err != nil {
		return 0, err
	}
	if c.f.MaxRead > 0 && len(p) > c.f.MaxRead {
		p = p[:c.f.MaxRead]
	}
	return c.Conn.Read(p)
}

func (c *faultyConn) Write(p []byte) (int, error) {
	if err := c.f.ask("Write", c.f.Write); err != nil {
		return 0, err
	}
	if c.f.MaxWrite > 0 && len(p) > c.f.MaxWrite {
		p = p[:c.f.MaxWrite]
	}
	return c.Conn.Write(p)
}

func (c *faultyConn) Writev(bufs [][]byte) (int, error) {
	v, ok := kernel.ConnAs[kernel.Vectors](c.Conn)
	if !ok {
		for _, p := range bufs {
			if len(p) > 0 {
				return c.Write(p)
			}
		}
		return 0, nil
	}
	if err := c.f.ask("Write", c.f.Write); err != nil {
		return 0, err
	}
	if c.f.Writev != nil {
		c.f.Writev(bufs)
	}
	if c.f.MaxWrite > 0 {
		bufs = prefix(bufs, c.f.MaxWrite)
	}
	return v.Writev(bufs)
}

// WriteFile is WriteFile of the conn below, with what is set for Write. Calls counts it by its own name.
func (c *faultyConn) WriteFile(r kernel.FileRange) (int, error) {
	below, ok := kernel.ConnAs[kernel.Files](c.Conn)
	if !ok {
		return 0, kernel.ErrMustRead
	}
	if err := c.f.ask("WriteFile", c.f.Write); err != nil {
		return 0, err
	}
	if c.f.MaxWrite > 0 {
		r.Length = min(r.Length, c.f.MaxWrite)
	}
	return below.WriteFile(r)
}

// prefix returns the first n bytes of bufs, or all of them if they are fewer.
func prefix(bufs [][]byte, n int) [][]byte {
	for i, p := range bufs {
		if len(p) >= n {
			return append(slices.Clone(bufs[:i]), p[:n])
		}
		n -= len(p)
	}
	return bufs
}

func (c *faultyConn) Connected() error {
	if err := c.f.ask("Connected", c.f.Connected); err != nil {
		return err
	}
	return c.Conn.Connected()
}

func (c *faultyConn) Close() error {
	c.f.Closed = append(c.f.Closed, "close")
	return c.Conn.Close()
}

func (c *faultyConn) Abort() error {
	c.f.Closed = append(c.f.Closed, "abort")
	return c.Conn.Abort()
}

type faultyListener struct {
	kernel.Listener
	f *Faults
}

// Unwrap returns the listener below.
func (l *faultyListener) Unwrap() kernel.Listener { return l.Listener }

func (l *faultyListener) Accept() (kernel.Conn, error) {
	if err := l.f.ask("Accept", l.f.Accept); err != nil {
		return nil, err
	}
	return l.f.conn(l.Listener.Accept())
}

func (l *faultyListener) Close() error {
	l.f.Closed = append(l.f.Closed, "close")
	return l.Listener.Close()
}
