package double

import (
	"testing"

	"github.com/whorl-go/whorl/flow"
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

// Ten is a pull producer that writes "0", "1" and so on to "9", one each time it is asked, and then unregisters. It is registered by Pull, so
// flow.Pull asks it. Pausing it is an error, because nobody pauses a pull producer.
type Ten struct {
	// To is where it writes. T fails if it is paused.
	To reactor.Transport
	T  testing.TB

	n       int
	stopped bool
	pulling *flow.Pulling
}

// Pull registers it with To. The first piece is written before Pull returns. The error is that of flow.Pull.
func (p *Ten) Pull() (err error) {
	p.pulling, err = flow.Pull(p.To, p)
	return err
}

// Written is how many pieces it has written.
func (p *Ten) Written() int { return p.n }

// Stopped tells whether it was stopped.
func (p *Ten) Stopped() bool { return p.stopped }

// Produce implements flow.PullProducer.
func (p *Ten) Produce() bool {
	_, _ = p.To.Write([]byte{'0' + byte(p.n)}) // a failed write has stopped it
	if p.n++; p.n == 10 {
		p.pulling.Unregister()
		return false
	}
	return true
}

// StopProducing implements flow.PullProducer.
func (p *Ten) StopProducing() { p.stopped = true }

// PauseProducing fails the test.
func (p *Ten) PauseProducing() {
	p.T.Helper()
	p.T.Errorf("a pull producer was paused")
}
