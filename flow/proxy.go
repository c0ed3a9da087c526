package flow

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// ReadProxyOptions configure ReadProxy. Nil and the zero value are the defaults.
type ReadProxyOptions struct {
	// Trusted are the addresses of proxies. Whoever can send a header can say to be anybody, so a port that others reach too
	// must name its proxies here. Nil: everybody is one. ::ffff:10.0.0.0/104 is 10.0.0.0/8. A peer without an IP address, as on a UNIX socket, is one always.
	Trusted []netip.Prefix
	// Direct lets in those who are not Trusted, without a header: what they send is not looked at. By default they are
	// refused.
	Direct bool
	// Optional lets in a proxy that sends no header: its first bytes are input if they begin none, and a connection that
	// says nothing within Timeout, or ends, is one without. A header that begins well and is bad ends the connection still.
	Optional bool
	// Timeout is the time for the whole header, from ConnectionMade. Zero: 10 s; negative: no limit.
	Timeout time.Duration
}

const defaultProxyTimeout = 10 * time.Second

// ProxyHeaderListener is implemented by a protocol that wants to see the header itself, such as its extensions. It is
// found behind wrappers, by reactor.ProtocolAs.
type ProxyHeaderListener interface {
	// ProxyHeaderReceived is called once, on the loop's goroutine, before the first DataReceived. Local and Remote of the
	// transport are those of the header already. h and its extensions are valid until it returns. It is not called if there is
	// no header.
	ProxyHeaderReceived(h *ProxyHeader)
}

// ReadProxy returns a factory for Reactor.Listen whose connections begin with a header of the PROXY protocol, of version 1
// or 2. inner makes the protocols above. Their ConnectionMade comes before the header, and until it is there Remote is
// the proxy (PROXY-5). Afterwards Local and Remote of their transport are Destination and Source of the header, if it has any
// (PROXY-1, PROXY-2). Pausing does not hold the header back, but all behind it.
//
// A bad header, none in time or none at the end resets the connection. ConnectionLost then gets a *reactor.OpError with the
// proxy's addresses, which is ErrProxyHeader, and nothing was delivered (PROXY-3).
//
// BuildProtocol of inner gets the address of the proxy, and so do the limits of a port. TLS below the header is
// tlsio.Server around this factory; the usual order, in which TLS comes behind the header, is this factory around tlsio.Server.
func ReadProxy(inner reactor.Factory, o *ReadProxyOptions) reactor.Factory {
	f := &proxyReader{inner: inner}
	if o != nil {
		f.o = *o
	}
	if f.o.Timeout == 0 {
		f.o.Timeout = defaultProxyTimeout
	}
	f.o.Trusted = slices.Clone(f.o.Trusted)
	for i, p := range f.o.Trusted {
		if p.Addr().Is4In6() && p.Bits() >= 96 { // peers are compared as IPv4
			f.o.Trusted[i] = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
	}
	return f
}

// proxyReader is the factory of ReadProxy.
type proxyReader struct {
	inner reactor.Factory
	o     ReadProxyOptions
}

// Unwrap is the inner factory, which the reactor starts and stops.
func (f *proxyReader) Unwrap() reactor.Factory { return f.inner }

// LogPrefix is the inner factory's, with " (PROXY)".
func (f *proxyReader) LogPrefix() string { return reactor.LogPrefixOf(f.inner) + " (PROXY)" }

// AnyLoop is what inner says: the factory itself does not change.
func (f *proxyReader) AnyLoop() bool { return anyLoop(f.inner) }

// anyLoop tells whether f says that several loops may call it.
func anyLoop(f reactor.Factory) bool {
	a, ok := f.(reactor.AnyLoop)
	return ok && a.AnyLoop()
}

func (f *proxyReader) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	trusted := f.trusts(peer)
	if !trusted && !f.o.Direct {
		return nil
	}
	p := f.inner.BuildProtocol(peer)
	if p == nil || !trusted {
		return p
	}
	s := &proxied{o: &f.o}
	return s.c.start(s, p)
}

