package transporttest

import (
	"bytes"
	"errors"
	"slices"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// end is the protocol at one end. It checks the order of what is called, and that each
// byte is the one that stands there in the pattern.
type end struct {
	g      *rig
	name   string
	half   bool // a reactor.HalfCloseListener
	warmUp bool // the first byte is still to come
	t      reactor.Transport
	local  kernel.Addr
	remote kernel.Addr

	events  []string
	calling string // the method of the transport that is being called
	inside  string // the callback in progress
	closed  bool   // by close
	aborted bool   // by abort
	taken   bool   // another protocol has taken its place
	sent    int    // bytes of the pattern
	got     int
	err     error // of ConnectionLost

	onMade, onReadLost, onWriteLost, onLost func()
	onData                                  func(p []byte)
}

// halfEnd is an end that is a HalfCloseListener.
type halfEnd struct{ *end }

var (
	_ reactor.Protocol          = (*end)(nil)
	_ reactor.HalfCloseListener = halfEnd{}
)

// Unwrap is the end.
func (h halfEnd) Unwrap() reactor.Protocol { return h.end }

// protocol is what the transport is given.
func (e *end) protocol() reactor.Protocol {
	if e.half {
		return halfEnd{e}
	}
	return e
}

func (e *end) lost() bool { return e.err != nil }

func (e *end) saw(event string) bool { return slices.Contains(e.events, event) }

// enter checks that a callback may come now; leave is its end.
func (e *end) enter(event string) (leave func()) {
	switch {
	case e.inside != "":
		e.g.Errorf("X-1: %s of %s in %s", event, e.name, e.inside)
	case e.calling != "":
		e.g.Errorf("X-2 TCP-60: %s of %s inside %s", event, e.name, e.calling)
	case e.taken:
		e.g.Errorf("%s of %s, whose place another protocol has taken", event, e.name)
	case event == "made" && len(e.events) > 0, event != "made" && e.t == nil:
		e.g.Errorf("PROTO-1: %s of %s after %q", event, e.name, e.events)
	case e.lost():
		e.g.Errorf("TCP-62: %s of %s after it was lost", event, e.name)
	case e.aborted && event != "lost":
		e.g.Errorf("TCP-77: %s of %s after Abort", event, e.name)
	case e.closed && event == "data":
		e.g.Errorf("TCP-59 DESC-22: %s got data after Close", e.name)
	}
	if n := len(e.events); n == 0 || event != "data" || e.events[n-1] != "data" {
		e.events = append(e.events, event)
	}
	e.inside = event
	return func() { e.inside = "" }
}

// ConnectionMade is reactor.Protocol.
func (e *end) ConnectionMade(t reactor.Transport) {
	defer e.enter("made")()
	e.t, e.local, e.remote = t, t.Local(), t.Remote()
	if e.warmUp {
		if _, err := t.Write([]byte{'!'}); err != nil {
			e.g.Errorf("Write in ConnectionMade of %s: %v", e.name, err)
		}
	}
	call(e.onMade)
}

// DataReceived is reactor.Protocol.
func (e *end) DataReceived(p []byte) {
	defer e.enter("data")()
	if len(p) == 0 {
		e.g.Errorf("%s received no bytes", e.name)
		return
	}
	if e.warmUp {
		e.warmUp = false
		e.events = slices.DeleteFunc(e.events, func(event string) bool { return event == "data" })
		if p = p[1:]; len(p) == 0 {
			return
		}
		e.events = append(e.events, "data")
	}
	if !bytes.Equal(p, e.g.data.at(e.got, len(p))) {
		e.g.Errorf("DESC-5: %s got other bytes than were sent, from %d to %d", e.name, e.got, e.got+len(p))
	}
	e.got += len(p)
	if e.onData != nil {
		e.onData(p)
	}
}

// ReadConnectionLost is reactor.HalfCloseListener.
func (h halfEnd) ReadConnectionLost() {
	if h.saw("read lost") {
		h.g.Errorf("TCP-71: the end of reading of %s twice", h.name)
	}
	defer h.enter("read lost")()
	call(h.onReadLost)
}

// WriteConnectionLost is reactor.HalfCloseListener.
func (h halfEnd) WriteConnectionLost() {
	if h.saw("write lost") {
		h.g.Errorf("TCP-70: the end of writing of %s twice", h.name)
	}
	defer h.enter("write lost")()
	call(h.onWriteLost)
}

// ConnectionLost is reactor.Protocol.
func (e *end) ConnectionLost(err error) {
	defer e.enter("lost")()
	if err == nil {
		e.g.Errorf("%s was lost for nothing", e.name)
		err = errors.New("nothing")
	}
	e.err = err
	call(e.onLost)
}

func call(fn func()) {
	if fn != nil {
		fn()
	}
}

// do calls a method of the transport, in which no callback of the protocol may come.
func (e *end) do(method string, fn func()) {
	was := e.calling
	e.calling = method
	defer func() { e.calling = was }()
	fn()
}

// write sends the next n bytes of the pattern.
func (e *end) write(n int) {
	e.g.Helper()
	p := e.g.data.at(e.sent, n)
	e.sent += n
	e.do("Write", func() {
		if m, err := e.t.Write(p); m != n || err != nil {
			e.g.Errorf("Write of %d bytes to %s: %d, %v", n, e.name, m, err)
		}
	})
}

// refuses checks that a write takes nothing.
func (e *end) refuses(when string, want error) {
	e.g.Helper()
	e.do("Write", func() {
		if n, err := e.t.Write([]byte("late")); n != 0 || !errors.Is(err, want) {
			e.g.Errorf("Write %s to %s: %d, %v; want %v", when, e.name, n, err, want)
		}
		if s, ok := reactor.As[reactor.SharedWriter](e.t); ok {
			if n, err := s.WriteShared([]byte("late")); n != 0 || !errors.Is(err, want) {
				e.g.Errorf("WriteShared %s to %s: %d, %v; want %v", when, e.name, n, err, want)
			}
		}
		v, ok := reactor.As[reactor.Vectored](e.t)
		if !ok {
			return
		}
		if n, err := v.WriteVec([][]byte{[]byte("la"), []byte("te")}); n != 0 || !errors.Is(err, want) {
			e.g.Errorf("WriteVec %s to %s: %d, %v; want %v", when, e.name, n, err, want)
		}
	})
}

func (e *end) close() {
	e.g.Helper()
	e.closed = true
	e.do("Close", func() {
		if err := e.t.Close(); err != nil {
			e.g.Errorf("Close of %s: %v", e.name, err)
		}
	})
}

func (e *end) abort() {
	e.aborted = true
	e.do("Abort", e.t.Abort)
}

func (e *end) closeWrite() {
	e.g.Helper()
	h := ability[reactor.HalfCloser](e, "HalfCloser")
	e.do("CloseWrite", func() {
		if err := h.CloseWrite(); err != nil {
			e.g.Errorf("CloseWrite of %s: %v", e.name, err)
		}
	})
}

func (e *end) pause() {
	e.g.Helper()
	e.do("PauseProducing", ability[reactor.Producer](e, "Producer").PauseProducing)
}

func (e *end) resume() {
	e.g.Helper()
	e.do("ResumeProducing", ability[reactor.Producer](e, "Producer").ResumeProducing)
}

// register registers p.
func (e *end) register(p reactor.Producer) (err error) {
	e.g.Helper()
	k := ability[reactor.Consumer](e, "Consumer")
	e.do("RegisterProducer", func() { err = k.RegisterProducer(p) })
	return err
}

func (e *end) unregister() {
	e.g.Helper()
	e.do("UnregisterProducer", ability[reactor.Consumer](e, "Consumer").UnregisterProducer)
}

// afterLoss checks what holds of every end that is lost.
func (e *end) afterLoss() {
	g := e.g
	e.refuses("after the loss (TCP-56)", reactor.ErrClosed)
	e.close() // TCP-62 TCP-78: harmless, as what follows
	e.abort()
	if h, ok := reactor.As[reactor.HalfCloser](e.t); ok {
		e.do("CloseWrite", func() { h.CloseWrite() })
	}
	if p, ok := reactor.As[reactor.Producer](e.t); ok {
		e.do("PauseProducing", p.PauseProducing)
		e.do("ResumeProducing", p.ResumeProducing) // TCP-65: it does not start reading
		e.do("StopProducing", p.StopProducing)
	}
	if k, ok := reactor.As[reactor.Consumer](e.t); ok {
		e.do("UnregisterProducer", k.UnregisterProducer) // PROD-7
		p := &producer{e: e}
		e.do("RegisterProducer", func() {
			if err := k.RegisterProducer(p); err != nil || p.stops != 1 || p.pauses != 0 {
				g.Errorf("PROD-2: a producer of a lost transport: %v, stopped %d times, paused %d times", err, p.stops, p.pauses)
			}
		})
	}
	g.sameAddress("the local address after the loss", e.t.Local(), e.local)
	g.sameAddress("the remote address after the loss", e.t.Remote(), e.remote)
	if p, ok := e.t.(interface{ Protocol() reactor.Protocol }); ok && p.Protocol() != nil {
		g.Errorf("DESC-30: the protocol after the loss is %v", p.Protocol())
	}
}

// pattern is a stream of bytes that shows where a slice is lost or doubled. It grows as
// it is looked at.
type pattern struct{ bytes []byte }

// period is no power of two, and no usual size of a buffer is a multiple of it.
const period = 251

// at is the n bytes from off on, which are not to be changed.
func (p *pattern) at(off, n int) []byte {
	off %= period
	for i := len(p.bytes); i < period; i++ {
		p.bytes = append(p.bytes, byte(i*7))
	}
	for len(p.bytes) < off+n {
		p.bytes = append(p.bytes, p.bytes...)
	}
	return p.bytes[off : off+n : off+n]
}
