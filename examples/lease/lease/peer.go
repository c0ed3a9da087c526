package lease

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// silence is how long a connection to us may be silent before it is ended. A peer that has
// crashed cannot close it. A node that only had nothing to send connects again.
const silence = 30 * time.Second

// buffered is how many bytes may be buffered for a node that reads none. Beyond that the
// connection ends: messages that old are of no use, and a new connection may work.
const buffered = 4 << 10

// peer is a node, and our connection to it. A lost connection is made again. Messages that
// are sent meanwhile are lost.
type peer struct {
	reactor.Base
	n     *Node
	addr  kernel.Addr
	again reactor.DelayedCall

	voted   bool          // it voted for us in this term
	next    int           // the index of the entry to send next
	match   int           // how many of our entries it has
	granted time.Duration // when we sent the request for its latest promise
}

func (p *peer) vote() int64 {
	if p.voted {
		return 1
	}
	return 0
}

func (p *peer) dial() {
	build := reactor.One(p)
	limit := &reactor.DialConfig{StreamConfig: reactor.StreamConfig{MaxBuffered: buffered}}
	p.n.r.Dial(p.addr, build, limit, func(_ reactor.Protocol, err error) {
		if err != nil {
			p.again.Reset(Beat)
		}
	})
}

// DataReceived does nothing: nodes answer on connections of their own.
func (p *peer) DataReceived([]byte) {}

// ConnectionLost connects again, later.
func (p *peer) ConnectionLost(error) {
	p.T = nil
	p.again.Reset(Beat)
}

// send sends a message to a node, if there is a connection.
func (n *Node) send(id int, m Message) {
	m.From, m.Term = n.ID, n.Disk.Term
	if t := n.peers[id-1].T; t != nil {
		fmt.Fprintln(t, m)
	}
}

// others iterates over all nodes but this one, in the order of their IDs.
func (n *Node) others() iter.Seq2[int, *peer] {
	return func(yield func(int, *peer) bool) {
		for i, p := range n.peers {
			if i+1 != n.ID && !yield(i+1, p) {
				return
			}
		}
	}
}

// conn is a connection to us, from a node or a client. Whatever it sends is believed. On a
// network that others can reach, use TLS with client certificates.
type conn struct {
	receiver.Line
	silence reactor.DelayedCall
}

func (n *Node) accept(kernel.Addr) reactor.Protocol {
	c := new(conn)
	c.Delimiter = "\n"
	c.silence.Init(n.r, func() { c.T.Abort() })
	c.Made = func() { c.silence.Reset(silence) }
	c.Lost = func(error) { c.silence.Cancel() }
	c.LineReceived = func(line []byte) {
		c.silence.Reset(silence)
		if m, ok := parse(string(line)); ok && m.From > 0 && m.From <= len(n.peers) {
			n.receive(&m)
			return
		}
		verb, text, _ := strings.Cut(string(line), " ")
		n.line(c, verb, text)
	}
	return c
}
