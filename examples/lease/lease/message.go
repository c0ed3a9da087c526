package lease

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Message is one line that a node sends to another.
type Message struct {
	// Kind is one of these:
	//   - "vote", the question of a candidate, and "voted", the answer;
	//   - "append", the request of a leader, and "appended" or "missing", the answers;
	//   - "stale", the answer to a node in an older term.
	Kind string
	From int
	Term int
	// Index is the index of the entry before Entry, or of the last entry in the log.
	// LogTerm is the term of that entry.
	Index, LogTerm int
	// Commit is how many entries are committed.
	Commit int
	// Sent is when the leader sent its request, by its own clock. The answer has the same
	// value.
	Sent time.Duration
	// Entry is the entry to append. Nil: none.
	Entry *Entry
}

// String is the message as a line, such as "append 1 3 7 2 6 12500000000 3 hello".
func (m Message) String() string {
	line := fmt.Sprintf("%s %d %d %d %d %d %d", m.Kind, m.From, m.Term, m.Index, m.LogTerm, m.Commit, m.Sent)
	if m.Entry != nil {
		line += fmt.Sprintf(" %d %s", m.Entry.Term, m.Entry.Text)
	}
	return line
}

// parse is the reverse of String.
func parse(line string) (m Message, ok bool) {
	words := strings.SplitN(line, " ", 9)
	var numbers [7]int64
	for i := range numbers[:min(len(words)-1, 7)] {
		var err error
		if numbers[i], err = strconv.ParseInt(words[i+1], 10, 64); err != nil {
			return m, false
		}
	}
	m = Message{Kind: words[0], From: int(numbers[0]), Term: int(numbers[1]), Index: int(numbers[2]),
		LogTerm: int(numbers[3]), Commit: int(numbers[4]), Sent: time.Duration(numbers[5])}
	if len(words) == 9 {
		m.Entry = &Entry{int(numbers[6]), words[8]}
	}
	return m, len(words) == 7 || len(words) == 9
}

// receive acts on a message.
func (n *Node) receive(m *Message) {
	if n.Tap != nil {
		n.Tap(m)
	}
	asks := m.Kind == "vote" || m.Kind == "append"
	switch {
	case m.Kind == "vote" && (n.r.Now() < n.promised || n.Holds()):
		return // as far as this node knows, there is a leader
	case m.Term < n.Disk.Term:
		if asks {
			n.send(m.From, Message{Kind: "stale"})
		}
		return
	case m.Term > n.Disk.Term:
		n.follow(m.Term)
	}
	p := n.peers[m.From-1]
	switch m.Kind {
	case "vote":
		n.vote(m)
	case "append":
		n.append(m)
	case "voted":
		if p.voted = true; n.role == candidate && n.majority((*peer).vote) == 1 {
			n.lead()
		}
	case "appended", "missing":
		if n.role == leader {
			n.answered(p, m)
		}
	}
}

// vote gives m's sender the vote of this term, if nobody else has it and the sender's log
// has every entry that may be committed.
func (n *Node) vote(m *Message) {
	last := len(n.Disk.Log)
	term := n.termOf(last)
	whole := m.LogTerm > term || m.LogTerm == term && m.Index >= last
	if whole && (n.Disk.Vote == 0 || n.Disk.Vote == m.From) {
		n.Disk.Vote = m.From
		n.wait()
		n.send(m.From, Message{Kind: "voted"})
	}
}

// append does what the leader of this term requests.
func (n *Node) append(m *Message) {
	n.follow(m.Term)
	n.leader = m.From
	n.promise()
	log, i := n.Disk.Log, m.Index
	if i > len(log) || n.termOf(i) != m.LogTerm {
		n.send(m.From, Message{Kind: "missing", Index: min(len(log), i-1), Sent: m.Sent})
		return
	}
	if m.Entry != nil {
		if i < len(log) && log[i].Term != m.Entry.Term {
			log = log[:i] // a former leader added the rest, and no majority has it
		}
		if i == len(log) {
			log = append(log, *m.Entry)
		}
		i++
	}
	n.Disk.Log = log
	n.commit = max(n.commit, min(m.Commit, i)) // entries after i may differ from the leader's
	n.send(m.From, Message{Kind: "appended", Index: i, Sent: m.Sent})
}

// answered notes which entries p has, and its promise.
func (n *Node) answered(p *peer, m *Message) {
	p.granted = max(p.granted, m.Sent) // the promise counts from our request, not from the answer
	behind := false
	switch {
	case m.Kind == "missing" && m.Index+1 < p.next:
		p.next = max(p.match, m.Index) + 1
		behind = true
	case m.Kind == "appended" && m.Index >= p.match:
		behind = m.Index > p.match
		p.match, p.next = m.Index, m.Index+1
	}
	if behind && p.next <= len(n.Disk.Log) {
		n.replicate(m.From)
	}
	safe := int(n.majority(func(p *peer) int64 { return int64(p.match) }))
	if safe <= n.commit || n.termOf(safe) != n.Disk.Term {
		return
	}
	n.commit = safe
	for len(n.adding) > 0 && n.adding[0].index <= safe {
		fmt.Fprintf(n.adding[0].conn.T, "ok %d\n", n.adding[0].index)
		n.adding = n.adding[1:]
	}
}
