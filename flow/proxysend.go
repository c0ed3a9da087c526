package flow

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// SendProxyOptions configure SendProxy. Nil and the zero value are the defaults.
type SendProxyOptions struct {
	// Version is 1 or 2. Zero: 2.
	Version int
	// Header returns the header for a new connection. Its Version is ignored. It is called on the loop's goroutine with the
	// transport of the connection, before ConnectionMade. Nil: the addresses of that transport itself.
	Header func(t reactor.Transport) ProxyHeader
}

// SendProxy returns a factory for Reactor.Dial whose connections begin with a header of the PROXY protocol: the peer then
// takes the client for that of the header. inner makes the protocols above. The header stands before everything that they write; if
// the inner factory is tlsio.Client, also before its handshake. [ProxyOf] makes the header of a connection that is passed on.
//
// A header that cannot be written (AppendProxyHeader) aborts the connection before anything was sent. ConnectionLost then
// gets the error, which is ErrProxyHeader.
func SendProxy(inner reactor.Factory, o *SendProxyOptions) reactor.Factory {
	f := &proxySender{inner: inner}
	if o != nil {
		f.o = *o
	}
	if f.o.Version == 0 {
		f.o.Version = 2
	}
	return f
}

// ProxyOf is the header that says that a connection comes from the peer of t, which is the accepted connection that is
// passed on. What cannot be said of it, such as the addresses of a pipe, is unknown.
func ProxyOf(t reactor.Transport) ProxyHeader { return proxyBetween(t.Remote(), t.Local()) }

// proxyBetween is the header for a connection from source to destination.
func proxyBetween(source, destination kernel.Addr) ProxyHeader {
	ip := isIP(source.Net) && source.IP.Addr().IsValid() && destination.IP.Addr().IsValid()
	unix := source.Net == kernel.UNIX && len(source.Name) <= proxyUNIX && len(destination.Name) <= proxyUNIX
	if source.Net != destination.Net || !ip && !unix {
		return ProxyHeader{}
	}
	return ProxyHeader{Source: source, Destination: destination}
}

// proxySender is the factory of SendProxy.
type proxySender struct {
	inner reactor.Factory
	o     SendProxyOptions
}

// Unwrap is the inner factory, which the reactor starts and stops.
func (f *proxySender) Unwrap() reactor.Factory { return f.inner }

// LogPrefix is the inner factory's, with " (PROXY)".
func (f *proxySender) LogPrefix() string { return reactor.LogPrefixOf(f.inner) + " (PROXY)" }

// AnyLoop is what inner says: the factory itself does not change.
func (f *proxySender) AnyLoop() bool { return anyLoop(f.inner) }

func (f *proxySender) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	p := f.inner.BuildProtocol(peer)
	if p == nil {
		return nil
	}
	return &proxySending{inner: p, o: &f.o}
}

// proxySending writes the header, and passes everything on. What it does not have, reactor.ProtocolAs finds in inner.
type proxySending struct {
	inner  reactor.Protocol
	o      *SendProxyOptions
	reason error // for which it has aborted the connection
}

var _ reactor.LogPrefixer = (*proxySending)(nil)

// Unwrap is the protocol above.
func (s *proxySending) Unwrap() reactor.Protocol { return s.inner }

// LogPrefix is the name of the protocol above, with " (PROXY)".
func (s *proxySending) LogPrefix() string { return reactor.LogPrefixOf(s.inner) + " (PROXY)" }

func (s *proxySending) ConnectionMade(t reactor.Transport) {
	h := proxyBetween(t.Local(), t.Remote())
	if s.o.Header != nil {
		h = s.o.Header(t)
	}
	h.Version = s.o.Version
	header, err := AppendProxyHeader(nil, h)
	if err != nil {
		s.reason = &reactor.OpError{Op: "proxy header", Local: t.Local(), Remote: t.Remote(), Err: err}
		t.Abort()
	} else {
		_, _ = t.Write(header) // an error has ended the connection
	}
	s.inner.ConnectionMade(t)
}

func (s *proxySending) DataReceived(p []byte) { s.inner.DataReceived(p) }

func (s *proxySending) ConnectionLost(err error) {
	if s.reason != nil {
		err = s.reason
	}
	s.inner.ConnectionLost(err)
}
