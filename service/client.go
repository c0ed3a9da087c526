package service

import (
	"log/slog"
	"slices"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
)

// Policy says how long to wait before another attempt. A [retry.Exponential] is one.
type Policy interface {
	// Delay returns the wait before retry n, where 0 follows the first failure in a row. With false there is none, and the client gives up; a panic does the same.
	Delay(n int, random retry.Source) (wait time.Duration, ok bool)
}

// ClientState is what a [Client] is doing.
type ClientState uint8

// The states of a client.
const (
	ClientStopped    ClientState = iota // not started, stopped, or given up
	ClientConnecting                    // an attempt is under way
	ClientPreparing                     // connected; ClientConfig.Prepare is not done
	ClientConnected
	ClientWaiting    // for the next attempt
	ClientRejecting  // the preparation has failed, and the connection is not gone
	ClientClosing    // Stop was called, and the connection is not gone
	ClientRestarting // and Start was called after it
)

// String is "stopped", "connecting" ...
func (s ClientState) String() string {
	return [...]string{"stopped", "connecting", "preparing", "connected", "waiting", "rejecting", "closing", "restarting"}[s]
}

// ClientConfig are the options of a [Client]. Nil and the zero value are the defaults.
type ClientConfig struct {
	// Policy is how long to wait after each failure in a row, and after a loss. Nil: the zero [retry.Exponential].
	Policy Policy
	// Random is the policy's random source. Without one there is no jitter: many clients of a server that has gone come back at the same moment.
	Random retry.Source
	// Prepare, if set, is called for each connection, after its ConnectionMade: to log in, for instance. Who waits for the connection waits for its
	// result, too. If that fails, the connection is closed, and the attempt counts as failed (SVC-24). It is given up when the connection is lost, or
	// the client stops. A nil result means that all is done.
	Prepare func(p reactor.Protocol) *deferred.Deferred[None]
	// Changed, if set, is called with each new state, and with the error that is its cause, if one is. If a coroutine, see coro.Factory, has failed and so ended the
	// connection, errors.Is finds its error.
	Changed func(s ClientState, err error)
}

// Client keeps a connection: it connects, and connects again after a failure or a loss, until it is stopped. It is a [Member], and for the goroutine of its reactor's
// loop. [NewClient] makes one.
type Client struct {
	r      *reactor.Reactor
	at     endpoint.Client
	f      reactor.Factory
	config ClientConfig

	state    ClientState
	called   bool  // Start or Stop was called: who waits in state ClientStopped waits for nothing
	failures int   // in a row
	gaveUp   error // in state ClientStopped: the last error, after which the policy has given up; nil: it has not
	again    reactor.DelayedCall
	now      *attempt                 // the attempt in progress, or the one whose connection there is; nil: none
	cancel   func()                   // of the attempt in progress
	prepares *deferred.Deferred[None] // in state ClientPreparing
	closed   *deferred.Deferred[None] // in states ClientClosing and ClientRestarting: of Stop
	waiting  []*waiter
}

// waiter is one who waits for a connection.
type waiter struct {
	d    *deferred.Deferred[reactor.Protocol]
	left int // failures that it bears, and one; 0: any number
}

// NewClient makes a client that connects to at, with the protocols of f. A nil config is the defaults.
func NewClient(r *reactor.Reactor, at endpoint.Client, f reactor.Factory, config *ClientConfig) *Client {
	if r == nil || at == nil || f == nil {
		panic("service: a Client needs a Reactor, a place and a Factory")
	}
	c := &Client{r: r, at: at, f: f}
	if config != nil {
		c.config = *config
	}
	if c.config.Policy == nil {
		c.config.Policy = retry.Exponential{}
	}
	c.again.Init(r, c.connect)
	return c
}

// State is what the client is doing.
func (c *Client) State() ClientState { return c.state }

// Failures is how many attempts have failed in a row, the loss of a connection included.
func (c *Client) Failures() int { return c.failures }

