package flow

import (
	"sync/atomic"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// TrafficLog is told what one connection receives and sends. Its methods are called on the loop's goroutine, so they must not block. A
// slice is valid until the method returns.
type TrafficLog interface {
	// Received is called before the protocol gets p.
	Received(p []byte)
	// Sent is called after p was written. What the transport has refused is not told.
	Sent(p []byte)
	// Lost is called once, before the protocol is told of the loss.
	Lost(err error)
}

// TrafficLogger is the factory of LogTraffic. Several loops of a reactor.Group may use it if the inner factory and the function open may be used so; it
// does not say that as a reactor.AnyLoop, because only the program knows.
type TrafficLogger struct {
	inner reactor.Factory
	open  func(n int, t reactor.Transport) TrafficLog
	count atomic.Int64
}

// LogTraffic returns a factory whose connections tell their traffic (POL-11). inner makes the protocols above. open is called on the
// loop's goroutine before ConnectionMade, with the number of the connection, from 1, in the order in which they were made, on all
// loops together. If it returns nil, that connection is not logged.
func LogTraffic(inner reactor.Factory, open func(n int, t reactor.Transport) TrafficLog) *TrafficLogger {
	return &TrafficLogger{inner: inner, open: open}
}

// ResetCounter has the next connection be number 1. It may be called from any goroutine.
func (f *TrafficLogger) ResetCounter() { f.count.Store(0) }

// Unwrap is the inner factory, which the reactor starts and stops.
func (f *TrafficLogger) Unwrap() reactor.Factory { return f.inner }

// LogPrefix is the inner factory's, with " (logged)".
func (f *TrafficLogger) LogPrefix() string { return reactor.LogPrefixOf(f.inner) + " (logged)" }

// BuildProtocol makes a protocol of the inner factory, whose traffic is logged.
func (f *TrafficLogger) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	p := f.inner.BuildProtocol(peer)
	if p == nil {
		return nil
	}
	s := &logged{f: f}
	return s.c.start(s, p)
}

// logged is a connection of LogTraffic.
type logged struct {
	c   conn
	f   *TrafficLogger
	log TrafficLog // nil: it is not logged
}

func (s *logged) suffix() string { return "(logged)" }

func (s *logged) made() {
	n := s.f.count.Add(1)
	if s.log = s.f.open(int(n), s.c.link); s.log != nil {
		s.c.spy = s.log.Sent
	}
}

func (s *logged) received(p []byte) {
	if s.log != nil {
		if s.log.Received(p); !s.c.open() { // by the transport that open was given
			return
		}
	}
	s.c.deliver(p)
}

func (s *logged) lost(err error) error {
	if s.log != nil {
		s.log.Lost(err)
	}
	return err
}

func (s *logged) wrote(int) {}

func (s *logged) readEnded() bool { return true }

func (s *logged) halved() {}

func (s *logged) wanted() {}

func (s *logged) gateMade() {}
