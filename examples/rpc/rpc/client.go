package rpc

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
)

// The defaults of Client.
const (
	DefaultTimeout = 10 * time.Second
	DefaultCalls   = 1000
)

// Client calls the functions of a server. Its exported fields are set before Start.
// Everything is for the loop's goroutine; others use Do.
type Client struct {
	// Reactor is the loop. Servers are the addresses of the servers, which may be names. The
	// next one is tried after a failure and after a goodbye.
	Reactor *reactor.Reactor
	Servers []kernel.Addr
	// Backoff is how long to wait after each failure in a row. Random is its random source.
	Backoff retry.Exponential
	Random  retry.Source
	// Beat is how often the client says that it is there. Zero: DefaultBeat.
	Beat time.Duration
	// MaxCalls is how many calls may wait for answers. Zero: DefaultCalls.
	MaxCalls int

	conn     *conn // the attempt in progress or its connection, for new calls
	leaving  []*conn
	queue    []*call // not sent
	waiting  int     // calls that were not called back
	id       uint64
	server   int
	failures int // in a row
	again    reactor.DelayedCall
	trigger  *reactor.Trigger
	closed   bool
}

// Options are those of a call.
type Options struct {
	// Timeout is how long the call may take, with all that it waits for. Zero:
	// DefaultTimeout.
	Timeout time.Duration
	// Idempotent calls are made again if the connection is lost. Others fail with ErrLost.
	Idempotent bool
}

type call struct {
	message
	Options
	done  func(json.RawMessage, error)
	limit reactor.DelayedCall
}

// conn is one attempt and its connection.
type conn struct {
	link
	client    *Client
	connector *reactor.Connector
	made      bool
	full      bool    // the server does not take requests now
	useful    bool    // it has answered
	calls     []*call // sent, by their IDs
}

// Start begins to connect.
func (c *Client) Start() {
	c.again.Init(c.Reactor, c.connect)
	c.trigger = c.Reactor.AddTrigger(reactor.Before, reactor.Shutdown, func() {
		c.trigger = nil // removing it would be a warning now
		c.Close()
	})
	c.connect()
}

// Close ends the connections. Calls that wait fail with ErrClosed, before Close returns.
func (c *Client) Close() {
	if c.closed {
		return
	}
	c.closed = true
	c.again.Cancel()
	c.trigger.Remove()
	open := c.leaving
	if c.conn != nil {
		open = append(open, c.conn)
	}
	calls := c.queue
	for _, o := range open {
		calls = append(calls, o.calls...)
		o.calls = nil
		o.connector.Disconnect()
	}
	c.conn, c.leaving, c.queue = nil, nil, nil
	for _, w := range calls {
		c.finish(w, nil, ErrClosed)
	}
}

