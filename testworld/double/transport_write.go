package double

import (
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Write records p if the stream takes it. After Close and Abort it is refused, as on a real transport.
func (x *Transport) Write(p []byte) (int, error) {
	n, err := x.s.Write(p)
	x.record(n, p)
	return n, err
}

// WriteVec records bufs as Write does.
func (x *Transport) WriteVec(bufs [][]byte) (int, error) {
	n, err := x.s.WriteVec(bufs)
	x.record(n, bufs...)
	return n, err
}

// WriteShared records p as Write does.
func (x *Transport) WriteShared(p []byte) (int, error) {
	n, err := x.s.WriteShared(p)
	x.record(n, p)
	return n, err
}

// SendFile is always kernel.ErrMustRead, so that what a file has is recorded.
func (x *Transport) SendFile(kernel.FileRange) (int, error) { return 0, kernel.ErrMustRead }

// record keeps the first n bytes of bufs.
func (x *Transport) record(n int, bufs ...[]byte) {
	for _, p := range bufs {
		x.written = append(x.written, p[:min(n, len(p))]...)
		n -= min(n, len(p))
	}
}

// Buffered is how many bytes the peer has not taken; it takes them in [Transport].Flush.
func (x *Transport) Buffered() int { return x.s.Buffered() }

// CloseWrite is remembered. Writes are refused from then on.
func (x *Transport) CloseWrite() error {
	x.halved = true
	return x.s.CloseWrite()
}

// Close is remembered, and not carried out as far as the protocol can see, but for TransportConfig.Loses.
func (x *Transport) Close() error {
	if x.ending == Open {
		x.ending = Closing
	}
	err := x.s.Close()
	x.lose(reactor.ErrClosed)
	return err
}

// Abort is remembered, as Close is.
func (x *Transport) Abort() {
	x.ending = Aborted
	x.s.Abort()
	x.lose(reactor.ErrAborted)
}

// lose tells TransportConfig.Loses, once.
func (x *Transport) lose(err error) {
	if x.cfg.Loses != nil && !x.lost {
		x.lost = true
		x.cfg.Loses.ConnectionLost(err)
	}
}

// Retire returns x itself, because a layer writes by it.
func (x *Transport) Retire() reactor.Transport { return x }

// PauseProducing is remembered.
func (x *Transport) PauseProducing() {
	x.t.Helper()
	if x.mayChange("PauseProducing") {
		x.reading = Paused
		x.s.PauseProducing()
	}
}

// ResumeProducing is remembered.
func (x *Transport) ResumeProducing() {
	x.t.Helper()
	if x.mayChange("ResumeProducing") {
		x.reading = Producing
		x.s.ResumeProducing()
	}
}

// mayChange tells whether reading goes on, so that it can be paused or resumed. Unless Lenient it is an error if not.
func (x *Transport) mayChange(call string) bool {
	x.t.Helper()
	if x.reading != Stopped && x.ending == Open {
		return true
	}
	if !x.cfg.Lenient {
		x.t.Errorf("%s of a transport that is %v and %v", call, x.reading, x.ending)
	}
	return false
}

// StopProducing is remembered. It is Close too (PROD-11).
func (x *Transport) StopProducing() {
	x.reading = Stopped
	_ = x.Close() // always nil
}

// Producing tells whether the read side may produce more (PROD-11).
func (x *Transport) Producing() bool { return x.reading != Stopped && x.s.Producing() }

// RegisterProducer registers p with the stream, which pauses and resumes it. A second producer is refused with
// reactor.ErrProducerRegistered.
func (x *Transport) RegisterProducer(p reactor.Producer) error {
	w, was := &producer{p: p, x: x}, x.watched
	x.watched = w
	if err := x.s.RegisterProducer(w); err != nil {
		x.watched = was
		return err
	}
	return nil
}

// UnregisterProducer removes the producer. Unless Lenient it is an error if there is none.
func (x *Transport) UnregisterProducer() {
	x.t.Helper()
	switch {
	case x.watched != nil:
		x.watched = nil
		x.s.UnregisterProducer()
	case !x.cfg.Lenient:
		x.t.Errorf("UnregisterProducer without a producer")
	}
}

// producer notes that the stream has stopped a producer.
type producer struct {
	p reactor.Producer
	x *Transport
}

func (w *producer) PauseProducing()  { w.p.PauseProducing() }
func (w *producer) ResumeProducing() { w.p.ResumeProducing() }

func (w *producer) StopProducing() {
	if w.x.watched == w {
		w.x.watched = nil
	}
	w.p.StopProducing()
}

// Producing asks the producer.
func (w *producer) Producing() bool { return reactor.Produces(w.p) }

// deaf is the protocol of streams that nobody listens to. A half-close does not end them.
type deaf struct{}

func (deaf) ConnectionMade(reactor.Transport) {}
func (deaf) DataReceived([]byte)              {}
func (deaf) ConnectionLost(error)             {}
func (deaf) ReadConnectionLost()              {}
func (deaf) WriteConnectionLost()             {}

// deafPump is a pump between two protocols that do nothing.
func deafPump(t testing.TB, r *reactor.Reactor, o *reactor.StreamConfig) *Pump {
	t.Helper()
	if r == nil {
		return Join(t, deaf{}, deaf{}, o)
	}
	return JoinOn(t, r, deaf{}, deaf{}, o)
}

func address(s string) kernel.Addr {
	return kernel.Addr{Net: kernel.TCP, IP: netip.MustParseAddrPort(s)}
}
