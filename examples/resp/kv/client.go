package kv

import (
	"bytes"
	"strconv"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// client is the protocol of a connection. Its commands are carried out where they lie in what was
// received, and its answers gather in Server.out until no command is left.
type client struct {
	receiver.Split
	server   *Server
	parser   Parser
	last     *command
	limit    reactor.DelayedCall
	id       int64
	name     string
	channels []*subscription
	byName   map[string]*subscription // channels
	resp3    bool                     // speaks RESP3
	served   bool                     // has sent a command since its time was set
	ending   bool                     // is to end when no command is in progress
}

func (c *client) ConnectionMade(t reactor.Transport) {
	s := c.server
	c.limit.Init(t.Reactor(), t.Abort)
	c.parser = Parser{MaxArgs: s.MaxArgs, MaxBulk: s.MaxBulk, MaxRequest: s.MaxRequest}
	c.MaxLength = c.parser.most() + maxLine // never reached: the parser has errors of its own
	c.Find, c.FrameReceived, c.Failed = c.parser.Find, c.execute, c.failed
	c.Split.ConnectionMade(t)
	c.T.RegisterProducer(c) // who does not read the answers is not read
	c.rest()
}

func (c *client) ConnectionLost(err error) {
	c.Split.ConnectionLost(err) // may carry out what came before
	c.server.out = c.server.out[:0]
	c.limit.Cancel()
	c.server.leave(c)
}

// DataReceived carries out the commands in p, and sends their answers in one write.
func (c *client) DataReceived(p []byte) {
	c.server.out = c.server.out[:0] // a panic may have left something
	c.Split.DataReceived(p)
	c.flush()
}

// ResumeProducing goes on with the commands that were kept.
func (c *client) ResumeProducing() {
	c.server.out = c.server.out[:0]
	c.Split.ResumeProducing()
	c.flush()
}

// Drain lets the command in progress be completed.
func (c *client) Drain() {
	if c.ending = true; !c.parser.begun {
		c.T.Close()
	}
}

// rest gives the client its time for the next command.
func (c *client) rest() {
	if len(c.channels) > 0 {
		c.limit.Cancel()
		return
	}
	c.limit.Reset(or(c.server.Idle, 5*time.Minute))
}

// execute carries out one command.
func (c *client) execute(p []byte) {
	s := c.server
	s.args = c.parser.AppendArgs(s.args[:0], p)
	if len(s.args) > 0 {
		c.served = true
		c.command(s.args[0], s.args[1:], len(p))
	}
	if c.ending {
		c.close()
	}
}

// failed ends a client that sends no commands.
func (c *client) failed(err error) {
	c.error(err.Error())
	c.close()
}

func (c *client) close() {
	c.flush()
	c.T.Close()
}

// gather is how many bytes of answers gather before they are written.
const gather = 16 << 10

// flush writes the answers. A write of many may pause the client, in the midst of its commands.
func (c *client) flush() {
	s := c.server
	if len(s.out) > 0 {
		c.T.Write(s.out)
		s.out = s.out[:0]
	}
	if c.served {
		c.served = false
		c.rest()
	}
}

// room writes what has gathered, if it is enough.
func (c *client) room() {
	if len(c.server.out) > gather {
		c.flush()
	}
}

// answer appends a part of an answer.
func (c *client) answer(text string) {
	c.room()
	c.server.out = append(c.server.out, text...)
}

// header begins an answer of that kind: the length of what follows, or a number.
func (c *client) header(kind byte, n int64) {
	c.room()
	c.server.out = append(strconv.AppendInt(append(c.server.out, kind), n, 10), "\r\n"...)
}

func (c *client) ok() { c.answer("+OK\r\n") }

func (c *client) error(text string) {
	c.answer("-ERR ")
	c.answer(text)
	c.answer("\r\n")
}

func (c *client) number(n int64) { c.header(':', n) }

func (c *client) array(n int) { c.header('*', int64(n)) }

// bulk answers with bytes. Many go to the transport as they are.
func (c *client) bulk(p []byte) {
	c.header('$', int64(len(p)))
	if len(p) < gather {
		c.server.out = append(append(c.server.out, p...), "\r\n"...)
		return
	}
	c.flush()
	c.T.Write(p)
	c.answer("\r\n")
}

func (c *client) text(s string) { c.bulk([]byte(s)) }

// null answers that there is nothing.
func (c *client) null() {
	if c.resp3 {
		c.answer("_\r\n")
		return
	}
	c.answer("$-1\r\n")
}

// pairs begins an answer of n names with their values.
func (c *client) pairs(n int) {
	if c.resp3 {
		c.header('%', int64(n))
		return
	}
	c.array(2 * n)
}

// is tells whether p is the word, which has capitals only.
func is(p []byte, word string) bool { return len(p) == len(word) && bytes.EqualFold(p, []byte(word)) }
