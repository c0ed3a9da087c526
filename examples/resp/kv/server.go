// Package kv is a server of keys and channels that speaks RESP2, the protocol of Redis.
package kv

import (
	"slices"
	"strconv"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Server is the factory and the state that its connections share. The zero Server is empty
// and has the default limits. It needs no lock, because one goroutine calls everything. The
// fields are set before the first connection.
type Server struct {
	// MaxArgs is the most arguments of a command, MaxBulk the most bytes of one argument, and
	// MaxRequest the most bytes of all arguments of a command. A client that exceeds one of
	// them is told so and closed. Zero: 1024, 1 MiB and 8 MiB.
	MaxArgs, MaxBulk, MaxRequest int
	// Idle is how long a client may take for a command, silence included. Subscribers may be
	// silent. Zero: 5 minutes.
	Idle time.Duration
	// MaxPending is the most bytes that may wait for a subscriber. One that has more is
	// dropped. Zero: 1 MiB.
	MaxPending int

	keys     map[string]*entry
	channels map[string][]*client // slices, so that the order of subscribers does not vary
}

// entry is a value. Its timer is pending if the value expires.
type entry struct {
	value   string
	expires reactor.DelayedCall
}

func or[T comparable](v, fallback T) T {
	if v == *new(T) {
		return fallback
	}
	return v
}

// BuildProtocol makes the protocol of a client.
func (s *Server) BuildProtocol(kernel.Addr) reactor.Protocol { return &client{server: s} }

// set makes value the value of key, which expires after ttl, or never if ttl is zero.
func (s *Server) set(r *reactor.Reactor, key, value string, ttl time.Duration) {
	s.del(key)
	if s.keys == nil {
		s.keys = map[string]*entry{}
	}
	e := &entry{value: value}
	e.expires.Init(r, func() { delete(s.keys, key) })
	if s.keys[key] = e; ttl > 0 {
		e.expires.Reset(ttl)
	}
}

func (s *Server) del(key string) bool {
	e := s.keys[key]
	if e == nil {
		return false
	}
	e.expires.Cancel()
	delete(s.keys, key)
	return true
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
func (s *Server) publish(channel, message string) (n int) {
	p := appendBulks([]byte("*3\r\n"), "message", channel, message)
	for _, c := range s.channels[channel] {
		if c.T.Buffered() > or(s.MaxPending, 1<<20) {
			c.T.Abort() // ConnectionLost, which changes the slice, comes later
			continue
		}
		reactor.WriteShared(c.T, p)
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
