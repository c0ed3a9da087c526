package reactor

import (
	"fmt"

	"github.com/whorl-go/whorl/kernel"
)

// Attach makes a Stream of c and connects it to p: of a connection that came from
// elsewhere than a port or a connector, such as a pipe, a terminal or a descriptor that
// was adopted. c is connected, and of a kind that the reactor's kernel can arm; it is the
// stream's from now on. p's ConnectionMade is called before Attach returns, and what it
// asks for is carried out later, as ever. A panic in it ends the stream, which p hears.
// o configures the buffers; nil and the zero value are the defaults.
//
// An error is an [*OpError], and c is still the caller's: ErrStopped when the reactor
// ends, ErrMarks, or why c is not connected (kernel.ErrAgain: not yet).
func (r *Reactor) Attach(c kernel.Conn, p Protocol, o *StreamConfig) (*Stream, error) {
	cfg, err := o.complete()
	if err == nil {
		err = c.Connected()
	}
	if r.is(lifeEnding) || r.is(lifeStopped) {
		err = ErrStopped // nobody would end it
	}
	if err != nil {
		return nil, &OpError{Op: "attach", Local: c.Local(), Remote: c.Remote(), Err: err}
	}
	s := &Stream{r: r, conn: c, proto: p, owner: attached{}, cfg: &cfg}
	s.token = r.assignToken(s)
	_ = s.connect() // p hears of it
	s.touch()
	return s, nil
}

// connect tells the protocol of its transport, which has a token. It returns what the
// protocol panicked with; then the stream is about to end.
func (s *Stream) connect() error {
	err := s.callback(s.connectionMade)
	if err != nil {
		s.end(err)
	}
	return err
}

// attached is the owner of a stream that neither a port nor a connector has made.
type attached struct{}

func (attached) streamLost(*Stream, error) {}

func (attached) logPrefix(s *Stream) string { return LogPrefixOf(s.proto) + ",attached" }

func (attached) describe(s *Stream) string {
	if s.Remote().IsZero() {
		return fmt.Sprintf("<%s>", LogPrefixOf(s.proto))
	}
	return fmt.Sprintf("<%s to %v>", LogPrefixOf(s.proto), s.Remote())
}
