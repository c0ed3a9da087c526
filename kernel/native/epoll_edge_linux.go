package native

import (
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// Streams are watched by edges. A level-triggered set looks at every socket it
// reported once more, in the next epoll_wait, only to find that it was read; here
// the read itself tells, because a stream that gave less than it was asked for has
// no more. What arrives after an event was fetched is a new edge, so nothing is
// missed. A socket whose readiness was not used up is put before the set again, and
// so the kernel stays level-triggered.
//
// Where a short read does not mean that all was read (the peer's end, urgent data or
// an error behind the bytes), the event says so, and the socket is sticky: only a read
// that would block uses it up.
//
// The set reports errors and hang-ups whatever it is asked for. A socket that is armed for
// Failed alone is therefore watched by edges too, whatever it is: it may have been hung up
// in order, which would stay and is not to be reported.

// behind are the events after which a short read says nothing.
const behind = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR | unix.EPOLLPRI

// byEdges tells whether s, armed for r, is watched by edges. For descriptors other than
// streams nobody knows when their readiness is used up.
func byEdges(s *sock, r kernel.Ready) bool { return s.is(stream) || r == kernel.Failed }

// interest returns what the set is asked to report for s.
func interest(s *sock, token uint32, r kernel.Ready) unix.EpollEvent {
	e := unix.EpollEvent{Fd: int32(token), Pad: s.fd}
	if byEdges(s, r) {
		e.Events = unix.EPOLLET
	}
	if r&kernel.Readable != 0 {
		e.Events |= unix.EPOLLIN
		if s.is(stream) {
			e.Events |= unix.EPOLLRDHUP | unix.EPOLLPRI
		}
	}
	if r&kernel.Writable != 0 {
		e.Events |= unix.EPOLLOUT
	}
	return e
}

// noteEdge notes an edge of s. rearmEdges will put s before the set again if its
// readiness is not used up by then.
func (k *epoll) noteEdge(s *sock, r kernel.Ready, events uint32) {
	if s.known() == 0 {
		k.edges = append(k.edges, s)
	}
	s.learn(r)
	if events&behind != 0 {
		s.mark(sticky)
	}
}

// rearmEdges makes the set look again at what it reported and nobody used up.
func (k *epoll) rearmEdges() {
	for i, s := range k.edges {
		k.edges[i] = nil
		if s.known()&s.armed() != 0 {
			e := interest(s, s.token, s.armed())
			// If that fails, its number was closed behind our back.
			epollCtl(k.ep, unix.EPOLL_CTL_MOD, s.fd, &e)
		}
		s.clear(knownBits)
	}
	k.edges = k.edges[:0]
}
