package sim

import (
	"io/fs"
	"strconv"

	"github.com/whorl-go/whorl/kernel"
)

// The file of a UNIX socket belongs to the handle that has made it, until that leaves it and another one owns it.

var (
	_ kernel.FileOwner = (*listener)(nil)
	_ kernel.FileOwner = (*packetConn)(nil)
)

// LeaveFile is kernel.FileOwner.
func (l *listener) LeaveFile() { l.sock.leaveFile() }

// OwnFile is kernel.FileOwner.
func (l *listener) OwnFile(lock bool, holder int) error { return l.sock.ownFile(lock, holder) }

// LeaveFile is kernel.FileOwner.
func (c *packetConn) LeaveFile() { c.s.leaveFile() }

// OwnFile is kernel.FileOwner.
func (c *packetConn) OwnFile(lock bool, holder int) error { return c.s.ownFile(lock, holder) }

func (s *sock) leaveFile() {
	n := s.lock()
	defer n.mu.Unlock()
	s.leavesFile, s.owns = true, false
	s.file().left = true
}

// ownFile makes s the owner of the file. The lock file passes from a program that has left the file, or is gone.
func (s *sock) ownFile(lock bool, holder int) error {
	n := s.lock()
	defer n.mu.Unlock()
	file, f := fileOf(s.local.Name), s.file()
	if at := s.h.names[file]; s.local.IsAbstract() || file == "" {
		return nil
	} else if at == nil || at.s != f {
		return &fs.PathError{Op: "stat", Path: s.local.Name, Err: fs.ErrNotExist}
	}
	if by := s.h.locks[file]; lock && by != nil && by != s.k && by.alive() && !f.left {
		return &kernel.AddrError{Op: kernel.OpListen, Addr: s.local, Kind: kernel.ErrLocked,
			Reason: "the lock file is held by process " + strconv.Itoa(by.pid) + ", and not left by " + strconv.Itoa(holder)}
	}
	if lock {
		s.h.locks[file] = s.k
	}
	s.owns, s.leavesFile = true, false
	return nil
}
