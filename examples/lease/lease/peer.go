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

// silence is how long somebody who connected may say nothing. Who crashed cannot say
// that it is gone; a node that only had nothing to say connects again.
const silence = 30 * time.Second

// buffered is how many bytes may wait for a node that takes none. Then the connection
// ends: what is that old is of no use, and a new one may work.
const buffered = 4 << 10

// peer is a node, and the connection on which we talk to it. It is made again whenever
// it is lost; what is said meanwhile is lost too.
type peer struct {
	reactor.Base
	n     *Node
	addr  kernel.Addr
	again reactor.DelayedCall

	voted   bool          // for us, in this term
	next    int           // the entry to send next
	match   int           // so many entries are there
	granted time.Duration // when we asked for the latest promise it gave
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

// DataReceived is for nobody: nodes answer on connections of their own.
func (p *peer) DataReceived([]byte) {}

// ConnectionLost connects again, later.
func (p *peer) ConnectionLost(error) {
	p.T = nil
	p.again.Reset(Beat)
}

// send tells a node something, if there is a connection.
func (n *Node) send(id int, m Message) {
	m.From, m.Term = n.ID, n.Disk.Term
	if t := n.peers[id-1].T; t != nil {
		fmt.Fprintln(t, m)
	}
}

// others walks all nodes but this one, by ID.
func (n *Node) others() iter.Seq2[int, *peer] {
	return func(yield func(int, *peer) bool) {
		for i, p := range n.peers {
			if i+1 != n.ID && !yield(i+1, p) {
				return
			}
		}
	}
}

// conn is somebody who connected: a node or a client. It is believed, whatever it says;
// on a network that others can reach, put TLS with certificates below.
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
