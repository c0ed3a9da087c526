package reactor

import "github.com/whorl-go/whorl/kernel"

// abilities are what the kernel can do beyond what every kernel can, found once through
// its wrappers. A nil one is missing.
type abilities struct {
	watcher  kernel.Watcher
	reserver kernel.Reserver
	signals  kernel.Signals
	worker   kernel.Worker
}

func (a *abilities) find(k kernel.Kernel) {
	a.watcher, _ = kernel.As[kernel.Watcher](k)
	a.reserver, _ = kernel.As[kernel.Reserver](k)
	a.signals, _ = kernel.As[kernel.Signals](k)
	a.worker, _ = kernel.As[kernel.Worker](k)
}
