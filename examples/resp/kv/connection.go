package kv

import (
	"fmt"
	"strings"
)

// version is that of Redis whose commands these are, for clients that ask.
const version = "7.0.0"

func (c *client) ping(args [][]byte) {
	switch {
	case len(c.channels) > 0 && !c.resp3:
		c.array(2)
		c.text("pong")
		if len(args) == 0 {
			args = [][]byte{nil}
		}
		c.bulk(args[0])
	case len(args) == 1:
		c.bulk(args[0])
	default:
		c.answer("+PONG\r\n")
	}
}

func (c *client) quit([][]byte) {
	c.ok()
	c.close()
}

// selectDB has one data base only.
func (c *client) selectDB(args [][]byte) {
	if string(args[0]) != "0" {
		c.error("DB index is out of range")
		return
	}
	c.ok()
}

// hello is HELLO [2|3 [SETNAME name]]. There are no passwords.
func (c *client) hello(args [][]byte) {
	three, name := c.resp3, c.name
	for i := 0; i < len(args); i++ {
		switch word := args[i]; {
		case i == 0 && (string(word) == "2" || string(word) == "3"):
			three = string(word) == "3"
		case i == 0:
			c.answer("-NOPROTO unsupported protocol version\r\n")
			return
		case is(word, "SETNAME") && i+1 < len(args) && len(args[i+1]) <= maxName:
			i++
			name = string(args[i])
		default:
			c.error("syntax error in HELLO option '" + printable(word) + "'")
			return
		}
	}
	c.resp3, c.name = three, name
	c.pairs(7)
	for _, text := range []string{"server", "redis", "version", version, "mode", "standalone", "role", "master", "modules"} {
		c.text(text)
	}
	c.array(0)
	c.text("id")
	c.number(c.id)
	c.text("proto")
	if c.resp3 {
		c.number(3)
	} else {
		c.number(2)
	}
}

// maxName is the most bytes of the name of a client or a channel.
const maxName = 1024

// client is CLIENT, as far as clients use it when they connect.
func (c *client) client(args [][]byte) {
	switch sub := args[0]; {
	case is(sub, "ID") && len(args) == 1:
		c.number(c.id)
	case is(sub, "GETNAME") && len(args) == 1:
		c.text(c.name)
	case is(sub, "SETNAME") && len(args) == 2 && len(args[1]) <= maxName:
		c.name = string(args[1])
		c.ok()
	case is(sub, "SETINFO") && len(args) == 3: // the name and the version of its library
		c.ok()
	default:
		c.error("unknown subcommand or wrong number of arguments for '" + printable(sub) + "'")
	}
}

// config is CONFIG GET, as far as redis-benchmark uses it.
func (c *client) config(args [][]byte) {
	if !is(args[0], "GET") {
		c.error("only CONFIG GET is there")
		return
	}
	known := [][2]string{{"save", ""}, {"appendonly", "no"}, {"maxmemory", fmt.Sprint(or(c.server.MaxMemory, maxMemory))}}
	var found [][2]string
	for _, k := range known {
		for _, pattern := range args[1:] {
			if match, _ := matches(strings.ToLower(string(pattern)), k[0]); match {
				found = append(found, k)
				break
			}
		}
	}
	c.pairs(len(found))
	for _, k := range found {
		c.text(k[0])
		c.text(k[1])
	}
}

// list is COMMAND, COMMAND COUNT and COMMAND DOCS, of which there are none.
func (c *client) list(args [][]byte) {
	all := commands()
	switch {
	case len(args) == 0:
		c.array(len(all))
		for _, x := range all {
			c.described(&x)
		}
	case is(args[0], "COUNT"):
		c.number(int64(len(all)))
	case is(args[0], "DOCS"):
		c.pairs(0)
	default:
		c.error("unknown subcommand '" + printable(args[0]) + "'")
	}
}

// described answers with the name of a command and how many arguments it has, its name included: below
// zero if that is the least. What Redis says besides is left out.
func (c *client) described(x *command) {
	arity := int64(x.least + 1)
	if x.most > x.least {
		arity = -arity
	}
	c.array(6)
	c.text(strings.ToLower(x.name))
	c.number(arity)
	c.array(0)
	for range 3 {
		c.number(0)
	}
}

func (c *client) info([][]byte) {
	s := &c.server.store
	c.text(fmt.Sprintf("# Server\r\nredis_version:%s\r\n# Memory\r\nused_memory:%d\r\nmaxmemory:%d\r\n# Stats\r\ntotal_connections_received:%d\r\n# Keyspace\r\ndb0:keys=%d\r\n",
		version, s.used, or(c.server.MaxMemory, maxMemory), c.server.clients, len(s.all)))
}
