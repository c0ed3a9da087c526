package kv

import (
	"math"
	"strconv"
	"time"
)

// The units of times.
const (
	second      = time.Second
	millisecond = time.Millisecond
)

const (
	notInteger = "value is not an integer or out of range"
	syntax     = "syntax error"
)

func (c *client) get(args [][]byte) { c.value(c.server.store.find(args[0])) }

// value answers with the value of e, which may be nil.
func (c *client) value(e *entry) {
	if e == nil {
		c.null()
		return
	}
	c.bulk(e.value)
}

func (c *client) mget(args [][]byte) {
	c.array(len(args))
	for _, key := range args {
		c.value(c.server.store.find(key))
	}
}

// set is SET key value [NX|XX] [EX seconds|PX milliseconds|KEEPTTL].
func (c *client) set(args [][]byte) {
	var o setOptions
	if len(args) > 2 && !c.setOptions(args[2:], &o) {
		return
	}
	s := &c.server.store
	if o.absent || o.present {
		if exists := s.find(args[0]) != nil; exists && o.absent || !exists && o.present {
			c.null()
			return
		}
	}
	e := s.set(args[0], args[1])
	if o.ttl > 0 {
		s.expire(c.T.Reactor(), e, o.ttl)
	} else if !o.keep {
		e.persist()
	}
	c.ok()
}

// setOptions are the options of SET.
type setOptions struct {
	absent, present, keep bool
	ttl                   time.Duration
}

// setOptions reads the options of SET. If they are wrong it answers so, and returns false.
func (c *client) setOptions(args [][]byte, o *setOptions) bool {
	for i := 0; i < len(args); i++ {
		unit := time.Duration(0)
		switch word := args[i]; {
		case is(word, "NX"):
			o.absent = true
		case is(word, "XX"):
			o.present = true
		case is(word, "KEEPTTL"):
			o.keep = true
		case is(word, "EX"):
			unit = second
		case is(word, "PX"):
			unit = millisecond
		default:
			c.error(syntax)
			return false
		}
		if unit == 0 {
			continue
		}
		if i++; i == len(args) || o.ttl != 0 {
			c.error(syntax)
			return false
		}
		var ok bool
		if o.ttl, ok = span(args[i], unit); !ok || o.ttl <= 0 {
			c.error("invalid expire time in 'set' command")
			return false
		}
	}
	if o.absent && o.present || o.keep && o.ttl != 0 {
		c.error(syntax)
		return false
	}
	return true
}

func (c *client) mset(args [][]byte) {
	if len(args)%2 != 0 {
		c.error("wrong number of arguments for 'mset' command")
		return
	}
	for i := 0; i < len(args); i += 2 {
		c.server.store.set(args[i], args[i+1]).persist()
	}
	c.ok()
}

func (c *client) strlen(args [][]byte) {
	n := 0
	if e := c.server.store.find(args[0]); e != nil {
		n = len(e.value)
	}
	c.number(int64(n))
}

func (c *client) append(args [][]byte) {
	s := &c.server.store
	e := s.find(args[0])
	switch {
	case e == nil:
		e = s.set(args[0], args[1])
	case len(e.value)+len(args[1]) > or(c.server.MaxBulk, maxBulk):
		c.error("string exceeds maximum allowed size")
		return
	default:
		s.append(e, args[1])
	}
	c.number(int64(len(e.value)))
}

// addText adds a number that was sent.
func (c *client) addText(args [][]byte, sign int64) {
	n, err := strconv.ParseInt(string(args[1]), 10, 64)
	if err != nil || n == math.MinInt64 {
		c.error(notInteger)
		return
	}
	c.add(args[0], sign*n)
}

// add adds n to a value.
func (c *client) add(key []byte, n int64) {
	before := int64(0)
	if e := c.server.store.find(key); e != nil {
		var err error
		if before, err = strconv.ParseInt(string(e.value), 10, 64); err != nil {
			c.error(notInteger)
			return
		}
	}
	after := before + n
	if n > 0 && after < before || n < 0 && after > before {
		c.error("increment or decrement would overflow")
		return
	}
	var text [20]byte
	c.server.store.set(key, strconv.AppendInt(text[:0], after, 10))
	c.number(after)
}

// span reads a time.
func span(p []byte, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseInt(string(p), 10, 64)
	if most := math.MaxInt64 / int64(unit); err != nil || n > most || n < -most {
		return 0, false
	}
	return time.Duration(n) * unit, true
}
