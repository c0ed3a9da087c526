package device

import (
	"os"
	"slices"
	"syscall"
	"time"
)

// raw is an event as the system tells it.
type raw struct {
	wd     int32
	mask   Mask
	cookie uint32 // joins the two halves of a move
	name   string // of the child, or ""
}

// held is the first half of a move, which waits for the second.
type held struct {
	cookie uint32
	in     *inode
	name   string
	mask   Mask
	from   []*node // the directories that the system means
	until  time.Duration
}

// missing is a directory that was told to be there and could not be found: it has been moved or removed again, or the
// directory above it has been moved, and the events that say so are still to come.
type missing struct {
	parent *node
	name   string
}

// handle follows one event.
func (n *Notifier) handle(e raw) {
	if e.mask&Overflow != 0 {
		n.overflowed()
		return
	}
	in := n.inodes[e.wd]
	if in == nil {
		return // of a watch that has ended
	}
	n.release(in, e.name, e.cookie)
	n.scratch = append(n.scratch[:0], in.nodes...)
	switch {
	case e.mask&MovedFrom != 0:
		n.hold(in, e)
		return
	case e.mask&MovedTo != 0:
		n.movedTo(e)
		return
	case e.mask&Ignored != 0 && n.inodes[e.wd] == in:
		delete(n.inodes, e.wd) // the system has removed it
	}
	for _, c := range n.scratch {
		switch {
		case c.in != in || !c.live(): // an event before this one, or a callback, has ended it
		case e.name == "":
			n.selfEvent(c, e)
		default:
			n.childEvent(c, e)
		}
	}
}

// selfEvent follows an event of a watched path itself. Of directories below it, the directory above tells.
func (n *Notifier) selfEvent(c *node, e raw) {
	root, w := c.parent == nil, c.w
	event := Event{Path: c.path(), Mask: e.mask}
	ends := e.mask&(DeleteSelf|Unmount|Ignored) != 0 || root && w.cfg.Recursive && e.mask&MoveSelf != 0
	switch {
	case root && ends:
		w.last(event)
	case root:
		w.tell(event)
		n.fileEvent(w, e.mask)
	case e.mask&Unmount != 0: // what is below the mount point can be seen again
		parent, name := c.parent, c.name
		n.drop(c)
		w.must(event)
		n.miss(parent, name)
	case ends:
		// The event of the directory above is to come, unless this was another directory than we thought.
		n.drop(c)
		n.miss(c.parent, c.name)
	}
}

// fileEvent ends the watch of a file whose path has gone. While somebody has the file open, the system tells only that its count of links
// has changed.
func (n *Notifier) fileEvent(w *Watch, mask Mask) {
	switch {
	case w.ended || w.file == nil:
	case mask&MoveSelf != 0:
		w.file = nil // it may live on, at a path that we do not know
	case mask&Attrib != 0:
		if now := fileAt(w.path); now == nil || !os.SameFile(w.file, now) {
			w.last(Event{Path: w.path, Mask: DeleteSelf})
		}
	}
}

// fileAt is what path is, or leads to. It is nil if that is a directory, or if there is nothing.
func fileAt(path string) os.FileInfo {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return info
	}
	return nil
}

// childEvent follows an event of a name in the directory c.
func (n *Notifier) childEvent(c *node, e raw) {
	w, dir := c.w, e.mask&IsDir != 0 && c.w.cfg.Recursive
	event := Event{Path: c.join(e.name), Mask: e.mask}
	switch {
	case e.mask&Create != 0:
		isNew := c.note(e.name)
		if dir {
			n.arrive(c, e.name)
		}
		if !isNew || !c.live() {
			return
		}
	case e.mask&Delete != 0:
		n.leave(c, e.name)
		n.dropName(c, e.name)
	}
	w.tell(event)
}

// dropName drops the directory name in c, which an event says has gone. It may be a later one than the event means: then a list has
// found it already, its own event is to come, and it is told again, with all in it. That holds for an event of a file too.
func (n *Notifier) dropName(c *node, name string) {
	if child := c.children[name]; child != nil {
		n.drop(child)
	}
}

// arrive watches the directory name in c, and has it listed.
func (n *Notifier) arrive(c *node, name string) {
	if err := n.enter(c, name, scanNew); err != nil {
		c.w.must(Event{Path: c.join(name), Err: err})
	}
}

// leave forgets that name was in c.
func (n *Notifier) leave(c *node, name string) {
	delete(c.told, name)
	for i := len(n.missed) - 1; i >= 0; i-- {
		if n.missed[i] == (missing{c, name}) {
			n.missed = slices.Delete(n.missed, i, i+1)
		}
	}
}

// miss has a directory looked for again when more events have been read.
func (n *Notifier) miss(parent *node, name string) {
	if m := (missing{parent, name}); !slices.Contains(n.missed, m) {
		n.missed = append(n.missed, m)
	}
}

