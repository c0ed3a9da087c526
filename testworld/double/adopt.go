package double

import (
	"github.com/whorl-go/whorl/kernel"
)

// Adoption is one call of a method of kernel.Adopter.
type Adoption struct {
	// Kind says what the descriptor was to be.
	Kind AdoptionKind
	// FD is the descriptor, a number of the simulated program: that of Reactor.DescriptorOf, for instance.
	FD int
	// Listen, Stream and Packet are the options; those of Kind count.
	Listen kernel.ListenOptions
	Stream kernel.StreamOptions
	Packet kernel.PacketOptions
	// Err is the result.
	Err error
}

// AdoptionKind says what a descriptor is adopted as.
type AdoptionKind uint8

// The kinds: by Reactor.AdoptPort, AdoptConnection and AdoptPacketPort.
const (
	AdoptedListener AdoptionKind = iota
	AdoptedConn
	AdoptedPackets
)

// String is "listener", "connection" or "packets".
func (k AdoptionKind) String() string { return [...]string{"listener", "connection", "packets"}[k] }

// adopt records a call and makes it below.
func adopt[T any](k *Kernel, call *Adoption, below func(kernel.Adopter) (T, error)) (made T, err error) {
	k.Adoptions = append(k.Adoptions, call)
	a, ok := kernel.As[kernel.Adopter](k.Kernel)
	if !ok {
		call.Err = kernel.ErrUnsupported
		return made, call.Err
	}
	made, call.Err = below(a)
	return made, call.Err
}

// AdoptListener records the call and adopts the descriptor in the simulation.
func (k *Kernel) AdoptListener(fd int, o *kernel.ListenOptions) (kernel.Listener, error) {
	call := &Adoption{Kind: AdoptedListener, FD: fd}
	if o != nil {
		call.Listen = *o
	}
	return adopt(k, call, func(a kernel.Adopter) (kernel.Listener, error) { return a.AdoptListener(fd, o) })
}

// AdoptConn is AdoptListener for a connection.
func (k *Kernel) AdoptConn(fd int, o *kernel.StreamOptions) (kernel.Conn, error) {
	call := &Adoption{Kind: AdoptedConn, FD: fd}
	if o != nil {
		call.Stream = *o
	}
	return adopt(k, call, func(a kernel.Adopter) (kernel.Conn, error) { return a.AdoptConn(fd, o) })
}

// AdoptPacketConn is AdoptListener for a socket of datagrams.
func (k *Kernel) AdoptPacketConn(fd int, o *kernel.PacketOptions) (kernel.PacketConn, error) {
	call := &Adoption{Kind: AdoptedPackets, FD: fd}
	if o != nil {
		call.Packet = *o
	}
	return adopt(k, call, func(a kernel.Adopter) (kernel.PacketConn, error) { return a.AdoptPacketConn(fd, o) })
}
