package device

import (
	"io"
	"os"
	"syscall"

	"github.com/whorl-go/whorl/reactor"
)

// scanMode is why a directory is listed. Of two reasons the greater counts.
type scanMode uint8

const (
	scanNone   scanMode = iota
	scanQuiet           // it was there when the watch began: nothing is told
	scanAgain           // the path was added again: the same, and the system is told which events are wanted now
	scanVerify          // it was moved: it and all below it may be other directories than we think
	scanNew             // it is new: what is in it is told
	scanAll             // events were lost: it and all below it is told, and what is not there is dropped
)

// jobs are directories to list, and watches to end, in turns to come.
type jobs struct {
	call      reactor.DelayedCall
	queue     []*node // from head on
	head      int
	condemned []*node
	settling  []*node // listed; their told can be forgotten when all events until now were read

	dir *os.File // of the first in the queue, if it has begun
	id  uint64   // of that list
}

// scanBudget is how many names and watches a turn deals with.
const scanBudget = 256

// queue has c listed.
func (n *Notifier) queue(c *node, mode scanMode) {
	j := &n.jobs
	mode, c.owed = max(mode, c.owed), scanNone
	switch {
	case c.job == scanNone:
		c.w.waiting++
		j.queue = append(j.queue, c)
	case mode > c.job && j.queue[j.head] == c && j.dir != nil:
		j.begin() // again
	}
	c.job = max(c.job, mode)
	if c.job >= scanNew && (c.told == nil || mode == scanAll) {
		c.told = make(map[string]struct{})
	}
	if !j.call.Active() {
		j.call.Reset(0)
	}
}

// condemn has the watches of c and of all below it end.
func (n *Notifier) condemn(c *node) {
	n.jobs.condemned = append(n.jobs.condemned, c)
	if !n.jobs.call.Active() {
		n.jobs.call.Reset(0)
	}
}

// begin closes the directory in progress.
func (j *jobs) begin() {
	if j.dir != nil {
		_ = j.dir.Close() // only read
		j.dir = nil
	}
}

// drop forgets everything.
func (j *jobs) drop() {
	j.begin()
	j.call.Cancel()
	j.queue, j.head, j.condemned, j.settling = nil, 0, nil, nil
}

// runJobs works for one turn.
func (n *Notifier) runJobs() {
	j := &n.jobs
	if n.paused {
		return
	}
	left := scanBudget
	for ; left > 0 && len(j.condemned) > 0; left-- {
		last := len(j.condemned) - 1
		c := j.condemned[last]
		j.condemned = j.condemned[:last]
		n.unwatch(c)
		for _, child := range c.children {
			child.dropped = true
			j.condemned = append(j.condemned, child)
		}
		c.children, c.told = nil, nil
	}
	for left > 0 && j.head < len(j.queue) && n.fd >= 0 {
		left -= n.scan(j.queue[j.head])
	}
	if n.fd < 0 {
		return
	}
	if j.head < len(j.queue) || len(j.condemned) > 0 {
		j.call.Reset(0)
	}
	if len(j.settling) > 0 {
		if err := n.pull(); err != nil { // as if the reactor had called DoRead
			n.r.RemoveReader((*notifierReader)(n))
			n.lost(err)
		}
	}
}

// scan lists a part of the directory c, and returns how much that was.
func (n *Notifier) scan(c *node) int {
	j := &n.jobs
	if !c.live() {
		n.finish(c)
		return 1
	}
	if j.dir == nil && !n.startScan(c) {
		n.finish(c)
		return 1
	}
	entries, err := j.dir.ReadDir(64)
	for _, entry := range entries {
		n.found(c, entry.Name(), entry.IsDir())
		if n.fd < 0 || j.dir == nil || !c.live() {
			return 1 + len(entries)
		}
	}
	if err == nil {
		return 1 + len(entries)
	}
	if err != io.EOF && !os.IsNotExist(err) {
		c.w.must(Event{Path: c.path(), Err: err})
	}
	if n.fd >= 0 && c.live() {
		if c.job == scanAll {
			n.sweep(c)
		}
		if c.told != nil {
			j.settling = append(j.settling, c)
		}
		n.finish(c)
	}
	return 1 + len(entries)
}

