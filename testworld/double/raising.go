package double

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// NewRaising is [New], on a kernel that refuses each Listen, ListenPacket and adoption of a listener with the error listen, and each
// Dial and adoption of a connection or datagram socket with the error dial. The reactor reports them as it reports those of a
// real kernel, in an *reactor.OpError. If one of the two is nil, those calls go to the recording Kernel, which [Of]
// returns. It does not hear of the others.
func NewRaising(t testing.TB, c reactor.Config, listen, dial error) *reactor.Reactor {
	t.Helper()
	k := newKernel(t)
	if c.Resolver == nil {
		c.Resolver = resolver{k}
	}
	faults := &testworld.Faults{
		Listen: func(kernel.Addr) error { return listen },
		Dial:   func(kernel.Addr) error { return dial },
	}
	k.r = testworld.New(t, faults.Wrap(&raising{Kernel: k, k: k, listen: listen, dial: dial}), c)
	return k.r
}

// raising refuses what Faults does not know. The embedded kernel is k.
type raising struct {
	kernel.Kernel
	k            *Kernel
	listen, dial error
}

var (
	_ kernel.Packets = (*raising)(nil)
	_ kernel.Adopter = (*raising)(nil)
)

// Unwrap returns the recording kernel.
func (x *raising) Unwrap() kernel.Kernel { return x.Kernel }

// ListenPacket implements kernel.Packets.
func (x *raising) ListenPacket(a kernel.Addr, o *kernel.PacketOptions) (kernel.PacketConn, error) {
	return unless(x.listen, func() (kernel.PacketConn, error) { return x.k.ListenPacket(a, o) })
}

// AdoptListener implements kernel.Adopter.
func (x *raising) AdoptListener(fd int, o *kernel.ListenOptions) (kernel.Listener, error) {
	return unless(x.listen, func() (kernel.Listener, error) { return x.k.AdoptListener(fd, o) })
}

// AdoptConn implements kernel.Adopter.
func (x *raising) AdoptConn(fd int, o *kernel.StreamOptions) (kernel.Conn, error) {
	return unless(x.dial, func() (kernel.Conn, error) { return x.k.AdoptConn(fd, o) })
}

// AdoptPacketConn implements kernel.Adopter.
func (x *raising) AdoptPacketConn(fd int, o *kernel.PacketOptions) (kernel.PacketConn, error) {
	return unless(x.dial, func() (kernel.PacketConn, error) { return x.k.AdoptPacketConn(fd, o) })
}

func unless[T any](err error, fn func() (T, error)) (none T, _ error) {
	if err != nil {
		return none, err
	}
	return fn()
}
