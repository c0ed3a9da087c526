package rpc

import (
	"encoding/json"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// DefaultInProgress is how many calls of a connection are in progress at a time.
const DefaultInProgress = 100

// Handler answers a call. It is called off the loop, several at a time, and may block.
type Handler func(params json.RawMessage) (any, error)

// Server is the factory of a server's connections. Its fields are set before it is in use.
type Server struct {
	// Handlers are the functions by their names.
	Handlers map[string]Handler
	// MaxInProgress is how many calls of a connection may be in progress. At the limit it is
	// not read. Zero: DefaultInProgress.
	MaxInProgress int
	// Beat is how often the server says that it is there. Zero: DefaultBeat.
	Beat time.Duration
}

// session is the connection of a client.
type session struct {
	link
	server     *Server
	inProgress int
	slow       bool // the client does not read its answers
}

// BuildProtocol makes the protocol of a client.
func (s *Server) BuildProtocol(kernel.Addr) reactor.Protocol {
	c := &session{server: s}
	c.beat, c.handle = s.Beat, c.called
	return c
}

// ConnectionMade has the session read as fast as its answers are taken.
func (s *session) ConnectionMade(t reactor.Transport) {
	s.link.ConnectionMade(t)
	s.T.RegisterProducer(s)
}

// PauseProducing is called when the client does not read.
func (s *session) PauseProducing() {
	s.slow = true
	s.flow()
}

// ResumeProducing is called when it has read.
func (s *session) ResumeProducing() {
	s.slow = false
	s.flow()
}

func (s *session) limit() int {
	if s.server.MaxInProgress > 0 {
		return s.server.MaxInProgress
	}
	return DefaultInProgress
}

// flow reads, unless there is a reason not to.
func (s *session) flow() {
	if yes := !s.slow && s.inProgress < s.limit(); yes == s.deaf {
		s.listen(yes)
	}
}

func (s *session) called(m *message) {
	if m.ID == 0 {
		return
	}
	handler := s.server.Handlers[m.Method]
	if handler == nil {
		s.send(&message{ID: m.ID, Error: "no such method: " + m.Method})
		return
	}
	s.inProgress++
	s.flow()
	reactor.InThread(s.T.Reactor(), func() (json.RawMessage, error) {
		result, err := handler(m.Params)
		if err != nil {
			return nil, err
		}
		return json.Marshal(result)
	}, func(result json.RawMessage, err error) { s.answer(m.ID, result, err) })
}

func (s *session) answer(id uint64, result json.RawMessage, err error) {
	m := &message{ID: id, Result: result}
	if err != nil {
		m.Error = err.Error()
	}
	s.send(m) // refused if the client has gone
	s.inProgress--
	s.flow()
}

// Drain asks the client to go elsewhere. The client closes when it has its answers.
func (s *session) Drain() { s.send(&message{Goodbye: true}) }
