package tlsio

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Retire retires c, as reactor.Retirer says: for TLS in TLS.
func (c *Conn) Retire() reactor.Transport {
	if c.retired || c.life == lost {
		return c // a successor belongs to somebody else
	}
	c.retired = true
	return &successor{c: c}
}

// upper is the transport of the application, if c is retired and a Layer has taken over.
// Otherwise it is nil.
func (c *Conn) upper() reactor.Transport {
	if !c.retired {
		return nil
	}
	if top := reactor.Top(c); top != reactor.Transport(c) {
		return top
	}
	return nil
}

// topAs is reactor.As of that transport.
func topAs[T any](c *Conn) (t T, ok bool) {
	if top := c.upper(); top != nil {
		t, ok = reactor.As[T](top)
	}
	return t, ok
}

// successor is the transport that has replaced a Conn. It may be replaced itself. What it
// does not change, reactor.As finds in the Conn.
type successor struct {
	c       *Conn
	retired bool
}

var (
	_ reactor.Transport    = (*successor)(nil)
	_ reactor.HalfCloser   = (*successor)(nil)
	_ reactor.Producer     = (*successor)(nil)
	_ reactor.Consumer     = (*successor)(nil)
	_ reactor.Vectored     = (*successor)(nil)
	_ reactor.SharedWriter = (*successor)(nil)
	_ reactor.Switcher     = (*successor)(nil)
	_ reactor.Retirer      = (*successor)(nil)
)

// Unwrap is the Conn.
func (t *successor) Unwrap() reactor.Transport { return t.c }

// Retire replaces t by another one.
func (t *successor) Retire() reactor.Transport {
	if t.retired {
		return t
	}
	t.retired = true
	return &successor{c: t.c}
}

func (t *successor) Write(p []byte) (int, error) {
	if t.retired {
		return 0, reactor.ErrSwitched
	}
	return t.c.put(p)
}

func (t *successor) WriteShared(p []byte) (int, error) { return t.Write(p) }

func (t *successor) WriteVec(bufs [][]byte) (int, error) {
	if t.retired {
		return 0, reactor.ErrSwitched
	}
	return t.c.putVec(bufs)
}

func (t *successor) Close() error {
	if t.retired {
		return t.c.Close()
	}
	t.c.closeInOrder()
	return nil
}

func (t *successor) Abort() {
	if t.retired {
		t.c.Abort()
		return
	}
	t.c.end(reactor.ErrAborted, true)
}

func (t *successor) CloseWrite() error {
	if t.retired {
		return reactor.ErrSwitched
	}
	t.c.closeWrite()
	return nil
}

func (t *successor) PauseProducing() {
	if t.retired {
		t.c.PauseProducing()
		return
	}
	t.c.pause()
}

func (t *successor) ResumeProducing() {
	if t.retired {
		t.c.ResumeProducing()
		return
	}
	t.c.resume()
}

func (t *successor) StopProducing() {
	if t.retired {
		t.c.StopProducing()
	} else if !t.c.resumeFailed() {
		t.c.closeInOrder()
	}
}

// Producing tells whether the Conn may still deliver something.
func (t *successor) Producing() bool { return t.c.Producing() }

func (t *successor) RegisterProducer(p reactor.Producer) error {
	if t.retired {
		return reactor.ErrSwitched
	}
	return t.c.register(p)
}

func (t *successor) UnregisterProducer() {
	if t.retired {
		t.c.UnregisterProducer()
		return
	}
	t.c.unregister()
}

func (t *successor) StopConsuming() {
	t.UnregisterProducer()
	t.Close()
}

func (t *successor) SwitchProtocol(p reactor.Protocol) (reactor.Switched, error) {
	if t.retired {
		return reactor.Switched{}, reactor.ErrSwitched
	}
	return t.c.switchTo(p)
}

func (t *successor) Local() kernel.Addr { return t.c.Local() }

func (t *successor) Remote() kernel.Addr { return t.c.Remote() }

func (t *successor) Reactor() *reactor.Reactor { return t.c.Reactor() }

// Protocol is that of the Conn. reactor.Top asks for it.
func (t *successor) Protocol() reactor.Protocol { return t.c.Protocol() }
