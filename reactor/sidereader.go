package reactor

import (
	"io"
	"sync"

	"github.com/whorl-go/whorl/kernel"
)

// SideReader reads a [Stream] on another goroutine than the loop's. See [Stream.ReadAside].
type SideReader struct {
	mu     sync.Mutex        // held while somebody reads, so that nobody closes the conn then
	conn   kernel.SideReader // nil: the stream reads itself, or has ended
	n      uint64            // bytes read that the stream has not counted
	failed error             // found here, and not yet by the stream
}

// Read reads what is there into p, which must not be empty. It never waits: kernel.ErrAgain says that nothing is there, or that
// the stream does not lend its reading any more. That and every other error is for the stream, which goes on by ResumeProducing and then finds
// the end, or the error, itself. Read is for one goroutine at a time, which may be any.
func (r *SideReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil || r.failed != nil {
		return 0, kernel.ErrAgain
	}
	n, err := r.conn.ReadAside(p)
	switch {
	case err == nil:
		r.n += uint64(n)
	case err != kernel.ErrAgain && err != io.EOF: // the system tells an error once
		r.failed = err
	}
	return n, err
}

// ReadAside pauses s, as PauseProducing does, and lends its reading to another goroutine, until ResumeProducing, or until the stream ends or its
// protocol is exchanged. It saves that goroutine the way over the loop while more bytes are there than it reads at once. What it has read
// is counted when the stream reads again, or ends. ReadAside returns nil, and s goes on, if its conn is no [kernel.SideReader] itself, or if s does
// not read now. It is for the loop's goroutine (TCP-101).
func (s *Stream) ReadAside() *SideReader {
	conn, ok := s.conn.(kernel.SideReader)
	if !ok || !s.reading() || s.state != streamOpen || s.cfg.retired {
		return nil
	}
	r := s.cfg.aside
	if r == nil {
		r = new(SideReader)
		own := *s.cfg
		own.aside = r
		s.cfg = &own
	}
	r.mu.Lock()
	r.conn = conn
	r.mu.Unlock()
	s.pause()
	return r
}

// takeBack ends the lending of the reading. It returns when nobody reads beside the loop. An error that was found there is returned once.
func (s *Stream) takeBack() (err error) {
	if r := s.cfg.aside; r != nil {
		r.mu.Lock()
		err = r.failed
		s.in += r.n
		r.conn, r.n, r.failed = nil, 0, nil
		r.mu.Unlock()
	}
	return err
}
