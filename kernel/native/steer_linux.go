package native

import (
	"golang.org/x/sys/unix"

	"github.com/whorl-go/whorl/kernel"
)

var _ kernel.Steerer = (*base)(nil)

// CPUs asks the scheduler.
func (b *base) CPUs() (all []int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, opError("sched_getaffinity", err)
	}
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			all = append(all, cpu)
		}
	}
	return all, nil
}

// Pin tells the scheduler.
func (b *base) Pin(cpu int) error {
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return opError("sched_getaffinity", err)
	}
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return opError("sched_setaffinity", err)
	}
	if b.unpinned == nil {
		b.unpinned = &before
	}
	return nil
}

// pinning is what Pin leaves for Spawn.
type pinning struct {
	unpinned *unix.CPUSet // the CPUs of the thread before the first Pin; nil: it was not pinned
}

// unpin lets a thread that was pinned run on the CPUs that it had before, until restore is called: a child inherits the CPUs of the thread that
// forks. If that fails, because the CPUs of the process are others by now, the child is bound as the thread is.
func (p *pinning) unpin() (restore func()) {
	var pinned unix.CPUSet
	if p.unpinned == nil || unix.SchedGetaffinity(0, &pinned) != nil || unix.SchedSetaffinity(0, p.unpinned) != nil {
		return func() {}
	}
	return func() { _ = unix.SchedSetaffinity(0, &pinned) } // it has just been valid
}

// SteerTo sets SO_INCOMING_CPU. A filter (SO_ATTACH_REUSEPORT_CBPF) would know the listeners by their place in the system's list alone, and
// when one closes, the last one takes its place.
func (b *base) SteerTo(l kernel.Listener, cpu int) error {
	n, ok := kernel.ListenerAs[numbered](l)
	if !ok || n.self().b != b {
		return errOtherKernel
	}
	if err := unix.SetsockoptInt(int(n.self().fd), unix.SOL_SOCKET, unix.SO_INCOMING_CPU, cpu); err != nil {
		return opError("setsockopt", err)
	}
	return nil
}
