// Package native holds the kernels of this machine: epoll, poll and select, with their
// sockets, signals and descriptors that somebody else opened.
//
// [Open] opens a kernel by name. All of them keep the promises of package kernel. They
// differ in cost, and in these points:
//
//   - epoll: any number of descriptors. If somebody closes a descriptor behind its
//     back, it notices only when it gets the number again (FDS-30).
//   - poll: any number of descriptors, at a cost that grows with it.
//   - select: only numbers below 1024, of all that the process has open. A connection or
//     listener that would get another number is refused with kernel.ErrTooManyFiles, and
//     Watch refuses a descriptor that has one (FDS-25). It never reports kernel.Failed.
//
// One Write or Writev sends at most 256 KiB (TCP-53): the scheduler does not know of the
// system call, so it must be short.
//
// On Linux, datagrams are read and sent in batches, and a connected UDP socket hears of each datagram that was refused; of
// several that the system has sent as one train, it may hear only once. Where an old system, or the filter of a container,
// refuses recvmmsg or sendmmsg, or lacks UDP_SEGMENT, they go one by one. BSDs and macOS take one datagram at a time, tell of
// a refusal without its data, join no group for one source, and leave the source of IPv4 datagrams to the system.
//
// Of a child's exit a pidfd tells on Linux, or a goroutine where there is none, and a kqueue on BSDs and macOS. Only Linux sets limits on
// a child's resources. Before each start all descriptors above 2 are marked close-on-exec.
//
// BSDs and macOS have poll and select only. There poll rounds timeouts up to milliseconds
// and select to microseconds, and Writev takes one slice at a time.
//
// The package reads no environment variable and writes no log.
package native

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
)

// WaitMode is how epoll's Wait spends the time until something is ready. It changes cost
// and latency, never the result. A P is the runtime's right to run Go code; there are
// GOMAXPROCS of them. The other kernels have only one way and ignore the mode.
type WaitMode uint8

// The wait modes.
const (
	// WaitAuto, the default, is WaitHold if that is possible and there are more Ps than
	// loops, or while the other loops of its group are idle, and WaitAdaptive otherwise. If GOMAXPROCS changes later, it
	// follows.
	WaitAuto WaitMode = iota
	// WaitAdaptive looks without blocking if that found something lately. Otherwise it
	// lets other goroutines run and then blocks in a system call that gives up the P. While
	// what it waits for usually comes within 4 µs, it looks for so long before it blocks.
	// On Linux a busy loop keeps its P for up to 1 ms, waits included, as long as no other
	// goroutine is found that has waited for one.
	WaitAdaptive
	// WaitHold blocks in epoll_wait without giving up its P, and looks before as WaitAdaptive does. When the runtime wants the P
	// (garbage collection, or another goroutine after 10 ms), it interrupts the wait. A
	// loop that has been idle since the previous interruption then parks in the runtime's
	// poller, so that an idle loop holds no P. If the runtime cannot interrupt a system
	// call (GODEBUG=asyncpreemptoff=1), WaitHold is WaitAdaptive.
	WaitHold
	// WaitBlock looks once, then blocks in a system call that gives up the P.
	WaitBlock
	// WaitPark looks once, then parks the goroutine in the runtime's poller.
	WaitPark
)

// String is "auto", "adaptive", "hold", "block" or "park".
func (m WaitMode) String() string {
	names := [...]string{"auto", "adaptive", "hold", "block", "park"}
	if int(m) < len(names) {
		return names[m]
	}
	return fmt.Sprintf("WaitMode(%d)", uint8(m))
}

// Clock is the clock of a kernel: of its Now, and so of all delayed calls. Both clocks never
// step back, and no change of the time of day moves them.
type Clock uint8

// The clocks.
const (
	// ClockMonotonic, the default, stands still while the machine is suspended, on Linux. So
	// a delayed call comes later by the time of the suspend. Other systems differ.
	ClockMonotonic Clock = iota
	// ClockBoottime counts suspends too. What became due in one is called after the machine
	// has resumed: with epoll at once, with poll and select within 10 s, because their
	// timeouts stand still. For that they look at the clock every 10 s while a call is
	// pending. Reading it is a system call. It is for Linux; elsewhere OpenWith fails with
	// kernel.ErrUnsupported.
	ClockBoottime
)

// String is "monotonic" or "boottime".
func (c Clock) String() string {
	switch c {
	case ClockMonotonic:
		return "monotonic"
	case ClockBoottime:
		return "boottime"
	}
	return fmt.Sprintf("Clock(%d)", uint8(c))
}

// Options are the options of OpenWith. The zero value is the defaults.
type Options struct {
	// Wait forces a wait mode, for measurement and tests.
	Wait WaitMode
	// Loops is how many loops, including this one, share the Ps of the process. Zero or
	// negative means 1. WaitAuto holds a P only if there are more Ps than loops. For the loops of a group, OpenGroup does better.
	Loops int
	// Clock chooses the clock of Now and of delayed calls.
	Clock Clock

	crew  *crew // of the group
	place *place
}

// Open opens the kernel of that name. If name is "" it opens the best one that works
// here. For a name that is unknown, or that this system lacks, the error is
// kernel.ErrUnsupported and lists the names there are. So it is for select when the process
// has 1024 descriptors open already. What a kernel cannot do is in its kernel.Limits. The
// caller closes the kernel, after its handles.
func Open(name string) (kernel.Kernel, error) { return OpenWith(name, Options{}) }

// OpenWith is Open with options.
func OpenWith(name string, o Options) (kernel.Kernel, error) {
	if o.Loops < 1 {
		o.Loops = 1
	}
	if o.Wait > WaitPark {
		return nil, fmt.Errorf("native: unknown wait mode %d", o.Wait)
	}
	if o.Clock > ClockBoottime || o.Clock == ClockBoottime && !hasBoottime {
		return nil, fmt.Errorf("native: %w: clock %v", kernel.ErrUnsupported, o.Clock)
	}
	var failed []error
	for _, c := range candidates() {
		if name != "" && name != c.name {
			continue
		}
		k, err := c.open(o)
		if err == nil {
			return k, nil
		}
		failed = append(failed, fmt.Errorf("native: %s: %w", c.name, err))
	}
	if failed != nil {
		return nil, errors.Join(failed...)
	}
	have := "none on this system"
	if n := Names(); n != nil {
		have = strings.Join(n, ", ")
	}
	if name == "" {
		return nil, fmt.Errorf("native: %w: no kernel (have: %s)", kernel.ErrUnsupported, have)
	}
	return nil, fmt.Errorf("native: %w: kernel %q (have: %s)", kernel.ErrUnsupported, name, have)
}

// Names lists the kernels of this system, the best first. The slice belongs to the
// caller.
func Names() []string {
	var names []string
	for _, c := range candidates() {
		names = append(names, c.name)
	}
	return names
}

// candidate is one kernel that was compiled in.
type candidate struct {
	name string
	open func(Options) (kernel.Kernel, error)
}

// SysError returns the error of a system call that failed with errno: a
// [*kernel.SysError], with the sentinel that errno stands for if there is one (ERR-3).
func SysError(op string, errno syscall.Errno) error {
	return &kernel.SysError{Op: op, Kind: sentinel(op, errno), Errno: errno}
}
