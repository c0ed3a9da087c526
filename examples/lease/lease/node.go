// Package lease is a log on several hosts, three say, and a lease on it. One of them
// leads, elected by a majority for a term. It adds to the log, and an entry that a
// majority has on disk is never lost. As long as a majority promises to elect nobody
// else, the leader holds the lease: it may answer alone how long the log is.
//
// The rules are those of Raft, with one entry a message and without snapshots.
package lease

import (
	"fmt"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
)

// Who hears from a leader promises to vote for nobody for so long, by its own clock,
// from when it heard. The leader holds the lease for less, by its own clock, from when
// it asked. What clocks show does not matter; how fast they run does: the lease is safe
// while none is a tenth too fast or too slow, as 0.8s/0.9 < 1s/1.1.
const (
	Promise = 1000 * time.Millisecond
	Hold    = 800 * time.Millisecond
	Beat    = 250 * time.Millisecond // of the leader's heart
)

// longest is how long an entry may be, in bytes: less than what a line may have, and
// than what may wait for a node that is slow.
const longest = 1000

// Disk is what survives a crash. What is stored in it is taken to be safe at once; a
// real one would write a file, and sync it, before anything is sent.
type Disk struct {
	Term int     // the latest that was heard of
	Vote int     // who got this node's vote in it, 0 for nobody
	Log  []Entry // the first has index 1
}

// Entry is one of the log, and the term of the leader who added it. A new leader adds
// one without text.
type Entry struct {
	Term int
	Text string
}

// Node is one of the hosts. Its exported fields are set before Start; all of it happens
// on the loop's goroutine.
type Node struct {
	// ID counts from 1, and Nodes are the addresses of all, this one included.
	ID    int
	Nodes []kernel.Addr
	// Disk is this node's, and after a crash the same.
	Disk *Disk
	// Random is the source of chance: who loses patience first.
	Random retry.Source
	// Tap, unless nil, sees each message of another node before it is acted on.
	Tap func(m *Message)

	r        *reactor.Reactor
	role     role
	leader   int           // of this term, 0 if it is not known
	commit   int           // so many entries are known to be on a majority of disks
	promised time.Duration // to vote for nobody until then
	born     int           // the entry with which this leader began
	peers    []*peer       // by ID-1, this node included
	wake     reactor.DelayedCall
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
	n.wake.Init(r, n.awake)
	n.promise() // what was promised before a crash is not on disk
	return nil
}

// Leads tells whether this node believes to lead, and the term it is in.
func (n *Node) Leads() (term int, ok bool) { return n.Disk.Term, n.role == leader }

// Committed is how many entries this node knows to be safe.
func (n *Node) Committed() int { return n.commit }

// Holds tells whether this node holds the lease now: a majority has promised, and what
// leaders before it have committed is known.
func (n *Node) Holds() bool {
	granted := func(p *peer) int64 { return int64(p.granted) }
	return n.role == leader && n.commit >= n.born && n.r.Now() < time.Duration(n.majority(granted))+Hold
}

// majority is the most that more than half of the nodes have reached.
func (n *Node) majority(of func(*peer) int64) int64 {
	all := make([]int64, 0, 7) // so that it needs no allocation
	for _, p := range n.peers {
		all = append(all, of(p))
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}

// promise lets the leader lead for a while; patience ends some time after.
func (n *Node) promise() {
	n.promised = n.r.Now() + Promise
	n.wait()
}

func (n *Node) wait() { n.wake.Reset(Promise + time.Duration(n.Random.Float64()*float64(Promise))) }

// awake is called when a leader's heart beats, and when others have lost patience.
func (n *Node) awake() {
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

// follow enters a term, as nobody's leader. What clients wait for may get lost now, or
// not: they are told neither.
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

// lead begins a leader's term with an entry of its own: entries of former leaders are
// safe only together with it.
func (n *Node) lead() {
	n.role, n.leader, n.born = leader, n.ID, len(n.Disk.Log)+1
	for _, p := range n.peers {
		p.next, p.match, p.granted = n.born, 0, -Hold
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
	n.wake.Reset(Beat)
	for id := range n.others() {
		n.replicate(id)
	}
}

// replicate sends a node what it lacks first; nothing new is a heart-beat.
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

// line is what a client says.
func (n *Node) line(c *conn, verb, text string) {
	switch {
	case verb == "add" && len(text) > longest:
		fmt.Fprintln(c.T, "too long")
	case verb == "add" && n.role == leader:
		n.add(text)
		n.adding = append(n.adding, adding{len(n.Disk.Log), c})
		for id, p := range n.others() {
			if p.next == len(n.Disk.Log) { // else it is behind, and will come to it
				n.replicate(id)
			}
		}
	case verb == "len" && n.Holds():
		fmt.Fprintf(c.T, "ok %d\n", n.commit)
	default:
		fmt.Fprintf(c.T, "no %d\n", n.leader) // ask that one
	}
}