// vanished tells whether err means that a path is not there, or is no directory.
func vanished(err error) bool {
	switch errnoOf(err) {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ELOOP:
		return true
	}
	return false
}

// hold keeps the first half of a move until the second comes, or MoveWindow is over.
func (n *Notifier) hold(in *inode, e raw) {
	h := held{cookie: e.cookie, in: in, name: e.name, mask: e.mask, until: n.r.Now() + n.cfg.MoveWindow}
	for _, c := range n.scratch {
		if c.live() {
			h.from = append(h.from, c)
			n.leave(c, e.name)
		}
	}
	n.held = append(n.held, h)
	if !n.window.Active() {
		n.window.Reset(n.cfg.MoveWindow)
	}
}

// expire tells the halves that have waited long enough.
func (n *Notifier) expire() {
	for len(n.held) > 0 && n.held[0].until <= n.r.Now() {
		h := n.held[0]
		n.held = slices.Delete(n.held, 0, 1)
		n.movedAway(h)
	}
	if len(n.held) > 0 {
		n.window.Reset(n.held[0].until - n.r.Now())
	}
}

// release tells the halves that must not wait for longer: those of the same name in the same directory, unless
// their second half is what comes.
func (n *Notifier) release(in *inode, name string, cookie uint32) {
	for i := 0; i < len(n.held); {
		h := n.held[i]
		if h.in != in || h.name != name || h.cookie == cookie {
			i++
			continue
		}
		n.held = slices.Delete(n.held, i, i+1)
		n.movedAway(h)
		i = 0 // callbacks may have changed it
	}
}

// movedAway tells that there is no second half.
func (n *Notifier) movedAway(h held) {
	for _, c := range h.from {
		if c == nil || !c.live() {
			continue
		}
		n.dropName(c, h.name)
		c.w.tell(Event{Path: c.join(h.name), Mask: h.mask})
	}
}

// movedTo follows the second half of a move, for all directories of n.scratch.
func (n *Notifier) movedTo(e raw) {
	var h held
	for i := range n.held {
		if n.held[i].cookie == e.cookie {
			h = n.held[i]
			n.held = slices.Delete(n.held, i, i+1)
			break
		}
	}
	for _, c := range n.scratch {
		if !c.live() {
			continue
		}
		i := slices.IndexFunc(h.from, func(from *node) bool { return from != nil && from.w == c.w && from.live() })
		if i < 0 {
			n.movedIn(c, e)
			continue
		}
		from := h.from[i]
		h.from[i] = nil
		n.moved(from, h.name, c, e)
	}
	n.movedAway(h)
}

// movedIn tells of what came from where its watch does not look.
func (n *Notifier) movedIn(c *node, e raw) {
	c.note(e.name)
	if e.mask&IsDir != 0 && c.w.cfg.Recursive {
		n.arrive(c, e.name)
	}
	if c.live() {
		c.w.tell(Event{Path: c.join(e.name), Mask: e.mask})
	}
}

// moved tells of a move inside of a watch. A directory takes all below it with it.
func (n *Notifier) moved(from *node, old string, to *node, e raw) {
	event := Event{Path: to.join(e.name), Old: from.join(old), Mask: e.mask | MovedFrom}
	to.note(e.name)
	if e.mask&IsDir != 0 && to.w.cfg.Recursive {
		c := from.children[old]
		if over := to.children[e.name]; over != nil && over != c {
			n.drop(over) // an empty directory that was replaced, or one that a list has found before this event
		}
		switch {
		case c == nil:
			n.arrive(to, e.name)
		case within(to, c): // nothing moves into itself: other moves have misled us
			n.resync(to.w)
			return
		default:
			delete(from.children, old)
			if to.children == nil {
				to.children = make(map[string]*node)
			}
			c.parent, c.name = to, e.name
			to.children[e.name] = c
			// Is it the same one? Other moves may have misled us when it or one below it was added.
			n.queue(c, scanVerify)
		}
	} else if c := from.children[old]; c != nil { // made after the file had left: it has not moved with it
		n.drop(c)
		from.w.tell(Event{Path: from.join(old), Mask: Delete | IsDir, Scanned: true})
	}
	if to.live() {
		to.w.tell(event)
	}
}

// within tells whether c is p or below it.
func within(c, p *node) bool {
	for ; c != nil; c = c.parent {
		if c == p {
			return true
		}
	}
	return false
}

// overflowed tells every watch that events were lost, and has everything listed again.
func (n *Notifier) overflowed() {
	for len(n.held) > 0 {
		h := n.held[0]
		n.held = slices.Delete(n.held, 0, 1)
		n.movedAway(h)
	}
	n.missed = nil
	for _, w := range slices.Clone(n.watches) {
		n.resync(w)
	}
}

// resync tells w that events were lost, and has everything listed again.
func (n *Notifier) resync(w *Watch) {
	w.must(Event{Path: w.path, Mask: Overflow})
	if !w.ended {
		w.ready = false
		n.queue(w.root, scanAll)
	}
}
