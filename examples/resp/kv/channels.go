package kv

import (
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
		for _, x := range c.channels {
			names = append(names, []byte(x.channel))
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

// subscription is a client on a channel. It knows its places, so that nothing has to be searched when it ends: a client has many, a channel too, and all
// may end at the same moment.
type subscription struct {
	c       *client
	channel string
	mine    int // in client.channels
	place   int // in Server.channels
}

func (s *Server) subscribe(c *client, channel string) {
	if s.channels == nil {
		s.channels = map[string][]*subscription{}
	}
	if c.byName == nil {
		c.byName = map[string]*subscription{}
	}
	if c.byName[channel] == nil {
		all := s.channels[channel]
		x := &subscription{c, channel, len(c.channels), len(all)}
		c.channels, c.byName[channel], s.channels[channel] = append(c.channels, x), x, append(all, x)
	}
}

// unsubscribe ends a subscription, if there is one. The last of each list takes its place.
func (s *Server) unsubscribe(c *client, channel string) {
	x := c.byName[channel]
	if x == nil {
		return
	}
	delete(c.byName, channel)
	c.channels = without(c.channels, x.mine)
	if x.mine < len(c.channels) {
		c.channels[x.mine].mine = x.mine
	}
	if len(c.channels) == 0 {
		c.channels, c.byName = nil, nil
	}
	left := without(s.channels[channel], x.place)
	if x.place < len(left) {
		left[x.place].place = x.place
	}
	if s.channels[channel] = left; len(left) == 0 {
		delete(s.channels, channel)
	}
}

// leave ends all subscriptions of c.
func (s *Server) leave(c *client) {
	for n := len(c.channels); n > 0; n-- {
		s.unsubscribe(c, c.channels[n-1].channel)
	}
}

// without is all without number i, whose place the last one takes.
func without(all []*subscription, i int) []*subscription {
	end := len(all) - 1
	all[i], all[end] = all[end], nil
	return all[:end]
}

// publish sends message to the subscribers of channel, and returns how many got it. Those that
// do not keep up are dropped.
func (s *Server) publish(channel, message []byte) (n int) {
	two := appendBulks([]byte("*3\r\n"), "message", string(channel), string(message))
	three := append([]byte{'>'}, two[1:]...)
	for _, x := range s.channels[string(channel)] {
		c := x.c
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
