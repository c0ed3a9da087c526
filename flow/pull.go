package flow

import "github.com/whorl-go/whorl/reactor"

// PullProducer writes a piece each time it is asked to. Its methods are called on the loop's goroutine.
type PullProducer interface {
	// Produce writes the next piece to the transport and returns true. It returns false if it has nothing for now, and is then not
	// asked again before Pulling.Ask. If nothing more will come, it calls Pulling.Unregister and returns false.
	Produce() bool
	// StopProducing is called once if the connection is lost before Unregister. The producer is not asked any more.
	StopProducing()
}

// Pulling is a PullProducer as the producer of a transport. Its methods are for the loop's goroutine.
type Pulling struct {
	t       reactor.Transport
	on      reactor.Consumer
	p       PullProducer
	state   pullState
	paused  bool
	idle    bool // it had nothing
	pending reactor.DelayedCall
}

type pullState uint8

const (
	pulling pullState = iota
	asking            // Produce is being called
	pulled            // unregistered or lost
)

// Pull makes p the producer of t (PROD-3). p is asked for a piece before Pull returns, then once in each turn while
// t holds no more than its high-water mark, and when it has sent what it held. So t holds the high-water mark and one piece at most. p is never
// paused.
//
// The error is that of RegisterProducer, or errors.ErrUnsupported if t is no reactor.Consumer. If t is lost, p is stopped before Pull
// returns. Close of t waits until p is unregistered. If Produce panics, the connection is aborted,
// and p is stopped.
func Pull(t reactor.Transport, p PullProducer) (*Pulling, error) {
	a := &Pulling{t: t, p: p, on: reactor.ConnectionOf(t)}
	a.pending.Init(t.Reactor(), a.next)
	if err := a.on.RegisterProducer((*puller)(a)); err != nil {
		return nil, err
	}
	a.guarded()
	return a, nil
}

// Ask has a producer that had nothing be asked again, in the next turn. While it is asked anyway it does nothing.
func (a *Pulling) Ask() {
	if a.state != pulled && a.idle {
		a.idle = false
		a.goOn()
	}
}

// Unregister ends the asking. A Close that waited for the producer goes on. A second call does nothing.
func (a *Pulling) Unregister() {
	if a.state == pulled {
		return
	}
	a.end()
	a.on.UnregisterProducer()
}

func (a *Pulling) end() {
	a.state = pulled
	a.pending.Cancel()
}

// ask has the producer produce once.
func (a *Pulling) ask() {
	if a.state != pulling {
		return
	}
	a.state = asking
	more := a.p.Produce()
	if a.state == asking { // else it was unregistered or lost meanwhile
		a.state = pulling
		a.idle = !more
		a.goOn()
	}
}

// goOn has the producer be asked in the next turn, unless it must wait.
func (a *Pulling) goOn() {
	if !a.paused && !a.idle && a.state == pulling && !a.pending.Active() {
		a.pending.Reset(0)
	}
}

// next asks outside of the callbacks of the transport.
func (a *Pulling) next() {
	if !a.paused && !a.idle {
		a.guarded()
	}
}

// guarded is ask. A panic costs the connection only.
func (a *Pulling) guarded() {
	if e := a.t.Reactor().Guard(a.p, a.ask); e != nil {
		a.t.Abort() // which stops p, and no Close that waits takes its end for a good one
	}
}

// puller is a Pulling to the transport.
type puller Pulling

func (a *puller) PauseProducing() { a.paused = true }

// ResumeProducing is called when the transport has sent what it held.
func (a *puller) ResumeProducing() {
	a.paused = false
	(*Pulling)(a).goOn()
}

func (a *puller) StopProducing() {
	if a.state == pulled {
		return
	}
	(*Pulling)(a).end()
	a.p.StopProducing()
}

// Unfinished has the connection reset if it ends while the producer has more (PROD-24).
func (a *puller) Unfinished() bool { return a.state != pulled && !a.idle }
