//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/internal/pages"
	"github.com/whorl-go/whorl/kernel"
)

// base is the common part of the kernels: the clock, the waker, scratch memory for system
// calls, and the owner of each descriptor number.
type base struct {
	signals
	name    string
	origin  time.Time
	boot    func() time.Duration // ClockBoottime since the kernel was opened; nil: the other clock
	real    func() time.Duration // in a bubble of testing/synctest, the time since the kernel was opened; nil: Go's clock is real
	last    time.Duration        // the newest reading of the clock
	longest time.Duration        // with boot: how long poll and select wait before they look at it
	gave    int32                // Linux: the descriptor of the socket that gave input last, or one datagram
	read    uint64               // Linux: how many bytes streams have given, and datagram sockets datagrams
	guessed bool                 // Linux: the last wait reported a guess
	// exposed: the program has had the number of a socket of ours, or given us one. So sockets may have SO_LINGER, which those that a
	// listener accepts inherit. Another kernel reads it in TakeConn.
	exposed  atomic.Bool
	closed   bool
	reserved int // the descriptor of Reserve, or -1
	limit    int // all its descriptors are below that number; 0: it has no limit
	waker    waker
	set      set // the kernel itself
	// owner is the open sock of each descriptor number, armed or not. It shows that a
	// number was closed behind our back and used again (FDS-30).
	owner pages.Table[*sock]
	// always are the armed socks that count as ready without a system call: regular files
	// that the system refuses to watch (FDS-31), and socks that have lost their number.
	always []*sock
	next   int  // index in always at which the next turn begins
	skip   bool // with room for one event: the last wait left always out
	// pairs is how many watched conns have two descriptors armed. While there is one,
	// joinPairs uses eventOf to find events with the same token: by token, the index of
	// an event of Wait plus one.
	pairs   int
	eventOf []int32
	zones   zones
	control []byte // memory for control messages, made when it is first needed
	noPidfd bool   // children are waited for without one, as on an old system
	// starts is held while signals that the process ignores are caught, so that a program is started with their default. The kernels of an OpenGroup
	// have the same one.
	starts *sync.Mutex
	pinning
	scratch
}

var errOtherKernel = fmt.Errorf("native: arm: %w: a handle of another kernel", kernel.ErrUnsupported)

// set is the part of a kernel that tells the system which descriptors to watch.
type set interface {
	// watch adds s.fd, or changes what it is watched for. s owns the number already;
	// nothing else of s has changed yet. watch may mark s as alwaysReady instead.
	watch(s *sock, token uint32, r kernel.Ready) error
	// unwatch stops watching s, which is still armed. closing says that the caller is
	// about to close the descriptor.
	unwatch(s *sock, closing bool)
}

func (b *base) init(name string, set set, o Options) error {
	b.name, b.set, b.reserved = name, set, -1
	b.origin, b.last = time.Now(), 1
	if inBubble(b.origin) {
		b.real = sinceNow()
	}
	if b.starts = new(sync.Mutex); o.crew != nil {
		b.starts = &o.crew.starts
	}
	if o.Clock == ClockBoottime {
		origin, err := bootTime()
		if err != nil {
			return err
		}
		b.longest = 10 * time.Second
		b.boot = func() time.Duration {
			now, _ := bootTime() // it has worked once
			return now - origin + 1
		}
	}
	return b.waker.open()
}

// isNumber tells whether fd can be the number of a descriptor. The system looks at 32 bits alone, and would take a larger one for another.
func isNumber(fd int) bool { return fd >= 0 && fd <= math.MaxInt32 }

// Name is the name that Open takes.
func (b *base) Name() string { return b.name }

// Now is the time since the kernel was opened, at least 1 ns.
func (b *base) Now() time.Duration {
	if b.boot != nil {
		b.last = b.boot()
		return b.last
	}
	if b.real != nil {
		b.last = b.real()
		return b.last
	}
	b.last = time.Since(b.origin) + 1
	return b.last
}

// Wake may be called from any goroutine, also after Close (WAKE-3).
func (b *base) Wake() { b.waker.wake() }

// close does the part of Close that all kernels share. It returns false if that was done
// before.
func (b *base) close() bool {
	if b.closed {
		return false
	}
	b.closed = true
	b.Release()
	b.waker.close()
	return true
}

