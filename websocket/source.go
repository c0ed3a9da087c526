package websocket

import "github.com/whorl-go/whorl/reactor"

// source is a Conn as the producer of the transport below, for the producer of the application.
type source Conn

var _ reactor.Producer = (*source)(nil)

// PauseProducing has the producer pause.
func (s *source) PauseProducing() {
	s.full = true
	s.producer.PauseProducing()
}

// ResumeProducing has it go on. If our Close waits for it, and it has written the last of what it had, the close frame follows.
func (s *source) ResumeProducing() {
	s.full = false
	s.producer.ResumeProducing()
	(*Conn)(s).produced()
}

// StopProducing ends it: the transport below can send no more.
func (s *source) StopProducing() {
	p := s.producer
	s.producer, s.full, s.failed = nil, false, true
	p.StopProducing()
}

// Producing tells whether more may come of it.
func (s *source) Producing() bool { return (*Conn)(s).produces() }

// Unfinished tells whether the transport below must not end in order by itself, as when the reactor stops.
func (s *source) Unfinished() bool { return reactor.Unfinished(s.producer) }

// produces tells whether a Close has to wait for the producer. It need not for one that stays registered and has nothing, such as a queue that is
// empty, or a transport whose reading has ended.
func (c *Conn) produces() bool { return c.producer != nil && reactor.Produces(c.producer) }

// produced sends the close frame of a Close that has waited, when no more comes of the producer.
func (c *Conn) produced() {
	if c.state == ending && c.closing.waits && !c.produces() {
		c.sendClose()
	}
}
