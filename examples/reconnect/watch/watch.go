// Package watch is a client that follows a feed of lines. It connects again after a failure,
// waits longer after each failure in a row, and treats a long silence as a failure.
package watch

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/retry"
)

// State is the state of a Watch.
type State string

// The states. Start changes Stopped to Connecting. Connecting becomes Connected or Waiting.
// Connected becomes Waiting when the connection ends, and Waiting becomes Connecting again.
// Stop leads to Stopped from every state, and so does a Backoff that gives up.
const (
	Stopped    State = "stopped"
	Connecting State = "connecting"
	Connected  State = "connected"
	Waiting    State = "waiting" // for the next attempt
)

// Watch follows a feed. Its exported fields are set before Start. Everything is for the
// loop's goroutine.
type Watch struct {
	// Reactor is the loop. Feed is the address of the feed, which may be a name.
	Reactor *reactor.Reactor
	Feed    kernel.Addr
	// Backoff is how long to wait after each failure in a row. Random is its random source.
	Backoff retry.Exponential
	Random  retry.Source
	// Idle is how long the feed may be silent. Zero or negative: no limit.
	Idle time.Duration
	// Line is called with each line. Changed, if set, is called with each new state, and
	// with the reason if the cause is a failure.
	Line    func(line string)
	Changed func(s State, err error)

	state    State // "" is Stopped
	failures int   // in a row
	conn     *conn // the attempt in progress, or its connection
	again    reactor.DelayedCall
}

// conn is one attempt and its connection. Its callbacks count only while it is the conn of
// the Watch.
type conn struct {
	receiver.Line
	w         *Watch
	connector *reactor.Connector
	silence   reactor.DelayedCall
}

// State returns the state of w.
func (w *Watch) State() State {
	if w.state == "" {
		return Stopped
	}
	return w.state
}

// Start begins to connect. It does nothing unless w is Stopped.
func (w *Watch) Start() {
	if w.State() == Stopped {
		w.again.Init(w.Reactor, w.connect)
		w.connect()
	}
}

// Stop ends the connection, or the attempt. When it returns, w is Stopped, and nothing more
// is called until Start.
func (w *Watch) Stop() {
	w.again.Cancel()
	if c := w.conn; c != nil {
		w.conn = nil
		c.silence.Cancel()
		c.connector.Disconnect()
	}
	w.become(Stopped, nil)
	w.failures = 0
}

// become is the one place where the state changes.
func (w *Watch) become(s State, err error) {
	if w.State() == s {
		return
	}
	w.state = s
	if w.Changed != nil {
		w.Changed(s, err)
	}
}

func (w *Watch) connect() {
	c := &conn{w: w}
	c.Delimiter = "\n"
	c.Made, c.LineReceived, c.Lost = c.made, c.line, c.lost
	c.silence.Init(w.Reactor, func() { c.T.Abort() })
	w.conn = c
	build := reactor.One(c)
	c.connector = w.Reactor.Dial(w.Feed, build, nil, func(_ reactor.Protocol, err error) {
		if err != nil {
			c.lost(err)
		}
	})
	w.become(Connecting, nil)
}

func (c *conn) made() {
	if c.w.conn == c {
		c.listen()
		c.w.become(Connected, nil)
	}
}

func (c *conn) line(line []byte) {
	if c.w.conn == c {
		c.listen()
		c.w.failures = 0 // not in made: a feed that hangs up at once has failed too
		c.w.Line(string(line))
	}
}

// listen starts the limit on silence anew.
func (c *conn) listen() {
	if c.w.Idle > 0 {
		c.silence.Reset(c.w.Idle) // postponing costs a store
	}
}

// lost ends the attempt or the connection, and schedules the next attempt.
func (c *conn) lost(err error) {
	c.silence.Cancel()
	w := c.w
	if w.conn != c {
		return
	}
	w.conn = nil
	wait, ok := w.Backoff.Delay(w.failures, w.Random)
	if !ok {
		w.become(Stopped, err)
		return
	}
	w.failures++
	w.again.Reset(wait)
	w.become(Waiting, err)
}
