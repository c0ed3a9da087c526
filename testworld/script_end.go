package testworld

import (
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// end is one end of a connection of a script, or an attempt at one. It notes its
// callbacks in order.
type end struct {
	g        *group
	c        *reactor.Connector
	t        reactor.Transport
	log      eventLog
	produced eventLog
	got      int
	written  int // bytes of the pattern
	had      []string
	done     []int // hooks that have run
	over     bool
}

// halfEnd is an end that is a reactor.HalfCloseListener.
type halfEnd struct{ *end }

var (
	_ reactor.Protocol          = (*end)(nil)
	_ reactor.HalfCloseListener = halfEnd{}
)

// built returns the protocol for BuildProtocol.
func (e *end) built() reactor.Protocol {
	if e.g.opts.refuse || e.c == nil {
		e.over = true // unless it is made
	}
	e.happened("built")
	switch {
	case e.g.opts.refuse:
		e.log.note("refused")
		return nil
	case e.g.opts.half:
		return halfEnd{e}
	}
	return e
}

// dialled is the done function of Dial.
func (e *end) dialled(_ reactor.Protocol, err error) {
	switch {
	case err == nil:
		e.log.note("dialled")
		e.happened("dialled")
		return
	case e.t == nil:
		e.over = true
	}
	note := "failed " + errorName(err)
	var panicked *reactor.PanicError
	if !errors.Is(err, reactor.ErrConnect) && !errors.As(err, &panicked) {
		note += ", which is not ErrConnect"
	}
	e.log.note(note)
	e.happened("failed")
}

// ConnectionMade implements reactor.Protocol.
func (e *end) ConnectionMade(t reactor.Transport) {
	e.t = t
	e.over = false
	e.log.note("made")
	e.happened("made")
}

// DataReceived implements reactor.Protocol.
func (e *end) DataReceived(p []byte) {
	if len(p) == 0 {
		e.log.note("no data")
	}
	e.got += len(p)
	if !e.hides("data") {
		e.log.data(p)
	}
	if e.g.opts.echo {
		e.try("write", func() error { _, err := e.t.Write(p); return err })
	}
	e.happened("bytes")
}

// ReadConnectionLost implements reactor.HalfCloseListener.
func (h halfEnd) ReadConnectionLost() {
	h.log.note("read lost")
	h.happened("readlost")
}

// WriteConnectionLost implements reactor.HalfCloseListener.
func (h halfEnd) WriteConnectionLost() {
	h.log.note("write lost")
	h.happened("writelost")
}

// ConnectionLost implements reactor.Protocol.
func (e *end) ConnectionLost(err error) {
	note := "lost"
	if !e.hides("reason") {
		note += " " + errorName(err)
	}
	e.over = true
	e.log.note(note)
	e.happened("lost")
}

func (e *end) hides(what string) bool { return slices.Contains(e.g.hidden, what) }

// happened notes an event and runs its hooks, each once for this end.
func (e *end) happened(event string) {
	if !slices.Contains(e.had, event) {
		e.had = append(e.had, event)
	}
	for i := 0; i < len(e.g.hooks); i++ {
		h := e.g.hooks[i]
		if h.when.event == event && e.is(h.when) && !slices.Contains(e.done, i) {
			e.done = append(e.done, i)
			e.g.p.do(h.cmd, e)
		}
	}
}

// is tells whether the event of w has happened.
func (e *end) is(w when) bool {
	return slices.Contains(e.had, w.event) && e.got >= w.bytes
}

// try makes a call that may be refused, and notes if it was.
func (e *end) try(what string, call func() error) {
	if err := call(); err != nil {
		e.log.note(what + " refused: " + errorName(err))
	}
}

// payload is what a write command writes: a text, or n bytes of the pattern.
type payload struct {
	text string
	n    int
}

// patternLength is not a power of two, so that a lost or repeated slice shows.
const patternLength = 251

// bytes returns the bytes of the payload. The pattern continues from write to write.
func (e *end) bytes(p payload) []byte {
	if p.text != "" || p.n == 0 {
		return []byte(p.text)
	}
	b := make([]byte, p.n)
	for i := range b {
		b[i] = byte((e.written + i) % patternLength)
	}
	e.written += p.n
	return b
}

// eventLog holds what happened to an end, in order.
type eventLog struct{ entries []entry }

// entry is one event, or consecutive pieces of data.
type entry struct {
	text string
	n    int
	sum  hash.Hash32
	head []byte
}

// longestText is the most bytes of data that a transcript shows.
const longestText = 60

func (d *eventLog) note(text string) { d.entries = append(d.entries, entry{text: text}) }

// once notes text unless it was noted before.
func (d *eventLog) once(text string) {
	if !slices.ContainsFunc(d.entries, func(x entry) bool { return x.text == text }) {
		d.note(text)
	}
}

// data adds p to the last entry if that is data. Otherwise it begins a new entry.
func (d *eventLog) data(p []byte) {
	last := len(d.entries) - 1
	if last < 0 || d.entries[last].sum == nil {
		d.entries = append(d.entries, entry{sum: fnv.New32a()})
		last++
	}
	x := &d.entries[last]
	x.n += len(p)
	x.sum.Write(p)
	x.head = append(x.head, p[:min(len(p), longestText+1-len(x.head))]...)
}

// text returns the log as text.
func (d *eventLog) text() string {
	var b strings.Builder
	for _, x := range d.entries {
		text := x.text
		switch {
		case x.sum == nil:
		case x.n <= longestText && printable(x.head):
			text = fmt.Sprintf("data %d %s", x.n, strconv.Quote(string(x.head)))
		default:
			text = fmt.Sprintf("data %d #%08x", x.n, x.sum.Sum32())
		}
		b.WriteString("  " + text + "\n")
	}
	return b.String()
}

func printable(p []byte) bool {
	return !slices.ContainsFunc(p, func(c byte) bool { return c < ' ' || c > '~' })
}

// errorName returns the name of the sentinel that err is. If there are several it is the
// most special one. If err should be ErrLost too and is not, the name says so.
func errorName(err error) string {
	var panicked *reactor.PanicError
	if errors.As(err, &panicked) {
		return "panic"
	}
	for _, x := range errorNames() {
		if !errors.Is(err, x.err) {
			continue
		}
		if x.lost && !errors.Is(err, reactor.ErrLost) && !errors.Is(err, reactor.ErrConnect) {
			return x.name + ", which is not ErrLost"
		}
		return x.name
	}
	return fmt.Sprintf("unknown error %T", err)
}

type namedError struct {
	err  error
	name string
	lost bool // the error of a connection must be ErrLost too
}

func errorNames() []namedError {
	return []namedError{
		{io.EOF, "eof", false},
		{reactor.ErrNoProtocol, "no protocol", false},
		{reactor.ErrProducerRegistered, "producer registered", false},
		{reactor.ErrNotConnecting, "not connecting", false},
		{reactor.ErrConnectTimeout, "timeout", false},
		{reactor.ErrCancelled, "cancelled", false},
		{reactor.ErrUnknownHost, "unknown host", false},
		{reactor.ErrAborted, "aborted", true},
		{reactor.ErrStopped, "stopped", true},
		{reactor.ErrBufferFull, "buffer full", true},
		{reactor.ErrWriteClosed, "write closed", false},
		{reactor.ErrClosed, "closed", false},
		{io.ErrUnexpectedEOF, "truncated", true},
		{kernel.ErrRefused, "refused", true},
		{kernel.ErrReset, "reset", true},
		{kernel.ErrBroken, "broken", true},
		{kernel.ErrTimeout, "network timeout", true},
		{kernel.ErrNoRoute, "no route", true},
	}
}
