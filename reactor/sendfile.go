package reactor

import (
	"github.com/whorl-go/whorl/internal/chunks"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

// FileSender is a transport that can send from a file without bringing its bytes into the program. flow.SendFile uses it.
//
// A wrapper that changes Write must implement it, because As would otherwise find the one below, and the bytes would go past the
// wrapper. A SendFile that always returns kernel.ErrMustRead will do.
type FileSender interface {
	// SendFile sends the beginning of f, as much as the socket takes at once and at most 256 KiB, and returns how much
	// that was (PROD-22). It is for the registered producer alone, which calls it while it is not paused, and again after what was sent.
	// Nothing is kept: what was not sent is not buffered, and the file is not used any more when it returns. What was
	// written before is sent before, so it may send nothing.
	//
	// If the socket is full, or enough was sent for this turn, the producer is paused inside the call. It is resumed when there is
	// room again (PROD-23).
	//
	// The error is kernel.ErrMustRead, bare, if the caller must read the piece and Write it: then nothing was sent, and a later
	// piece may be sent in this way again. [kernel.Files] says when that is. It is so always without a producer, over kernels without Files, and over
	// transports that need the bytes, such as TLS. Other errors are those of Write. If sending fails, the producer is stopped inside the call,
	// as in a Write.
	SendFile(f kernel.FileRange) (int, error)
}

var _ FileSender = (*Stream)(nil)

// SendFile sends a piece of a file, as [FileSender] says.
func (s *Stream) SendFile(f kernel.FileRange) (int, error) {
	if s.cfg.retired {
		return 0, ErrSwitched
	}
	return s.sendFile(f)
}

func (s *Stream) sendFile(f kernel.FileRange) (int, error) {
	if err := s.writable(0); err != nil {
		return 0, err
	}
	to, ok := kernel.ConnAs[kernel.Files](s.conn)
	if !ok || s.producer == nil || s.passes() {
		return 0, kernel.ErrMustRead
	}
	if s.out.Len() > 0 && !s.blocked && s.direct < maxDirect {
		s.flushDirect(nil)
		if s.state > streamClosing { // that has failed
			return 0, ErrClosed
		}
	}
	if s.out.Len() > 0 || s.blocked || s.direct >= maxDirect {
		s.pauseProducer()
		s.countDirect(0) // who calls elsewhere has to have the stream wait for room
		return 0, nil
	}
	f.Length = min(f.Length, (maxDirect-int(s.direct))*chunks.Size)
	n, err := to.WriteFile(f)
	if err == kernel.ErrMustRead {
		return 0, err
	}
	s.note(probe.NoteWritten, n, nil)
	s.wrote(n, n < f.Length, err)
	s.countDirect(n)
	if s.producer != nil && s.blocked {
		s.pauseProducer()
	}
	s.checkHighWater()
	return n, nil
}

// fileWaits tells whether the producer waits for the socket to take more of a file. Bytes that wait for it are buffered, but a file is not.
func (s *Stream) fileWaits() bool { return s.blocked && s.out.Len() == 0 }

// SendFile sends a piece of a file by the stream.
func (t *successor) SendFile(f kernel.FileRange) (int, error) {
	if t.retired {
		return 0, ErrSwitched
	}
	return t.s.sendFile(f)
}
