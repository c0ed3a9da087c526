package flow

import (
	"io"
	"os"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// ErrFileStopped: sending was stopped by Sending.Stop. To be asked for with errors.Is.
var ErrFileStopped = kernel.Sentinel("sending the file was stopped")

// FileOptions configure SendFile. Nil and the zero value are the defaults. The functions are called on the loop's goroutine.
type FileOptions struct {
	// Offset is where it begins, in bytes. It must not be negative.
	Offset int64
	// Length is how many bytes are sent. If there are fewer, the result is io.ErrUnexpectedEOF. Zero or negative: all to the end. If
	// an *os.File then ends before the end that it has at first, that is io.ErrUnexpectedEOF too.
	Length int64
	// Piece is how many bytes are read at a time, which is the memory that it takes besides the buffer of the transport. Zero or
	// negative: 64 KiB.
	Piece int
	// MayWait lets the loop wait for the disk, so that a file may be sent by the system itself without looking whether it is in memory. It is
	// for files that are, such as those of a file system in memory. Without it no disk holds the loop up. See SendFile.
	MayWait bool
	// Check gets each piece before it is written, in order: for a checksum, or to count. p is valid until it returns. An
	// error ends the sending. Nil: nobody looks.
	Check func(p []byte) error
	// Progress is called after each piece was written, with how many bytes were written so far; the transport may hold some of
	// them. What the system sends itself comes in pieces of up to 256 KiB. Nil: nobody is told.
	Progress func(sent int64)
	// Done is called once at the end, never inside SendFile: with the bytes written, and nil, or why not all were: an error of the
	// file or of Check, io.ErrUnexpectedEOF, io.ErrNoProgress for a read of nothing without an error, ErrFileStopped, reactor.ErrClosed if the connection was lost. Then src is not used any
	// more. It is not called if the reactor stops before a read in progress has ended (CORE-50). Nil: nobody is told.
	Done func(sent int64, err error)
}

const (
	filePiece   = 64 << 10
	directPiece = 256 << 10 // what a transport sends at most
)

// Sending is a file that is being sent. Its methods are for the loop's goroutine.
type Sending struct {
	t     reactor.Transport
	on    reactor.Consumer
	src   io.ReaderAt
	o     FileOptions
	buf   []byte
	sent  int64
	state sendState
	// Of a regular file: where it ended when it was first read; and, with file, the transport that may send it without reading.
	size   int64
	file   *os.File
	direct reactor.FileSender
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
// If src is an *os.File of a regular file, the system sends it without reading, by sendfile, what is in memory already, where
// t is a reactor.FileSender and no Check wants to see the bytes (POL-16). Then whoever changes the file while it is sent may change what was
// sent already and the peer has not taken. The first piece, and what is not in memory, is read.
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
	if f, ok := src.(*os.File); ok {
		s.file = f
	}
	if s.o.Check == nil && s.file != nil {
		s.direct, _ = reactor.As[reactor.FileSender](t)
	}
	if err := s.on.RegisterProducer((*fileProducer)(s)); err != nil {
		return nil, err
	}
	if s.state == sendingFile { // otherwise t is lost
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
	n    int
	err  error
	size int64 // of a regular file, at its first read
}

// read has the next piece read.
func (s *Sending) read() {
	size := int64(s.o.Piece)
	if s.o.Length > 0 {
		size = min(size, s.o.Length-s.sent)
	}
	if s.buf == nil {
		s.buf = make([]byte, size)
	}
	p := s.buf[:size]
	s.reading = true
	at, file := s.o.Offset+s.sent, s.file
	if s.sent > 0 {
		file = nil
	}
	reactor.InThread(s.t.Reactor(), func() (piece, error) {
		size := sizeOf(file)
		n, err := s.src.ReadAt(p, at)
		return piece{n, err, size}, nil
	}, s.got)
}

// sizeOf is the size of f, 0 of one that is no regular file, and of none.
func sizeOf(f *os.File) int64 {
	if f == nil {
		return 0
	}
	if is, err := f.Stat(); err == nil && is.Mode().IsRegular() {
		return is.Size()
	}
	return 0
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
	s.guard(func() {
		s.size = max(s.size, p.size)
		s.take(p)
		s.goOn()
	})
}

// guard calls fn, which makes callbacks. A panic ends the sending.
func (s *Sending) guard(fn func()) {
	if e := s.t.Reactor().Guard("flow.SendFile", fn); e != nil {
		s.fail(e)
	}
}

// take writes a piece, and ends what is over.
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
		s.wrote(p.n)
	}
	switch {
	case s.state != sendingFile:
	case p.err == io.EOF && (s.o.Length > 0 || s.o.Offset+s.sent < s.size):
		s.fail(io.ErrUnexpectedEOF)
	case p.err == io.EOF:
		s.finish()
	case p.err != nil:
		s.fail(p.err)
	case p.n == 0:
		s.fail(io.ErrNoProgress)
	}
}

// wrote counts n bytes that were written, and ends it if these were all.
func (s *Sending) wrote(n int) {
	s.sent += int64(n)
	if s.o.Progress != nil {
		s.o.Progress(s.sent)
	}
	if s.sent == s.o.Length {
		s.finish()
	}
}

// finish ends it when all is written.
func (s *Sending) finish() {
	if s.state == sendingFile {
		s.on.UnregisterProducer()
		s.end(nil)
	}
}

// goOn has the next piece sent, unless the transport or the pool has to do something first.
func (s *Sending) goOn() {
	for s.state == sendingFile && !s.paused && !s.reading {
		if !s.sendDirect() {
			s.read()
		}
	}
}

// sendDirect has the system send a piece. It returns false if the piece must be read.
func (s *Sending) sendDirect() bool {
	at, end := s.o.Offset+s.sent, s.size
	if s.o.Length > 0 {
		end = min(end, s.o.Offset+s.o.Length)
	}
	if s.direct == nil || at >= end {
		return false
	}
	n, err := s.direct.SendFile(kernel.FileRange{File: s.file, Offset: at, Length: int(min(end-at, directPiece)), MayWait: s.o.MayWait})
	switch {
	case err == kernel.ErrMustRead:
		return false
	case err != nil:
		s.fail(err)
	case n > 0:
		s.buf = nil // while the system sends, nobody needs it
		s.wrote(n)
	}
	return n > 0 || s.paused || s.state != sendingFile
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
	(*Sending)(s).guard((*Sending)(s).goOn)
}

// StopProducing is called when the connection is lost.
func (s *fileProducer) StopProducing() {
	if s.state == sendingFile {
		(*Sending)(s).end(reactor.ErrClosed)
	}
}

// Unfinished has the connection reset if it ends now (PROD-24).
func (s *fileProducer) Unfinished() bool { return s.state == sendingFile }
