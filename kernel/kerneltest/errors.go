package kerneltest

import (
	"errors"
	"net/netip"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
)

func errorPromises() []promise {
	return []promise{
		{"Operations", operations},
		{"CallsAfterClose", callsAfterClose},
	}
}

// isSys fails unless err is a SysError with that op and kind, and with an errno (ERR-3).
func (g *rig) isSys(what string, err error, op string, kind error) {
	g.Helper()
	e, ok := errors.AsType[*kernel.SysError](err)
	switch {
	case !ok:
		g.Errorf("%s: %v is a %T; want a *kernel.SysError", what, err, err)
	case e.Op != op || e.Kind != kind || !errors.Is(err, kind) || e.Errno == 0 || !errors.Is(err, e.Errno):
		g.Errorf("%s: op %q, kind %v, errno %d; want op %q, kind %v", what, e.Op, e.Kind, e.Errno, op, kind)
	}
}

// operations: all kernels use the same names for operations (ERR-3).
func operations(g *rig) {
	l := g.listen(local4(), nil)
	_, err := g.k.Listen(l.Local(), nil)
	g.isSys("Listen twice", err, kernel.OpBind, kernel.ErrAddrInUse)
	c, err := g.k.Dial(l.Local(), &kernel.DialOptions{Bind: l.Local()})
	g.isSys("Dial from an address in use", g.outcome(c, err), kernel.OpBind, kernel.ErrAddrInUse)
	nowhere := kernel.TCPAddr(netip.AddrFrom4([4]byte{192, 0, 2, 77}), 0) // for documentation, so no host has it
	_, err = g.k.Listen(nowhere, nil)
	g.isSys("Listen on another's address", err, kernel.OpBind, kernel.ErrAddrUnavailable)

	free := g.listen(local4(), nil)
	nobody := free.Local()
	free.Close()
	c, err = g.k.Dial(nobody, nil)
	g.isSys("Dial where nobody listens", g.outcome(c, err), kernel.OpConnect, kernel.ErrRefused)

	c, s := g.connect(l, nil)
	s.Abort()
	_, err = g.read(c, make([]byte, 1))
	g.isSys("Read after a reset", err, kernel.OpRead, kernel.ErrReset)
	_, err = c.Write([]byte("x"))
	g.isSys("Write after a reset", err, kernel.OpWrite, kernel.ErrBroken)
	if v, ok := kernel.ConnAs[kernel.Vectors](c); ok {
		_, err = v.Writev([][]byte{{1}, {2}})
		g.isSys("Writev after a reset", err, kernel.OpWrite, kernel.ErrBroken)
	}
	g.isSys("CloseWrite after a reset", c.CloseWrite(), kernel.OpShutdown, kernel.ErrBroken)

	if e := error(&kernel.SysError{Op: "x", Kind: kernel.ErrTimeout, Errno: syscall.ETIMEDOUT}); !e.(interface{ Timeout() bool }).Timeout() {
		g.Error("a time-out does not say so")
	}
}

// callsAfterClose: after Close every call on a handle is ErrClosed, and that bare. Only Close does
// nothing.
func callsAfterClose(g *rig) {
	l := g.listen(local4(), nil)
	c, s := g.connect(l, nil)
	g.send(s, []byte("there is something to read"))
	g.becomes(c, kernel.Readable)
	for _, h := range []kernel.Handle{c, l} {
		if err := h.Close(); err != nil {
			g.Errorf("Close: %v", err)
		}
		g.gone(h)
	}
	calls := map[string]func() error{
		"Read":              func() error { _, err := c.Read(make([]byte, 1)); return err },
		"Write":             func() error { _, err := c.Write([]byte("x")); return err },
		"CloseWrite":        c.CloseWrite,
		"Connected":         c.Connected,
		"Arm":               func() error { return g.k.Arm(c, 1, kernel.Readable) },
		"Accept":            func() error { _, err := l.Accept(); return err },
		"Arm of a listener": func() error { return g.k.Arm(l, 1, kernel.Readable) },
	}
	if v, ok := kernel.ConnAs[kernel.Vectors](c); ok {
		calls["Writev"] = func() error { _, err := v.Writev([][]byte{{1}, {2}}); return err }
	}
	for name, call := range calls {
		if err := call(); err != kernel.ErrClosed {
			g.Errorf("%s after Close: %v", name, err)
		}
	}
	for _, h := range []kernel.Handle{c, l} {
		if err := h.Close(); err != nil {
			g.Errorf("a second Close: %v", err)
		}
	}
}
