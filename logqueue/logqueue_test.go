package logqueue_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/logqueue"
	"github.com/whorl-go/whorl/pool"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

// flush waits until everything is written.
func flush(t testing.TB, q *logqueue.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := q.Flush(ctx); err != nil {
		t.Fatalf("Flush: %v", err)
	}
}

// plain is a handler of lines without the time.
func plain(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}})
}

// A Handler behind a queue is a Handler as the package slog wants it.
func TestHandler(t *testing.T) {
	var b bytes.Buffer
	q := logqueue.New(0)
	results := func() (all []map[string]any) {
		flush(t, q)
		for line := range strings.Lines(b.String()) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	}
	if err := slogtest.TestHandler(q.Handler(slog.NewJSONHandler(&b, nil)), results); err != nil {
		t.Error(err)
	}
}

// What is logged comes out as it was logged, in order, also from several Handlers of a queue.
func TestOrder(t *testing.T) {
	var b bytes.Buffer
	q := logqueue.New(0)
	one := q.Logger(slog.New(plain(&b)))
	two := one.With("n", 2).WithGroup("g")
	three := slog.New(q.Handler(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelWarn})))
	one.Info("a", "x", 1)
	two.Info("b", "x", 2)
	three.Info("not wanted")
	one.Info("c")
	flush(t, q)
	if want := "msg=a x=1\nmsg=b n=2 g.x=2\nmsg=c\n"; b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if q.Logger(nil) != nil {
		t.Error("no Logger became one")
	}
	if h := one.Handler(); q.Handler(h) != h || logqueue.New(0).Handler(h) != h {
		t.Error("a queue stands behind a queue")
	}
}

// A log that nobody reads stops nobody. When it is read again it tells what it has kept, and how
// much it has not.
func TestNobodyReads(t *testing.T) {
	const records, size = 5000, 100
	for _, more := range []bool{true, false} {
		read, write := io.Pipe()
		q := logqueue.New(size)
		log := slog.New(q.Handler(plain(write)))
		for i := range records {
			log.Info("hello", "i", i)
		}
		if q.Dropped() != records-size {
			t.Errorf("%d records dropped, want %d", q.Dropped(), records-size)
		}
		ended, cancel := context.WithCancelCause(context.Background())
		cause := errors.New("no time")
		cancel(cause)
		if err := q.Flush(ended); err != cause {
			t.Errorf("Flush of a log that is stuck: %v", err)
		}
		var b bytes.Buffer
		lines := func(n int) {
			for range n {
				line := make([]byte, 100)
				n, _ := read.Read(line) // one write of the Handler
				b.Write(line[:n])
			}
		}
		var want strings.Builder
		for i := range size {
			fmt.Fprintf(&want, "msg=hello i=%d\n", i)
		}
		fmt.Fprintf(&want, "msg=\"log records were dropped\" dropped=%d\n", records-size)
		if more { // while the queue is not empty yet
			lines(10) // nine are out of it for sure
			log.Info("again")
			want.WriteString("msg=again\n")
		}
		lines(strings.Count(want.String(), "\n") - strings.Count(b.String(), "\n"))
		flush(t, q)
		if b.String() != want.String() {
			t.Errorf("more %v: got\n%s\nwant\n%s", more, b.String(), want.String())
		}
		read.Close()
	}
}

// changing is an error and a value that its owner changes after it was logged.
type changing struct{ text string }

func (c *changing) Error() string { return c.text }

type valuer struct{ text string }

func (v *valuer) LogValue() slog.Value { return slog.StringValue(v.text) }

// first is a Handler that keeps the first record.
type first struct {
	slog.Handler
	record slog.Record
}

func (f *first) Handle(_ context.Context, r slog.Record) error {
	f.record = r
	return nil
}

// Errors and LogValuers are asked when they are logged; the race detector sees if not. The
// error itself is still found.
func TestValuesOfTheMoment(t *testing.T) {
	read, write := io.Pipe()
	q := logqueue.New(0)
	log := slog.New(q.Handler(plain(write)))
	err, v, inner := &changing{"old"}, &valuer{"old"}, &changing{"old"}
	log.Info("x", "err", fmt.Errorf("it is %w", err), "v", v, slog.Group("g", "err", inner))
	err.text, v.text, inner.text = "new", "new", "new"
	line := make([]byte, 100)
	n, _ := read.Read(line)
	if got, want := string(line[:n]), "msg=x err=\"it is old\" v=old g.err=old\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	read.Close()

	f := &first{Handler: slog.DiscardHandler}
	_ = q.Handler(f).Handle(context.Background(), record("x", slog.Any("err", fmt.Errorf("it is %w", err))))
	flush(t, q)
	f.record.Attrs(func(a slog.Attr) bool {
		if got, ok := a.Value.Any().(error); !ok || !errors.Is(got, err) {
			t.Errorf("the error is %v", a.Value)
		}
		return true
	})
	if f.record.NumAttrs() != 1 {
		t.Errorf("%d attributes", f.record.NumAttrs())
	}
}

