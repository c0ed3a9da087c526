package std

import (
	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/reactor"
)

// OpenInThread is openInThread.
func OpenInThread(r *reactor.Reactor, open func() (*device.Serial, error), done func(*device.Serial, error)) {
	openInThread(r, open, done)
}