// Arm arms one descriptor, or the two of a watched pair. Only conns can fail.
func (b *base) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	switch x := h.(type) {
	case *conn:
		return b.arm(&x.sock, token, r&(both|kernel.Failed))
	case *listener:
		return b.arm(&x.sock, token, r&both)
	case *unixConn:
		return b.arm(&x.sock, token, r&(both|kernel.Failed))
	case *passingConn:
		return b.arm(&x.sock, token, r&(both|kernel.Failed))
	case *sharedPassing:
		return b.arm(&x.sock, token, r&(both|kernel.Failed))
	case *sharedConn:
		return b.arm(&x.sock, token, r&(both|kernel.Failed))
	case *sharedUNIX:
		return b.arm(&x.sock, token, r&(both|kernel.Failed))
	case *unixListener:
		return b.arm(&x.sock, token, r&both)
	case *udpConn:
		err := b.arm(&x.sock, token, r&both)
		x.showHeld()
		return err
	case *unixgramConn:
		return b.arm(&x.sock, token, r&both)
	case *pipeConn:
		x.set(pipeUsed, true)
		return b.arm(&x.sock, token, r&(both|kernel.Failed))
	case *child:
		return b.arm(&x.exit, token, r&kernel.Readable)
	case *watched:
		return b.armWatched(x, token, r&(both|kernel.Failed))
	case interface{ Unwrap() kernel.Conn }: // a conn of Watch, with an owner for its descriptors
		return b.Arm(x.Unwrap(), token, r)
	}
	return errOtherKernel
}

// arm is Arm for one descriptor. It makes no system call for what is armed already.
func (b *base) arm(s *sock, token uint32, r kernel.Ready) error {
	if s.b != b {
		return errOtherKernel
	}
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
		b.own(s)
	}
	if !s.is(alwaysReady) {
		// State changes only when the system call has succeeded (FDS-28).
		if err := b.set.watch(s, token, r); err != nil {
			return err
		}
		if s.is(alwaysReady) {
			b.always = append(b.always, s)
		}
	}
	s.token = token
	s.setArmed(r)
	s.clear(knownBits) // the set looks anew
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
	s.clear(alwaysReady | knownBits)
	s.setArmed(0)
}

// own makes s the owner of its number.
func (b *base) own(s *sock) {
	b.given(s.fd, s)
	for b.owner.Len() <= int(s.fd) {
		b.owner.Append(nil)
	}
	b.owner.Set(int(s.fd), s)
}

// ownForeign is own for a number that only the caller of Watch says is s's. A sock of our
// own keeps such a number until s is armed.
func (b *base) ownForeign(s *sock) {
	s.setState(foreign)
	if old := b.ownerOf(s.fd); old == nil || old.isForeign() {
		b.own(s)
	}
}

// given says that the number fd has a new owner: s, or nil for something that is no sock.
// Another sock, or the reserve, that has it still was closed behind our back, and loses it.
func (b *base) given(fd int32, s *sock) {
	if int(fd) == b.reserved {
		b.reserved = -1
	}
	if old := b.ownerOf(fd); old != nil && old != s {
		b.lose(old)
	}
}

// disown is the reverse of own.
func (b *base) disown(s *sock) {
	if b.ownerOf(s.fd) == s {
		b.owner.Set(int(s.fd), nil)
	}
}

// ownerOf is the sock that has the number fd, or nil.
func (b *base) ownerOf(fd int32) *sock {
	if fd < 0 || int(fd) >= b.owner.Len() {
		return nil
	}
	return b.owner.At(int(fd))
}

// lose takes the number away from s. From then on each Read and Write of s fails, and s
// counts as always ready if it is armed.
func (b *base) lose(s *sock) {
	b.putAlways(s)
	b.disown(s)
	s.fd = lostFD
}

// putAlways makes s, if it is armed, count as always ready instead of being watched. Its
// number is closed.
func (b *base) putAlways(s *sock) {
	if s.armed() != 0 && !s.is(alwaysReady) {
		b.set.unwatch(s, true)
		b.always = append(b.always, s)
		s.mark(alwaysReady)
	}
}

// addAlways begins ev with events of the socks in always, each in its turn, and returns
// how many it added. It leaves half of ev to the other socks. If ev has room for one
// event, it leaves that room to them every other time.
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
