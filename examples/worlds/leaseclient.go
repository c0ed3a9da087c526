package worlds

import (
	"fmt"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// asker is the client's connection to one of the nodes. It has one request at a time: first
// to add an entry, then for the length of the log.
type asker struct {
	receiver.Line
	w       *leases
	next    int    // the node to try after this one
	text    string // what it asked to add, "" for the length
	known   int    // when it asked
	turn    int
	timeout *reactor.DelayedCall
}

// ask connects to node i. If that does not answer, it tries another one.
func (w *leases) ask(r *reactor.Reactor, nodes []kernel.Addr, i int) {
	c := &asker{w: w, next: (i + 1) % len(nodes)}
	again := func(error) {
		r.CallLater(300*time.Millisecond, func() { w.ask(r, nodes, c.next) })
	}
	c.Delimiter = "\n"
	c.Made = func() {
		c.timeout = r.CallLater(0, c.ask)
	}
	c.LineReceived = func(line []byte) { c.answer(r, string(line)) }
	c.Lost = func(err error) { c.timeout.Cancel(); again(err) }
	dial(r, nodes[i], c, again)
}

func (c *asker) ask() {
	c.known, c.text = c.w.known, ""
	if c.turn++; c.turn%2 == 0 {
		fmt.Fprintln(c.T, "len")
	} else {
		c.w.asked++
		c.text = fmt.Sprintf("x%d", c.w.asked)
		fmt.Fprintln(c.T, "add", c.text)
	}
	c.timeout = c.T.Reactor().CallLater(3*time.Second, func() { c.T.Abort() })
}

func (c *asker) answer(r *reactor.Reactor, line string) {
	c.timeout.Cancel()
	var word string
	var number int
	fmt.Sscan(line, &word, &number)
	if word == "ok" {
		c.w.told(c.text, number, c.known)
		c.timeout = r.CallLater(400*time.Millisecond, c.ask)
		return
	}
	if number > 0 {
		c.next = number - 1
	}
	c.T.Close()
}
