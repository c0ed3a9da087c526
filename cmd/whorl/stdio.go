package main

import (
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// A program shares its standard streams with others: the shell's terminal, both
// ends of a pipeline. To make them non-blocking would be noticed there, and stay
// when the program has ended. So each is served by a goroutine that blocks, and
// has one buffer at a time. They may still block when the program ends, so they
// are not work for the reactor's pool, which is joined.

const (
	stdioBuffer = 64 << 10
	// againAfter is how long to wait for a stream that somebody else has made
	// non-blocking.
	againAfter = 10 * time.Millisecond
)

// input is a producer that reads from a stream which may block. All but its
// reads happen on the loop's goroutine.
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

// ask has the next read made, if one is wanted and none is in progress.
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

// PauseProducing reads no more after the read in progress.
func (in *input) PauseProducing() { in.held = true }

// ResumeProducing reads on.
func (in *input) ResumeProducing() {
	in.held = false
	in.ask()
}

// StopProducing ends it. What a read in progress brings is lost.
func (in *input) StopProducing() {
	if !in.over {
		in.over = true
		if in.permits != nil {
			close(in.permits)
		}
	}
}

// output writes to a stream which may block, and pauses the source while it is
// behind. All but its writes happen on the loop's goroutine.
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

// write takes p, a copy of it if need be.
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

// next hands over what waits, unless the last is not written yet.
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

// close has done called when all is written or the stream is broken.
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