// Connected returns the protocol of the connection, which is prepared; nil if there is none, and from its ConnectionLost on.
func (c *Client) Connected() reactor.Protocol {
	if c.state != ClientConnected || !c.now.connected() {
		return nil
	}
	return c.now.proto.Protocol
}

// Start makes the first attempt to connect, and does not wait for it. If the client is closing, it connects when the old connection is gone (SVC-23). If it runs, that is
// logged, and nothing is done (SVC-19). The result is nil.
func (c *Client) Start() *deferred.Deferred[None] {
	c.called = true
	switch c.state {
	case ClientStopped:
		c.failures, c.gaveUp = 0, nil
		c.connect()
	case ClientClosing:
		c.become(ClientRestarting, nil)
	default:
		c.r.Logger().Warn("a client was started twice", slog.String("endpoint", c.at.String()), slog.String("state", c.state.String()))
	}
	return nil
}

// Stop gives up an attempt, drops a wait, and closes a connection. Whoever waits for a connection hears of it. The result is nil, or comes after
// ConnectionLost (SVC-22). If it is given up, the connection is aborted.
func (c *Client) Stop() *deferred.Deferred[None] {
	waiting := c.take()
	c.called, c.gaveUp = true, nil
	switch c.state {
	case ClientConnecting:
		if c.now.connected() { // in its ConnectionMade, for instance
			c.close()
			break
		}
		c.now = nil
		if c.cancel != nil {
			c.cancel()
		}
		c.become(ClientStopped, nil)
	case ClientWaiting:
		c.again.Cancel()
		c.become(ClientStopped, nil)
	case ClientPreparing, ClientConnected, ClientRejecting:
		c.close()
	case ClientRestarting:
		c.become(ClientClosing, nil)
	}
	tell(waiting, nil, reactor.ErrCancelled)
	if c.closed == nil {
		return nil
	}
	return own(c.closed)
}

// close closes the connection, for Stop.
func (c *Client) close() {
	a := c.now
	c.closed = deferred.New(c.r, func(*deferred.Deferred[None]) { a.proto.transport().Abort() })
	before := c.state
	c.become(ClientClosing, nil)
	if before == ClientPreparing {
		c.endPreparation()
	}
	if before != ClientRejecting { // which has closed it
		a.proto.transport().Close()
	}
}

// WhenConnected returns the protocol of the connection, at once if there is one, and else when there is. It is the one that the factory has built. With a limit above
// 0, it fails with the error of that many failures in a row from now on. It fails with reactor.ErrCancelled when Stop is called, and with the last error if the policy
// gives up; and at once after that, until the next Start (SVC-21). Giving it up ends only the waiting.
func (c *Client) WhenConnected(limit int) *deferred.Deferred[reactor.Protocol] {
	switch {
	case c.Connected() != nil:
		return deferred.Of(c.r, c.Connected())
	case c.state == ClientClosing, c.state == ClientStopped && c.called:
		return deferred.Failed[reactor.Protocol](c.r, orCancelled(c.gaveUp))
	}
	w := &waiter{left: max(limit, 0)}
	w.d = deferred.New(c.r, func(*deferred.Deferred[reactor.Protocol]) {
		if i := slices.Index(c.waiting, w); i >= 0 {
			c.waiting = slices.Delete(c.waiting, i, i+1)
		}
	})
	c.waiting = append(c.waiting, w)
	return w.d
}

// orCancelled is why there will be no connection: the error after which a policy has given up, or else a Stop.
func orCancelled(gaveUp error) error {
	if gaveUp == nil {
		return reactor.ErrCancelled
	}
	return gaveUp
}

// become is the place where the state changes, but for the one in failed.
func (c *Client) become(s ClientState, err error) {
	if c.state != s {
		c.state = s
		c.changed(err)
	}
}

