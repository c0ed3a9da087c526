package native

import (
	"syscall"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// maxHeld is how many refusals a socket keeps that a send has taken from the system.
const maxHeld = 64

// refusalBuffer is where a send receives a refusal. ReadPackets may have lent the inbox.
type refusalBuffer struct {
	head  unix.Msghdr
	vec   unix.Iovec
	data  [2048]byte // no host returns so much
	name  [nameSize]byte
	space [controlSize]byte
}

// hold is called when a send would have to wait. It takes the refusals from the system: as long as there is one, every set
// reports the socket, and a loop that waits for room alone would not sleep. What is more than maxHeld is dropped.
func (s *packetSock) hold() {
	if !s.hears {
		return
	}
	f := &s.b.out.refusal
	for range slots {
		f.vec.Base = &f.data[0]
		f.vec.SetLen(len(f.data))
		f.head = unix.Msghdr{Name: &f.name[0], Namelen: nameSize, Iov: &f.vec, Control: &f.space[0]}
		f.head.SetIovlen(1)
		f.head.SetControllen(controlSize)
		n, _, errno := syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&f.head)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			break
		}
		c := parseControl(f.space[:min(int(f.head.Controllen), controlSize)])
		if c.errno == 0 || c.origin != unix.SO_EE_ORIGIN_ICMP && c.origin != unix.SO_EE_ORIGIN_ICMP6 || len(s.held) >= maxHeld {
			continue
		}
		size := int(n)
		if s.shortest > 0 { // it may be the first of several, which come back as one
			size = min(size, s.shortest)
		}
		p := kernel.Packet{Data: append([]byte(nil), f.data[:size]...), Err: SysError(kernel.OpRead, c.errno)}
		s.readSender(&p, f.name[:min(f.head.Namelen, nameSize)])
		s.held = append(s.held, p)
	}
	s.showHeld()
}

// takeHeld appends what is held to the inbox, and returns whether that is anything.
func (s *packetSock) takeHeld() bool {
	if len(s.held) == 0 {
		return false
	}
	s.b.in.packets = append(s.b.in.packets, s.held...)
	clear(s.held)
	s.held = s.held[:0]
	if s.is(alwaysReady) && s.armed() != 0 && s.fd >= 0 {
		token, r := s.token, s.armed()
		s.b.disarm(&s.sock, false)
		if s.b.arm(&s.sock, token, r) != nil { // out of memory: it stays as it is
			s.token = token
			s.setArmed(r)
			s.b.always = append(s.b.always, &s.sock)
			s.mark(alwaysReady)
		}
	}
	return true
}

// showHeld makes the socket count as always ready while it holds refusals and waits to read. The system does not know of
// them.
func (s *packetSock) showHeld() {
	if len(s.held) > 0 && s.armed()&kernel.Readable != 0 && !s.is(alwaysReady) && s.fd >= 0 {
		s.b.set.unwatch(&s.sock, false)
		s.b.always = append(s.b.always, &s.sock)
		s.mark(alwaysReady)
	}
}
