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
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return opError("sched_setaffinity", err)
	}
	return nil
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