// Call calls method with params, which become JSON. done is called once, never before Call
// returns, with the result or an error: ErrTimeout, ErrLost, ErrBusy, ErrTooLong, ErrClosed, a
// RemoteError, or that of the JSON.
func (c *Client) Call(method string, params any, o Options, done func(json.RawMessage, error)) {
	p, err := json.Marshal(params)
	most := c.MaxCalls
	if most <= 0 {
		most = DefaultCalls
	}
	switch {
	case err != nil:
	case len(p)+len(method) > MaxMessage-100: // and what stands around them
		err = ErrTooLong
	case c.closed:
		err = ErrClosed
	case c.waiting >= most:
		err = ErrBusy
	}
	if err != nil {
		c.Reactor.Post(func() { done(nil, err) })
		return
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	w := &call{message: message{Method: method, Params: p}, Options: o, done: done}
	w.limit.Init(c.Reactor, func() { c.late(w) })
	w.limit.Reset(o.Timeout)
	c.waiting++
	c.queue = append(c.queue, w)
	c.flush()
}

// Do is Call for other goroutines. It waits for the answer.
func (c *Client) Do(method string, params any, o Options) (json.RawMessage, error) {
	return reactor.AskLater(c.Reactor, func(done func(json.RawMessage, error)) { c.Call(method, params, o, done) })
}

// Waiting is how many calls wait for answers.
func (c *Client) Waiting() int { return c.waiting }

func (c *Client) finish(w *call, result json.RawMessage, err error) {
	w.limit.Cancel()
	c.waiting--
	w.done(result, err)
}

// late ends a call, wherever it is.
func (c *Client) late(w *call) {
	is := func(o *call) bool { return o == w }
	c.queue = slices.DeleteFunc(c.queue, is)
	for _, o := range append(slices.Clone(c.leaving), c.conn) {
		if o != nil {
			o.calls = slices.DeleteFunc(o.calls, is)
			o.leave()
		}
	}
	c.finish(w, nil, ErrTimeout)
}

// flush sends what waits in the queue, if there is a connection that takes it.
func (c *Client) flush() {
	o := c.conn
	if o == nil || !o.made {
		return
	}
	for len(c.queue) > 0 && !o.full {
		w := c.queue[0]
		c.queue = c.queue[1:]
		c.id++
		w.message.ID = c.id
		o.calls = append(o.calls, w)
		o.send(&w.message)
	}
}

func (c *Client) connect() {
	o := &conn{client: c}
	o.beat, o.handle = c.Beat, o.heard
	c.conn = o
	to := c.Servers[c.server%len(c.Servers)]
	o.connector = c.Reactor.Dial(to, reactor.One(o), &reactor.DialConfig{Timeout: 5 * time.Second}, func(_ reactor.Protocol, err error) {
		if err != nil {
			o.gone(err)
		}
	})
}

// ConnectionMade sends the calls that have waited.
func (o *conn) ConnectionMade(t reactor.Transport) {
	o.link.ConnectionMade(t)
	o.made = true
	if o.client.conn != o {
		o.T.Close()
		return
	}
	o.T.RegisterProducer(room{o})
	o.client.flush()
}

// room hears whether the server takes requests. It is not conn itself, whose methods of these
// names are about reading.
type room struct{ *conn }

func (r room) PauseProducing() { r.full = true }
func (r room) StopProducing()  {}
func (r room) ResumeProducing() {
	if r.full = false; r.client.conn == r.conn {
		r.client.flush()
	}
}

// Producing tells a Close not to wait for more.
func (room) Producing() bool { return false }

// ConnectionLost decides about the calls that have no answer.
func (o *conn) ConnectionLost(err error) {
	o.link.ConnectionLost(err)
	o.gone(err)
}

// gone ends the attempt or the connection.
func (o *conn) gone(err error) {
	c := o.client
	if c.closed {
		return
	}
	c.leaving = slices.DeleteFunc(c.leaving, func(x *conn) bool { return x == o })
	if c.conn == o {
		c.conn = nil
		c.retry()
	}
	calls := o.calls
	o.calls = nil
	var again, lost []*call
	for _, w := range calls {
		if w.Idempotent {
			again = append(again, w)
		} else {
			lost = append(lost, w)
		}
	}
	c.queue = append(again, c.queue...)
	c.flush()
	for _, w := range lost {
		c.finish(w, nil, errors.Join(ErrLost, err))
	}
}

// retry tries the next server, later.
func (c *Client) retry() {
	c.server++
	wait, _ := c.Backoff.Delay(c.failures, c.Random) // MaxRetries: for ever
	c.failures++
	c.again.Reset(wait)
}

// heard takes a message of the server.
func (o *conn) heard(m *message) {
	c := o.client
	if !m.Goodbye { // not when it is made: a server that hangs up at once has failed too
		o.useful, c.failures = true, 0
	}
	switch {
	case m.Goodbye && c.conn == o:
		c.conn = nil
		c.leaving = append(c.leaving, o)
		if o.useful {
			c.server++
			c.connect()
		} else {
			c.retry()
		}
		o.leave()
	case m.ID > c.id:
		o.T.Abort() // an answer that nobody has asked for
	case m.ID > 0:
		o.answered(m)
	}
}

func (o *conn) answered(m *message) {
	i, found := slices.BinarySearchFunc(o.calls, m.ID, func(w *call, id uint64) int { return int(int64(w.ID - id)) })
	if !found {
		return // it came too late
	}
	w := o.calls[i]
	o.calls = slices.Delete(o.calls, i, i+1)
	o.leave()
	if m.Error != "" {
		o.client.finish(w, nil, RemoteError(m.Error))
		return
	}
	o.client.finish(w, m.Result, nil)
}

// leave closes a connection whose server has said goodbye, when it has all answers.
func (o *conn) leave() {
	if o.made && len(o.calls) == 0 && slices.Contains(o.client.leaving, o) {
		o.T.Close()
	}
}
