// Package kv is a server of keys and channels that speaks RESP2 and RESP3, the protocols of Redis.
// It has the commands for strings, expiry, channels, and those that clients send when they connect.
package kv

import (
	"strings"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Server is the factory and the state that its connections share. The zero Server is empty
// and has the default limits. It needs no lock, because one goroutine calls everything. The
// fields are set before the first connection.
type Server struct {
	// MaxArgs, MaxBulk and MaxRequest are those of a Parser. A client that exceeds one of them is
	// told so and closed.
	MaxArgs, MaxBulk, MaxRequest int
	// Idle is how long a client may take for a command, silence included. Subscribers may be
	// silent. Zero: 5 minutes.
	Idle time.Duration
	// MaxPending is the most bytes that may wait for a subscriber. One that has more is
	// dropped. Zero: 1 MiB.
	MaxPending int
	// MaxMemory is the most bytes of keys and values, with 100 more for each key. Beyond it, commands
	// that need memory are errors. Zero: 1 GiB.
	MaxMemory int
	// MaxChannels is the most channels of one client. Zero: 1024.
	MaxChannels int

	store    store
	channels map[string][]*subscription // slices, so that the order of subscribers does not vary
	commands map[string]*command        // by their names, in capitals and not
	clients  int64                      // so far

	// Used by the callback in progress.
	args [][]byte
	out  []byte // answers of a client, which leave together
}

// or is v, or fallback if v is zero.
func or[T comparable](v, fallback T) T {
	if v == *new(T) {
		return fallback
	}
	return v
}

// BuildProtocol makes the protocol of a client.
func (s *Server) BuildProtocol(kernel.Addr) reactor.Protocol {
	if s.commands == nil {
		s.commands = map[string]*command{}
		for _, c := range commands() {
			s.commands[c.name], s.commands[strings.ToLower(c.name)] = &c, &c
		}
		s.store.clear()
	}
	s.clients++
	return &client{server: s, id: s.clients}
}