// changed tells the new state.
func (c *Client) changed(err error) {
	if s := c.state; c.config.Changed != nil {
		_ = c.r.Guard("state of a client", func() { c.config.Changed(s, err) })
	}
}

// take takes all who wait. Who begins to wait in the Changed that follows is not among them.
func (c *Client) take() []*waiter {
	waiting := c.waiting
	c.waiting = nil
	return waiting
}

// tell ends the waiting of those that were taken.
func tell(waiting []*waiter, p reactor.Protocol, err error) {
	for _, w := range waiting {
		if _, ok := w.d.Outcome(); !ok {
			w.d.Give(p, err)
		}
	}
}

func (c *Client) connect() {
	a := &attempt{c: c}
	c.now, c.cancel, c.prepares = a, nil, nil
	c.become(ClientConnecting, nil)
	if c.now != a {
		return // stopped in Changed
	}
	cancel := c.at.Connect(c.r, &clientFactory{c.f, a}, a.done)
	if c.now != a {
		cancel() // stopped in StartFactory; what was started after that has a cancel of its own
		return
	}
	c.cancel = cancel
}

// failed is called after the failure of an attempt or the loss of a connection. It schedules the next attempt.
func (c *Client) failed(err error, attempt bool) {
	c.now = nil
	c.state = ClientWaiting // which a Stop in the policy ends
	var wait time.Duration
	ok := false // also after a panic
	if e := c.r.Guard("policy of a client", func() { wait, ok = c.config.Policy.Delay(c.failures, c.config.Random) }); e != nil {
		err = e
	}
	if c.state != ClientWaiting {
		return // stopped, and perhaps started again
	}
	c.failures++
	if !ok {
		c.gaveUp = err
		waiting := c.take()
		c.become(ClientStopped, err)
		tell(waiting, nil, err)
		return
	}
	var waiting []*waiter
	if attempt {
		waiting = c.takeFailed()
	}
	c.again.Reset(wait)
	c.changed(err)
	tell(waiting, nil, err)
}

// takeFailed counts a failure, and takes those who bear no more.
func (c *Client) takeFailed() (taken []*waiter) {
	c.waiting = slices.DeleteFunc(c.waiting, func(w *waiter) bool {
		w.left--
		if w.left == 0 {
			taken = append(taken, w)
		}
		return w.left == 0
	})
	return taken
}

// prepared is called when the preparation of the connection is done.
func (c *Client) prepared(a *attempt, err error) {
	if c.now != a || c.state != ClientPreparing {
		return
	}
	c.prepares = nil
	if err != nil {
		a.rejected = err
		c.become(ClientRejecting, err)
		a.proto.transport().Close()
		return
	}
	c.failures = 0
	c.become(ClientConnected, nil)
	if c.now == a && c.state == ClientConnected {
		tell(c.take(), a.proto.Protocol, nil)
	}
}

// endPreparation gives up the preparation in progress, if it has begun.
func (c *Client) endPreparation() {
	if d := c.prepares; d != nil {
		c.prepares = nil
		d.Cancel()
	}
}

// lost is called after ConnectionLost of the connection.
func (c *Client) lost(a *attempt, err error) {
	if c.now != a {
		return
	}
	switch c.state {
	case ClientPreparing:
		a.rejected = err
		c.become(ClientRejecting, err) // so that the end of the preparation changes nothing
		c.endPreparation()
		c.lost(a, err) // unless stopped in one of these, it is rejected
	case ClientRejecting:
		c.failed(a.rejected, true)
	case ClientConnected:
		c.failed(err, false)
	case ClientClosing, ClientRestarting:
		again := c.state == ClientRestarting
		closed := c.closed
		c.now, c.closed = nil, nil
		if again {
			c.failures = 0
			c.connect()
		} else {
			c.become(ClientStopped, nil)
		}
		if _, given := closed.Outcome(); !given {
			closed.Succeed(None{})
		}
	}
}
