package reactor

import "github.com/whorl-go/whorl/kernel"

// capabilities are the optional interfaces of the kernel. The reactor looks for them once,
// through the kernel's wrappers. One that the kernel lacks is nil.
type capabilities struct {
	watcher     kernel.Watcher
	reserver    kernel.Reserver
	signals     kernel.Signals
	worker      kernel.Worker
	adopter     kernel.Adopter
	packets     kernel.Packets
	descriptors kernel.Descriptors
	mover       kernel.Mover
	steerer     kernel.Steerer
	guesser     kernel.Guesser
}

func (c *capabilities) find(k kernel.Kernel) {
	c.watcher, _ = kernel.As[kernel.Watcher](k)
	c.reserver, _ = kernel.As[kernel.Reserver](k)
	c.signals, _ = kernel.As[kernel.Signals](k)
	c.worker, _ = kernel.As[kernel.Worker](k)
	c.adopter, _ = kernel.As[kernel.Adopter](k)
	c.packets, _ = kernel.As[kernel.Packets](k)
	c.descriptors, _ = kernel.As[kernel.Descriptors](k)
	c.mover, _ = kernel.As[kernel.Mover](k)
	c.steerer, _ = kernel.As[kernel.Steerer](k)
	c.guesser, _ = kernel.As[kernel.Guesser](k)
}

// listenPacket is ListenPacket of the kernel, if that has datagrams.
func (c *capabilities) listenPacket(a kernel.Addr, o *kernel.PacketOptions) (kernel.PacketConn, error) {
	if c.packets == nil {
		return nil, kernel.ErrUnsupported
	}
	return c.packets.ListenPacket(a, o)
}