func (f *proxyReader) trusts(peer kernel.Addr) bool {
	ip := peer.IP.Addr().Unmap().WithZone("")
	if f.o.Trusted == nil || !ip.IsValid() {
		return true
	}
	for _, p := range f.o.Trusted {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// proxied is a connection that begins with a header.
type proxied struct {
	c     conn
	o     *ReadProxyOptions
	state proxyState
	buf   []byte // what has come of the header; while holding, the input behind it
	ends  ends
	timer reactor.DelayedCall
	// reason is why we have aborted the connection.
	reason error
	// ended: the peer has ended its direction, behind buf.
	ended bool
	known []func() // of AwaitProxy
}

type proxyState uint8

const (
	gathering proxyState = iota // the header
	holding                     // the protocol above has paused before it had the input behind the header, or before it knew of the end
	passing
)

func (s *proxied) suffix() string { return "(PROXY)" }

func (s *proxied) wrote(int) {}

func (s *proxied) gateMade() {}

func (s *proxied) made() {
	s.c.eager = true
	s.timer.Init(s.c.link.Reactor(), s.due)
	if s.o.Timeout > 0 {
		s.timer.Reset(s.o.Timeout)
	}
}

// due is called when the time for the header is over, or when the protocol above can have what was held.
func (s *proxied) due() {
	switch {
	case s.state == holding:
		s.outside(s.unhold)
	case s.state == gathering && s.o.Optional:
		s.outside(func() { s.finish(nil, s.buf) })
	case s.state == gathering:
		s.fail(fmt.Errorf("%w: %v", ErrProxyTimeout, s.o.Timeout))
	}
}

// outside makes callbacks of the protocol above outside of those of the transport below. A panic ends the connection.
func (s *proxied) outside(fn func()) {
	if e := s.c.link.Reactor().Guard(s.c.inner, fn); e != nil {
		s.reason = e
		s.c.below().Abort()
	}
}

func (s *proxied) received(p []byte) {
	if s.state == passing {
		s.c.deliver(p)
		return
	}
	if s.reason != nil {
		return
	}
	all := p
	if len(s.buf) > 0 || s.state == holding {
		s.buf = append(s.buf, p...)
		all = s.buf
	}
	if s.state == holding {
		return
	}
	h, n, err := ParseProxyHeader(all)
	switch {
	case err != nil && s.o.Optional && !begins(all, proxySignature) && !begins(all, proxyLineStart):
		s.finish(nil, all)
	case err != nil:
		s.fail(err)
	case n > 0:
		s.finish(&h, all[n:])
	case len(s.buf) == 0:
		s.buf = append(s.buf, p...)
	}
}

// finish ends the gathering. rest is the input that has come behind the header; h is nil if there is none.
func (s *proxied) finish(h *ProxyHeader, rest []byte) {
	s.timer.Cancel()
	s.state, s.buf = passing, nil
	if h != nil && h.Known() {
		s.ends = ends{local: h.Destination, remote: h.Source}
		s.c.ends = &s.ends
	}
	if l, ok := reactor.ProtocolAs[ProxyHeaderListener](s.c.inner); ok && h != nil {
		l.ProxyHeaderReceived(h)
	}
	known := s.known
	s.known = nil
	for _, fn := range known {
		fn()
	}
	if (len(rest) > 0 || s.ended) && s.c.holds&holdApp != 0 {
		s.state, s.buf = holding, append([]byte(nil), rest...)
		s.c.holds |= holdPolicy
		rest = nil
	}
	s.c.calm()
	if len(rest) > 0 && s.c.open() {
		s.c.deliver(rest)
	}
}

func (s *proxied) halved() {}

func (s *proxied) wanted() {
	if s.state == holding {
		s.timer.Reset(0) // nothing is delivered inside ResumeProducing
	}
}

// unhold delivers what was held.
func (s *proxied) unhold() {
	if s.c.holds&holdApp != 0 || !s.c.open() {
		return
	}
	rest := s.buf
	s.buf = nil
	if len(rest) > 0 {
		s.c.deliver(rest)
	}
	if s.ended && s.c.holds&holdApp != 0 {
		return // it has paused again
	}
	s.state = passing
	if s.ended && s.c.open() {
		s.c.tellReadEnded()
	}
	s.c.release(holdPolicy)
}

func (s *proxied) keepsInput() bool { return s.state == holding && len(s.buf) > 0 }

func (s *proxied) readEnded() bool {
	s.ended = true
	if s.state == gathering && s.reason == nil {
		if !s.o.Optional {
			s.fail(fmt.Errorf("%w: %d bytes came: %w", ErrProxyHeader, len(s.buf), io.ErrUnexpectedEOF))
			return false
		}
		s.finish(nil, s.buf)
	}
	return s.state == passing && s.reason == nil
}

// fail resets the connection for err.
func (s *proxied) fail(err error) {
	if s.reason == nil {
		s.reason = s.failure(err)
		s.buf = nil
		s.c.below().Abort()
	}
}

func (s *proxied) failure(err error) error {
	t := s.c.below()
	return &reactor.OpError{Op: "proxy header", Local: t.Local(), Remote: t.Remote(), Err: err}
}

func (s *proxied) lost(err error) error {
	s.timer.Cancel()
	rest := s.buf
	s.buf, s.known = nil, nil
	ours := err == reactor.ErrClosed || err == reactor.ErrAborted || err == reactor.ErrStopped || s.c.closed
	input := s.state == holding || s.state == gathering && s.o.Optional
	switch {
	case s.reason != nil:
		return s.reason
	case ours:
	case input && len(rest) > 0 && s.c.holds&holdApp == 0:
		s.state = passing
		s.c.deliver(rest)
	case err == io.EOF && (s.state == gathering && !s.o.Optional || input && len(rest) > 0): // not all was delivered
		return s.failure(fmt.Errorf("%w: %d bytes came: %w", ErrProxyHeader, len(rest), io.ErrUnexpectedEOF))
	}
	return err
}
