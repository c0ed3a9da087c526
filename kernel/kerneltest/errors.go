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
