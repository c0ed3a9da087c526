package reactor

import (
	"context"
	"log/slog"
	"time"
)

// LogLimit bounds the log records of one kind, such as those about connections that were
// refused: a peer that can cause records must be able neither to fill the log nor to keep the
// loop busy with it. At most PerSecond records are written in a second, the first of them at
// once. The others are counted. When the second is over, the last of these is written, with
// the attribute "unlogged": how many records were left out since the one before. So the log
// tells of each of them within a second, by itself or in a number. When the reactor has
// stopped, what is left out by then is written too.
//
// The zero value is ready for use. A LogLimit belongs to one reactor, is for the goroutine of
// its loop, and must not be copied after the first Log. While records are left out, it costs
// one delayed call of its reactor.
type LogLimit struct {
	// PerSecond is how many records are written in a second. Zero or negative: 1.
	PerSecond int

	until    time.Duration // the end of the second that began with a record
	written  int           // records in it
	unlogged int           // records left out since the last one that was written
	last     limitedRecord // the last one that was left out
	waiting  bool          // is in logLimits.waiting
}

// limitedRecord is a record that was left out so far.
type limitedRecord struct {
	log   *slog.Logger
	level slog.Level
	msg   string
	attrs []slog.Attr
}

const logPeriod = time.Second

// Log writes a record to log, now or at the end of the second, or counts it. r's clock says
// when a second is over. If log is nil or does not want level, nothing is done. attrs are
// kept and must not change.
func (l *LogLimit) Log(r *Reactor, log *slog.Logger, level slog.Level, msg string, attrs ...slog.Attr) {
	if log == nil || !log.Enabled(context.Background(), level) {
		return
	}
	now := r.Now()
	record := limitedRecord{log, level, msg, attrs}
	if now < l.until && l.written >= max(l.PerSecond, 1) {
		l.unlogged++
		l.last = record
		r.limits.wait(l)
		return
	}
	l.write(now, record)
}

// write writes a record, with the number of those left out before it.
func (l *LogLimit) write(now time.Duration, x limitedRecord) {
	if now >= l.until {
		l.until, l.written = after(now, logPeriod), 0
	}
	l.written++
	if l.unlogged > 0 {
		x.attrs = append(x.attrs[:len(x.attrs):len(x.attrs)], slog.Int("unlogged", l.unlogged))
	}
	l.unlogged, l.last = 0, limitedRecord{}
	x.log.LogAttrs(context.Background(), x.level, x.msg, x.attrs...)
}

// writeLast writes the last record that was left out, if there is one.
func (l *LogLimit) writeLast(now time.Duration) {
	if l.unlogged > 0 {
		l.unlogged--
		l.write(now, l.last)
	}
}

// logLimits are the limits of a reactor: those that have left out records, and those that
// are found by the name of their kind.
type logLimits struct {
	r       *Reactor
	waiting []*LogLimit
	due     DelayedCall
	kinds   map[string]*LogLimit
	others  LogLimit // of kinds that have no place in kinds
	waits   LogLimit // the kernel cannot wait
	arms    LogLimit // descriptors that cannot be armed
	stops   LogLimit // factories of connectors that cannot be stopped
}

const (
	// maxLogKinds limits the memory, because programs choose names.
	maxLogKinds = 256
	// kindPerSecond is the limit of a kind that is found by a name. Different things may
	// have one name: all posted functions, for instance.
	kindPerSecond = 10
)

func (q *logLimits) init(r *Reactor) {
	q.r = r
	q.kinds = make(map[string]*LogLimit)
	q.others.PerSecond = kindPerSecond
	q.due.Init(r, q.flush)
}

// kind returns the limit of a kind that is known by name.
func (q *logLimits) kind(name string) *LogLimit {
	l := q.kinds[name]
	switch {
	case l != nil:
	case len(q.kinds) == maxLogKinds:
		return &q.others
	default:
		l = &LogLimit{PerSecond: kindPerSecond}
		q.kinds[name] = l
	}
	return l
}

// wait has flush called when the second of l is over.
func (q *logLimits) wait(l *LogLimit) {
	if l.waiting {
		return
	}
	l.waiting = true
	q.waiting = append(q.waiting, l)
	if !q.due.Active() || l.until < q.due.Due() {
		q.due.Reset(l.until - q.r.Now())
	}
}

// flush writes the last record of each limit whose second is over. The others wait on.
func (q *logLimits) flush() {
	now := q.r.Now()
	for _, l := range q.take() {
		switch {
		case now >= l.until:
			l.writeLast(now)
		case l.unlogged > 0:
			q.wait(l)
		}
	}
}

// flushAll writes the last record of each limit. It is called when the reactor has stopped.
func (q *logLimits) flushAll() {
	q.due.Cancel()
	for _, l := range q.take() {
		l.writeLast(l.until) // the kernel is closed, and its clock with it
	}
}

// take empties waiting. A Handler that panics then leaves nothing in a false state.
func (q *logLimits) take() []*LogLimit {
	all := q.waiting
	q.waiting = nil
	for _, l := range all {
		l.waiting = false
	}
	return all
}
