package reactor

import "github.com/whorl-go/whorl/kernel"

// capabilities are what the kernel can do beyond what every kernel can, found once through
// its wrappers. A nil one is missing.
type capabilities struct {
	watcher  kernel.Watcher
	reserver kernel.Reserver
	signals  kernel.Signals
	worker   kernel.Worker
}

func (c *capabilities) find(k kernel.Kernel) {
	c.watcher, _ = kernel.As[kernel.Watcher](k)
	c.reserver, _ = kernel.As[kernel.Reserver](k)
	c.signals, _ = kernel.As[kernel.Signals](k)
	c.worker, _ = kernel.As[kernel.Worker](k)
}
