package reactor

import (
	"errors"
	"fmt"

	"github.com/whorl-go/whorl/kernel"
)

// Attach makes a Stream of c and connects it to p. It is for connections that come neither
// from a port nor from a connector, such as a pipe, a terminal or an adopted descriptor. c
// must be connected, and the reactor's kernel must be able to arm it. From now on it
// belongs to the stream. Attach is for the loop's goroutine.
//
// p's ConnectionMade is called before Attach returns. What it asks for, such as Close, is
// carried out later. If it panics, the stream ends and p's ConnectionLost gets the
// [PanicError]. o configures the buffers; nil and the zero value are the defaults.
//
// An error is an [*OpError], and c then still belongs to the caller. The cause is
// ErrStopped if the reactor is ending or stopped, ErrMarks, that p is nil, or why c is not connected
// (kernel.ErrAgain: not yet).
func (r *Reactor) Attach(c kernel.Conn, p Protocol, o *StreamConfig) (*Stream, error) {
	cfg, err := o.complete()
	if err == nil {
		err = c.Connected()
	}
	if p == nil {
		err = errNoProtocol
	}
	if r.is(lifeEnding) || r.is(lifeStopped) {
		err = ErrStopped // nobody would end it
	}
	if err != nil {
		return nil, &OpError{Op: "attach", Local: c.Local(), Remote: c.Remote(), Err: err}
	}
	return r.attach(c, p, cfg, attached{}, nil), nil
}

var errNoProtocol = errors.New("there is no protocol; it is nil")

func (r *Reactor) attach(c kernel.Conn, p Protocol, cfg StreamConfig, o owner, unsent []byte) *Stream {
	s := &Stream{r: r, conn: c, proto: p, cfg: r.paramsOf(c, cfg, o)}
	s.token = r.assignToken(s)
	_ = s.connect(unsent) // ConnectionLost tells p
	s.touch()
	return s
}

// paramsOf returns the parameters of a stream on c. Streams that Attach makes one after the other, such as the pipes of a program, have
// one copy, if they are configured alike.
func (r *Reactor) paramsOf(c kernel.Conn, cfg StreamConfig, o owner) *streamParams {
	p := streamParams{StreamConfig: cfg, owner: o}
	p.halves, _ = kernel.ConnAs[kernel.Halves](c)
	_, plain := o.(attached)
	alike := plain && p.halves == nil
	if alike && r.attached != nil && *r.attached == p {
		return r.attached
	}
	own := p // p itself stays on the stack
	if alike {
		r.attached = &own
	}
	return &own
}

// connect writes unsent and calls the protocol's ConnectionMade. The stream must have a token. If
// ConnectionMade panics, connect returns the PanicError, and the stream is about to end.
func (s *Stream) connect(unsent []byte) error {
	s.passDescriptors()
	s.r.streamMade(s)
	err := s.callback(func() { s.connectionMade(unsent) })
	if err != nil {
		s.end(err)
	}
	return err
}

// attached is the owner of a stream that Attach has made.
type attached struct{}

func (attached) streamLost(*Stream, error) {}

func (attached) logPrefix(s *Stream) string { return LogPrefixOf(s.proto) + ",attached" }

func (attached) describe(s *Stream) string {
	if s.Remote().IsZero() {
		return fmt.Sprintf("<%s>", LogPrefixOf(s.proto))
	}
	return fmt.Sprintf("<%s to %v>", LogPrefixOf(s.proto), s.Remote())
}
