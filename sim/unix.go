package sim

import (
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
)

// UNIX stream sockets connect programs of one host, and those of datagrams share their names. The system moves their bytes at once, in memory: no
// network delays, loses or repeats them. A reset comes only of an end with unread input. Names and
// lock files belong to the host, so they outlive the program and a crash, as files do.

// unixName is a name of a host.
type unixName struct {
	s *sock // which has bound it; nil: its program is gone, and its file is left
}

// unixConn is a UNIX stream socket. It has none of TCP's options.
type unixConn struct {
	streamConn
	s *sock
}

// streamConn are the methods that every connected socket has.
type streamConn interface {
	kernel.Conn
	kernel.Vectors
}

var (
	_ kernel.UNIXConn = (*unixConn)(nil)
	_ streamConn      = (*unixConn)(nil)
)

func isUNIX(a kernel.Addr) bool { return a.Net == kernel.UNIX }

// fileOf is the key of a name among those of a host: one for all ways to write a path.
func fileOf(name string) string {
	if name == "" || name[0] == '@' {
		return name
	}
	if name = path.Clean(name); name[0] == '@' {
		return "./" + name // the file, not the abstract name
	}
	return name
}

// conn is s as its program has it.
func (s *sock) conn() kernel.Conn {
	switch {
	case isUNIX(s.local) && s.options.Descriptors:
		return passing{&unixConn{s, s}}
	case isUNIX(s.local):
		return &unixConn{s, s}
	}
	return s
}

// Credentials is kernel.UNIXConn. Every program is root, and has a number of its own.
func (c *unixConn) Credentials() (kernel.Credentials, error) {
	n := c.s.lock()
	defer n.mu.Unlock()
	if c.s.noHandle() {
		return kernel.Credentials{}, kernel.ErrClosed
	}
	return kernel.Credentials{PID: c.s.peerPID}, nil
}

// Unbind is kernel.UNIXConn.
func (c *unixConn) Unbind() {
	n := c.s.lock()
	defer n.mu.Unlock()
	if !c.s.local.IsAbstract() { // such a name goes with its socket alone
		c.s.unname(true)
	}
}

// listenUNIX is Listen for a UNIX address, with the lock held. Linux lets one connection more wait
// than Backlog says.
func (k *simKernel) listenUNIX(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	if err := k.spare(kernel.OpSocket); err != nil {
		return nil, err
	}
	s := &sock{state: open, l: &listener{limit: min(k.backlog(o), math.MaxInt-1) + 1}, local: kernel.UNIXAddr(a.Name), options: optionsOf(o.StreamOptions)}
	s.l.sock = s
	if err := k.claim(a, s, o.UNIX.Lock); err != nil {
		return nil, err
	}
	k.files++
	k.own(s)
	k.n.note(OpListen, s, 0)
	return s.l, nil
}

// claim gives s its name, and makes the lock file.
func (k *simKernel) claim(a kernel.Addr, s *sock, lock bool) error {
	h, file := k.h, fileOf(s.local.Name)
	if lock {
		by, held := h.locks[file]
		left := h.names[file]
		used := left != nil && left.s != nil && (left.s.l != nil || left.s.p != nil)
		switch {
		case held && (used || by.alive()):
			return &kernel.AddrError{Op: kernel.OpListen, Addr: a, Kind: kernel.ErrLocked,
				Reason: "lock file " + strconv.Quote(s.local.Name+".lock") + " is held by process " + strconv.Itoa(by.pid)}
		case !used:
			delete(h.names, file)
		}
	}
	if h.names[file] != nil {
		return fail(kernel.OpBind, kernel.ErrAddrInUse)
	}
	h.names[file] = &unixName{s}
	if lock {
		h.locks[file] = k
	}
	return nil
}

// dialUNIX is Dial for a UNIX address, with the lock held. It is connected at once or not at all.
func (k *simKernel) dialUNIX(a kernel.Addr, o *kernel.DialOptions) (kernel.Conn, error) {
	if err := k.spare(kernel.OpSocket); err != nil {
		return nil, err
	}
	h, to, from := k.h, kernel.UNIXAddr(a.Name), kernel.UNIXAddr(o.Bind.Name)
	file, mine := fileOf(to.Name), fileOf(from.Name)
	if by, held := h.locks[file]; o.CheckLock && (!held || !by.alive()) {
		return nil, &kernel.AddrError{Op: kernel.OpConnect, Addr: a, Kind: kernel.ErrNotLocked,
			Reason: "no live process holds lock file " + strconv.Quote(to.Name+".lock")}
	}
	at := h.names[file]
	switch {
	case mine != "" && h.names[mine] != nil:
		return nil, fail(kernel.OpBind, kernel.ErrAddrInUse)
	case at == nil && file != mine && !a.IsAbstract(): // if it is mine, the socket itself is there, and does not listen
		return nil, &kernel.SysError{Op: kernel.OpConnect, Errno: syscall.ENOENT}
	case at != nil && at.s != nil && at.s.p != nil:
		return nil, wrongType(kernel.OpConnect)
	case at == nil || at.s == nil || at.s.l == nil:
		return nil, fail(kernel.OpConnect, kernel.ErrRefused)
	case len(at.s.l.queue) >= at.s.l.limit:
		return nil, kernel.ErrAgain
	}
	k.files++
	p := k.n.newPair(h, h)
	p.half[0].memory, p.half[1].memory = true, true
	c, s, l := &p.end[0], &p.end[1], at.s
	c.state, s.state = open, open
	c.local, c.remote = from, to
	s.local, s.remote = l.local, from
	c.options, s.options = optionsOf(o.StreamOptions), l.options
	c.peerPID, s.peerPID, s.waits = l.k.pid, k.pid, true
	k.own(c)
	l.arrives(s)
	if mine != "" {
		h.names[mine] = &unixName{s: c}
	}
	k.n.note(OpDial, c, 0)
	l.l.queue = append(l.l.queue, s)
	l.notify()
	return c.conn(), nil
}

// alive tells whether k's program runs.
func (k *simKernel) alive() bool { return !k.gone && !k.closed }

// unname takes the name away from s. removes says that the program closes s in order and so removes
// its files; otherwise they are left. Abstract names go with their socket.
func (s *sock) unname(removes bool) {
	if !isUNIX(s.local) && s.local.Net != kernel.UNIXDatagram {
		return
	}
	file := fileOf(s.local.Name)
	at := s.h.names[file]
	if at == nil || at.s != s && !(s.owns && at.s == s.file()) {
		return
	}
	if removes || s.local.IsAbstract() {
		delete(s.h.names, file)
	} else {
		at.s = nil
	}
	if removes && s.h.locks[file] == s.k {
		delete(s.h.locks, file)
	}
}

// hangUp ends a UNIX connection for its peer: by a reset, or in order.
func (s *sock) hangUp(reset bool) {
	s.in.dead = true // the peer can write no more
	peer := s.out.to
	if reset && s.pipe == nil {
		peer.die(kernel.ErrReset)
	} else if s.out.fin == finNone {
		s.out.fin = finArrived
	}
	peer.notify()
}

// boundNames is how many names have a socket.
func (h *Host) boundNames() (n int) {
	for _, name := range slices.Sorted(maps.Keys(h.names)) {
		if h.names[name].s != nil {
			n++
		}
	}
	return n
}
