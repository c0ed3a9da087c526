package kv

import (
	"strconv"
	"strings"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// client reads the commands of a connection.
type client struct {
	receiver.Line
	server   *Server
	limit    reactor.DelayedCall
	want     int // arguments of the command in progress that have not come
	args     []string
	size     int // bytes of args
	channels []string
	ending   bool
}

func (c *client) ConnectionMade(t reactor.Transport) {
	c.limit.Init(t.Reactor(), t.Abort)
	c.LineReceived = c.line
	c.LineLengthExceeded = func([]byte) { c.fail("line too long") }
	c.Line.ConnectionMade(t)
	c.T.RegisterProducer(c) // who does not read the answers is not read
	c.rest()
}

func (c *client) ConnectionLost(err error) {
	c.limit.Cancel()
	for len(c.channels) > 0 {
		c.server.unsubscribe(c, c.channels[0])
	}
	c.Line.ConnectionLost(err)
}

// Drain lets the command in progress be completed.
func (c *client) Drain() {
	if c.ending = true; c.want == 0 {
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

// line takes the number of arguments, the length of an argument, or a whole command on a line
// as people type it.
func (c *client) line(line []byte) {
	kind, text := byte(0), string(line)
	if text != "" {
		kind = text[0]
	}
	switch {
	case c.want > 0 && kind == '$':
		c.bulk(text[1:])
	case c.want > 0:
		c.fail("expected '$'")
	case kind == '*':
		n, err := strconv.Atoi(text[1:])
		if err != nil || n > or(c.server.MaxArgs, 1024) {
			c.fail("invalid multibulk length")
			return
		}
		c.want = max(n, 0)
	default:
		if c.args = strings.Fields(text); len(c.args) > 0 {
			c.execute()
		}
	}
}

// bulk reads an argument of the length that text says.
func (c *client) bulk(text string) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > or(c.server.MaxBulk, 1<<20) || c.size+n > or(c.server.MaxRequest, 8<<20) {
		c.fail("invalid bulk length")
		return
	}
	c.size += n
	c.ReadExactly(n, func(p []byte) { c.args = append(c.args, string(p)) })
	c.ReadExactly(2, func(p []byte) {
		if string(p) != "\r\n" {
			c.fail("expected the end of an argument")
			return
		}
		if c.want--; c.want == 0 {
			c.execute()
		}
	})
}

func (c *client) fail(why string) {
	c.error("Protocol error: " + why)
	c.T.Close()
}

// execute carries out the command in args.
func (c *client) execute() {
	c.command(strings.ToUpper(c.args[0]), c.args[1:])
	c.args, c.size = nil, 0
	if c.rest(); c.ending {
		c.T.Close()
	}
}

func (c *client) error(text string) { c.write("-ERR " + text + "\r\n") }

func (c *client) ok() { c.write("+OK\r\n") }

func (c *client) number(n int64) { c.write(":" + strconv.FormatInt(n, 10) + "\r\n") }

func (c *client) bulks(bulks ...string) { c.T.Write(appendBulks(nil, bulks...)) }

func (c *client) write(text string) { c.T.Write([]byte(text)) }
