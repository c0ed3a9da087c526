package netconn

import (
	"net"
	"time"
)

// Unread is how many bytes wait for Read.
func Unread(c net.Conn) int {
	in := &connOf(c).in
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.unread.rest())
}

// Held is how many bytes of memory hold what waits for Read.
func Held(c net.Conn) int {
	in := &connOf(c).in
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.unread == nil {
		return 0
	}
	return cap(in.unread.b)
}

// Untaken is how many bytes Write has taken and the transport has not.
func Untaken(c net.Conn) int {
	o := &connOf(c).out
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.pending.rest())
}

// Blocked tells whether a Read and a Write of c wait.
func Blocked(c net.Conn) (read, write bool) {
	x := connOf(c)
	x.in.mu.Lock()
	read = x.in.waiting
	x.in.mu.Unlock()
	x.out.mu.Lock()
	write = x.out.waiting
	x.out.mu.Unlock()
	return read, write
}

func connOf(c net.Conn) *Conn {
	if s, ok := c.(*secured); ok {
		return s.Conn
	}
	return c.(*Conn)
}

// Kept is how many Conns the loop of c keeps. It is for the loop's goroutine.
func Kept(c *Conn) (n int) {
	for x := c.hub.live.First(); x != nil; x = c.hub.live.Next(x) {
		n++
	}
	return n
}

// Paused tells whether the place of l accepts nobody.
func Paused(l *Listener) bool {
	l.pausing.Lock()
	defer l.pausing.Unlock()
	return l.paused
}

// Served is how many connections of l goroutines have. It is for the goroutine of its only loop.
func Served(l *IdleListener) int { return l.loops[0].served.Len() }

// Ended tells whether l was closed, or has ended.
func Ended(l *Listener) bool { return l.failure() != nil }

// Lent tells whether the goroutine of c reads by itself.
func Lent(c net.Conn) bool {
	in := &connOf(c).in
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.aside != nil
}

// Deadline is that of Read.
func Deadline(c net.Conn) time.Time {
	in := &connOf(c).in
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.deadline
}
