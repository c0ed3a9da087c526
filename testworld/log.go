package testworld

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Log keeps what is logged in a test. An error that is neither expected nor taken fails the test at its end, and so does an
// expectation that did not come true. It goes with the test: what is logged afterwards is dropped. Its methods may
// be called on any goroutine.
//
//	log := testworld.NewLog(t)
//	log.Expect("could not accept")
//	r := w.New(t, reactor.Config{Logger: log.Logger()})
type Log struct {
	mu       sync.Mutex
	records  []slog.Record
	expected []string
	ended    bool
}

// NewLog returns the Log of t.
func NewLog(t testing.TB) *Log {
	t.Helper()
	l := new(Log)
	t.Cleanup(func() { l.end(t) })
	return l
}

// end checks the errors that are left.
func (l *Log) end(t testing.TB) {
	for _, part := range l.expected { // none is taken yet: one error may be expected in two ways
		if !slices.ContainsFunc(l.Find(part), isError) {
			t.Errorf("no error was logged with %q", part)
		}
	}
	for _, part := range l.expected {
		l.Take(part)
	}
	for _, r := range l.Take("") {
		t.Errorf("logged, and the test has not expected it: %s", Text(r))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records, l.ended = nil, true
}

// Expect says that errors will be logged whose [Text] contains part, at least one. They do not fail the test. If it Takes
// them, one more must come. Expect is called on the goroutine of the test.
func (l *Log) Expect(part string) { l.expected = append(l.expected, part) }

// Logger returns a logger for all levels.
func (l *Log) Logger() *slog.Logger { return slog.New(&logHandler{l: l, least: slog.LevelDebug - 100}) }

// unexpected returns a logger of errors alone, which fail the test unless they tell of a panic: somebody else hears of those.
func unexpected(t testing.TB) *slog.Logger {
	t.Helper()
	return slog.New(&logHandler{l: NewLog(t), least: slog.LevelError, but: "panic"})
}

// Records returns all that was logged and not taken, in order, as a new slice.
func (l *Log) Records() []slog.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records)
}

// Find returns the records whose [Text] contains part, in order.
func (l *Log) Find(part string) []slog.Record {
	return slices.DeleteFunc(l.Records(), func(r slog.Record) bool { return !strings.Contains(Text(r), part) })
}

// Take removes the errors whose [Text] contains part, and returns them in order: the test has expected them. An error is a record
// of slog.LevelError or above.
func (l *Log) Take(part string) []slog.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	var taken []slog.Record
	l.records = slices.DeleteFunc(l.records, func(r slog.Record) bool {
		take := isError(r) && strings.Contains(Text(r), part)
		if take {
			taken = append(taken, r)
		}
		return take
	})
	return taken
}

func isError(r slog.Record) bool { return r.Level >= slog.LevelError }

// Text is the level, message and attributes of a record on one line: "WARN no such thing name=x".
func Text(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Level.String() + " " + r.Message)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(" " + a.String())
		return true
	})
	return b.String()
}

// logHandler is a handler of a Log. What With and WithGroup add is put into each record.
type logHandler struct {
	l      *Log
	least  slog.Level // of what is kept
	but    string     // a message that is not kept; "": all are
	attrs  []slog.Attr
	prefix string // of names, by WithGroup
}

// Enabled tells whether the level is kept.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.least }

// Handle keeps r.
func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	if h.but != "" && r.Message == h.but {
		return nil
	}
	kept := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	kept.AddAttrs(h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		kept.AddAttrs(h.named(a))
		return true
	})
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	if !h.l.ended {
		h.l.records = append(h.l.records, kept)
	}
	return nil
}

func (h *logHandler) named(a slog.Attr) slog.Attr {
	a.Key = h.prefix + a.Key
	return a
}

// WithAttrs returns a handler that adds attrs.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		next.attrs = append(next.attrs, h.named(a))
	}
	return &next
}

// WithGroup returns a handler that puts name and a dot before names.
func (h *logHandler) WithGroup(name string) slog.Handler {
	next := *h
	if name != "" {
		next.prefix += name + "."
	}
	return &next
}
