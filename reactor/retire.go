package reactor

import "github.com/whorl-go/whorl/kernel"

// Retirer is a transport that can be replaced by another one of the same connection. A layer
// that takes a connection over, such as TLS that begins midstream, replaces it by the function
// [Retire]: then nobody who has kept the former transport can put bytes between those of the
// layer (TLS-63). A wrapper must implement it if it implements or changes Write, because Retire does not
// look behind wrappers: those who write by a wrapper, the layer included, would be cut off. A
// wrapper that embeds a [*Stream], or another Retirer, has its Retire by that: one that changes
// Write too must have a Retire of its own, which may return the wrapper itself.
//
// What is asked of the retired transport goes to the transport of the application, which [Top]
// returns; never to the connection that belongs to the layer.
//
//	asked of the retired one                     what happens
//	Write, WriteVec, WriteShared, SendDescriptor ErrSwitched, and nothing is sent
//	CloseWrite, RegisterProducer, SwitchProtocol ErrSwitched, and nothing changes
//	Close, StopProducing, Abort                  the same of Top
//	PauseProducing, ResumeProducing              the same of Top; nothing if no Layer has taken over
//	UnregisterProducer                           the same of Top; nothing if no Layer has taken over
//	StopConsuming                                UnregisterProducer and Close
//	everything else, such as Remote and Stats    as before
type Retirer interface {
	// Retire returns the new transport, and retires this one. If it is retired already, or the
	// connection is lost, it does nothing and returns itself. It is for the loop's goroutine.
	Retire() Transport
}

// Retire replaces t, as [Retirer] says, and returns the transport to use from now on. That is
// t itself if t is no Retirer. Retire does not look behind wrappers.
func Retire(t Transport) Transport {
	if r, ok := t.(Retirer); ok {
		return r.Retire()
	}
	return t
}

// Retire retires s, as [Retirer] says.
func (s *Stream) Retire() Transport {
	if s.cfg.retired || s.state == streamLost {
		return s // a successor belongs to somebody else
	}
	own := *s.cfg
	own.retired = true
	s.cfg = &own
	return &successor{s: s}
}

// upper is the transport of the application, if s is retired and a Layer has taken over.
// Otherwise it is nil.
func (s *Stream) upper() Transport {
	if !s.cfg.retired {
		return nil
	}
	if top := Top(s); top != Transport(s) {
		return top
	}
	return nil
}

// topAs is As of that transport.
func topAs[T any](s *Stream) (t T, ok bool) {
	if top := s.upper(); top != nil {
		return As[T](top)
	}
	return t, false
}

// successor is the transport that has replaced a stream. It may be replaced itself. What it
// does not change, As finds in the stream.
type successor struct {
	s       *Stream
	retired bool
}

var (
	_ Transport    = (*successor)(nil)
	_ HalfCloser   = (*successor)(nil)
	_ Producer     = (*successor)(nil)
	_ Consumer     = (*successor)(nil)
	_ Vectored     = (*successor)(nil)
	_ SharedWriter = (*successor)(nil)
	_ Switcher     = (*successor)(nil)
	_ Retirer      = (*successor)(nil)
)

// Unwrap is the stream.
func (t *successor) Unwrap() Transport { return t.s }

// Retire replaces t by another one.
func (t *successor) Retire() Transport {
	if t.retired {
		return t
	}
	t.retired = true
	return &successor{s: t.s}
}

func (t *successor) Write(p []byte) (int, error) {
	if t.retired {
		return 0, ErrSwitched
	}
	return t.s.put(p, false)
}

func (t *successor) WriteShared(p []byte) (int, error) {
	if t.retired {
		return 0, ErrSwitched
	}
	return t.s.put(p, true)
}

func (t *successor) WriteVec(bufs [][]byte) (int, error) {
	if t.retired {
		return 0, ErrSwitched
	}
	return t.s.putVec(bufs)
}

func (t *successor) Close() error {
	if t.retired {
		return t.s.Close()
	}
	t.s.close()
	return nil
}

func (t *successor) Abort() {
	if t.retired {
		t.s.Abort()
		return
	}
	t.s.end(ErrAborted)
}

func (t *successor) CloseWrite() error {
	if t.retired {
		return ErrSwitched
	}
	t.s.closeWrite()
	return nil
}

func (t *successor) PauseProducing() {
	if t.retired {
		t.s.PauseProducing()
		return
	}
	t.s.pause()
}

func (t *successor) ResumeProducing() {
	if t.retired {
		t.s.ResumeProducing()
		return
	}
	t.s.resume()
}

func (t *successor) StopProducing() {
	if t.retired {
		t.s.StopProducing()
	} else if !t.s.resumeBroken() {
		t.s.close()
	}
}

// Producing tells whether the stream may still deliver something.
func (t *successor) Producing() bool { return t.s.Producing() }

func (t *successor) RegisterProducer(p Producer) error {
	if t.retired {
		return ErrSwitched
	}
	return t.s.register(p)
}

func (t *successor) UnregisterProducer() {
	if t.retired {
		t.s.UnregisterProducer()
		return
	}
	t.s.unregister()
}

func (t *successor) StopConsuming() {
	t.UnregisterProducer()
	t.Close()
}

func (t *successor) SwitchProtocol(p Protocol) (Switched, error) {
	if t.retired {
		return Switched{}, ErrSwitched
	}
	return t.s.switchTo(p)
}

func (t *successor) Local() kernel.Addr { return t.s.Local() }

func (t *successor) Remote() kernel.Addr { return t.s.Remote() }

func (t *successor) Reactor() *Reactor { return t.s.r }

// Protocol is that of the stream. Top asks for it.
func (t *successor) Protocol() Protocol { return t.s.Protocol() }
