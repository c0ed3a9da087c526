package kv

import (
	"bytes"
	"math"
	"strings"
	"unicode/utf8"
)

// command is a command that clients may send.
type command struct {
	name        string // in capitals
	least, most int    // arguments
	run         func(c *client, args [][]byte)
	always      bool // also of subscribers that speak RESP2
	grows       bool // takes memory
}

const (
	many      = math.MaxInt
	maxMemory = 1 << 30
)

// commands are all commands, in the order in which they are listed.
func commands() []command {
	return []command{
		// strings.go
		{name: "GET", least: 1, most: 1, run: (*client).get},
		{name: "SET", least: 2, most: 7, run: (*client).set, grows: true},
		{name: "MGET", least: 1, most: many, run: (*client).mget},
		{name: "MSET", least: 2, most: many, run: (*client).mset, grows: true},
		{name: "STRLEN", least: 1, most: 1, run: (*client).strlen},
		{name: "APPEND", least: 2, most: 2, run: (*client).append, grows: true},
		{name: "INCR", least: 1, most: 1, run: func(c *client, args [][]byte) { c.add(args[0], 1) }, grows: true},
		{name: "DECR", least: 1, most: 1, run: func(c *client, args [][]byte) { c.add(args[0], -1) }, grows: true},
		{name: "INCRBY", least: 2, most: 2, run: func(c *client, args [][]byte) { c.addText(args, 1) }, grows: true},
		{name: "DECRBY", least: 2, most: 2, run: func(c *client, args [][]byte) { c.addText(args, -1) }, grows: true},
		// keys.go
		{name: "DEL", least: 1, most: many, run: (*client).del},
		{name: "EXISTS", least: 1, most: many, run: (*client).exists},
		{name: "TYPE", least: 1, most: 1, run: (*client).kind},
		{name: "EXPIRE", least: 2, most: 2, run: expireBy(second)},
		{name: "PEXPIRE", least: 2, most: 2, run: expireBy(millisecond)},
		{name: "PERSIST", least: 1, most: 1, run: (*client).persist},
		{name: "TTL", least: 1, most: 1, run: left(second)},
		{name: "PTTL", least: 1, most: 1, run: left(millisecond)},
		{name: "KEYS", least: 1, most: 1, run: (*client).keys},
		{name: "SCAN", least: 1, most: 5, run: (*client).scan},
		{name: "DBSIZE", run: func(c *client, _ [][]byte) { c.number(int64(len(c.server.store.all))) }},
		{name: "FLUSHDB", most: 1, run: (*client).flushAll},
		{name: "FLUSHALL", most: 1, run: (*client).flushAll},
		// channels.go
		{name: "SUBSCRIBE", least: 1, most: many, run: (*client).subscribe, always: true},
		{name: "UNSUBSCRIBE", most: many, run: (*client).unsubscribe, always: true},
		{name: "PUBLISH", least: 2, most: 2, run: (*client).publish},
		// connection.go
		{name: "PING", most: 1, run: (*client).ping, always: true},
		{name: "QUIT", run: (*client).quit, always: true},
		{name: "ECHO", least: 1, most: 1, run: func(c *client, args [][]byte) { c.bulk(args[0]) }},
		{name: "SELECT", least: 1, most: 1, run: (*client).selectDB},
		{name: "HELLO", most: 6, run: (*client).hello},
		{name: "CLIENT", least: 1, most: 3, run: (*client).client},
		{name: "CONFIG", least: 2, most: many, run: (*client).config},
		{name: "COMMAND", most: many, run: (*client).list},
		{name: "INFO", most: many, run: (*client).info},
	}
}

// command carries out one command, which has size bytes. How many arguments there are is checked
// here, and whether there is memory, so that the commands need not.
func (c *client) command(name []byte, args [][]byte, size int) {
	s := c.server
	x := c.last // clients mostly send the same again
	if x == nil || string(name) != x.name {
		if x = s.commands[string(name)]; x == nil {
			x = s.commands[string(bytes.ToUpper(name))]
		}
		c.last = x
	}
	switch {
	case x == nil:
		c.error("unknown command '" + printable(name) + "'")
	case len(args) < x.least || len(args) > x.most:
		c.error("wrong number of arguments for '" + strings.ToLower(x.name) + "' command")
	case !x.always && len(c.channels) > 0 && !c.resp3:
		c.error("Can't execute '" + strings.ToLower(x.name) + "': only SUBSCRIBE, UNSUBSCRIBE, PING and QUIT are allowed in this context")
	case x.grows && s.store.used+size+overhead*len(args) > or(s.MaxMemory, maxMemory):
		c.answer("-OOM command not allowed when used memory > 'maxmemory'.\r\n")
	default:
		x.run(c, args)
	}
}

// printable is the beginning of what a client sent, without what would end a line of an answer.
func printable(p []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError {
			return '?'
		}
		return r
	}, string(p[:min(len(p), 64)]))
}
