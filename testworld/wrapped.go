package testworld

import "github.com/whorl-go/whorl/kernel"

// Wrapped returns w with a wrapper around each kernel, conn and listener. The wrappers do
// nothing but have Unwrap. So everything that works in w must work in Wrapped.
func (w World) Wrapped() World {
	open := w.open
	w.open = func() (kernel.Kernel, error) {
		k, err := open()
		if err != nil {
			return nil, err
		}
		return &wrappedKernel{k}, nil
	}
	return w
}

type wrappedKernel struct{ kernel.Kernel }

// Unwrap returns the kernel inside.
func (k *wrappedKernel) Unwrap() kernel.Kernel { return k.Kernel }

func (k *wrappedKernel) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	l, err := k.Kernel.Listen(a, o)
	if err != nil {
		return nil, err
	}
	return &wrappedListener{l}, nil
}

func (k *wrappedKernel) Dial(a kernel.Addr, o *kernel.DialOptions) (kernel.Conn, error) {
	return wrapConn(k.Kernel.Dial(a, o))
}

func (k *wrappedKernel) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	switch x := h.(type) {
	case *wrappedConn:
		h = x.Conn
	case *wrappedListener:
		h = x.Listener
	case *wrappedChild:
		h = x.Child
	}
	return k.Kernel.Arm(h, token, r)
}

type wrappedConn struct{ kernel.Conn }

// Unwrap returns the conn inside.
func (c *wrappedConn) Unwrap() kernel.Conn { return c.Conn }

func wrapConn(c kernel.Conn, err error) (kernel.Conn, error) {
	if err != nil {
		return nil, err
	}
	return &wrappedConn{c}, nil
}

type wrappedListener struct{ kernel.Listener }

// Unwrap returns the listener inside.
func (l *wrappedListener) Unwrap() kernel.Listener { return l.Listener }

func (l *wrappedListener) Accept() (kernel.Conn, error) { return wrapConn(l.Listener.Accept()) }
