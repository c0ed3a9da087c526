// Package logqueue puts a queue and a goroutine between those who log and a [slog.Handler]
// that may block. A loop must not wait, but a Handler waits when it writes to a pipe that
// nobody reads, to a full disk or to a slow network.
//
//	q := logqueue.New(0)
//	log := slog.New(q.Handler(slog.NewTextHandler(os.Stderr, nil)))
//	...
//	q.Flush(ctx) // the end of the program: ctx says how long it may take
//
// A record that finds the queue full is dropped. When there is room again, the log says how
// many were dropped.
package logqueue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/whorl-go/whorl/pool"
)

// DefaultSize is how many records wait in a Queue of size 0.
const DefaultSize = 1024

// Queue is a queue of log records, which one goroutine hands to their Handlers, in order. The
// goroutine starts when there is a record and ends when there is none, so a Queue need not be
// closed. The methods may be called from any goroutine.
type Queue struct {
	size   int
	writer *pool.Pool // of one worker

	mu      sync.Mutex
	waiting int // records in the queue, the one being written included
	lost    lost
	dropped uint64 // so far
}

// lost are records that were dropped since the log was told of it.
type lost struct {
	n     int
	to    slog.Handler // of the last one
	level slog.Level   // the highest
}

// New makes a Queue in which at most size records wait. Zero: [DefaultSize]. It panics if
// size is negative.
func New(size int) *Queue {
	if size < 0 {
		panic(fmt.Errorf("logqueue: a queue of %d records", size))
	}
	if size == 0 {
		size = DefaultSize
	}
	q := &Queue{size: size, writer: pool.New(pool.Config{Max: 1, MaxQueue: -1})}
	q.writer.Start()
	return q
}

// Handler returns a Handler that never blocks: it hands the records to h through the queue.
// If h is one of a Queue already, of any, it is returned as it is.
//
// Enabled, WithAttrs and WithGroup are h's own, and are called at once; none of them writes.
// Handle takes a copy of the record, with the text of its errors, because those may be about
// things that the caller goes on to change. Values of other types that hold pointers must not
// change after they were logged. Handle returns [pool.ErrFull] if it has dropped the record.
// A Handle of h that panics has dropped its record.
func (q *Queue) Handler(h slog.Handler) slog.Handler {
	if h, ok := h.(*handler); ok {
		return h
	}
	return &handler{q, h}
}

// Logger returns a Logger on the Handler of l, by [Queue.Handler]. If l is nil, so is the
// result.
func (q *Queue) Logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return nil
	}
	return slog.New(q.Handler(l.Handler()))
}

// Dropped returns how many records were dropped so far.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Flush waits until the records are written that are in the queue now, and the number of those
// that were dropped. If ctx ends first, it returns the cause. Records may still be logged
// after it.
func (q *Queue) Flush(ctx context.Context) error {
	written := make(chan struct{})
	if err := q.writer.Submit(func() { close(written) }); err != nil {
		return err
	}
	select {
	case <-written:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// full tells whether a record finds no room. Then it counts the record.
func (q *Queue) full(h slog.Handler, level slog.Level) bool {
	if q.waiting < q.size {
		return false
	}
	q.drop(h, level)
	return true
}

func (q *Queue) drop(h slog.Handler, level slog.Level) {
	q.dropped++
	if q.lost.n == 0 {
		q.lost.level = level
	}
	q.lost = lost{q.lost.n + 1, h, max(q.lost.level, level)}
}

// add appends a record to the queue. Before it the log is told what was dropped.
func (q *Queue) add(ctx context.Context, h slog.Handler, r slog.Record) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full(h, r.Level) {
		return pool.ErrFull
	}
	if before := q.lost; before.n > 0 {
		// A task of its own: a Handler that ends the goroutine then takes no record with it.
		// The pool takes everything, and never stops.
		q.lost = lost{}
		_ = q.writer.Submit(func() { before.tell(r.Time) })
	}
	q.waiting++
	return q.writer.Submit(func() {
		written := false
		defer func() { q.wrote(h, r, !written) }() // also if h calls runtime.Goexit
		// There is nobody to tell an error or a panic.
		written = pool.Catch(func() { _ = h.Handle(ctx, r) }) == nil
	})
}

// wrote is called when a record was written. If none is left, the log is told what was dropped
// meanwhile, because nothing may be logged for long.
func (q *Queue) wrote(h slog.Handler, r slog.Record, failed bool) {
	q.mu.Lock()
	q.waiting--
	var last lost
	if q.waiting == 0 {
		last, q.lost = q.lost, lost{}
	}
	if failed {
		q.drop(h, r.Level) // told later, because this Handler may panic again
	}
	q.mu.Unlock()
	last.tell(r.Time)
}

// tell writes how many records were dropped, if any were. at is the time of the record beside
// it, because this package reads no clock.
func (l lost) tell(at time.Time) {
	if l.n == 0 {
		return
	}
	r := slog.NewRecord(at, l.level, "log records were dropped", 0)
	r.AddAttrs(slog.Int("dropped", l.n))
	_ = pool.Catch(func() { _ = l.to.Handle(context.Background(), r) })
}

// handler is a Handler that hands its records to another through a queue.
type handler struct {
	q  *Queue
	to slog.Handler
}

func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.to.Enabled(ctx, level)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.q, h.to.WithAttrs(attrs)}
}

func (h *handler) WithGroup(name string) slog.Handler { return &handler{h.q, h.to.WithGroup(name)} }

// Handle implements [slog.Handler].
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	h.q.mu.Lock()
	full := h.q.full(h.to, r.Level)
	h.q.mu.Unlock()
	if full {
		return pool.ErrFull // before the work of a copy
	}
	fixed := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		fixed.AddAttrs(fix(a))
		return true
	})
	return h.q.add(context.WithoutCancel(ctx), h.to, fixed)
}

// fix returns a with what has to be asked for now: the results of LogValue and the text of
// errors.
func fix(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindGroup:
		var all []slog.Attr
		for _, inner := range a.Value.Group() {
			all = append(all, fix(inner))
		}
		a.Value = slog.GroupValue(all...)
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			fixed := &fixedError{err: err}
			// Error panics if err holds a nil pointer, for instance. A Handler of slog knows what to write then.
			if pool.Catch(func() { fixed.text = err.Error() }) == nil {
				a.Value = slog.AnyValue(fixed)
			}
		}
	}
	return a
}

// fixedError is an error with the text that it had when it was logged.
type fixedError struct {
	err  error
	text string
}

func (e *fixedError) Error() string { return e.text }

// Unwrap returns the error that was logged.
func (e *fixedError) Unwrap() error { return e.err }
