//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"fmt"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// base is what the kernels share: the clock, the wake-up, scratch memory for
// system calls, and who owns which descriptor number.
type base struct {
	signals
	name     string
	origin   time.Time
	last     time.Duration // the newest reading of the clock
	closed   bool
	reserved int // the descriptor of Reserve, or -1
	waker    waker
	set      set // the kernel itself
	// owner is the armed sock of each descriptor number. It finds out numbers
	// that were closed behind our back and used again (FDS-30).
	owner []*sock
	// always are armed socks that are ready without asking: regular files where
	// the system refuses to watch them (FDS-31), and socks whose number is gone.
	always []*sock
	next   int  // where the next turn begins with always
	skip   bool // it was their turn last, and there is room for one
	// pairs is how many watched conns have two descriptors armed. While there is one,
	// eventOf finds events with the same token: it holds, by token, a place in Wait's
	// events plus one.
	pairs   int
	eventOf []int32
	scratch
}

var errOtherKernel = fmt.Errorf("native: arm: %w: a handle of another kernel", kernel.ErrUnsupported)

// set is the part of a kernel that knows which descriptors to look at.
type set interface {
	// watch adds or changes what is looked for on s.fd, whose owner s is; nothing
	// of s has changed yet. It may mark s as always ready instead.
	watch(s *sock, token uint32, r kernel.Ready) error
	// unwatch looks no more. It is called while s is still armed; closing says
	// that the descriptor is about to be closed.
	unwatch(s *sock, closing bool)
}

func (b *base) init(name string, set set) error {
	b.name, b.set, b.reserved = name, set, -1
	b.origin, b.last = time.Now(), 1
	return b.waker.open()
}

// Name is the name that Open takes.
func (b *base) Name() string { return b.name }

// Now is the time since the kernel was opened, at least 1 ns.
func (b *base) Now() time.Duration {
	b.last = time.Since(b.origin) + 1
	return b.last
}

// Wake may be called from any goroutine, also after Close (WAKE-3).
func (b *base) Wake() { b.waker.wake() }

// close is the part of Close that all share; false if it was done before.
func (b *base) close() bool {
	if b.closed {
		return false
	}
	b.closed = true
	b.Release()
	b.waker.close()
	return true
}

// Arm keeps what h is watched for.
func (b *base) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	switch x := h.(type) {
	case *conn:
		return b.arm(&x.sock, token, r)
	case *listener:
		return b.arm(&x.sock, token, r)
	case *watched:
		return b.armWatched(x, token, r)
	}
	return errOtherKernel
}

// arm is Arm for one descriptor. What is armed already costs nothing.
func (b *base) arm(s *sock, token uint32, r kernel.Ready) error {
	if s.b != b {
		return errOtherKernel
	}
	r &= kernel.Readable | kernel.Writable
	was := s.armed()
	switch {
	case r == was && (token == s.token || r == 0):
		return nil
	case r == 0:
		b.disarm(s, false)
		return nil
	case s.fd == closedFD:
		return kernel.ErrClosed
	case s.fd < 0:
		return s.opError(kernel.OpArm, badFD)
	}
	if was == 0 {
		b.claim(s)
	}
	if !s.is(alwaysReady) {
		// State changes only when the system call has succeeded (FDS-28).
		if err := b.set.watch(s, token, r); err != nil {
			if was == 0 {
				b.owner[s.fd] = nil
			}
			return err
		}
		if s.is(alwaysReady) {
			b.always = append(b.always, s)
		}
	}
	s.token = token
	s.setArmed(r)
	s.clear(knownBits | sticky) // the set looks anew
	return nil
}

// disarm ends the watching of s, which is armed.
func (b *base) disarm(s *sock, closing bool) {
	if s.fd < 0 || s.is(alwaysReady) {
		i := slices.Index(b.always, s)
		b.always = slices.Delete(b.always, i, i+1)
	} else if !b.closed {
		b.set.unwatch(s, closing)
	}
	if s.fd >= 0 && b.owner[s.fd] == s {
		b.owner[s.fd] = nil
	}
	s.clear(alwaysReady | knownBits | sticky)
	s.setArmed(0)
}

// claim makes s the owner of its number. Another armed sock with the same number
// lost it: the number was closed behind our back and given out again.
func (b *base) claim(s *sock) {
	for len(b.owner) <= int(s.fd) {
		b.owner = append(b.owner, nil)
		b.owner = b.owner[:cap(b.owner)]
	}
	if old := b.owner[s.fd]; old != nil && old != s {
		b.lose(old)
	}
	b.owner[s.fd] = s
}

// lose takes from s, which is armed, a number that is no longer its own. It stays
// ready for ever, so that the next read or write finds out.
func (b *base) lose(s *sock) {
	if !s.is(alwaysReady) {
		b.set.unwatch(s, true)
		b.always = append(b.always, s)
	}
	b.owner[s.fd] = nil
	s.fd = lostFD
}

// addAlways begins ev with those that need no asking, each in turn, and returns
// how many it added. It leaves half of ev to the others, or every other turn.
func (b *base) addAlways(ev []kernel.Event) int {
	if len(b.always) == 0 {
		return 0
	}
	room := len(ev) / 2
	if len(ev) == 1 {
		if b.skip = !b.skip; !b.skip {
			room = 1
		}
	}
	n := min(room, len(b.always))
	for i := range n {
		s := b.always[(b.next+i)%len(b.always)]
		ev[i] = kernel.Event{Token: s.token, Ready: s.armed()}
	}
	b.next = (b.next + n) % len(b.always)
	return n
}
