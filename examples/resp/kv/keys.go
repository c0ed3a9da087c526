package kv

import (
	"math"
	"strconv"
	"time"
)

func (c *client) del(args [][]byte) {
	s, n := &c.server.store, int64(0)
	for _, key := range args {
		if e := s.find(key); e != nil {
			s.remove(e)
			n++
		}
	}
	c.number(n)
}

func (c *client) exists(args [][]byte) {
	n := int64(0)
	for _, key := range args {
		if c.server.store.find(key) != nil {
			n++
		}
	}
	c.number(n)
}

func (c *client) kind(args [][]byte) {
	if c.server.store.find(args[0]) == nil {
		c.answer("+none\r\n")
		return
	}
	c.answer("+string\r\n")
}

func (c *client) flushAll([][]byte) {
	c.server.store.clear()
	c.ok()
}

// expireBy returns EXPIRE with a unit. A time that is over removes the key.
func expireBy(unit time.Duration) func(*client, [][]byte) {
	return func(c *client, args [][]byte) {
		s := &c.server.store
		ttl, ok := span(args[1], unit)
		e := s.find(args[0])
		switch {
		case !ok:
			c.error(notInteger)
			return
		case e == nil:
			c.number(0)
			return
		case ttl > 0:
			s.expire(c.T.Reactor(), e, ttl)
		default:
			s.remove(e)
		}
		c.number(1)
	}
}

func (c *client) persist(args [][]byte) {
	if e := c.server.store.find(args[0]); e != nil && e.persist() {
		c.number(1)
		return
	}
	c.number(0)
}

// left returns TTL with a unit.
func left(unit time.Duration) func(*client, [][]byte) {
	return func(c *client, args [][]byte) {
		switch e := c.server.store.find(args[0]); {
		case e == nil:
			c.number(-2)
		case e.expires == nil:
			c.number(-1)
		default:
			left := max(0, e.expires.Due()-c.T.Reactor().Now())
			c.number(int64(left.Round(unit) / unit))
		}
	}
}

// keys goes through all keys, while everybody waits. SCAN does not.
func (c *client) keys(args [][]byte) {
	s := &c.server.store
	if found, _, ok := s.matching(string(args[0]), 0, len(s.all), math.MaxInt); ok {
		c.texts(found)
	} else {
		c.error(tooLong)
	}
}

const tooLong = "the pattern takes too long"

// scanned is about how many bytes of keys a SCAN goes through.
const scanned = 64 << 10

// matching scans keys, of about that many bytes, for those that match pattern. ok is false if that takes too long.
func (s *store) matching(pattern string, cursor, count, bytes int) (found []string, next int, ok bool) {
	ok = true
	next = s.scan(cursor, count, bytes, func(e *entry) {
		if !ok {
			return
		}
		var match bool
		if match, ok = matches(pattern, e.key); match {
			found = append(found, e.key)
		}
	})
	return found, next, ok
}

// scan is SCAN cursor [MATCH pattern] [COUNT count]. A count above a thousand is a thousand, and
// long keys are fewer, so that nobody waits long.
func (c *client) scan(args [][]byte) {
	cursor, err := strconv.Atoi(string(args[0]))
	if err != nil || cursor < 0 {
		c.error("invalid cursor")
		return
	}
	pattern, count := "*", 10
	if len(args)%2 == 0 {
		c.error(syntax)
		return
	}
	for i := 1; i < len(args); i += 2 {
		switch {
		case is(args[i], "MATCH"):
			pattern = string(args[i+1])
		case is(args[i], "COUNT"):
			if count, err = strconv.Atoi(string(args[i+1])); err != nil || count <= 0 {
				c.error(syntax)
				return
			}
		default:
			c.error(syntax)
			return
		}
	}
	found, next, ok := c.server.store.matching(pattern, cursor, min(count, 1000), scanned)
	if !ok {
		c.error(tooLong)
		return
	}
	c.array(2)
	c.text(strconv.Itoa(next))
	c.texts(found)
}

// texts answers with several texts.
func (c *client) texts(texts []string) {
	c.array(len(texts))
	for _, text := range texts {
		c.text(text)
	}
}

// matches tells whether text matches a pattern: * is any bytes, ? one byte, [a-c] or [^a-c] one of a
// set, and a backslash takes the next byte as it is. A * is tried again only with the next byte of
// the text, never with an earlier *, so the work is at most the product of the lengths. Of long ones that
// is too much: ok is false if it has looked at 64 times as many bytes as there are. A pattern of
// more than maxName bytes matches nothing.
func matches(pattern, text string) (found, ok bool) {
	star, again := -1, 0 // behind the last *, and where in the text it is tried next
	p, t := 0, 0
	if len(pattern) > maxName {
		return false, true
	}
	for left := 64 * (len(pattern) + len(text)); t < len(text); {
		if p < len(pattern) && pattern[p] == '*' {
			if p++; p == len(pattern) {
				return true, true
			}
			star, again = p, t
			continue
		}
		n, is := one(pattern[p:], text[t])
		if left -= n + 1; left < 0 {
			return false, false
		}
		switch {
		case is:
			p += n
			t++
		case star < 0:
			return false, true
		default:
			again++
			p, t = star, again
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern), true
}

// one tells how many bytes of pattern are for one byte, and whether c matches them.
func one(pattern string, c byte) (n int, is bool) {
	switch {
	case pattern == "":
		return 0, false
	case pattern[0] == '?':
		return 1, true
	case pattern[0] == '\\' && len(pattern) > 1:
		return 2, pattern[1] == c
	case pattern[0] == '[':
		return set(pattern, c)
	}
	return 1, pattern[0] == c
}

// set is one for a pattern that begins with "[".
func set(pattern string, c byte) (n int, is bool) {
	i, not, found := 1, false, false
	if i < len(pattern) && pattern[i] == '^' {
		not = true
		i++
	}
	for ; i < len(pattern) && pattern[i] != ']'; i++ {
		from := pattern[i]
		to := from
		if i+2 < len(pattern) && pattern[i+1] == '-' && pattern[i+2] != ']' {
			to = pattern[i+2]
			i += 2
		}
		found = found || from <= c && c <= to
	}
	if i == len(pattern) {
		return i, false
	}
	return i + 1, found != not
}
