package std

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/whorl-go/whorl/internal/eyeballs"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// connecting is one Connect, from the look-up to the result: an eyeballs.Dialer whose
// attempts are connectors of the reactor.
type connecting struct {
	r       *reactor.Reactor
	factory reactor.Factory
	done    func(reactor.Protocol, error)
	dest    kernel.Addr
	family  Family
	cfg     reactor.DialConfig

	over     bool // done was called, or a posted function will call it
	dialer   eyeballs.Dialer
	timer    reactor.DelayedCall  // the dialer's
	attempts []*reactor.Connector // by number
}

func newConnecting(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) *connecting {
	c := &connecting{r: r, factory: f, done: done}
	if _, ok := reactor.FactoryAs[reactor.ConnectorListener](f); ok {
		c.factory = plainFactory{f}
	}
	return c
}

// refuse makes the Connect fail with err, later.
func (c *connecting) refuse(err error) {
	c.r.Post(func() {
		if !c.over {
			c.finish(nil, c.failure(err))
		}
	})
}

func (c *connecting) failure(err error) error {
	return &reactor.OpError{Op: "dial", Local: c.cfg.Bind, Remote: c.dest, Err: err}
}

// start connects to dest, and to each address of the family if it is a name.
func (c *connecting) start(delay time.Duration) {
	c.timer.Init(c.r, c.dialer.Due)
	c.dialer = eyeballs.Dialer{Network: c, Timer: &c.timer, Keep: c.family.holds, Timeout: c.cfg.Timeout, Delay: delay}
	if c.named() {
		c.dialer.Start()
	} else {
		c.dialer.Start(c.dest.IP.Addr())
	}
}

// named tells whether the destination is a name.
func (c *connecting) named() bool { return !c.dest.IP.Addr().IsValid() }

// LookUp is for the dialer.
func (c *connecting) LookUp(done func([]netip.Addr, error)) (cancel func()) {
	return c.r.Resolve(c.dest.Name, done)
}

// Dial is for the dialer.
func (c *connecting) Dial(i int, ip netip.Addr, limit time.Duration) {
	cfg := c.cfg
	cfg.Timeout = limit
	c.attempts = append(c.attempts, nil)
	c.attempts[i] = c.r.Dial(kernel.TCPAddr(ip, c.dest.Port()), c.factory, &cfg,
		func(p reactor.Protocol, err error) { c.ended(i, p, err) })
}

// GiveUp is for the dialer.
func (c *connecting) GiveUp(i int) {
	// One that is over already needs no stopping.
	_ = c.attempts[i].StopConnecting()
}

// Unreachable is for the dialer.
func (c *connecting) Unreachable(err error) {
	attempts, tried := err.(eyeballs.Errors)
	switch {
	case tried && c.named():
		err = c.failure(&AttemptsError{Errs: attempts})
	case tried:
		err = attempts[0]
	case err == eyeballs.ErrLookUpTimeout:
		err = c.failure(fmt.Errorf("looking up: %w", reactor.ErrConnectTimeout))
	case err == eyeballs.ErrNoAddress:
		err = c.failure(fmt.Errorf("%w: no %v address", reactor.ErrUnknownHost, c.family))
	}
	c.finish(nil, err)
}

// ended is called when attempt i has ended.
func (c *connecting) ended(i int, p reactor.Protocol, err error) {
	switch {
	case err == nil && !c.dialer.Succeeded(i):
		c.attempts[i].Disconnect() // cancelled while the protocol was being connected
	case c.over:
	case err == nil || final(err):
		c.finish(p, err)
	default:
		c.dialer.Failed(i, err)
	}
}

// final tells whether trying another address is pointless: the peer was reached and our
// own side refused it, or the reactor stops.
func final(err error) bool {
	_, panicked := errors.AsType[*reactor.PanicError](err)
	return panicked || errors.Is(err, reactor.ErrNoProtocol) || errors.Is(err, reactor.ErrStopped)
}

// finish stops everything and tells the result.
func (c *connecting) finish(p reactor.Protocol, err error) {
	c.stop()
	c.done(p, err)
}

// stop ends the look-up and the attempts. After it no result counts.
func (c *connecting) stop() {
	c.over = true
	c.dialer.Stop()
}

func (c *connecting) cancel() {
	if c.over {
		return
	}
	c.stop()
	c.r.Post(func() { c.done(nil, c.failure(reactor.ErrCancelled)) })
}

// AttemptsError says why every address of a name failed (HOST-6). errors.Is finds each
// cause.
type AttemptsError struct {
	// Errs has one error for each address, an [*reactor.OpError] that names it, in the
	// order in which the attempts were started.
	Errs []error
}

// Error is all of them on one line.
func (e *AttemptsError) Error() string { return eyeballs.Errors(e.Errs).Error() }

// Unwrap is all of them.
func (e *AttemptsError) Unwrap() []error { return e.Errs }

// plainFactory hides that a factory is a ConnectorListener: the factory must not hear
// of the attempts, of which there may be several for one Connect (EP-3).
type plainFactory struct{ reactor.Factory }

// Unwrap returns the factory itself, which the reactor starts and stops.
func (f plainFactory) Unwrap() reactor.Factory { return f.Factory }

// LogPrefix keeps the name of the factory in the log.
func (f plainFactory) LogPrefix() string { return reactor.LogPrefixOf(f.Factory) }

// StartedConnecting does nothing.
func (plainFactory) StartedConnecting(*reactor.Connector) {}

// ConnectionFailed does nothing.
func (plainFactory) ConnectionFailed(*reactor.Connector, error) {}

// ConnectionEnded does nothing.
func (plainFactory) ConnectionEnded(*reactor.Connector, error) {}
