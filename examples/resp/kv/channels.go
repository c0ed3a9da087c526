package kv

import (
	"slices"
	"strconv"

	"github.com/whorl-go/whorl/reactor"
)

func (c *client) subscribe(args [][]byte) {
	for _, name := range args {
		if len(name) > maxName || len(c.channels) >= or(c.server.MaxChannels, 1024) {
			c.error("too many channels, or too long a name")
			return
		}
		c.server.subscribe(c, string(name))
		c.subscribed("subscribe", name)
	}
}

func (c *client) unsubscribe(args [][]byte) {
	names := args
	if len(args) == 0 {
		names = nil
		for _, name := range c.channels {
			names = append(names, []byte(name))
		}
		if len(names) == 0 {
			c.subscribed("unsubscribe", nil)
		}
	}
	for _, name := range names {
		c.server.unsubscribe(c, string(name))
		c.subscribed("unsubscribe", name)
	}
}

// subscribed tells the client of a change. name may be nil.
func (c *client) subscribed(what string, name []byte) {
	c.push(3)
	c.text(what)
	if name == nil {
		c.null()
	} else {
		c.bulk(name)
	}
	c.number(int64(len(c.channels)))
}

// push begins what is no answer.
func (c *client) push(n int) {
	if c.resp3 {
		c.header('>', int64(n))
		return
	}
	c.array(n)
}

func (c *client) publish(args [][]byte) {
	c.flush() // the message may be for this client too, and then comes behind what was answered
	c.number(int64(c.server.publish(args[0], args[1])))
}

func (s *Server) subscribe(c *client, channel string) {
	if s.channels == nil {
		s.channels = map[string][]*client{}
	}
	if !slices.Contains(c.channels, channel) {
		c.channels = append(c.channels, channel)
		s.channels[channel] = append(s.channels[channel], c)
	}
}

func (s *Server) unsubscribe(c *client, channel string) {
	c.channels = slices.DeleteFunc(c.channels, func(o string) bool { return o == channel })
	left := slices.DeleteFunc(s.channels[channel], func(o *client) bool { return o == c })
	if s.channels[channel] = left; len(left) == 0 {
		delete(s.channels, channel)
	}
}

// publish sends message to the subscribers of channel, and returns how many got it. Those that
// do not keep up are dropped.
func (s *Server) publish(channel, message []byte) (n int) {
	two := appendBulks([]byte("*3\r\n"), "message", string(channel), string(message))
	three := append([]byte{'>'}, two[1:]...)
	for _, c := range s.channels[string(channel)] {
		if c.T.Buffered() > or(s.MaxPending, 1<<20) {
			c.T.Abort() // ConnectionLost, which changes the slice, comes later
			continue
		}
		if c.resp3 {
			reactor.WriteShared(c.T, three)
		} else {
			reactor.WriteShared(c.T, two)
		}
		n++
	}
	return n
}

func appendBulks(p []byte, bulks ...string) []byte {
	for _, b := range bulks {
		p = append(p, '$')
		p = strconv.AppendInt(p, int64(len(b)), 10)
		p = append(append(append(p, "\r\n"...), b...), "\r\n"...)
	}
	return p
}
