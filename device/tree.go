package device

import "strings"

// node is a path of one watch: its root, or a directory below.
type node struct {
	w        *Watch
	parent   *node // nil: the root
	name     string
	children map[string]*node // directories below, of recursive watches
	in       *inode           // nil: not watched (any more)
	// dropped: it does not belong to the tree any more, and neither does what is below it.
	dropped bool
	// quiet: it was there when the watch began, so that what is in it was not told.
	quiet bool
	// told has the names that were told as made, from when the directory is watched until it was listed, and all events
	// until then were read. So none is told twice, by its event and by the list. Nil: nothing is remembered.
	told map[string]struct{}

	job  scanMode // it waits to be listed
	owed scanMode // it could not be listed, because it was moved before; it must be when it is found again
	seen uint64   // the list that it was last found in
}

// inode is a file or directory that the system watches. There is one for all paths that lead to it.
type inode struct {
	wd    int32
	nodes []*node
}

// path is where the node is, as far as the events tell.
func (c *node) path() string {
	if c.parent == nil {
		return c.w.path
	}
	return c.parent.join(c.name)
}

// join is the path of a name in the directory c.
func (c *node) join(name string) string {
	dir := c.path()
	if strings.HasSuffix(dir, "/") {
		return dir + name
	}
	return dir + "/" + name
}

// live tells whether c belongs to the tree of an active watch.
func (c *node) live() bool {
	for p := c; p != nil; p = p.parent {
		if p.dropped {
			return false
		}
	}
	return !c.w.ended
}

// note remembers that a name was told as made, if that is wanted. It returns false if it was told before.
func (c *node) note(name string) bool {
	if c.told == nil {
		return true
	}
	_, before := c.told[name]
	c.told[name] = struct{}{}
	return !before
}

// watch asks the system to watch the path of c. It tells whether c has got another inode than it had.
func (n *Notifier) watch(c *node) (changed bool, err error) {
	mask := uint32(c.w.cfg.Mask&Everything|DeleteSelf) | addMask
	if c.w.cfg.Recursive {
		mask |= uint32(Create | Delete | Moved | MoveSelf)
	}
	switch {
	case c.parent != nil:
		mask |= onlyDirectory
	case c.w.file != nil:
		mask |= uint32(Attrib | MoveSelf) // see fileEvent
	}
	wd, err := n.sys.Add(n.fd, c.path(), mask)
	if err != nil {
		return false, err
	}
	if c.in != nil && c.in.wd == wd {
		return false, nil
	}
	n.unwatch(c)
	in := n.inodes[wd]
	if in == nil {
		in = &inode{wd: wd}
		n.inodes[wd] = in
	}
	in.nodes = append(in.nodes, c)
	c.in = in
	return true, nil
}

// unwatch parts c from its inode, and ends the watch of that if c was the last.
func (n *Notifier) unwatch(c *node) {
	in := c.in
	if in == nil {
		return
	}
	c.in = nil
	for i, x := range in.nodes {
		if x == c {
			in.nodes = append(in.nodes[:i], in.nodes[i+1:]...)
			break
		}
	}
	if len(in.nodes) == 0 && n.inodes[in.wd] == in {
		delete(n.inodes, in.wd)
		n.sys.Remove(n.fd, in.wd)
	}
}

// drop takes c and all below it out of the tree. The system's watches end in the turns to come, a bounded number
// in each, and nothing is told of them any more.
func (n *Notifier) drop(c *node) {
	if c.dropped {
		return
	}
	c.dropped = true
	if p := c.parent; p != nil && p.children[c.name] == c {
		delete(p.children, c.name)
	}
	n.condemn(c)
}

// dropChildren drops all below c.
func (n *Notifier) dropChildren(c *node) {
	for _, child := range c.children {
		child.dropped = true
		n.condemn(child)
	}
	c.children = nil
}

// enter adds the directory name in parent to the tree, and has it listed. If it is there already, it is asked again which
// directory that is. The error is for whoever watches; that the directory has gone is none.
func (n *Notifier) enter(parent *node, name string, mode scanMode) error {
	c := parent.children[name]
	if c == nil {
		c = &node{w: parent.w, parent: parent, name: name, quiet: mode == scanQuiet}
	}
	had := c.in != nil
	changed, err := n.watch(c)
	switch {
	case vanished(err):
		n.miss(parent, name)
		return nil
	case err != nil:
		return watchError(c.path(), err)
	case changed:
		if parent.children == nil {
			parent.children = make(map[string]*node)
		}
		parent.children[name] = c
		if mode != scanQuiet {
			c.quiet = false
			mode = scanNew
		}
		if had {
			n.replaced(c)
		}
		n.queue(c, mode)
	case c.quiet && mode != scanQuiet: // it was made before we looked, and after Add
		c.quiet = false
		n.queue(c, scanAll)
	case c.owed != scanNone:
		n.queue(c, c.owed)
	}
	return nil
}
