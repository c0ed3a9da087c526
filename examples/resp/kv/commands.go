package kv

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// command carries out one command. arity is checked first, so that the commands need not.
func (c *client) command(name string, args []string) {
	least, most := arity(name)
	switch {
	case most < 0:
		c.error("unknown command '" + strings.ToValidUTF8(short(name), "?") + "'")
	case len(args) < least || len(args) > most:
		c.error("wrong number of arguments for '" + name + "'")
	case len(c.channels) > 0 && !slices.Contains([]string{"SUBSCRIBE", "UNSUBSCRIBE", "PING", "QUIT"}, name):
		c.error("only SUBSCRIBE, UNSUBSCRIBE, PING and QUIT are allowed in this context")
	default:
		c.known(name, args)
	}
}

// arity is how many arguments a command has, and -1 if there is no such command.
func arity(name string) (least, most int) {
	switch name {
	case "QUIT":
		return 0, 0
	case "PING":
		return 0, 1
	case "ECHO", "GET", "INCR", "TTL":
		return 1, 1
	case "EXPIRE", "PUBLISH":
		return 2, 2
	case "SET":
		return 2, 4
	case "DEL", "SUBSCRIBE":
		return 1, math.MaxInt
	case "UNSUBSCRIBE":
		return 0, math.MaxInt
	}
	return 0, -1
}

func (c *client) known(name string, args []string) {
	switch name {
	case "PING":
		c.ping(args)
	case "ECHO":
		c.bulks(args[0])
	case "GET":
		if e := c.server.keys[args[0]]; e != nil {
			c.bulks(e.value)
			return
		}
		c.write("$-1\r\n")
	case "SET":
		c.set(args)
	case "DEL":
		n := int64(0)
		for _, key := range args {
			if c.server.del(key) {
				n++
			}
		}
		c.number(n)
	case "INCR":
		c.incr(args[0])
	case "EXPIRE":
		c.expire(args[0], args[1])
	case "TTL":
		c.ttl(args[0])
	case "PUBLISH":
		c.number(int64(c.server.publish(args[0], args[1])))
	case "SUBSCRIBE":
		for _, channel := range args {
			c.server.subscribe(c, channel)
			c.subscribed("subscribe", channel)
		}
	case "UNSUBSCRIBE":
		if len(args) == 0 {
			args = slices.Clone(c.channels)
		}
		for _, channel := range args {
			c.server.unsubscribe(c, channel)
			c.subscribed("unsubscribe", channel)
		}
	case "QUIT":
		c.ok()
		c.T.Close()
	}
}

func (c *client) ping(args []string) {
	switch {
	case len(c.channels) > 0:
		c.T.Write(appendBulks([]byte("*2\r\n"), "pong", strings.Join(args, "")))
	case len(args) == 1:
		c.bulks(args[0])
	default:
		c.write("+PONG\r\n")
	}
}

func (c *client) set(args []string) {
	ttl := time.Duration(0)
	if len(args) > 2 {
		var ok bool
		if ttl, ok = seconds(args[len(args)-1]); len(args) != 4 || !strings.EqualFold(args[2], "EX") || !ok || ttl <= 0 {
			c.error("syntax error")
			return
		}
	}
	c.server.set(c.T.Reactor(), args[0], args[1], ttl)
	c.ok()
}

func (c *client) incr(key string) {
	e := c.server.keys[key]
	if e == nil {
		c.server.set(c.T.Reactor(), key, "1", 0)
		c.number(1)
		return
	}
	n, err := strconv.ParseInt(e.value, 10, 64)
	if err != nil || n == math.MaxInt64 {
		c.error("value is not an integer or out of range")
		return
	}
	e.value = strconv.FormatInt(n+1, 10)
	c.number(n + 1)
}

func (c *client) expire(key, text string) {
	ttl, ok := seconds(text)
	e := c.server.keys[key]
	switch {
	case !ok:
		c.error("value is not an integer or out of range")
	case e == nil:
		c.number(0)
	default:
		if ttl > 0 {
			e.expires.Reset(ttl)
		} else {
			c.server.del(key)
		}
		c.number(1)
	}
}

func (c *client) ttl(key string) {
	switch e := c.server.keys[key]; {
	case e == nil:
		c.number(-2)
	case !e.expires.Active():
		c.number(-1)
	default:
		left := e.expires.Due() - c.T.Reactor().Now()
		c.number(int64(left.Round(time.Second) / time.Second))
	}
}

func (c *client) subscribed(what, channel string) {
	c.T.Write(appendBulks([]byte("*3\r\n"), what, channel))
	c.number(int64(len(c.channels)))
}

func seconds(text string) (time.Duration, bool) {
	n, err := strconv.Atoi(text)
	if err != nil || n > math.MaxInt32 || n < math.MinInt32 {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}

func short(text string) string { return text[:min(len(text), 64)] }
