package double

import (
	"io"
	"testing"

	"github.com/whorl-go/whorl/reactor"
)

// Strict is a producer that panics when it is paused, resumed or stopped without need, to prove
// that a consumer does not do so (DESC-15). The zero value produces. It is embedded in the producer of a test, or
// registered as it is.
type Strict struct{ state ReadState }

// State tells whether it produces, is paused or is stopped.
func (s *Strict) State() ReadState { return s.state }

// PauseProducing panics unless it produces.
func (s *Strict) PauseProducing() {
	if s.state != Producing {
		panic("double: a producer was paused that is " + s.state.String())
	}
	s.state = Paused
}

// ResumeProducing panics unless it is paused.
func (s *Strict) ResumeProducing() {
	if s.state != Paused {
		panic("double: a producer was resumed that is " + s.state.String())
	}
	s.state = Producing
}

// StopProducing panics if it is stopped.
func (s *Strict) StopProducing() {
	if s.state == Stopped {
		panic("double: a producer was stopped twice")
	}
	s.state = Stopped
}

// Puller is a producer that is asked for each piece: a pull producer.
type Puller interface {
	// ResumeProducing writes one piece, or unregisters.
	ResumeProducing()
	// StopProducing tells that the consumer is gone.
	StopProducing()
}

// PullConsumer is a transport that asks a pull producer: [Transport] and [Side].
type PullConsumer interface {
	io.Writer
	// RegisterPull asks p for its first piece at once, and for each next one when a step or a Flush has found
	// nothing buffered. A second producer, of whichever kind, is refused with reactor.ErrProducerRegistered.
	RegisterPull(p Puller) error
	// UnregisterPull removes the producer. A Close that waited for it goes on.
	UnregisterPull()
}

// pulling asks a pull producer. For the consumer, it is a producer that always has more.
type pulling struct {
	to reactor.Connection
	p  Puller
}

// RegisterPull implements PullConsumer.
func (x *pulling) RegisterPull(p Puller) error {
	x.p = p
	if err := x.to.RegisterProducer(pulled{x}); err != nil {
		x.p = nil
		return err
	}
	if x.p != nil {
		x.p.ResumeProducing()
	}
	return nil
}

// UnregisterPull implements PullConsumer.
func (x *pulling) UnregisterPull() {
	if x.p != nil {
		x.p = nil
		x.to.UnregisterProducer()
	}
}

// pull asks for a piece if there is room, and tells whether it has.
func (x *pulling) pull() bool {
	if x.p == nil || x.to.Buffered() > 0 {
		return false
	}
	x.p.ResumeProducing()
	return true
}

// pulled is what a consumer knows of a pull producer.
type pulled struct{ x *pulling }

func (pulled) PauseProducing()  {} // it writes only when it is asked
func (pulled) ResumeProducing() {}

// StopProducing stops the producer.
func (o pulled) StopProducing() {
	if p := o.x.p; p != nil {
		o.x.p = nil
		p.StopProducing()
	}
}

// Ten is a pull producer that writes "0", "1" and so on to "9", one each time it is asked, and then unregisters. Pausing
// it is an error, because nobody pauses a pull producer.
type Ten struct {
	// To is where it writes. T fails if it is paused.
	To PullConsumer
	T  testing.TB

	n       int
	stopped bool
}

// Written is how many pieces it has written.
func (p *Ten) Written() int { return p.n }

// Stopped tells whether it was stopped.
func (p *Ten) Stopped() bool { return p.stopped }

// ResumeProducing implements Puller.
func (p *Ten) ResumeProducing() {
	if p.n < 10 && !p.stopped {
		_, _ = p.To.Write([]byte{'0' + byte(p.n)}) // a failed write has stopped it
		p.n++
	}
	if p.n == 10 {
		p.To.UnregisterPull()
	}
}

// StopProducing implements Puller.
func (p *Ten) StopProducing() { p.stopped = true }

// PauseProducing fails the test.
func (p *Ten) PauseProducing() {
	p.T.Helper()
	p.T.Errorf("a pull producer was paused")
}
