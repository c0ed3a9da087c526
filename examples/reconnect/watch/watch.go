// Package watch is a client that connects again: it follows a feed of lines, waits
// longer after each failure, and takes silence for an end.
package watch

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/retry"
)

// State is where a Watch is.
type State string

// The states. From Stopped, Start leads to Connecting; from there it is Connected
// or Waiting, and from both of these Connecting again in the end. Stop is possible
// in each.
const (
	Stopped    State = "stopped"
	Connecting State = "connecting"
	Connected  State = "connected"
	Waiting    State = "waiting" // for the next attempt
)

// Watch follows a feed. Its exported fields are set before Start; all of it happens
// on the loop's goroutine.
type Watch struct {
	// Reactor is the loop, and Feed where the lines come from: a name will do.
	Reactor *reactor.Reactor
	Feed    kernel.Addr
	// Backoff is how long to wait after each failure in a row, Random its source of
	// chance.
	Backoff retry.Exponential
	Random  retry.Source
	// Idle is how long the feed may be silent. Zero or less: for ever.
	Idle time.Duration
	// Line takes each line; Changed, unless nil, hears of each new state, with the
	// reason if it is a failure.
	Line    func(line string)
	Changed func(s State, err error)

	state    State // "" is Stopped
	failures int   // in a row
	conn     *conn // the attempt in progress, or what came of it
	again    reactor.DelayedCall
}

// conn is one attempt and its connection. What an old one has to say means nothing:
// it is not the Watch's any more.
type conn struct {
	receiver.Line
	w         *Watch
	connector *reactor.Connector
	silence   reactor.DelayedCall
}

// State is where w is.
func (w *Watch) State() State {
	if w.state == "" {
		return Stopped
	}
	return w.state
}

// Start begins to connect, unless w has begun.
func (w *Watch) Start() {
	if w.State() == Stopped {
		w.again.Init(w.Reactor, w.connect)
		w.connect()
	}
}

// Stop gives up. When it returns w is Stopped, and hears nothing more until Start.
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
		c.w.failures = 0 // not when connected: who hangs up at once has failed too
		c.w.Line(string(line))
	}
}

// listen begins to wait for the end of the silence.
func (c *conn) listen() {
	if c.w.Idle > 0 {
		c.silence.Reset(c.w.Idle) // postponing costs a store
	}
}

// lost ends the attempt or the connection, and plans the next.
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
