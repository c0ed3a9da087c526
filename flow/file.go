package flow

import (
	"io"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// ErrFileStopped: sending was stopped by Sending.Stop. To be asked for with errors.Is.
var ErrFileStopped = kernel.Sentinel("sending the file was stopped")

// FileOptions configure SendFile. Nil and the zero value are the defaults. The functions are called on the loop's goroutine.
type FileOptions struct {
	// Offset is where it begins, in bytes. It must not be negative.
	Offset int64
	// Length is how many bytes are sent. If there are fewer, the result is io.ErrUnexpectedEOF. Zero or negative: all to the end.
	Length int64
	// Piece is how many bytes are read at a time, which is the memory that it takes besides the buffer of the transport. Zero or
	// negative: 64 KiB.
	Piece int
	// Check gets each piece before it is written, in order: for a checksum, or to count. p is valid until it returns. An
	// error ends the sending. Nil: nobody looks.
	Check func(p []byte) error
	// Progress is called after each piece was written, with how many bytes were written so far; the transport may hold some of
	// them. Nil: nobody is told.
	Progress func(sent int64)
	// Done is called once at the end, never inside SendFile: with the bytes written, and nil, or why not all were: an error of the
	// file or of Check, io.ErrUnexpectedEOF, io.ErrNoProgress for a read of nothing without an error, ErrFileStopped, reactor.ErrClosed if the connection was lost. Then src is not used any
	// more. It is not called if the reactor stops before a read in progress has ended (CORE-50). Nil: nobody is told.
	Done func(sent int64, err error)
}

const filePiece = 64 << 10

// Sending is a file that is being sent. Its methods are for the loop's goroutine.
type Sending struct {
	t     reactor.Transport
	on    reactor.Consumer
	src   io.ReaderAt
	o     FileOptions
	buf   []byte
	sent  int64
	state sendState
	// reading: a goroutine of the pool uses src and buf.
	reading bool
	paused  bool
	err     error
}

type sendState uint8

const (
	sendingFile sendState = iota
	sendEnded             // err says why; Done waits for the read in progress
	sendTold              // Done was called
)

// SendFile writes a range of src to t, as its registered producer, at the pace of the peer. src is read by the reactor's pool for
// blocking work, one piece at a time, so a slow disk holds nobody up; ReadAt is called on other goroutines, one call
// at a time. src belongs to the caller, who may close it when Done is called.
//
// Close of t waits until all is written. If it ends early, for whatever reason, the connection is aborted, so that the peer does not
// take a part for the whole. The error of SendFile is that of RegisterProducer, or errors.ErrUnsupported if t is no
// reactor.Consumer; then Done is not called.
func SendFile(t reactor.Transport, src io.ReaderAt, o *FileOptions) (*Sending, error) {
	s := &Sending{t: t, src: src, on: reactor.ConnectionOf(t)}
	if o != nil {
		s.o = *o
	}
	if s.o.Offset < 0 {
		panic("flow: SendFile with a negative Offset")
	}
	if s.o.Piece <= 0 {
		s.o.Piece = filePiece
	}
	if err := s.on.RegisterProducer((*fileProducer)(s)); err != nil {
		return nil, err
	}
	switch {
	case s.state != sendingFile: // t is lost
	case s.o.Length > 0:
		s.buf = make([]byte, min(int64(s.o.Piece), s.o.Length))
		s.read()
	default:
		s.buf = make([]byte, s.o.Piece)
		s.read()
	}
	return s, nil
}

// Sent is how many bytes were written so far.
func (s *Sending) Sent() int64 { return s.sent }

// Stop ends it early: Done gets ErrFileStopped, and the connection is aborted. After the end it does nothing.
func (s *Sending) Stop() { s.fail(ErrFileStopped) }

// piece is what one read has got.
type piece struct {
	n   int
	err error
}

// read has the next piece read.
func (s *Sending) read() {
	p := s.buf
	if s.o.Length > 0 {
		p = p[:min(int64(len(p)), s.o.Length-s.sent)]
	}
	s.reading = true
	at := s.o.Offset + s.sent
	reactor.InThread(s.t.Reactor(), func() (piece, error) {
		n, err := s.src.ReadAt(p, at)
		return piece{n, err}, nil
	}, s.got)
}

// got takes what was read.
func (s *Sending) got(p piece, err error) {
	s.reading = false
	if s.state == sendEnded {
		s.tell()
		return
	}
	if err != nil { // the pool has not read
		s.fail(err)
		return
	}
	if e := s.t.Reactor().Guard("flow.SendFile", func() { s.take(p) }); e != nil {
		s.fail(e)
	}
}

// take writes a piece, and goes on or ends.
func (s *Sending) take(p piece) {
	data := s.buf[:p.n]
	if p.n > 0 && s.o.Check != nil {
		if err := s.o.Check(data); err != nil {
			s.fail(err)
			return
		}
	}
	if p.n > 0 && s.state == sendingFile {
		if _, err := s.t.Write(data); err != nil {
			s.fail(err)
			return
		}
		s.sent += int64(p.n)
		if s.o.Progress != nil {
			s.o.Progress(s.sent)
		}
	}
	switch {
	case s.state != sendingFile:
	case s.o.Length > 0 && s.sent == s.o.Length, s.o.Length <= 0 && p.err == io.EOF:
		s.on.UnregisterProducer()
		s.end(nil)
	case p.err == io.EOF:
		s.fail(io.ErrUnexpectedEOF)
	case p.err != nil:
		s.fail(p.err)
	case p.n == 0:
		s.fail(io.ErrNoProgress)
	case !s.paused && !s.reading:
		s.read()
	}
}

// fail ends it for err, and the connection.
func (s *Sending) fail(err error) {
	if s.state != sendingFile {
		return
	}
	s.end(err)
	s.on.UnregisterProducer()
	s.t.Abort()
}

func (s *Sending) end(err error) {
	s.state, s.err = sendEnded, err
	if !s.reading {
		s.t.Reactor().Tell(func(error) { s.tell() })
	}
}

// tell calls Done.
func (s *Sending) tell() {
	if s.state != sendEnded {
		return
	}
	s.state, s.buf = sendTold, nil
	if s.o.Done != nil {
		s.o.Done(s.sent, s.err)
	}
}

// fileProducer is a Sending to the transport.
type fileProducer Sending

func (s *fileProducer) PauseProducing() { s.paused = true }

// ResumeProducing is called when the transport has sent what it held.
func (s *fileProducer) ResumeProducing() {
	s.paused = false
	if s.state == sendingFile && !s.reading {
		(*Sending)(s).read()
	}
}

// StopProducing is called when the connection is lost.
func (s *fileProducer) StopProducing() {
	if s.state == sendingFile {
		(*Sending)(s).end(reactor.ErrClosed)
	}
}
