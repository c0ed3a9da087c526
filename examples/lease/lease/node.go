// Package lease is a log on several hosts, such as three, and a lease on it. A majority
// elects one of them leader for a term. The leader adds entries to the log. An entry that a
// majority has on disk is never lost. While a majority promises to elect nobody else, the
// leader holds the lease: it may tell the length of the log without asking the others.
//
// The rules are those of Raft, with one entry in a message and without snapshots.
package lease

import (
	"fmt"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
)

// A node that receives a leader's request promises to vote for nobody for the time Promise,
// by its own clock. The leader holds the lease for the shorter time Hold, by its own clock,
// from when it sent the request. The clocks may show different times, but they must run
// equally fast: the lease is safe while no clock is a tenth too fast or too slow, because
// 0.8s/0.9 < 1s/1.1. Beat is the time between two requests of a leader.
const (
	Promise = 1000 * time.Millisecond
	Hold    = 800 * time.Millisecond
	Beat    = 250 * time.Millisecond
)

// longest is the longest entry that is accepted, in bytes. It must be shorter than the longest
// line, and fit into what may be buffered for a slow node.
const longest = 1000

// Disk is the state that survives a crash. This one counts as stored at once. A real one
// would write a file, and sync it, before anything is sent.
type Disk struct {
	Term int     // the latest term that this node knows
	Vote int     // the node that got this node's vote in Term; 0: none
	Log  []Entry // the first entry has index 1
}

// Entry is one entry of the log, with the term of the leader that added it. A new leader
// adds one without text.
type Entry struct {
	Term int
	Text string
}

// Node is one of the hosts. Its exported fields are set before Start. Everything is for the
// loop's goroutine.
type Node struct {
	// ID counts from 1. Nodes are the addresses of all nodes, this one included.
	ID    int
	Nodes []kernel.Addr
	// Disk is this node's disk. After a crash it must be the same one.
	Disk *Disk
	// Random draws how long this node waits before it becomes a candidate.
	Random retry.Source
	// Tap, if set, gets each message of another node before the node acts on it.
	Tap func(m *Message)

	r        *reactor.Reactor
	role     role
	leader   int           // of this term; 0 if it is not known
	commit   int           // how many entries are known to be on a majority of disks
	promised time.Duration // until then this node votes for nobody
	first    int           // the index of the first entry of this leader
	peers    []*peer       // by ID-1, this node included
	timer    reactor.DelayedCall
	adding   []adding
}

type role uint8

const (
	follower role = iota
	candidate
	leader
)

// adding is an entry that a client waits for.
type adding struct {
	index int
	conn  *conn
}

// Start listens, connects to the other nodes, and takes part.
func (n *Node) Start(r *reactor.Reactor) error {
	n.r = r
	if _, err := r.Listen(n.Nodes[n.ID-1], reactor.FactoryFunc(n.accept), nil); err != nil {
		return err
	}
	for i, addr := range n.Nodes {
		p := &peer{n: n, addr: addr}
		n.peers = append(n.peers, p)
		if p.again.Init(r, p.dial); i+1 != n.ID {
			p.dial()
		}
	}
	n.timer.Init(r, n.timeUp)
	n.promise() // a promise from before a crash is not on disk, so it is made again
	return nil
}

// Leads tells whether this node believes that it is the leader, and returns its term.
func (n *Node) Leads() (term int, ok bool) { return n.Disk.Term, n.role == leader }

// Committed is how many entries this node knows to be committed.
func (n *Node) Committed() int { return n.commit }

// Holds tells whether this node holds the lease now. It does if a majority has promised, and
// if this node knows everything that former leaders have committed.
func (n *Node) Holds() bool {
	granted := func(p *peer) int64 { return int64(p.granted) }
	return n.role == leader && n.commit >= n.first && n.r.Now() < time.Duration(n.majority(granted))+Hold
}

// majority is the greatest number that more than half of the nodes have reached.
func (n *Node) majority(of func(*peer) int64) int64 {
	all := make([]int64, 0, 7) // on the stack, for up to seven nodes
	for _, p := range n.peers {
		all = append(all, of(p))
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}

// promise promises to vote for nobody for a while.
func (n *Node) promise() {
	n.promised = n.r.Now() + Promise
	n.wait()
}

// wait sets the time at which this node becomes a candidate. It is after the promise ends.
func (n *Node) wait() { n.timer.Reset(Promise + time.Duration(n.Random.Float64()*float64(Promise))) }

// timeUp is called when a leader's next requests are due, and when another node has heard
// from no leader for too long.
func (n *Node) timeUp() {
	if n.role == leader {
		n.beat()
		return
	}
	n.follow(n.Disk.Term + 1)
	n.role, n.Disk.Vote = candidate, n.ID
	for _, p := range n.peers {
		p.voted = p == n.peers[n.ID-1]
	}
	n.wait()
	for id := range n.others() {
		n.send(id, Message{Kind: "vote", Index: len(n.Disk.Log), LogTerm: n.termOf(len(n.Disk.Log))})
	}
}

// follow enters a term as a follower. Entries that clients wait for may be lost now, or may
// not. So the clients get no answer, and their connections are closed.
func (n *Node) follow(term int) {
	if n.role == leader {
		n.wait()
	}
	if term > n.Disk.Term {
		n.Disk.Term, n.Disk.Vote, n.leader = term, 0, 0
	}
	n.role = follower
	for _, a := range n.adding {
		a.conn.T.Close()
	}
	n.adding = nil
}

// lead begins the term of this node as leader, with an entry of its own. Entries of former
// leaders count as committed only when that entry does.
func (n *Node) lead() {
	n.role, n.leader, n.first = leader, n.ID, len(n.Disk.Log)+1
	for _, p := range n.peers {
		p.next, p.match, p.granted = n.first, 0, -Hold
	}
	n.add("")
	n.beat()
}

func (n *Node) add(text string) {
	n.Disk.Log = append(n.Disk.Log, Entry{n.Disk.Term, text})
	n.peers[n.ID-1].match = len(n.Disk.Log)
}

func (n *Node) beat() {
	n.peers[n.ID-1].granted = n.r.Now()
	n.timer.Reset(Beat)
	for id := range n.others() {
		n.replicate(id)
	}
}

// replicate sends a node the first entry that it lacks. Without one, the message is a
// heartbeat.
func (n *Node) replicate(id int) {
	prev := n.peers[id-1].next - 1
	m := Message{Kind: "append", Index: prev, LogTerm: n.termOf(prev), Commit: n.commit, Sent: n.r.Now()}
	if prev < len(n.Disk.Log) {
		m.Entry = &n.Disk.Log[prev]
	}
	n.send(id, m)
}

// termOf is the term of the entry at an index.
func (n *Node) termOf(index int) int {
	if index == 0 {
		return 0
	}
	return n.Disk.Log[index-1].Term
}

// line answers a line of a client.
func (n *Node) line(c *conn, verb, text string) {
	switch {
	case verb == "add" && len(text) > longest:
		fmt.Fprintln(c.T, "too long")
	case verb == "add" && n.role == leader:
		n.add(text)
		n.adding = append(n.adding, adding{len(n.Disk.Log), c})
		for id, p := range n.others() {
			if p.next == len(n.Disk.Log) { // otherwise it still lacks entries before this one
				n.replicate(id)
			}
		}
	case verb == "len" && n.Holds():
		fmt.Fprintf(c.T, "ok %d\n", n.commit)
	default:
		fmt.Fprintf(c.T, "no %d\n", n.leader) // the client may ask that node
	}
}
