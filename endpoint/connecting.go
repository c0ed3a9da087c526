package endpoint

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// What zero stands for in a TCPClient.
const (
	defaultTimeout      = 30 * time.Second
	defaultAttemptDelay = 300 * time.Millisecond
)

// connecting is one Connect, from the look-up to the result: Happy Eyeballs, as
// RFC 8305 has it, over the connectors of the reactor.
type connecting struct {
	r       *reactor.Reactor
	factory reactor.Factory
	done    func(reactor.Protocol, error)
	dest    kernel.Addr
	family  Family
	cfg     reactor.DialConfig
	delay   time.Duration

	over       bool                // done was called, or will be with what is posted
	stopLookUp func()              // while looking up
	timer      reactor.DelayedCall // the look-up's limit, then the next attempt
	rest       []netip.Addr        // addresses not tried yet
	attempts   []attempt           // in the order they were started
}

// attempt is one address. It is in progress while it has a connector.
type attempt struct {
	connector *reactor.Connector
	err       error
}

func newConnecting(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) *connecting {
	c := &connecting{r: r, factory: f, done: done}
	if _, ok := reactor.FactoryAs[reactor.ConnectorListener](f); ok {
		c.factory = plainFactory{f}
	}
	return c
}

// refuse fails with err, later.
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

func (c *connecting) lookUp() {
	c.timer.Init(c.r, c.lookUpTimeout)
	limit := c.cfg.Timeout
	if limit == 0 {
		limit = defaultTimeout
	}
	if limit > 0 {
		c.timer.Reset(limit)
	}
	c.stopLookUp = c.r.Resolve(c.dest.Name, c.lookedUp)
}

func (c *connecting) lookUpTimeout() {
	c.finish(nil, c.failure(fmt.Errorf("looking up: %w", reactor.ErrConnectTimeout)))
}

func (c *connecting) lookedUp(found []netip.Addr, err error) {
	if c.over {
		return
	}
	c.stopLookUp = nil
	c.timer.Cancel()
	if err != nil {
		c.finish(nil, err)
		return
	}
	c.rest = interleave(found, c.family)
	if len(c.rest) == 0 {
		c.finish(nil, c.failure(fmt.Errorf("%w: no %v address", reactor.ErrUnknownHost, c.family)))
		return
	}
	if c.delay == 0 {
		c.delay = defaultAttemptDelay
	}
	c.timer.Init(c.r, c.next)
	c.next()
}

// next starts an attempt at the next address, and sees to the one after it.
func (c *connecting) next() {
	ip := c.rest[0]
	c.rest = c.rest[1:]
	if len(c.rest) > 0 && c.delay > 0 {
		c.timer.Reset(c.delay)
	} else {
		c.timer.Cancel()
	}
	c.dial(ip)
}

func (c *connecting) dial(ip netip.Addr) {
	i := len(c.attempts)
	c.attempts = append(c.attempts, attempt{})
	c.attempts[i].connector = c.r.Dial(kernel.TCPAddr(ip, c.dest.Port()), c.factory, &c.cfg,
		func(p reactor.Protocol, err error) { c.ended(i, p, err) })
}

// ended hears how attempt i ended.
func (c *connecting) ended(i int, p reactor.Protocol, err error) {
	a := &c.attempts[i]
	switch {
	case c.over:
		if err == nil {
			a.connector.Disconnect() // cancelled while the protocol was being connected
		}
	case err == nil:
		a.connector = nil
		c.finish(p, nil)
	default:
		a.connector, a.err = nil, err
		if named := !c.dest.IP.Addr().IsValid(); named && !final(err) {
			c.failed()
		} else {
			c.finish(nil, err)
		}
	}
}

// failed goes on to the next address at once, and ends when all have failed.
func (c *connecting) failed() {
	if len(c.rest) > 0 {
		c.next()
		return
	}
	var errs []error
	for _, a := range c.attempts {
		if a.connector != nil {
			return // this one may still win
		}
		errs = append(errs, a.err)
	}
	c.finish(nil, c.failure(&AttemptsError{Errs: errs}))
}

// final tells whether another address would not help: the peer was reached and
// our own side ended it, or the reactor stops.
func final(err error) bool {
	_, panicked := errors.AsType[*reactor.PanicError](err)
	return panicked || errors.Is(err, reactor.ErrNoProtocol) || errors.Is(err, reactor.ErrStopped)
}

// finish leaves nothing behind and tells the result.
func (c *connecting) finish(p reactor.Protocol, err error) {
	c.end()
	c.done(p, err)
}

// end stops all there is: after it no result counts.
func (c *connecting) end() {
	c.over = true
	c.timer.Cancel()
	if c.stopLookUp != nil {
		c.stopLookUp()
		c.stopLookUp = nil
	}
	for _, a := range c.attempts {
		if a.connector != nil {
			// One that is over already needs no stopping.
			_ = a.connector.StopConnecting()
		}
	}
}

func (c *connecting) cancel() {
	if c.over {
		return
	}
	c.end()
	c.r.Post(func() { c.done(nil, c.failure(reactor.ErrCancelled)) })
}

// interleave is the addresses of the family, each once, those of IPv4 and IPv6 in
// turn, beginning with the first one's, and otherwise in their order (HOST-4).
func interleave(found []netip.Addr, f Family) []netip.Addr {
	var same, other, all []netip.Addr
	for _, ip := range found {
		ip = ip.Unmap()
		switch {
		case !f.holds(ip) || slices.Contains(same, ip) || slices.Contains(other, ip):
		case len(same) == 0 || ip.Is4() == same[0].Is4():
			same = append(same, ip)
		default:
			other = append(other, ip)
		}
	}
	for i := range max(len(same), len(other)) {
		if i < len(same) {
			all = append(all, same[i])
		}
		if i < len(other) {
			all = append(all, other[i])
		}
	}
	return all
}

// AttemptsError is why every address of a name failed, in the order the attempts
// were started (HOST-6). errors.Is finds each cause.
type AttemptsError struct {
	// Errs has one error for each address, an [*reactor.OpError] that names it.
	Errs []error
}

// Error is all of them on one line.
func (e *AttemptsError) Error() string {
	texts := make([]string, len(e.Errs))
	for i, err := range e.Errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap is all of them.
func (e *AttemptsError) Unwrap() []error { return e.Errs }

// plainFactory is a factory that hears nothing of connectors, whatever the one in it
// listens to: there may be several for one Connect.
type plainFactory struct{ reactor.Factory }

// Unwrap is the factory itself, which the reactor starts and stops.
func (f plainFactory) Unwrap() reactor.Factory { return f.Factory }

// LogPrefix keeps the name of the factory in the log.
func (f plainFactory) LogPrefix() string { return reactor.LogPrefixOf(f.Factory) }

// StartedConnecting, ConnectionFailed and ConnectionEnded are of a
// reactor.ConnectorListener, and hide those of the factory.
func (plainFactory) StartedConnecting(*reactor.Connector) {}

// ConnectionFailed does nothing.
func (plainFactory) ConnectionFailed(*reactor.Connector, error) {}

// ConnectionEnded does nothing.
func (plainFactory) ConnectionEnded(*reactor.Connector, error) {}
