package service

import (
	"log/slog"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// Server listens on a place from its privileged start, or else from its start, until its stop (SVC-12, SVC-15). Connections that were accepted live on. It is a
// [Member], and for the goroutine of its reactor's loop. [NewServer] and [NewListening] make one.
type Server struct {
	r        *reactor.Reactor
	name     string
	listen   func() (endpoint.Listener, error)
	listener endpoint.Listener // nil: it does not listen
}

// NewServer makes a server that listens at the place at, on a reactor or on all loops of a group, with the protocols of f. r is the reactor of the service: the
// lead of the group.
func NewServer(on reactor.Loops, at endpoint.Server, f reactor.Factory) *Server {
	return NewListening(on.Lead(), at.String(), func() (endpoint.Listener, error) { return at.Listen(on, f) })
}

// NewListening makes a server of anything that listens: a port of datagrams, several places, a port with options. listen is called each time it starts. name is
// for the log.
func NewListening(r *reactor.Reactor, name string, listen func() (endpoint.Listener, error)) *Server {
	if r == nil || listen == nil {
		panic("service: a Server needs a Reactor and a place")
	}
	return &Server{r: r, name: name, listen: listen}
}

// Listener is the place that is being listened on; nil if there is none.
func (s *Server) Listener() endpoint.Listener { return s.listener }

// StartPrivileged listens. A failure is logged, and is that of the service's start (SVC-16).
func (s *Server) StartPrivileged() *deferred.Deferred[None] { return s.Start() }

// Start listens, unless StartPrivileged has (SVC-15).
func (s *Server) Start() *deferred.Deferred[None] {
	if s.listener != nil {
		return nil
	}
	l, err := s.listen()
	if err != nil {
		s.r.Logger().Error("cannot listen", slog.String("endpoint", s.name), slog.Any("err", err))
		return deferred.Failed[None](s.r, err)
	}
	s.listener = l
	return nil
}

// Stop ends the place. The result comes when it is closed, with the error of the factory if it had one (SVC-17). The server can be started again (SVC-18).
func (s *Server) Stop() *deferred.Deferred[None] {
	l := s.listener
	if l == nil {
		return nil
	}
	s.listener = nil
	return deferred.From(s.r, func(done func(None, error)) func() {
		// The port of a group calls back on any of its loops.
		l.StopListening(func(err error) { s.r.Tell(func(error) { done(None{}, err) }) })
		return nil
	})
}