// startScan opens the directory. It returns false if there is nothing to list.
func (n *Notifier) startScan(c *node) bool {
	j := &n.jobs
	if c.job != scanQuiet {
		changed, err := n.watch(c)
		if err != nil {
			return n.unscanned(c, err)
		}
		if changed {
			c.job = max(c.job, scanNew)
			if n.replaced(c); !c.live() {
				return false
			}
		}
	}
	dir, err := openDirectory(c.path(), c.parent == nil)
	if err != nil && c.parent == nil && errnoOf(err) == syscall.ENOTDIR {
		return false // a file
	}
	if err != nil {
		return n.unscanned(c, err)
	}
	j.dir = dir
	j.id++
	return true
}

// replaced is called when another directory turned out to be at the path of c than we thought, because one event had
// misled us before the next was read. What was told of the one we thought is taken back.
func (n *Notifier) replaced(c *node) {
	n.dropChildren(c)
	c.told = make(map[string]struct{})
	path := c.path()
	c.w.tell(Event{Path: path, Mask: Delete | IsDir, Scanned: true})
	c.w.tell(Event{Path: path, Mask: Create | IsDir, Scanned: true})
}

// unscanned follows a failure to watch or to open a directory. It returns false.
func (n *Notifier) unscanned(c *node, err error) bool {
	gone, all := vanished(err), c.job == scanAll
	switch {
	case !gone:
		c.w.must(Event{Path: c.path(), Err: watchError(c.path(), err)})
	case c.parent != nil && all:
		n.drop(c)
	case c.parent != nil:
		c.owed = c.job
		n.miss(c.parent, c.name) // an event will say where it is
	case all:
		c.w.last(Event{Path: c.w.path, Mask: DeleteSelf, Scanned: true}) // its own event may be among the lost ones
	}
	return false
}

// found follows a name that is in the directory c.
func (n *Notifier) found(c *node, name string, isDir bool) {
	if n.release(c.in, name, 0); n.fd < 0 || !c.live() {
		return
	}
	child := c.children[name]
	told := c.job <= scanAgain || c.job == scanVerify && (child != nil || !isDir) || !c.note(name)
	if isDir && c.w.cfg.Recursive {
		mode := c.job
		switch mode {
		case scanAgain:
			mode = scanQuiet
		case scanVerify, scanAll:
			mode = scanNew
		}
		switch {
		case child == nil:
			if err := n.enter(c, name, mode); err != nil {
				c.w.must(Event{Path: c.join(name), Err: err})
			}
		case c.job == scanAgain, c.job == scanAll:
			n.queue(child, c.job)
		case c.job != scanQuiet:
			n.queue(child, scanVerify)
		}
		if child = c.children[name]; child != nil {
			child.seen = n.jobs.id
		}
	}
	if !told && n.fd >= 0 && c.live() {
		mask := Create
		if isDir {
			mask |= IsDir
		}
		c.w.tell(Event{Path: c.join(name), Mask: mask, Scanned: true})
	}
}

// sweep drops the directories in c that the list did not have.
func (n *Notifier) sweep(c *node) {
	for _, child := range c.children {
		if child.seen != n.jobs.id {
			n.drop(child)
		}
	}
}

// finish takes c, the first, out of the queue.
func (n *Notifier) finish(c *node) {
	j := &n.jobs
	j.begin()
	if n.fd < 0 {
		return
	}
	c.job = scanNone
	j.queue[j.head] = nil
	if j.head++; j.head == len(j.queue) {
		j.queue, j.head = j.queue[:0], 0
	}
	w := c.w
	if w.waiting--; w.waiting == 0 && !w.ready && !w.ended {
		w.ready = true
		if w.cfg.Ready != nil {
			_ = n.r.Guard("inotify", w.cfg.Ready)
		}
	}
}

// drained is called when all events of the system were read.
func (n *Notifier) drained() {
	for _, c := range n.jobs.settling {
		if c.job == scanNone {
			c.told = nil
		}
	}
	n.jobs.settling = n.jobs.settling[:0]
	again := n.missed
	n.missed = nil
	for _, m := range again {
		if n.fd >= 0 && m.parent.live() {
			n.arrive(m.parent, m.name)
		}
	}
}
