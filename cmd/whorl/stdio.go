package main

import (
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// A program shares its standard streams with other programs: with the shell's
// terminal, or with both ends of a pipeline. If it made them non-blocking, the
// other programs would see that, even after it has ended. So a goroutine that may
// block serves each stream, one buffer at a time. The goroutine may still block
// when the program ends. So it cannot be work for the reactor's pool, which waits
// for its goroutines.

const (
	stdioBuffer = 64 << 10
	// againAfter is the time between two tries on a stream that another program
	// has made non-blocking.
	againAfter = 10 * time.Millisecond
	// drySpell is the time without input after which nobody waits for more of it, once the peer has ended. It is that of socat.
	drySpell = 500 * time.Millisecond
)

// input is a producer that reads from a stream. The reads may block, so they have
// a goroutine of their own; everything else happens on the loop's goroutine.
type input struct {
	r        *reactor.Reactor
	from     io.Reader
	received func(p []byte) // p is lent
	ended    func(error)    // once, io.EOF at the end; not after StopProducing
	permits  chan struct{}  // one for each read
	buf      []byte         // the goroutine's while reading, else the loop's
	reading  bool
	held     bool
	over     bool
	wanted   time.Duration // since when nothing has come although it may
}

// start begins to read.
func (in *input) start() {
	in.buf = make([]byte, stdioBuffer)
	in.permits = make(chan struct{}, 1)
	go in.work()
	in.ask()
}

func (in *input) work() {
	for range in.permits {
		n, err := in.from.Read(in.buf)
		in.r.Post(func() { in.arrived(n, err) })
	}
}

// ask begins the next read, if one is wanted and none is in progress.
func (in *input) ask() {
	if !in.held && !in.over && !in.reading {
		in.reading = true
		in.permits <- struct{}{}
	}
}

func (in *input) arrived(n int, err error) {
	if in.over {
		return
	}
	if errors.Is(err, syscall.EAGAIN) && n <= 0 {
		in.r.CallLater(againAfter, func() { in.reading = false; in.ask() })
		return
	}
	in.reading = false
	if n > 0 {
		in.wanted = in.r.Now()
		in.received(in.buf[:n])
	}
	if err != nil && !errors.Is(err, syscall.EAGAIN) {
		if !in.over {
			in.StopProducing()
			in.ended(err)
		}
		return
	}
	in.ask()
}

// PauseProducing begins no more reads. A read in progress goes on.
func (in *input) PauseProducing() { in.held = true }

// ResumeProducing lets the reading go on.
func (in *input) ResumeProducing() {
	in.held, in.wanted = false, in.r.Now()
	in.ask()
}

// whenDry calls dry when the input gives nothing for drySpell. While it is held, it cannot give anything.
func (in *input) whenDry(dry func()) {
	in.wanted = in.r.Now()
	in.r.CallLater(drySpell, func() { in.lookDry(dry) })
}

func (in *input) lookDry(dry func()) {
	left := drySpell
	if !in.held {
		left -= in.r.Now() - in.wanted
	}
	switch {
	case in.over:
	case left <= 0:
		dry()
	default:
		in.r.CallLater(left, func() { in.lookDry(dry) })
	}
}

// StopProducing ends the reading. The result of a read in progress is lost.
func (in *input) StopProducing() {
	if !in.over {
		in.over = true
		if in.permits != nil {
			close(in.permits)
		}
	}
}

// output writes to a stream, and pauses the source while it is behind. The writes
// may block, so they have a goroutine of their own; everything else happens on the
// loop's goroutine.
type output struct {
	r       *reactor.Reactor
	to      io.Writer
	source  reactor.Producer
	failed  func(error) // once, at the first error; what comes after it is dropped
	jobs    chan []byte
	waiting []byte // not handed over yet
	writing []byte // the goroutine's while busy, else the loop's
	busy    bool
	broken  bool
	held    bool   // the source is paused
	done    func() // when all is written; set by close
}

// write takes a copy of p, and pauses the source if too much waits.
func (o *output) write(p []byte) {
	if o.broken {
		return
	}
	o.waiting = append(o.waiting, p...)
	o.next()
	if len(o.waiting) > stdioBuffer && !o.held {
		o.held = true
		o.source.PauseProducing()
	}
}

// next begins to write the bytes that wait, unless a write is in progress.
func (o *output) next() {
	if o.busy || o.broken || len(o.waiting) == 0 {
		return
	}
	o.busy = true
	o.writing, o.waiting = o.waiting, o.writing[:0]
	o.hand(o.writing)
}

func (o *output) hand(p []byte) {
	if o.jobs == nil {
		o.jobs = make(chan []byte, 1)
		go o.work()
	}
	o.jobs <- p
}

func (o *output) work() {
	for p := range o.jobs {
		n, err := o.to.Write(p)
		o.r.Post(func() { o.written(p, n, err) })
	}
}

func (o *output) written(p []byte, n int, err error) {
	if errors.Is(err, syscall.EAGAIN) {
		o.r.CallLater(againAfter, func() { o.hand(p[max(n, 0):]) })
		return
	}
	o.busy = false
	if err != nil {
		o.broken, o.waiting = true, nil
		o.failed(err)
	}
	o.next()
	if o.held && len(o.waiting) <= stdioBuffer {
		o.held = false
		o.source.ResumeProducing()
	}
	o.finish()
}

// close calls done when everything is written or the stream is broken.
func (o *output) close(done func()) {
	o.done = done
	o.finish()
}

func (o *output) finish() {
	if o.done == nil || o.busy || len(o.waiting) > 0 {
		return
	}
	done := o.done
	o.done = nil
	if o.jobs != nil {
		close(o.jobs)
	}
	done()
}
