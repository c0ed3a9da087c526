// Package native holds the kernels of the machine the program runs on: epoll,
// poll and select, with their sockets, signals and foreign descriptors.
//
// [Open] chooses one by name. All of them keep the promises of package kernel;
// what differs is cost, and what stands here:
//
//   - epoll: any number of descriptors. A descriptor that somebody closed behind
//     its back is noticed only when its number is used again (FDS-30).
//   - poll: any number, at a cost that grows with it.
//   - select: numbers below 1024 only; Arm and Watch refuse others (FDS-25).
//
// One Write or Writev sends at most 256 KiB (TCP-53): a system call during which
// the scheduler is not told must be short. Where systems differ: BSDs and macOS
// have poll and select only, with timeouts rounded up to milliseconds and
// microseconds, and their Writev takes one slice at a time.
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

// WaitMode is how epoll's Wait spends the time until something is ready. It
// changes cost and latency, never the result. The other kernels have one way and
// ignore it.
type WaitMode uint8

// The wait modes.
const (
	// WaitAuto is WaitHold where that is safe and there are more Ps than loops,
	// else WaitAdaptive; it follows changes of GOMAXPROCS downwards. The default.
	WaitAuto WaitMode = iota
	// WaitAdaptive looks without blocking if that paid lately, else lets other
	// goroutines run and then blocks in a system call that gives the P away.
	WaitAdaptive
	// WaitHold blocks and keeps the P, until the runtime asks for it; a loop that
	// was idle since it last asked then parks. Where the runtime cannot interrupt
	// a system call (GODEBUG=asyncpreemptoff=1) it is WaitAdaptive.
	WaitHold
	// WaitBlock looks once, then blocks in a system call that gives the P away.
	WaitBlock
	// WaitPark looks once, then parks the goroutine in the runtime's own poller.
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

// Options are what OpenWith may be told. The zero value is the defaults.
type Options struct {
	// Wait forces a wait mode, for measurement and tests.
	Wait WaitMode
	// Loops is how many loops, this one included, share the Ps of the process.
	// Zero or negative: 1. WaitAuto holds a P only if more Ps than that exist.
	Loops int
}

// Open opens the kernel of that name, or the best one that works here if name is
// "". An unknown name, or one this system lacks, is an error that lists what
// there is. The caller closes the kernel, after its socks.
func Open(name string) (kernel.Kernel, error) { return OpenWith(name, Options{}) }

// OpenWith is Open with options.
func OpenWith(name string, o Options) (kernel.Kernel, error) {
	if o.Loops < 1 {
		o.Loops = 1
	}
	if o.Wait > WaitPark {
		return nil, fmt.Errorf("native: unknown wait mode %d", o.Wait)
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

// Names lists the kernels of this system, best first. The slice is the caller's.
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

// SysError is the error of a system call that failed with errno: a [*kernel.SysError]
// with the sentinel that fits, if one does (ERR-3).
func SysError(op string, errno syscall.Errno) error {
	return &kernel.SysError{Op: op, Kind: sentinel(op, errno), Errno: errno}
}