func record(msg string, attrs ...slog.Attr) slog.Record {
	r := slog.NewRecord(time.Time{}, slog.LevelInfo, msg, 0)
	r.AddAttrs(attrs...)
	return r
}

// fussy panics when it gets the record "bad".
type fussy struct {
	slog.Handler
	got []string
}

func (f *fussy) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "bad" {
		panic("I do not like it")
	}
	f.got = append(f.got, r.Message)
	return nil
}

// A Handler that panics loses that record, not the program, and the loss is told.
func TestHandlerPanics(t *testing.T) {
	q := logqueue.New(0)
	f := &fussy{Handler: slog.DiscardHandler}
	h := q.Handler(f)
	for _, msg := range []string{"bad", "good"} {
		if err := h.Handle(context.Background(), record(msg)); err != nil {
			t.Error(err)
		}
		flush(t, q)
	}
	if want := []string{"log records were dropped", "good"}; fmt.Sprint(f.got) != fmt.Sprint(want) || q.Dropped() != 1 {
		t.Errorf("got %q, %d dropped", f.got, q.Dropped())
	}
}

// Several goroutines log at a time, and nothing is lost or counted twice.
func TestManyLog(t *testing.T) {
	const loggers, each = 4, 2000
	var b bytes.Buffer
	q := logqueue.New(50)
	h := q.Handler(plain(&b))
	var all sync.WaitGroup
	full := make([]uint64, loggers)
	for i := range loggers {
		all.Go(func() {
			for range each {
				switch err := h.Handle(context.Background(), record("hello")); err {
				case nil:
				case pool.ErrFull:
					full[i]++
				default:
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	flush(t, q)
	var refused uint64
	for _, n := range full {
		refused += n
	}
	told := uint64(0)
	for line := range strings.Lines(b.String()) {
		var n uint64
		if _, err := fmt.Sscanf(line, "msg=\"log records were dropped\" dropped=%d", &n); err == nil {
			told += n
		}
	}
	written := uint64(strings.Count(b.String(), "msg=hello\n"))
	if written+refused != loggers*each || q.Dropped() != refused || told != refused {
		t.Errorf("%d written, %d refused, %d dropped, the log tells of %d", written, refused, q.Dropped(), told)
	}
}

func TestNegativeSize(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a queue of -1 records")
		}
	}()
	logqueue.New(-1)
}

// exiting is a Handler that ends the goroutine.
type exiting struct{ slog.Handler }

func (exiting) Enabled(context.Context, slog.Level) bool  { return true }
func (exiting) Handle(context.Context, slog.Record) error { runtime.Goexit(); return nil }

// A Handler that calls runtime.Goexit does not keep its place in the queue.
func TestGoexit(t *testing.T) {
	q := logqueue.New(2)
	l := slog.New(q.Handler(exiting{}))
	for range 5 {
		l.Info("exit")
		flush(t, q)
	}
	if n := q.Dropped(); n != 5 {
		t.Errorf("%d records were dropped, want those that the Handler has not written", n)
	}
	var out bytes.Buffer
	slog.New(q.Handler(plain(&out))).Info("fine")
	flush(t, q)
	if !strings.Contains(out.String(), "fine") {
		t.Errorf("written: %q", out.String())
	}
}

// An error whose text cannot be had is one for the Handler, which says so or writes "<nil>". It is no panic of
// who logs: a nil pointer in an error is a common mistake.
func TestErrorPanics(t *testing.T) {
	var direct, queued bytes.Buffer
	q := logqueue.New(0)
	for w, h := range map[*bytes.Buffer]slog.Handler{&direct: plain(&direct), &queued: q.Handler(plain(&queued))} {
		var none *os.PathError
		slog.New(h).Info("failed", slog.Any("err", none), slog.Group("in", slog.Any("err", none)), slog.Any("odd", rude{}))
		if w == &queued {
			flush(t, q)
		}
	}
	if queued.String() != direct.String() || !strings.Contains(queued.String(), "err=<nil>") {
		t.Errorf("through the queue %q, without it %q", &queued, &direct)
	}
}

// rude is an error that panics.
type rude struct{}

func (rude) Error() string { panic("no text") }
