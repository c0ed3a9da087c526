//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package process

import (
	"github.com/whorl-go/whorl/internal/terminal"
	"golang.org/x/sys/unix"
)

// access is how a descriptor is read or written without ever blocking the loop. O_NONBLOCK belongs to what the system calls
// the open file description, which all programs share that got the descriptor from one another: a shell's terminal, both ends of
// its pipelines. If we set it, they would fail with EAGAIN. If we were killed, nobody would undo it. So no way sets it:
//
//	| what it is            | access     |                                                                            |
//	|-----------------------|------------|----------------------------------------------------------------------------|
//	| a regular file        | plain      | read(2) and write(2): a disk counts as always ready                        |
//	| a socket              | message    | recv(2) and send(2) have a flag for one call                               |
//	| a pipe or a terminal  | own        | Linux: /proc/self/fd opens it again, as a description of our own           |
//	| anything else         | cautious   | poll(2) before each call, and short writes; another program that reads or  |
//	|                       |            | writes between the two may make the call block until the next byte         |
//
// Opening again fails for a pipe or a terminal of another user, and without /proc. It is not done for the master of a pseudo-terminal,
// because that would make a new one.
type access uint8

const (
	plain access = iota
	message
	own
	cautious
)

// descriptor is one side of standardConn.
type descriptor struct {
	fd     int
	file   file   // what it refers to
	kind   uint32 // S_IFMT of it
	access access
	again  int // its own description, or -1
	master bool
}

// file tells one file from another: its device, its number there, and if it is a device itself, which one.
type file [3]uint64

func fileOf(st *unix.Stat_t) file { return file{uint64(st.Dev), uint64(st.Ino), uint64(st.Rdev)} }

// refersTo tells whether fd is open and refers to f.
func refersTo(fd int, f file) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && fileOf(&st) == f
}

// openDescriptor finds out how fd is accessed. direction is O_RDONLY or O_WRONLY.
func openDescriptor(fd, direction int) descriptor {
	d := descriptor{fd: fd, access: cautious, again: -1}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return d // the kernel has found that already
	}
	d.file, d.kind = fileOf(&st), uint32(st.Mode)&unix.S_IFMT
	switch d.kind {
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFBLK:
		d.access = plain
	case unix.S_IFSOCK:
		d.access = message
	case unix.S_IFCHR:
		d.master = terminal.IsMaster(fd)
		if !terminal.Is(fd) || d.master {
			break
		}
		fallthrough
	case unix.S_IFIFO:
		mode, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if mode &= unix.O_ACCMODE; err != nil || mode != direction && mode != unix.O_RDWR {
			break // it stays without a right that it does not have
		}
		if again, ok := openAgain(fd, direction, d.file); ok {
			d.access, d.again = own, again
		}
	}
	return d
}

// read is read(2). It fails with EAGAIN if there is nothing.
func (d *descriptor) read(p []byte) (int, error) {
	switch d.access {
	case message:
		n, _, err := unix.Recvfrom(d.fd, p, unix.MSG_DONTWAIT)
		return n, err
	case own:
		return unix.Read(d.again, p)
	case cautious:
		if ready(d.fd, unix.POLLIN) == 0 {
			return 0, unix.EAGAIN
		}
	}
	return unix.Read(d.fd, p)
}

const (
	// most is the most that one call is given to write: it must not take long.
	most = 256 << 10
	// atOnce is PIPE_BUF of POSIX: a pipe that is ready to be written has room for so much. A terminal usually has more.
	atOnce = 512
)

// write is write(2). It fails with EAGAIN if there is no room. An error comes with the bytes before it.
func (d *descriptor) write(p []byte) (int, error) {
	p = p[:min(len(p), most)]
	switch d.access {
	case message:
		return unix.SendmsgN(d.fd, p, nil, nil, unix.MSG_DONTWAIT)
	case own:
		return unix.Write(d.again, p)
	case cautious:
		return d.writeCautiously(p)
	}
	return unix.Write(d.fd, p)
}

func (d *descriptor) writeCautiously(p []byte) (n int, err error) {
	for n < len(p) {
		if ready(d.fd, unix.POLLOUT) == 0 {
			return n, unix.EAGAIN
		}
		m, err := unix.Write(d.fd, p[n:min(n+atOnce, len(p))])
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// close closes the description of our own, unless somebody has closed it and its number is another file's now.
func (d *descriptor) close() {
	if d.again >= 0 {
		if refersTo(d.again, d.file) {
			closeFD(d.again)
		}
		d.again, d.access = -1, cautious
	}
}

// replace closes the descriptor and puts the null device in its place, so that nobody else gets the number. Without that device
// it stays open. If its owner has closed it, or has given the number to another file, nothing happens: the null device would stay open for ever, or take
// the place of that file.
func (d *descriptor) replace() {
	if !refersTo(d.fd, d.file) {
		return
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	flags, _ := unix.FcntlInt(uintptr(d.fd), unix.F_GETFD, 0)
	_ = dupOver(null, d.fd, flags&unix.FD_CLOEXEC != 0)
	closeFD(null)
}
