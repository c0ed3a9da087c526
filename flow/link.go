package flow

import (
	"errors"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// link is the transport of the protocol above. What it does not change, reactor.As finds below it.
type link struct {
	c       *conn
	below   reactor.Connection
	retired bool // a layer has the connection, by another link
}

var (
	_ reactor.Connection   = (*link)(nil)
	_ reactor.Vectored     = (*link)(nil)
	_ reactor.SharedWriter = (*link)(nil)
	_ reactor.FileSender   = (*link)(nil)
	_ reactor.Switcher     = (*link)(nil)
	_ reactor.Retirer      = (*link)(nil)
)

// Unwrap is the transport below.
func (l *link) Unwrap() reactor.Transport { return l.below }

// Protocol is the protocol above. reactor.Top asks for it.
func (l *link) Protocol() reactor.Protocol { return l.c.inner }

func (l *link) Reactor() *reactor.Reactor { return l.below.Reactor() }

func (l *link) Local() kernel.Addr {
	if e := l.c.ends; e != nil {
		return e.local
	}
	return l.below.Local()
}

func (l *link) Remote() kernel.Addr {
	if e := l.c.ends; e != nil {
		return e.remote
	}
	return l.below.Remote()
}

func (l *link) Write(p []byte) (int, error) {
	if l.retired {
		return 0, reactor.ErrSwitched
	}
	n, err := l.below.Write(p)
	l.told(p, n)
	return n, err
}

func (l *link) WriteShared(p []byte) (int, error) {
	if l.retired {
		return 0, reactor.ErrSwitched
	}
	n, err := reactor.WriteShared(l.below, p)
	l.told(p, n)
	return n, err
}

func (l *link) WriteVec(bufs [][]byte) (n int, err error) {
	if l.retired {
		return 0, reactor.ErrSwitched
	}
	if v, ok := reactor.As[reactor.Vectored](l.below); ok {
		n, err = v.WriteVec(bufs)
	} else {
		for i := 0; i < len(bufs) && err == nil; i++ {
			var m int
			m, err = l.below.Write(bufs[i])
			n += m
		}
	}
	if l.c.spy != nil {
		l.spyVec(bufs, n)
	}
	l.c.policy.wrote(n)
	return n, err
}

// SendFile is that of the transport below, unless the policy sees what is written, or paces it: then the file must be read.
func (l *link) SendFile(f kernel.FileRange) (int, error) {
	if l.retired {
		return 0, reactor.ErrSwitched
	}
	below, ok := reactor.As[reactor.FileSender](l.below)
	if !ok || l.c.spy != nil || l.c.gated {
		return 0, kernel.ErrMustRead
	}
	n, err := below.SendFile(f)
	if n > 0 {
		l.c.policy.wrote(n)
	}
	return n, err
}

// told tells the policy that n bytes of p were written.
func (l *link) told(p []byte, n int) {
	if l.c.spy != nil && n > 0 {
		l.c.spy(p[:n])
	}
	l.c.policy.wrote(n)
}

// spyVec shows the first n bytes of bufs.
func (l *link) spyVec(bufs [][]byte, n int) {
	for _, p := range bufs {
		if p = p[:min(n, len(p))]; len(p) > 0 {
			l.c.spy(p)
		}
		n -= len(p)
	}
}

// Buffered is how many bytes were written and not sent.
func (l *link) Buffered() int { return l.below.Buffered() }

func (l *link) Close() error {
	l.c.closed = l.c.closed || !l.retired
	return l.below.Close()
}

func (l *link) Abort() {
	l.c.closed = l.c.closed || !l.retired
	l.below.Abort()
}

func (l *link) CloseWrite() error {
	if l.retired {
		return reactor.ErrSwitched
	}
	err := l.below.CloseWrite()
	if err == nil { // a WebSocket below has no such end
		l.c.policy.halved()
	}
	return err
}

func (l *link) PauseProducing() {
	if l.retired {
		l.below.PauseProducing()
		return
	}
	l.c.hold(holdApp)
}

func (l *link) ResumeProducing() {
	if l.retired {
		l.below.ResumeProducing()
		return
	}
	l.c.release(holdApp)
}

// StopProducing is that of the transport below: Close, unless writing has failed.
func (l *link) StopProducing() {
	l.below.StopProducing()
	if !l.retired && !l.Producing() {
		l.c.closed = true
	}
}

// Producing tells whether the transport below may still deliver something.
func (l *link) Producing() bool {
	p, ok := reactor.As[interface{ Producing() bool }](l.below)
	return !ok || p.Producing()
}

func (l *link) RegisterProducer(p reactor.Producer) error {
	if l.retired {
		return reactor.ErrSwitched
	}
	if !l.c.gated {
		return l.below.RegisterProducer(p)
	}
	g, former := &gate{p: p}, l.c.gate
	l.c.gate = g // before, because p may be paused inside, and give its place to another then
	if err := l.below.RegisterProducer(g); err != nil {
		l.c.gate = former
		return err
	}
	if l.c.gate == g {
		l.c.policy.gateMade()
	}
	return nil
}

func (l *link) UnregisterProducer() {
	if !l.retired {
		l.c.gate = nil
	}
	l.below.UnregisterProducer()
}

// StopConsuming is UnregisterProducer and Close.
func (l *link) StopConsuming() {
	l.UnregisterProducer()
	l.Close()
}

// SwitchProtocol exchanges the protocol above, as reactor.Switcher says. The policy stays.
func (l *link) SwitchProtocol(p reactor.Protocol) (reactor.Switched, error) {
	if l.retired {
		return reactor.Switched{}, reactor.ErrSwitched
	}
	s, ok := reactor.As[reactor.Switcher](l.below)
	if !ok {
		return reactor.Switched{}, errors.ErrUnsupported
	}
	former := l.c.inner
	was, err := s.SwitchProtocol(l.c.under(p))
	if err != nil {
		l.c.inner = former
		return was, err
	}
	was.Protocol = former
	if g := l.c.gate; g != nil && was.Producer != nil {
		was.Producer, was.ProducerPaused = g.p, g.paused()
	}
	l.c.gate = nil
	was.Paused = l.c.holds&holdApp != 0
	l.c.release(holdApp)
	if l.c.holds != 0 && !l.c.eager {
		l.below.PauseProducing() // the policy's own pause goes on
	}
	return was, nil
}

// Retire replaces l, as reactor.Retirer says.
func (l *link) Retire() reactor.Transport {
	if l.retired || l.c.inner == nil {
		return l
	}
	next := &link{c: l.c, below: reactor.ConnectionOf(reactor.Retire(l.below))}
	l.retired, l.c.link = true, next
	return next
}
